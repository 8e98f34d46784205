"""Records that come endlessly, grouped by article, and runs that are left or cancelled in the middle of packages."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest

from roco_async import Fetcher, ImageRecord, Outcome
from tests.servers.faults import Fault, Trickle
from tests.servers.scripted import ScriptedServer

from .stage import content, files_below, is_right, package, path_of, record, settings

NAMES = ("a.jpg", "b.jpg", "c.jpg")


def mirror(articles: int, *faults: Fault, size: int = 0) -> ScriptedServer:
    """Return a mirror whose packages have half of `size` bytes before their pictures, and half after them."""
    sizes = {"before": size // 2, "after": size // 2}
    return ScriptedServer({path_of(number): package(number, *NAMES, **sizes) for number in range(articles)}, *faults)


def there(out: Path) -> set[str]:
    """Return the pictures that are there; each must be whole, and nothing else may be there."""
    found = files_below(out)
    for name in found:
        _, number, letter = Path(name).stem.split("_")
        assert (out / name).read_bytes() == content(int(number), f"{letter}.jpg"), f"{name} is torn"
    return found


class Crawler:
    """An endless crawler: it yields some articles, and waits for the outcomes of all of them before the next."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._waits: set[str] = set()
        self._all_told = asyncio.Event()
        self.rounds = 0

    async def records(self) -> AsyncIterator[ImageRecord]:
        for first in count(0, self._at_once):
            records = [record(number, name) for number in range(first, first + self._at_once) for name in NAMES]
            self._waits = {one.id for one in records}
            self._all_told.clear()
            for one in records:
                yield one
            await self._all_told.wait()
            self.rounds += 1

    def told(self, outcome: Outcome) -> None:
        self._waits.discard(outcome.record.id)
        if not self._waits:
            self._all_told.set()


@pytest.mark.parametrize(("at_once", "rounds"), [(1, 4), (40, 1)])
async def test_a_crawler_that_waits_for_outcomes(at_once: int, rounds: int, tmp_path: Path) -> None:
    """A group that its crawler has ended is asked for soon: no deadlock, no pause between groups, one request each."""
    crawler = Crawler(at_once)
    async with mirror(at_once * rounds) as server, Fetcher(settings(server.base, tmp_path)) as fetcher:
        run = fetcher.iter_fetch(crawler.records())
        began = time.monotonic()
        async with asyncio.timeout(30), contextlib.aclosing(run):
            for _ in range(at_once * rounds * len(NAMES)):
                outcome = await anext(run)
                assert outcome.error is None
                crawler.told(outcome)
        seconds = time.monotonic() - began
        assert sorted(one.key for one in server.requests) == sorted(map(path_of, range(at_once * rounds)))
    assert seconds < 1 + 2 * rounds, "a pause a round, not a pause a group"
    assert len(there(tmp_path)) == at_once * rounds * len(NAMES)


@pytest.mark.parametrize("how", ["break", "cancel", "timeout", "forget"])
async def test_left_in_the_middle(how: str, tmp_path: Path) -> None:
    """Leaving a run over endless records ends it: no task, socket, descriptor or temporary file is left."""
    descriptors = len(os.listdir("/proc/self/fd"))
    async with mirror(20, Fault(Trickle(8000, 0.03)), size=120_000) as server:
        async with Fetcher(settings(server.base, tmp_path)) as fetcher:
            run = fetcher.iter_fetch(record(number, name) for number in range(20) for name in NAMES)

            async def take(most: int) -> None:
                for _ in range(most):
                    await anext(run)

            if how == "break":
                async for _ in run:
                    break
                await run.aclose()
            elif how == "cancel":
                task = asyncio.create_task(take(60))
                while not server.requests:
                    await asyncio.sleep(0.001)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await run.aclose()
            elif how == "timeout":
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await take(61)
            else:
                await take(1)
                del run, take
        there(tmp_path)
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 8  # a selector's own, at most


async def test_an_endless_list_is_held_in_a_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless list that never pauses is read no farther than its window, and its groups are asked for once."""
    monkeypatch.setattr("roco_async.sources.packages.WINDOW", 30)
    read = 0

    def records() -> Iterator[ImageRecord]:
        nonlocal read
        for one in (record(number, name) for number in range(200) for name in NAMES):
            read += 1
            yield one

    async with mirror(200) as server, Fetcher(settings(server.base, tmp_path)) as fetcher:
        run = fetcher.iter_fetch(records())
        told = 0
        async for _ in run:
            told += 1
            held = read - told
            assert held <= 30 + len(NAMES) * 17 + 1024, "the window, the jobs, and the outcomes that wait"
            if told == 90:
                break
        await run.aclose()
        keys = [one.key for one in server.requests]
        assert len(keys) == len(set(keys))
    there(tmp_path)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("keeps", [False, True])
async def test_cancelled_at_any_moment(
    seed: int, keeps: bool, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Twice at a random moment, then to the end: whole pictures only, and none is lost or asked for twice."""
    chance = random.Random(seed)
    kept = tmp_path_factory.mktemp("kept") if keeps else None
    async with mirror(12, Fault(Trickle(16_384, 0.004)), size=100_000) as server:
        config = settings(server.base, tmp_path, keep_packages=kept)
        records = [record(number, name) for number in range(12) for name in NAMES]
        for _ in range(2):
            before = there(tmp_path)
            async with Fetcher(config) as fetcher:
                task = asyncio.create_task(fetcher.fetch(records))
                await asyncio.sleep(chance.uniform(0, 0.25))
                began = time.monotonic()
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                assert time.monotonic() - began < 1
            assert before <= there(tmp_path)
        before = there(tmp_path)
        server.requests.clear()
        async with Fetcher(config) as fetcher:
            report = await fetcher.fetch(records)
        assert report.failed == 0, report.failures
        assert report.skipped == len(before)
        lacking = {one.package_path for one in records if f"images/{one.id}.jpg" not in before}
        asked = [one.key for one in server.requests]
        assert len(asked) == len(set(asked))
        assert set(asked) == lacking if kept is None else set(asked) <= lacking
    assert len(there(tmp_path)) == len(records)
    if kept is not None:
        assert {str(path.relative_to(kept)) for path in kept.rglob("*.part*")} == set()


async def test_records_that_fail(tmp_path: Path) -> None:
    """An iterator that raises ends the run with its error at once, not after all that it had yielded before."""

    async def records() -> AsyncIterator[ImageRecord]:
        for number in range(20):
            yield record(number)
        raise LookupError("the crawler's own")

    async with mirror(20) as server, Fetcher(settings(server.base, tmp_path)) as fetcher:
        with pytest.raises(LookupError, match="own"):
            await fetcher.fetch(records())
        assert len(server.requests) < 20
    there(tmp_path)


async def test_drained_while_its_crawler_waits(tmp_path: Path) -> None:
    """`drain` ends a run whose records do not come, and what was asked for comes."""
    waits = asyncio.Event()

    async def records() -> AsyncIterator[ImageRecord]:
        yield record(1)
        waits.set()
        await asyncio.Event().wait()

    async with mirror(2) as server, Fetcher(settings(server.base, tmp_path)) as fetcher:
        run = fetcher.iter_fetch(records())
        async with asyncio.timeout(5):
            first = await anext(run)
            await waits.wait()
            run.drain()
            assert [outcome async for outcome in run] == []
    assert is_right(first, 1)


async def test_drained(tmp_path: Path) -> None:
    """`drain` finishes what is under way and asks for no further package but one."""
    async with (
        mirror(40, Fault(Trickle(16_384, 0.01)), size=60_000) as server,
        Fetcher(settings(server.base, tmp_path)) as fetcher,
    ):
        run = fetcher.iter_fetch(record(number, name) for number in range(40) for name in NAMES)
        outcomes = [await anext(run)]
        run.drain()
        outcomes += [outcome async for outcome in run]
        assert all(one.whole for one in server.requests)
        assert len(server.requests) < 40
        assert len(outcomes) == 3 * len(server.requests)
    assert all(is_right(one, int(one.record.pmcid[3:]), one.record.name) for one in outcomes)
