"""Transfers that a server leaves waiting while it answers the others."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from roco_async.errors import Grace, NotFound, Stalled
from roco_async.transfer.limits import Verdict
from tests.unit.clock import Clock

from .hosts import URL, Fixed, Site, budgeted, outcome, paced, read, stubborn

LEFT = f"{URL}left"


def asked(site: Site, url: str = LEFT) -> int:
    return sum(one == url for _, one in site.opened)


def leaving(name: str) -> Site:
    """Return a Site that leaves the first request for each URL of this name without an answer."""
    site = Site(takes=0.05)
    site.thinks = lambda url: 1000.0 if name in url and asked(site, url) == 1 else 0.0
    return site


async def test_asked_again_soon(clock: Clock) -> None:
    """A request that is left while others are answered is broken off after a second or so, and then answered."""
    site = leaving("left")
    transport = paced(site, limit=8)
    left = asyncio.create_task(stubborn(transport, LEFT))
    began = clock.now
    others = [asyncio.create_task(read(transport, f"{URL}{number}")) for number in range(2000)]
    assert await left == b"x"
    assert 1.0 <= clock.now - began < 1.6
    assert asked(site) == 2
    await asyncio.gather(*others)


async def test_news_for_the_limit(clock: Clock) -> None:
    """It says that there are too many connections, and costs the image no attempt."""
    policy = Fixed(8)
    transport = paced(leaving("left"), policy=policy)
    left = asyncio.create_task(outcome(transport, LEFT))
    await asyncio.gather(*[read(transport, f"{URL}{number}") for number in range(500)])
    error = await left
    assert isinstance(error, Stalled)
    assert error.grace is Grace.BROKEN_OFF
    assert "others were given" in error.message
    assert Counter(policy.verdicts) == {Verdict.SUCCESS: 500, Verdict.DROPPED: 1}


async def test_at_the_end_of_a_list(clock: Clock) -> None:
    """Where slots are free, nobody has to be overtaken many times: connections stand idle that would be answered."""
    site = leaving("left")
    transport = paced(site, limit=8)
    began = clock.now
    results = await asyncio.gather(*[stubborn(transport, url) for url in (LEFT, f"{URL}1", f"{URL}2")])
    assert results == [b"x"] * 3
    assert clock.now - began < 2


async def test_when_all_that_run_are_left(clock: Clock) -> None:
    """Where nobody is answered any more although others were, those that wait make room for the rest."""
    policy = Fixed(4)
    transport = paced(leaving("left"), policy=policy)
    begun = [asyncio.create_task(stubborn(transport, f"{URL}left{number}")) for number in range(3)]
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(stubborn(transport, f"{URL}{number}")) for number in range(3)]
    more = [asyncio.create_task(stubborn(transport, f"{URL}left-more{number}")) for number in range(9)]
    async with asyncio.timeout(10):
        assert await asyncio.gather(*begun, *others, *more) == [b"x"] * 15
    assert set(policy.verdicts) == {Verdict.SUCCESS}  # they made room: that says nothing about the load


@pytest.mark.parametrize(("takes", "requests"), [(0.9, 1), (3.5, 2), (12.0, 3)])
async def test_an_answer_that_takes_long(clock: Clock, takes: float, requests: int) -> None:
    """What only this image takes so long for is waited for in the end, after one or two requests too many."""
    site = Site(takes=0.05, thinks=lambda url: takes if url == LEFT else 0.0)
    transport = paced(site, limit=8)
    left = asyncio.create_task(stubborn(transport, LEFT))
    others = [asyncio.create_task(read(transport, f"{URL}{number}")) for number in range(4000)]
    assert await left == b"x"
    assert asked(site) == requests
    await asyncio.gather(*others)


async def test_our_own_doing_costs_no_attempt(clock: Clock) -> None:
    """An answer of some seconds comes with a single attempt too, though all others that are answered are failures."""
    site = Site(takes=0.05, thinks=lambda url: 5.0 if url == LEFT else 0.0)
    site.fails = lambda url: None if url == LEFT else NotFound("404")
    transport = paced(site, limit=4)
    left = asyncio.create_task(budgeted(transport, LEFT, attempts=1))
    for number in range(400):
        await outcome(transport, f"{URL}{number}")
        await asyncio.sleep(0.05)
    assert await left == b"x"


async def test_an_answer_that_takes_long_where_slots_are_free(clock: Clock) -> None:
    """Beside a list that comes slower than the slots it is waited for in the end too, longer each time."""
    site = Site(takes=0.05, thinks=lambda url: 5.0 if url == LEFT else 0.0)
    transport = paced(site, limit=8)
    left = asyncio.create_task(stubborn(transport, LEFT))
    for number in range(300):
        await read(transport, f"{URL}{number}")
        await asyncio.sleep(0.1)
    assert await left == b"x"
    assert asked(site) == 4


@pytest.mark.parametrize("scatter", [0.0, 0.7])
async def test_a_slow_server_is_no_such_case(clock: Clock, scatter: float) -> None:
    """Answers that all take seconds, more or less, are waited for: one request an image."""
    site = Site(takes=0.05, thinks=lambda url: 3.0 + scatter * (hash(url) % 7 - 3))
    transport = paced(site, limit=8)
    assert await asyncio.gather(*[read(transport, f"{URL}{number}") for number in range(100)]) == [b"x"] * 100
    assert len(site.opened) == 100


async def test_a_queue_is_no_such_case(clock: Clock) -> None:
    """A server that answers in turn, two at a time, however long the queue, is asked once for each."""
    loop = asyncio.get_running_loop()
    free_at = [loop.time()] * 2

    def turn(_: str) -> float:
        free_at.sort()
        free_at[0] = max(free_at[0], loop.time()) + 0.2
        return free_at[0] - loop.time()

    site = Site(takes=0.0, thinks=turn)
    transport = paced(site, limit=64)
    assert await asyncio.gather(*[read(transport, f"{URL}{number}") for number in range(500)]) == [b"x"] * 500
    assert len(site.opened) == 500


async def test_nothing_is_left_behind(clock: Clock) -> None:
    """Once all is answered no timer goes on."""
    transport = paced(Site(takes=0.01), limit=2)
    await asyncio.gather(*[read(transport, f"{URL}{number}") for number in range(20)])
    await asyncio.sleep(1)
    loop = asyncio.get_running_loop()
    assert [handle for handle in loop._scheduled if not handle.cancelled()] == []  # type: ignore[attr-defined]
