"""Runs, as other programs make them: any records, any order, any end."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from roco_async import FetchConfig, Fetcher, ImageRecord, Outcome, Reason, Status, fetch_split
from tests.cancel.stage import COUNT, numbers_there, pictures, records, settings, slow_bucket, write_annotations
from tests.faults.stage import files_below, picture
from tests.servers.faults import Fault, Trickle, status
from tests.servers.scripted import ScriptedServer

ALL = set(range(1, COUNT + 1))


async def test_fetch_split_in_a_running_loop(tmp_path: Path) -> None:
    """A notebook's cell: `await fetch_split("test", group="radiology", …)` fetches and gives an account."""
    data, out = write_annotations(tmp_path / "data"), tmp_path / "roco"
    async with ScriptedServer(pictures()) as server:
        report = await fetch_split("test", group="radiology", data=data, out=out, cloud_url=server.base)
        again = await fetch_split(["test/radiology"], config=settings(server, out, data=data), limit=7)
    assert (report.requested, report.fetched, report.failed) == (COUNT, COUNT, 0)
    assert report.bytes == COUNT * 8000
    assert report.elapsed > 0
    assert report.reasons == {}
    assert report.failures == []
    assert (again.requested, again.skipped) == (7, 7)
    assert numbers_there(out, "test/radiology/images") == ALL


async def test_images_that_are_there_only_counted(tmp_path: Path) -> None:
    """With `skipped=False` what is there has no outcome and is in the counts, those of the report too."""
    wanted = records(20)
    async with ScriptedServer(pictures(20)) as server, Fetcher(settings(server, tmp_path)) as fetcher:
        await fetcher.fetch(wanted[:12])
        run = fetcher.iter_fetch(wanted[:15], skipped=False)
        outcomes = {outcome.record async for outcome in run}
        report = await fetcher.fetch(wanted)
    end = run.statistics()
    assert outcomes == set(wanted[12:15])
    assert (end.requested, end.fetched, end.skipped, end.failed) == (15, 3, 12, 0)
    assert (report.requested, report.fetched, report.skipped, report.failed) == (20, 5, 15, 0)


async def test_fetch_split_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Outside a notebook fetch_split writes nothing to stdout or stderr, losses or not."""
    data = write_annotations(tmp_path / "data", 5)
    async with ScriptedServer(pictures(5), Fault(status(404), on="PMC2.1/*")) as server:
        report = await fetch_split("test/radiology", data=str(data), out=str(tmp_path / "out"), cloud_url=server.base)
    assert report.reasons == {"NOT_FOUND": 1}
    assert tuple(capfd.readouterr()) == ("", "")


async def _slowly(wanted: list[ImageRecord]) -> AsyncIterator[ImageRecord]:
    for record in wanted:
        await asyncio.sleep(0)
        yield record


@pytest.mark.parametrize(
    "made", [list, tuple, iter, lambda wanted: (one for one in wanted), _slowly, dict.fromkeys, reversed],
    ids=["list", "tuple", "iterator", "generator", "async generator", "dict", "reversed"],
)  # fmt: skip
async def test_any_iterable_of_records(made: object, tmp_path: Path) -> None:
    """Records may be any iterable, an asynchronous one too; each gets exactly one outcome."""
    assert callable(made)
    async with ScriptedServer(pictures()) as server, Fetcher(settings(server, tmp_path)) as fetcher:
        outcomes = [outcome async for outcome in fetcher.iter_fetch(made(records()))]
    assert sorted(outcome.record.id for outcome in outcomes) == [record.id for record in records()]
    assert {outcome.status for outcome in outcomes} == {Status.FETCHED}
    assert all(outcome.source == "cloud" and outcome.url and outcome.attempts == 1 for outcome in outcomes)
    assert numbers_there(tmp_path) == ALL


@pytest.mark.parametrize("wanted", [[], (), iter(())])
async def test_no_records(wanted: list[ImageRecord], tmp_path: Path) -> None:
    """No record is no work, and no failure."""
    async with ScriptedServer({}) as server, Fetcher(settings(server, tmp_path)) as fetcher:
        report = await fetcher.fetch(wanted)
    assert report.requested == 0
    assert server.connections == 0


async def _stands(value: Callable[[], int]) -> bool:
    before = value()
    await asyncio.sleep(0.2)
    return value() == before


async def test_endless_records_are_not_run_ahead_of(tmp_path: Path) -> None:
    """An endless generator is read no farther than what is under way and what waits for the caller."""
    read = 0

    def endless() -> Iterator[ImageRecord]:
        nonlocal read
        for number in count():
            read += 1
            yield ImageRecord(f"N{number}", f"PMC{number % COUNT + 1}", "a.jpg")

    async with ScriptedServer(pictures()) as server, Fetcher(settings(server, tmp_path)) as fetcher:
        run = fetcher.iter_fetch(endless())
        for _ in range(50):
            await anext(run)
        async with asyncio.timeout(10):  # the caller is slow: the engine has to hold back
            while not await _stands(lambda: read):
                assert read < 3000
        await run.aclose()
    assert 50 <= read < 3000


async def test_memory_does_not_grow_with_the_list(tmp_path: Path) -> None:
    """Forty thousand records that are all there already leave the process no larger by more than 30 MB."""
    async with ScriptedServer(pictures()) as server, Fetcher(settings(server, tmp_path)) as fetcher:
        await fetcher.fetch(records())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        server.requests.clear()
        seen = 0
        async for outcome in fetcher.iter_fetch(one for _ in range(1000) for one in records()):
            seen += outcome.status is Status.SKIPPED
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert server.requests == []
    assert seen == 40_000
    assert grown < 30_000


async def test_records_with_their_own_url(tmp_path: Path) -> None:
    """A record with a URL is asked for there and nowhere else, whatever its article; its md5 and size are held."""
    data = picture("own")
    md5 = hashlib.md5(data).hexdigest()
    objects = {"mirror/x.jpg": data, "PMC1.1/a.jpg": picture("other")}
    async with ScriptedServer(objects) as server:
        url = server.base.replace("/", "/", 1) + "mirror/x.jpg"
        wanted = [
            ImageRecord("plain", "", "x.jpg", url=url),
            ImageRecord("right", "PMC1", "a.jpg", url=url, md5=md5, size=len(data)),
            ImageRecord("query", "", "x.jpg", url=f"{url}?md5={md5}#top"),
            ImageRecord("wrong", "PMC1", "a.jpg", url=url, md5="0" * 32),
            ImageRecord("short", "PMC1", "a.jpg", url=url, size=5),
            ImageRecord("gone", "PMC1", "a.jpg", url=f"{url}.bak"),
        ]
        async with Fetcher(settings(server, tmp_path, attempts=2)) as fetcher:
            outcomes = {outcome.record.id: outcome async for outcome in fetcher.iter_fetch(wanted)}
        assert server.listings == []
        assert server.requests_of("PMC1.1/a.jpg") == []
    assert [outcomes[name].status for name in ("plain", "right", "query")] == [Status.FETCHED] * 3
    assert outcomes["right"].verified == "md5"
    assert outcomes["right"].md5 == md5
    assert [outcomes[name].reason for name in ("wrong", "short", "gone")] == [
        Reason.DAMAGED, Reason.DAMAGED, Reason.NOT_FOUND,
    ]  # fmt: skip
    assert files_below(tmp_path) == {f"images/{name}.jpg" for name in ("plain", "right", "query")}


async def test_folder_and_suffix(tmp_path: Path) -> None:
    """The file is `<out>/<folder>/<id>.<suffix of the name, in lower case>`."""
    wanted = [
        ImageRecord("one", "PMC1", "a.JPG", "x/y"),
        ImageRecord("two", "PMC2", "b.jpeg"),
        ImageRecord("ROCO_1.v2", "PMC3", "c.Jpg", "deep/er/still"),
    ]
    objects = {f"{record.pmcid}.1/{record.name}": picture(record.id) for record in wanted}
    async with ScriptedServer(objects) as server, Fetcher(settings(server, tmp_path)) as fetcher:
        report = await fetcher.fetch(wanted)
    assert report.reasons == {}
    assert files_below(tmp_path) == {"x/y/one.jpg", "images/two.jpeg", "deep/er/still/ROCO_1.v2.jpg"}


async def test_failures_are_values(tmp_path: Path) -> None:
    """What fails comes as an outcome with all that is known, among those that came."""
    faults = [Fault(status(404), on="PMC1.1/*"), Fault(status(500), on="PMC2.1/*")]
    async with ScriptedServer(pictures(6), *faults) as server, Fetcher(settings(server, tmp_path)) as fetcher:
        report = await fetcher.fetch(records(6))
    failed = {outcome.record.id: outcome for outcome in report.failures}
    assert report.reasons == {"NOT_FOUND": 1, "SERVER_ERROR": 1}
    assert (report.requested, report.fetched, report.failed) == (6, 4, 2)
    assert failed["ROCO_00001"].attempts == 3  # the guess, the listing that has it, and once more
    assert failed["ROCO_00002"].attempts == 3
    assert "500" in (failed["ROCO_00002"].error or "")


async def test_statistics_are_consistent(tmp_path: Path) -> None:
    """At every outcome the counts add up, none goes back, and in flight is never over the limit."""
    faults = [Fault(Trickle(2000, 0.003)), Fault(status(404), on="PMC3.1/*")]
    async with ScriptedServer(pictures(), *faults) as server, Fetcher(settings(server, tmp_path)) as fetcher:
        await fetcher.fetch(records(5))
        run = fetcher.iter_fetch(records())
        seen: list[Outcome] = []
        last = run.statistics()
        assert (last.requested, last.fetched, last.elapsed) == (0, 0, 0)
        async for outcome in run:
            seen.append(outcome)
            now = run.statistics()
            assert now.fetched + now.skipped + now.failed >= len(seen)
            assert now.requested >= now.fetched + now.skipped + now.failed
            assert 0 <= now.in_flight <= 6
            assert 1 <= now.limit <= 6
            for field in dataclasses.fields(now):
                if field.name not in ("in_flight", "limit"):
                    assert getattr(now, field.name) >= getattr(last, field.name), field.name
            last = now
        end = run.statistics()
    assert (end.requested, end.fetched, end.skipped, end.failed) == (COUNT, COUNT - 5, 4, 1)
    assert end.bytes == (COUNT - 5) * 8000
    assert end.in_flight == 0
    assert run.statistics().elapsed == end.elapsed


async def test_drain(tmp_path: Path) -> None:
    """`drain()` takes no new record; what is under way comes, and the iterator ends by itself."""
    async with slow_bucket(step=0.005) as server, Fetcher(settings(server, tmp_path)) as fetcher:
        run = fetcher.iter_fetch(records())
        outcomes = [await anext(run)]
        run.drain()
        run.drain()
        taken = run.statistics().requested
        outcomes += [outcome async for outcome in run]
        end = run.statistics()
    assert {outcome.status for outcome in outcomes} == {Status.FETCHED}
    assert len(outcomes) == end.requested == end.fetched == taken < COUNT
    assert len(server.requests) == taken
    assert len(numbers_there(tmp_path)) == len(outcomes)


async def test_drain_before_the_start(tmp_path: Path) -> None:
    """A run that is drained before it began ends without a request."""
    async with slow_bucket() as server, Fetcher(settings(server, tmp_path)) as fetcher:
        run = fetcher.iter_fetch(records())
        run.drain()
        assert [outcome async for outcome in run] == []
        assert server.requests == []


async def test_drain_with_endless_async_records(tmp_path: Path) -> None:
    """A run over records that never come ends by `drain()`, without a next record."""
    never = asyncio.Event()

    async def source() -> AsyncIterator[ImageRecord]:
        for record in records(3):
            yield record
        await never.wait()

    async with ScriptedServer(pictures(3)) as server, Fetcher(settings(server, tmp_path)) as fetcher:
        run = fetcher.iter_fetch(source())
        for _ in range(3):
            await anext(run)
        run.drain()
        async with asyncio.timeout(2):
            assert [outcome async for outcome in run] == []


async def test_a_limit_over_endless_records(tmp_path: Path) -> None:
    """`limit` ends an endless list after so many records."""
    endless = (record for _ in count() for record in records())
    async with ScriptedServer(pictures()) as server, Fetcher(settings(server, tmp_path, limit=9)) as fetcher:
        report = await fetcher.fetch(endless)
    assert report.requested == 9
    assert numbers_there(tmp_path) == set(range(1, 10))


async def test_a_fetcher_for_many_runs(tmp_path: Path) -> None:
    """One Fetcher makes run after run, keeps its connections, and skips what an earlier run brought."""
    async with ScriptedServer(pictures()) as server:
        async with Fetcher(settings(server, tmp_path)) as fetcher:
            reports = [await fetcher.fetch(records(10 * number)) for number in (1, 2, 3, 4)]
        assert len(server.requests) == COUNT
        assert server.connections <= 6
    assert [(report.fetched, report.skipped) for report in reports] == [(10, 0), (10, 10), (10, 20), (10, 30)]


async def test_without_out_and_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Fetcher without `out` and `data` writes below ./data."""
    monkeypatch.chdir(tmp_path)
    async with ScriptedServer(pictures(2)) as server, Fetcher(FetchConfig(cloud_url=server.base)) as fetcher:
        report = await fetcher.fetch(records(2))
    assert report.fetched == 2
    assert numbers_there(tmp_path / "data") == {1, 2}
