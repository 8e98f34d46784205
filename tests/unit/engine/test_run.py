"""A Run by a Fetcher whose network is a fake: how it is read, left, drained, cancelled and forgotten."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from roco_async import FetchConfig, Fetcher, ImageRecord, Outcome, Reason, Run, Status
from roco_async.errors import DiskRefused
from roco_async.protocols import START, Body, Point
from tests.servers.pictures import tiny_jpeg
from tests.unit.wire import Answer, Thing, Wire

BASE = "http://bucket/"


def picture(number: int) -> Thing:
    content = tiny_jpeg(str(number).encode())
    digest = hashlib.md5(content).hexdigest()
    return Thing(content, f'"{digest}"', digest)


def record(number: int) -> ImageRecord:
    return ImageRecord(f"R{number}", f"PMC{number}", "a.jpg")


def wire(count: int, *script: Answer | None) -> Wire:
    return Wire({f"{BASE}PMC{number}.1/a.jpg": picture(number) for number in range(count)}, script)


def nowhere(numbers: Iterator[int] | range) -> Iterator[ImageRecord]:
    """Records that end after one request: their own URL is not there."""
    for number in numbers:
        yield ImageRecord(f"R{number}", "", "a.jpg", url=f"http://gone/{number}")


@asynccontextmanager
async def fetcher_over(network: Wire, out: Path, **fields: int) -> AsyncIterator[Fetcher]:
    config = FetchConfig(out=out, cloud_url=BASE, **({"connections": 4} | fields))  # type: ignore[arg-type]
    async with Fetcher(config) as fetcher:
        await fetcher.paced.inner.aclose()
        fetcher.paced.inner = network
        yield fetcher
    assert network.closed
    assert network.open_now == 0


def files(out: Path) -> list[str]:
    return sorted(path.name for path in out.rglob("*.jpg"))


async def tasks_of_runs(turns: int = 200) -> list[asyncio.Task[None]]:
    """The tasks of runs that are still there after some turns."""
    for _ in range(turns):
        left = [task for task in asyncio.all_tasks() if task.get_name() == "roco_async run"]
        if not left:
            break
        await asyncio.sleep(0.002)
    return left


class TestWhole:
    async def test_every_record(self, tmp_path: Path) -> None:
        """Each record has its outcome, its file and its place in the counts; reading on brings nothing more."""
        async with fetcher_over(wire(50), tmp_path) as fetcher:
            run = fetcher.iter_fetch(map(record, range(50)))
            outcomes = [outcome async for outcome in run]
            assert [outcome async for outcome in run] == []
            counts = run.statistics()
        assert sorted(outcome.record.id for outcome in outcomes) == sorted(f"R{number}" for number in range(50))
        assert (counts.requested, counts.fetched, counts.failed, counts.in_flight) == (50, 50, 0, 0)
        assert counts.bytes == sum(outcome.bytes for outcome in outcomes)
        assert counts.limit >= 1
        assert len(files(tmp_path)) == 50

    async def test_a_second_run_asks_for_nothing(self, tmp_path: Path) -> None:
        """What is there is asked for no second time."""
        network = wire(20)
        async with fetcher_over(network, tmp_path) as fetcher:
            assert (await fetcher.fetch(map(record, range(20)))).fetched == 20
            asked = len(network.asked)
            report = await fetcher.fetch(map(record, range(20)))
        assert (report.requested, report.skipped, len(network.asked)) == (20, 20, asked)

    @pytest.mark.parametrize("is_async", [True, False])
    async def test_only_the_first(self, tmp_path: Path, is_async: bool) -> None:
        """`limit` takes the first records of any iterable, and reads no more of it."""
        taken = 0

        def counted() -> Iterator[ImageRecord]:
            nonlocal taken
            for number in itertools.count():
                taken += 1
                yield record(number)

        async def counted_later() -> AsyncGenerator[ImageRecord, None]:
            for one in counted():
                yield one

        given = counted_later() if is_async else counted()
        async with fetcher_over(wire(9), tmp_path, limit=3) as fetcher:
            report = await fetcher.fetch(given)
        assert (report.fetched, taken) == (3, 3)
        if isinstance(given, AsyncGenerator):
            await given.aclose()

    async def test_failures_are_values(self, tmp_path: Path) -> None:
        """An image that is nowhere is an outcome like any other."""
        async with fetcher_over(wire(3), tmp_path) as fetcher:
            report = await fetcher.fetch([record(0), *nowhere(range(2)), record(1)])
        assert (report.fetched, report.failed, report.reasons) == (2, 2, {"NOT_FOUND": 2})
        assert report.only_permanent_losses

    async def test_not_entered(self) -> None:
        """A Fetcher outside its block fetches nothing."""
        with pytest.raises(RuntimeError, match="enter"):
            Fetcher().iter_fetch([])


class TestLeft:
    async def test_by_break(self, tmp_path: Path) -> None:
        """After `break` and `aclose` no task, transfer or temporary file is left; closing again harms nothing."""
        network = wire(50)
        async with fetcher_over(network, tmp_path) as fetcher:
            run = fetcher.iter_fetch(map(record, range(50)))
            async for _ in run:
                break
            await run.aclose()
            await run.aclose()
            assert (await tasks_of_runs(1), network.open_now) == ([], 0)
            assert [outcome async for outcome in run] == []

    async def test_with_its_fetcher(self, tmp_path: Path) -> None:
        """A run that was left ends with its Fetcher."""
        async with fetcher_over(wire(0), tmp_path) as fetcher:
            run = fetcher.iter_fetch(nowhere(itertools.count()))
            await anext(run)
        assert await tasks_of_runs(1) == []

    async def test_begun_after_another_was_made(self, tmp_path: Path) -> None:
        """So does one that was made before another run and begun after it."""
        async with fetcher_over(wire(0), tmp_path) as fetcher:
            first = fetcher.iter_fetch(nowhere(itertools.count()))
            second = fetcher.iter_fetch(nowhere(itertools.count()))
            await anext(first)
            await anext(second)
        assert await tasks_of_runs(1) == []

    async def test_forgotten(self, tmp_path: Path) -> None:
        """A run that nobody has any more ends by itself."""
        async with fetcher_over(wire(0), tmp_path) as fetcher:
            run = fetcher.iter_fetch(nowhere(itertools.count()))
            await anext(run)
            assert await tasks_of_runs(1) != []
            del run
            gc.collect()
            assert await tasks_of_runs() == []

    async def test_never_begun(self, tmp_path: Path) -> None:
        """A run that nobody reads begins nothing, and closing it takes no record."""
        async with fetcher_over(wire(0), tmp_path) as fetcher:
            run = fetcher.iter_fetch(nowhere(itertools.count()))
            await asyncio.sleep(0)
            assert (run.statistics().requested, run.journal) == (0, None)
            await run.aclose()
            del run

    async def test_cancelled_while_reading(self, tmp_path: Path) -> None:
        """Cancelling the task that reads is told to it, and the run ends with its Fetcher within a second."""
        network, gate = wire(9, *[Answer(hold=asyncio.Event())] * 4), asyncio.Event()

        async def read() -> None:
            async with fetcher_over(network, tmp_path) as fetcher:
                gate.set()
                await fetcher.fetch(map(record, range(9)))

        task = asyncio.create_task(read())
        await gate.wait()
        while not network.open_now:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(task), 1)
        assert (await tasks_of_runs(1), network.open_now, files(tmp_path)) == ([], 0, [])

    async def test_a_timeout_round_it(self, tmp_path: Path) -> None:
        """`asyncio.timeout` round the loop is a plain TimeoutError."""
        network = wire(9, *[Answer(hold=asyncio.Event())] * 9)
        async with fetcher_over(network, tmp_path) as fetcher:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await fetcher.fetch(map(record, range(9)))
            assert (await tasks_of_runs(1), network.open_now) == ([], 0)


class TestRaises:
    @pytest.mark.parametrize("is_async", [True, False])
    async def test_the_records_iterator(self, tmp_path: Path, is_async: bool) -> None:
        """An exception of the records' iterator comes out bare, not in a group, each time it is asked again."""

        def failing() -> Iterator[ImageRecord]:
            yield record(0)
            raise LookupError("mine")

        async def failing_later() -> AsyncGenerator[ImageRecord, None]:
            for one in failing():
                yield one

        async with fetcher_over(wire(1), tmp_path) as fetcher:
            run = fetcher.iter_fetch(failing_later() if is_async else failing())
            for _ in range(2):
                with pytest.raises(LookupError, match="mine"):
                    async for _ in run:
                        pass

    async def test_a_disk_that_refuses_to_be_read(self, tmp_path: Path) -> None:
        """A folder that is a file ends the run with a bare DiskRefused."""
        (tmp_path / "images").write_bytes(b"")
        async with fetcher_over(wire(9), tmp_path) as fetcher:
            with pytest.raises(DiskRefused):
                await fetcher.fetch(map(record, range(9)))

    async def test_a_disk_that_refuses_to_be_written(self, mount_tmpfs: Callable[[str], Path]) -> None:
        """A read-only disk ends the run with a bare DiskRefused, and all transfers with it."""
        network = wire(200)
        async with fetcher_over(network, mount_tmpfs("ro")) as fetcher:
            with pytest.raises(DiskRefused):
                await fetcher.fetch(map(record, range(200)))
            assert network.open_now == 0
        assert len(network.asked) < 200

    async def test_a_journal_that_refuses(self, tmp_path: Path) -> None:
        """A journal that cannot be written ends the run so, although every image is there."""
        (tmp_path / ".roco").write_bytes(b"")
        async with fetcher_over(wire(3), tmp_path) as fetcher:
            with pytest.raises(DiskRefused):
                await fetcher.fetch(map(record, range(3)))


class TestStreams:
    async def test_a_stream_that_waits_for_its_outcome(self, tmp_path: Path) -> None:
        """A record stream that waits for each outcome before it gives the next record comes to its end."""
        came = asyncio.Event()

        async def one_by_one() -> AsyncGenerator[ImageRecord, None]:
            for number in range(20):
                yield record(number)
                await came.wait()
                came.clear()

        async with fetcher_over(wire(20), tmp_path) as fetcher:
            seen = []
            async for outcome in fetcher.iter_fetch(one_by_one()):
                seen.append(outcome.record.id)
                came.set()
        assert seen == [f"R{number}" for number in range(20)]

    async def test_so_of_images_that_are_there(self, tmp_path: Path) -> None:
        """So does one of images that need no request."""
        came = asyncio.Event()

        async def one_by_one() -> AsyncGenerator[ImageRecord, None]:
            for number in range(20):
                yield record(number)
                await came.wait()
                came.clear()

        async with fetcher_over(wire(20), tmp_path) as fetcher:
            await fetcher.fetch(map(record, range(20)))
            statuses = []
            async for outcome in fetcher.iter_fetch(one_by_one()):
                statuses.append(outcome.status)
                came.set()
        assert statuses == [Status.SKIPPED] * 20

    async def test_an_endless_one_is_drained(self, tmp_path: Path) -> None:
        """`drain` ends an endless stream: the iterator ends by itself, with an outcome for every record taken."""

        async def endless() -> AsyncGenerator[ImageRecord, None]:
            for one in nowhere(itertools.count()):
                yield one
                await asyncio.sleep(0)

        async with fetcher_over(wire(0), tmp_path) as fetcher:
            run, stream, outcomes = None, endless(), 0
            run = fetcher.iter_fetch(stream)
            async for _ in run:
                outcomes += 1
                if outcomes == 100:
                    run.drain()
            assert outcomes == run.statistics().requested < 2000
            await stream.aclose()

    @pytest.mark.parametrize("there", [True, False])
    async def test_nobody_reads(self, tmp_path: Path, there: bool) -> None:
        """A consumer that stops reading stops the reading of records, and it goes on when he does."""
        taken = 0

        def counted() -> Iterator[ImageRecord]:
            nonlocal taken
            for number, one in enumerate(nowhere(range(2000))):
                taken += 1
                yield record(number) if there else one

        if there:
            (tmp_path / "images").mkdir()
            for number in range(2000):
                (tmp_path / "images" / f"R{number}.jpg").write_bytes(b"x")
            rows = [
                f'{{"t":1,"folder":"images","file":"R{n}.jpg","status":"FETCHED","bytes":1}}\n' for n in range(2000)
            ]
            (tmp_path / ".roco" / "journal").mkdir(parents=True)
            (tmp_path / ".roco" / "journal" / "a.jsonl").write_text("".join(rows))
        async with fetcher_over(wire(0), tmp_path) as fetcher:
            run = fetcher.iter_fetch(counted())
            await anext(run)
            before = -1
            while before != taken:
                before = taken
                await asyncio.sleep(0.05)
            assert 1000 < taken < 1024 + 256 + 16
            assert len([outcome async for outcome in run]) == 1999

    async def test_two_runs_share_the_fetcher(self, tmp_path: Path) -> None:
        """Two runs at the same time each have their own outcomes and counts."""
        async with fetcher_over(wire(40), tmp_path) as fetcher:
            one, other = await asyncio.gather(
                fetcher.fetch(map(record, range(20))), fetcher.fetch(map(record, range(20, 40)))
            )
        assert (one.fetched, other.fetched) == (20, 20)


class Silent(Wire):
    """A network that never answers."""

    @asynccontextmanager
    async def open(self, url: str, at: Point = START) -> AsyncIterator[Body]:
        self.open_now += 1
        try:
            await asyncio.Event().wait()
            yield Body(start=0, size=None, validator=None, digest=None, chunks=_none())
        finally:
            self.open_now -= 1


async def _none() -> AsyncIterator[bytes]:
    return
    yield b""


async def test_closed_while_somebody_reads(tmp_path: Path) -> None:
    """`aclose` from another task ends the reader's loop instead of leaving it to wait for ever."""
    async with fetcher_over(Silent({}), tmp_path) as fetcher:
        run: Run = fetcher.iter_fetch([record(0)])

        async def read() -> list[Outcome]:
            return [outcome async for outcome in run]

        task = asyncio.create_task(read())
        await asyncio.sleep(0.01)
        await run.aclose()
        assert await asyncio.wait_for(task, 1) == []


async def test_a_hostile_list(tmp_path: Path) -> None:
    """Records that would lead anywhere else are UNSAFE one by one, and the good one among them is fetched."""
    bad = [
        ImageRecord("../x", "PMC0", "a.jpg"), ImageRecord("x", "PMC0/..", "a.jpg"),
        ImageRecord("x", "PMC0", "../a.jpg"),
        ImageRecord("x", "PMC0", "a.jpg", "/etc"), ImageRecord("x", "PMC0", "a.jpg", ".roco"),
        ImageRecord("a\ud800", "PMC0", "a.jpg"),
        ImageRecord("x", "", "a.jpg", url="http://[::1/"), ImageRecord("x", "PMC0", "a\ud800.jpg"),
        ImageRecord("x", "PMC0", "a.jpg", "y" * 300), ImageRecord("x", "PMC0", "a.jpg", "images/" + "z" * 300),
    ]  # fmt: skip
    async with fetcher_over(wire(1), tmp_path) as fetcher:
        report = await fetcher.fetch([*bad, record(0)])
    assert report.reasons == {Reason.UNSAFE: len(bad)}
    assert files(tmp_path) == ["R0.jpg"]
