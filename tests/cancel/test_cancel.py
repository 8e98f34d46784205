"""Cancelling the await stops all of it, at any moment, and the next run goes on from there."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import aiohttp
import pytest

from roco_async import Fetcher, FetchReport, fetch_split
from tests.servers.faults import Fault, Late, Stall, status
from tests.servers.scripted import ScriptedServer

from .stage import COUNT, asked, numbers_there, pictures, records, settings, slow_bucket, write_annotations

IMAGES = "test/radiology/images"


async def _cancelled(task: asyncio.Task[FetchReport]) -> float:
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return time.monotonic() - began


async def test_fetch_split_cancelled_after_half_a_second(tmp_path: Path) -> None:
    """It returns within a second, leaves whole files only, and a second call asks for the rest and nothing else."""
    data, out = write_annotations(tmp_path / "data"), tmp_path / "out"
    async with slow_bucket(step=0.05) as server:
        config = settings(server, out, data=data)
        task = asyncio.create_task(fetch_split("test", group="radiology", config=config))
        await asyncio.sleep(0.5)
        assert await _cancelled(task) < 1
        there = numbers_there(out, IMAGES)
        assert 0 < len(there) < COUNT
        server.script.clear()
        server.requests.clear()
        report = await fetch_split("test", group="radiology", config=config)
        assert (report.fetched, report.skipped) == (COUNT - len(there), len(there))
        assert asked(server) == set(range(1, COUNT + 1)) - there
    assert numbers_there(out, IMAGES) == set(range(1, COUNT + 1))


@pytest.mark.parametrize("seed", range(10))
async def test_cancelled_at_any_moment(seed: int, tmp_path: Path) -> None:
    """At a random moment of a run, then once more, then to the end: whole files, and none asked for twice."""
    chance = random.Random(seed)
    async with slow_bucket(step=0.002) as server:
        config = settings(server, tmp_path)
        for _ in range(2):
            before = numbers_there(tmp_path)
            server.requests.clear()
            async with Fetcher(config) as fetcher:
                task = asyncio.create_task(fetcher.fetch(records()))
                await asyncio.sleep(chance.uniform(0, 0.12))
                if not task.done():
                    assert await _cancelled(task) < 1
            assert not asked(server) & before
        before = numbers_there(tmp_path)
        server.requests.clear()
        async with Fetcher(config) as fetcher:
            report = await fetcher.fetch(records())
        assert asked(server) == set(range(1, COUNT + 1)) - before
    assert report.skipped == len(before)
    assert numbers_there(tmp_path) == set(range(1, COUNT + 1))


@pytest.mark.parametrize("turns", range(0, 60, 6))
async def test_cancelled_after_so_many_turns_of_the_loop(turns: int, tmp_path: Path) -> None:
    """Cancelled in the very first turns of the loop a run ends at once, and leaves nothing."""
    async with ScriptedServer(pictures(3)) as server:
        async with Fetcher(settings(server, tmp_path)) as fetcher:
            task = asyncio.create_task(fetcher.fetch(records(3)))
            for _ in range(turns):
                await asyncio.sleep(0)
            if not task.done():
                assert await _cancelled(task) < 1
        assert numbers_there(tmp_path) <= {1, 2, 3}


@pytest.mark.parametrize("does", [Late(), Stall(3000), status(503, retry_after=100), status(403), status(500)], ids=str)
async def test_cancelled_while_it_waits(does: object, tmp_path: Path) -> None:
    """A run that waits for an answer, for bytes, for Retry-After or for its backoff can be cancelled at once."""
    async with ScriptedServer(pictures(30), Fault(does)) as server:  # type: ignore[arg-type]
        config = settings(server, tmp_path, timeout=50, outage=100, attempts=50)
        async with Fetcher(config) as fetcher:
            task = asyncio.create_task(fetcher.fetch(records(30)))
            await asyncio.sleep(0.15)
            if not task.done():
                assert await _cancelled(task) < 1
        assert numbers_there(tmp_path) == set()


async def test_cancelled_while_the_host_is_away(tmp_path: Path) -> None:
    """A run that waits for its host to come back can be cancelled at once."""
    async with slow_bucket() as server:
        async with Fetcher(settings(server, tmp_path, outage=100)) as fetcher:
            task = asyncio.create_task(fetcher.fetch(records()))
            while sum(one.whole for one in server.requests) < 3:
                await asyncio.sleep(0.005)
            await server.pause()
            await asyncio.sleep(0.4)
            assert await _cancelled(task) < 1
        assert len(numbers_there(tmp_path)) >= 1


async def test_cancelled_with_a_rate_limit(tmp_path: Path) -> None:
    """A run that waits for its own rate limit can be cancelled at once."""
    async with (
        ScriptedServer(pictures(30)) as server,
        Fetcher(settings(server, tmp_path, limit_rate=1000)) as fetcher,
    ):
        task = asyncio.create_task(fetcher.fetch(records(30)))
        await asyncio.sleep(0.2)
        assert await _cancelled(task) < 1


async def test_a_session_passed_in_stays_open(tmp_path: Path) -> None:
    """After a cancel, and after a whole run, the caller's session is open, and serves another request."""
    async with slow_bucket() as server, aiohttp.ClientSession() as session:
        async with Fetcher(settings(server, tmp_path), session=session) as fetcher:
            task = asyncio.create_task(fetcher.fetch(records()))
            await asyncio.sleep(0.1)
            assert await _cancelled(task) < 1
        server.script.clear()
        assert not session.closed
        async with Fetcher(settings(server, tmp_path), session=session) as fetcher:
            report = await fetcher.fetch(records())
        assert report.failed == 0
        assert not session.closed
        async with session.get(server.url("PMC1.1/a.jpg")) as answer:
            assert await answer.read() == pictures()["PMC1.1/a.jpg"]


async def test_a_clumsy_session_harms_nothing(tmp_path: Path) -> None:
    """A session that decompresses, allows two connections and stops after 0.3 s in all brings every image."""
    clumsy = aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=0.3),
        connector=aiohttp.TCPConnector(limit=2, limit_per_host=2),
        auto_decompress=True,
        headers={"User-Agent": "theirs"},
    )
    async with slow_bucket(12, step=0.05) as server, clumsy as session:
        async with Fetcher(settings(server, tmp_path, timeout=1.5), session=session) as fetcher:
            report = await fetcher.fetch(records(12))
        assert len(server.requests) <= 14
    assert report.reasons == {}


async def test_a_closed_session_loses_no_time(tmp_path: Path) -> None:
    """A session that was closed already is a failure that is said, not a run without end."""
    async with slow_bucket(5) as server:
        session = aiohttp.ClientSession()
        await session.close()
        began = time.monotonic()
        async with Fetcher(settings(server, tmp_path), session=session) as fetcher:
            try:
                report = await fetcher.fetch(records(5))
            except RuntimeError as error:
                assert "closed" in str(error).lower()  # noqa: PT017 - either way is an honest one
            else:
                assert report.failed == 5
    assert time.monotonic() - began < 10
