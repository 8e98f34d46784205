"""Leaving the loop over outcomes, closing twice, and running twice at once."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from roco_async import Fetcher, ImageRecord, Run, Status
from tests.servers.scripted import ScriptedServer

from .stage import COUNT, asked, numbers_there, pictures, records, settings, slow_bucket

ALL = set(range(1, COUNT + 1))


class _Listener(logging.Handler):
    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(record.getMessage())


@pytest.fixture
def unhandled() -> Iterator[list[str]]:
    """Collect what asyncio would print about tasks and generators that nobody looked after."""
    said: list[str] = []
    handler = _Listener(said)
    logging.getLogger("asyncio").addHandler(handler)
    yield said
    logging.getLogger("asyncio").removeHandler(handler)


class _Mine(Exception):
    pass


async def test_break_leaves_nothing(tmp_path: Path, unhandled: list[str]) -> None:
    """`break` after three outcomes, and the Fetcher's end takes the rest down, silently."""
    async with slow_bucket() as server:
        async with Fetcher(settings(server, tmp_path)) as fetcher:
            seen = 0
            async for _ in fetcher.iter_fetch(records()):
                seen += 1
                if seen == 3:
                    break
        assert len(numbers_there(tmp_path)) < COUNT
    gc.collect()
    await asyncio.sleep(0)
    assert unhandled == []


async def test_break_and_forget_stops_the_work(tmp_path: Path, unhandled: list[str]) -> None:
    """A run that is left by `break` and forgotten asks for nothing more, though its Fetcher lives on."""
    async with slow_bucket(step=0.005) as server, Fetcher(settings(server, tmp_path)) as fetcher:
        async for _ in fetcher.iter_fetch(records()):
            break
        gc.collect()
        await asyncio.sleep(0.1)
        asked_then = len(server.requests)
        await asyncio.sleep(0.2)
        assert len(server.requests) == asked_then < COUNT
        report = await fetcher.fetch(records())
        assert report.failed == 0
        assert report.skipped > 0
    assert unhandled == []
    assert numbers_there(tmp_path) == ALL


async def test_an_exception_in_the_body_comes_out_bare(tmp_path: Path, unhandled: list[str]) -> None:
    """An exception raised in the loop's body leaves the Fetcher as it is, in no group and with nothing left."""
    async with slow_bucket() as server:
        with pytest.raises(_Mine):  # noqa: PT012 - the way out is what is tested
            async with Fetcher(settings(server, tmp_path)) as fetcher:
                async for _ in fetcher.iter_fetch(records()):
                    raise _Mine
        assert len(numbers_there(tmp_path)) < COUNT
    gc.collect()
    assert unhandled == []


async def test_a_timeout_round_the_loop(tmp_path: Path, unhandled: list[str]) -> None:
    """`asyncio.timeout` ends the loop with TimeoutError within a second, and nothing is left."""
    loop = asyncio.get_running_loop()
    async with slow_bucket(step=0.1) as server:
        began = loop.time()
        with pytest.raises(TimeoutError):  # noqa: PT012 - the way out is what is tested
            async with asyncio.timeout(0.4), Fetcher(settings(server, tmp_path)) as fetcher:
                async for _ in fetcher.iter_fetch(records()):
                    pass
        assert loop.time() - began < 1.4
        numbers_there(tmp_path)
    assert unhandled == []


async def test_a_timeout_round_one_outcome(tmp_path: Path) -> None:
    """A timeout round one `anext` loses no outcome: the next `anext` goes on."""
    async with slow_bucket(10, step=0.03) as server, Fetcher(settings(server, tmp_path)) as fetcher:
        run, got, timeouts = fetcher.iter_fetch(records(10)), [], 0
        while True:
            try:
                got.append(await asyncio.wait_for(anext(run), 0.02))
            except TimeoutError:
                timeouts += 1
            except StopAsyncIteration:
                break
    assert timeouts > 0
    assert sorted(outcome.record.id for outcome in got) == [record.id for record in records(10)]


async def test_the_records_raise(tmp_path: Path, unhandled: list[str]) -> None:
    """An error of the caller's own records comes out of the loop bare."""

    def broken() -> Iterator[ImageRecord]:
        yield from records(5)
        raise _Mine

    async with slow_bucket(step=0.002) as server, Fetcher(settings(server, tmp_path)) as fetcher:
        with pytest.raises(_Mine):
            await fetcher.fetch(broken())
    assert unhandled == []


async def test_the_records_cancel_the_run(tmp_path: Path, unhandled: list[str]) -> None:
    """A timeout round a `yield` cancels whoever asks for the next record: that is said, and no end of the list."""

    async def hurried() -> AsyncIterator[ImageRecord]:
        async with asyncio.timeout(0.1):
            for record in records():
                yield record
            await asyncio.Event().wait()

    async with slow_bucket() as server, Fetcher(settings(server, tmp_path)) as fetcher:
        with pytest.raises(RuntimeError, match="cancelled from within"):
            await fetcher.fetch(hurried())


async def test_the_records_close_the_run(tmp_path: Path, unhandled: list[str]) -> None:
    """An iterator of records that has had enough may close its own run: the loop ends, and nothing is left."""

    async def enough() -> AsyncIterator[ImageRecord]:
        yield records()[0]
        await run.aclose()

    async with asyncio.timeout(10), slow_bucket() as server, Fetcher(settings(server, tmp_path)) as fetcher:
        run = fetcher.iter_fetch(enough())
        assert len([outcome async for outcome in run]) <= 1


async def test_cancelled_again_as_it_ends(tmp_path: Path, unhandled: list[str]) -> None:
    """A second cancellation, as the Fetcher waits for its run's end, takes nothing away from under that run."""

    async def carry(fetcher: Fetcher) -> None:
        async with fetcher:
            run = fetcher.iter_fetch(records())
            await anext(run)
            held.append(run)
            await asyncio.Event().wait()

    held: list[Run] = []
    async with slow_bucket() as server:
        fetcher = Fetcher(settings(server, tmp_path))
        task = asyncio.create_task(carry(fetcher))
        while not held:
            await asyncio.sleep(0.001)
        closing = asyncio.Event()
        aclose = fetcher.files.aclose

        async def watched() -> None:
            closing.set()
            assert held[0].statistics().in_flight == 0
            await aclose()

        fetcher.files.aclose = watched  # type: ignore[method-assign]
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert closing.is_set()
        assert [one.get_name() for one in asyncio.all_tasks() if one.get_name() == "roco_async run"] == []


async def test_async_records_are_closed(tmp_path: Path) -> None:
    """An async generator of records is finalised with the run that was reading it."""
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[ImageRecord]:
        try:
            while True:
                for record in records():
                    yield record
        finally:
            closed.set()

    async with slow_bucket(step=0.002) as server, Fetcher(settings(server, tmp_path)) as fetcher:
        run = fetcher.iter_fetch(endless())
        await anext(run)
        await run.aclose()
        del run
        await fetcher.fetch(())
        gc.collect()
        await asyncio.wait_for(closed.wait(), 1)


@pytest.mark.parametrize("begun", [False, True])
async def test_aclose_is_idempotent(begun: bool, tmp_path: Path) -> None:
    """Closing twice, and two at once, is harmless before and after the start, and ends the iterator."""
    async with slow_bucket() as server, Fetcher(settings(server, tmp_path)) as fetcher:
        run = fetcher.iter_fetch(records())
        if begun:
            await anext(run)
        await asyncio.gather(run.aclose(), run.aclose())
        await run.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(run)
        before = len(server.requests)
        await asyncio.sleep(0.05)
        assert len(server.requests) == before


async def test_aclose_after_the_end(tmp_path: Path) -> None:
    """A run that came to its end keeps its statistics when it is closed, and stays at its end."""
    async with ScriptedServer(pictures(5)) as server:
        async with Fetcher(settings(server, tmp_path)) as fetcher:
            run = fetcher.iter_fetch(records(5))
            assert [outcome.status async for outcome in run] == [Status.FETCHED] * 5
            await run.aclose()
            await run.aclose()
            with pytest.raises(StopAsyncIteration):
                await anext(run)
        assert run.statistics().fetched == 5


async def test_two_runs_of_one_fetcher(tmp_path: Path) -> None:
    """Two runs at once of one Fetcher, on two halves, bring all and ask for each once."""
    async with slow_bucket(step=0.003) as server:
        async with Fetcher(settings(server, tmp_path)) as fetcher:
            wanted = records()
            first, second = await asyncio.gather(fetcher.fetch(wanted[::2]), fetcher.fetch(wanted[1::2]))
        assert len(server.requests) == COUNT
        assert server.peak_connections <= 6
    assert (first.fetched, second.fetched) == (COUNT / 2, COUNT / 2)
    assert numbers_there(tmp_path) == ALL


async def test_two_fetchers_into_one_folder(tmp_path: Path) -> None:
    """Two Fetchers that fetch the same images into one folder at once both end well, and nothing is torn."""
    async with slow_bucket(step=0.003) as server:
        async with Fetcher(settings(server, tmp_path)) as one, Fetcher(settings(server, tmp_path)) as other:
            first, second = await asyncio.gather(one.fetch(records()), other.fetch(reversed(records())))
        assert asked(server) == ALL
        server.requests.clear()
        async with Fetcher(settings(server, tmp_path)) as third:
            again = await third.fetch(records())
        assert server.requests == []
    assert first.failed == second.failed == 0
    assert again.skipped == COUNT
    assert numbers_there(tmp_path) == ALL


async def test_one_image_wanted_twice(tmp_path: Path) -> None:
    """The same record ten times over gives ten outcomes, one whole file, and no failure."""
    async with slow_bucket(2, step=0.003) as server, Fetcher(settings(server, tmp_path)) as fetcher:
        report = await fetcher.fetch(records(2) * 10)
    assert report.requested == 20
    assert report.failed == 0
    assert numbers_there(tmp_path) == {1, 2}


async def test_iter_fetch_outside_the_fetcher(tmp_path: Path) -> None:
    """A Fetcher that is not entered, or is left, says so by RuntimeError."""
    async with ScriptedServer(pictures(1)) as server:
        fetcher = Fetcher(settings(server, tmp_path))
        with pytest.raises(RuntimeError):
            fetcher.iter_fetch(records(1))
        async with fetcher:
            pass
        with pytest.raises(RuntimeError):
            fetcher.iter_fetch(records(1))
