"""Waits: Retry-After in its forms, trickles, and tries that others' successes excuse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path

import pytest

from roco_async import FetchConfig, Fetcher, Outcome, Reason, Status
from tests.servers.faults import Behaviour, Cut, Fault, Trickle, status
from tests.servers.scripted import ScriptedServer

from .stage import KEY, picture, record


async def _fetched(server: ScriptedServer, out: Path, count: int = 1, **config: float) -> dict[str, Outcome]:
    settings = {"connections": 8, "attempts": 3, "timeout": 0.4, "outage": 1.0, **config}
    async with Fetcher(FetchConfig(out=out, cloud_url=server.base, **settings)) as fetcher:  # type: ignore[arg-type]
        return {outcome.record.id: outcome async for outcome in fetcher.iter_fetch(map(record, range(1, count + 1)))}


@pytest.mark.parametrize(
    ("code", "form"),
    [(429, lambda: "1"), (503, lambda: "1"), (503, lambda: formatdate(time.time() + 2, usegmt=True))],
    ids=["429, seconds", "503, seconds", "503, date"],
)
async def test_retry_after_is_waited_for(code: int, form: Callable[[], str], tmp_path: Path) -> None:
    """Retry-After in seconds or as a date is waited out by the item before it asks again."""
    fault = Fault(status(code, retry_after=form()), nth=1)
    async with ScriptedServer({KEY: picture("a")}, fault) as server:
        outcomes = await _fetched(server, tmp_path)
    first, second = server.requests
    assert outcomes["IMG_1"].status is Status.FETCHED
    assert second.at - first.at > 0.9
    assert second.at - first.at < 2.6


@pytest.mark.parametrize("word", ["86400", "5" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"], ids=["day", "huge", "date"])
async def test_an_absurd_retry_after_is_five_minutes(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Retry-After of a day, of 5,000 digits, or of the year 9999 is cut down to 300 s on the loop's clock."""
    loop, ahead = asyncio.get_running_loop(), [0.0]
    monkeypatch.setattr(loop, "time", lambda: time.monotonic() + ahead[0])
    async with ScriptedServer({KEY: picture("a")}, Fault(status(503, retry_after=word), nth=1)) as server:
        async with asyncio.timeout(3000):
            run = asyncio.create_task(_fetched(server, tmp_path, outage=100_000))
            while not server.requests or server.requests[0].status == 0:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            ahead[0] = 290.0
            await asyncio.sleep(0.1)
            asked_early = len(server.requests)
            ahead[0] = 302.0
            outcomes = await run
    assert asked_early == 1
    assert outcomes["IMG_1"].status is Status.FETCHED


async def test_a_wait_of_one_item_holds_up_no_other(tmp_path: Path) -> None:
    """While one image waits for its Retry-After, thirty others come through, with one connection only."""
    objects = {f"PMC{number}.1/a.jpg": picture(str(number)) for number in range(1, 32)}
    async with ScriptedServer(objects, Fault(status(503, retry_after=1), on=KEY, nth=1)) as server:
        outcomes = await _fetched(server, tmp_path, 31, connections=1)
        last = max(one.at for one in server.requests if one.key != KEY)
        again = server.requests_of(KEY)[1].at
    assert {outcome.status for outcome in outcomes.values()} == {Status.FETCHED}
    assert last < again


async def test_tries_come_at_random_and_growing_times(tmp_path: Path) -> None:
    """Six tries of one image lie apart by no fixed step, and never for longer than exponential backoff allows."""
    async with ScriptedServer({KEY: picture("a")}, Fault(status(500))) as server:
        outcomes = await _fetched(server, tmp_path, attempts=6)
    gaps = [later.at - earlier.at for earlier, later in pairwise(server.requests)]
    assert outcomes["IMG_1"].reason is Reason.SERVER_ERROR
    assert len(gaps) == 5
    assert all(gap < 0.1 * 2**number + 0.3 for number, gap in enumerate(gaps))
    assert max(gaps) - min(gaps) > 0.005


async def test_a_trickle_is_broken_off_while_others_move(tmp_path: Path) -> None:
    """A transfer under 1 KB/s over twice the timeout is broken and resumed, where another one moves."""
    moving = {"PMC2.1/a.jpg": picture("b", 200_000)}
    slow = Fault(Trickle(30, 0.1), on=KEY, nth=1)
    async with ScriptedServer({KEY: picture("a"), **moving}, slow, Fault(Trickle(8000, 0.1), on="PMC2*")) as server:
        outcomes = await _fetched(server, tmp_path, 2)
        requests = server.requests_of(KEY)
    assert {outcome.status for outcome in outcomes.values()} == {Status.FETCHED}
    assert len(requests) == 2
    assert requests[1].headers["range"].startswith("bytes=")
    assert 0.7 < requests[1].at - requests[0].at < 2
    assert len(server.requests_of("PMC2.1/a.jpg")) == 1


@pytest.mark.parametrize("count", [1, 3])
async def test_a_thin_line_breaks_nothing(count: int, tmp_path: Path) -> None:
    """Where every transfer trickles, it is the line: none is broken off."""
    objects = {f"PMC{number}.1/a.jpg": picture(str(number), 800) for number in range(1, count + 1)}
    async with ScriptedServer(objects, Fault(Trickle(50, 0.1))) as server:
        outcomes = await _fetched(server, tmp_path, count)
    assert {outcome.status for outcome in outcomes.values()} == {Status.FETCHED}
    assert len(server.requests) == count


async def test_a_slow_rate_limit_breaks_nothing(tmp_path: Path) -> None:
    """`limit_rate` is our own doing: transfers that it slows under 1 KB/s are not taken for trickles or stalls."""
    objects = {f"PMC{number}.1/a.jpg": picture(str(number), 1800) for number in range(1, 9)}
    async with ScriptedServer(objects) as server:
        began = time.monotonic()
        outcomes = await _fetched(server, tmp_path, 8, limit_rate=3000, timeout=0.8)
        seconds = time.monotonic() - began
    assert {outcome.status for outcome in outcomes.values()} == {Status.FETCHED}
    assert len(server.requests) == 8
    assert seconds > 1


async def test_slow_progress_is_no_failure(tmp_path: Path) -> None:
    """A body of 5 MiB that is cut each 1.2 MB comes with two tries: each of them moved over 1 MiB."""
    whole = picture("a", 5 << 20)
    async with ScriptedServer({KEY: whole}, Fault(Cut(1_200_000))) as server:
        outcomes = await _fetched(server, tmp_path, attempts=2)
        requests = server.requests
    assert outcomes["IMG_1"].status is Status.FETCHED
    assert (tmp_path / "images" / "IMG_1.jpg").read_bytes() == whole
    assert [one.headers.get("range") for one in requests[1:3]] == ["bytes=1200000-", "bytes=2400000-"]
    assert sum(one.sent for one in requests) == len(whole)


@pytest.mark.parametrize("does", [Cut(100), status(503)], ids=["cut", "503"])
async def test_one_sick_image_is_not_hammered(does: Behaviour, tmp_path: Path) -> None:
    """An image that always fails ends while a long run goes on beside it, within a few times its attempts."""
    objects = {f"PMC{number}.1/a.jpg": picture(str(number), 2000) for number in range(1, 300)}
    async with ScriptedServer(objects, Fault(does, on=KEY), Fault(Trickle(500, 0.002))) as server:
        outcomes = await _fetched(server, tmp_path, 299, connections=16, attempts=2)
        asked = len(server.requests_of(KEY))
    assert outcomes.pop("IMG_1").status is Status.FAILED
    assert {outcome.status for outcome in outcomes.values()} == {Status.FETCHED}
    assert asked <= 5 * 2
