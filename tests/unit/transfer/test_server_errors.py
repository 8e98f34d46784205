"""Hosts that answer with errors of their own: who is heard is there, and an object in error is not its host."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from roco_async.errors import Busy, Grace, Refused, ServerError, TemporaryError, TransferError
from roco_async.transfer.health import State
from roco_async.transfer.hosts import Paced
from roco_async.transfer.trials import Trials
from tests.unit.clock import Clock

from .hosts import URL, Site, budgeted, paced
from .test_health import fail, health, probe, succeed


@pytest.mark.parametrize("error", [Busy("503"), ServerError("500")], ids=str)
def test_who_only_pushes_back_is_there(error: TemporaryError) -> None:
    """A host whose every answer so far was a 503 or a 500 is waited for as long as one that had served somebody."""
    watch, now = health(outage=60, probes=2), 0.0
    while watch.state is State.UP:
        now += 1
        fail(watch, error, f"u{now}", now=now, others=0)
    while watch.state is State.AWAY:
        now = watch.next_probe
        probe(watch, error, now)
    assert now >= 60
    assert "never answered" not in str(watch.ending("u"))


def test_objects_in_error_take_no_host_away() -> None:
    """Objects that bring a 500 each time count once; when others came through meanwhile they cost themselves only."""
    watch, urls = health(), [f"bad{number}" for number in range(16)]
    for url in urls:
        fail(watch, ServerError("500"), url, now=1.0)
    watch.failed(ServerError("500"), watch.began("late", 2.0), 2.0, limit=4, others=3)
    assert watch.state is State.AWAY
    probe(watch, ServerError("500"), watch.next_probe)
    a_try = watch.began("good", 3.0, is_probe=True)
    assert watch.answered(a_try)
    watch.over(a_try)
    watch.succeeded()
    for now in range(4, 9):
        for url in urls:
            succeed(watch, "good", float(now))
            error = ServerError("500")
            fail(watch, error, url, now=float(now))
            assert (watch.state, error.grace) == (State.UP, Grace.NONE)


async def test_objects_that_are_in_error(clock: Clock) -> None:
    """Sixteen objects that bring a 500 each time, first of a list, keep nobody waiting for an outage."""
    count = 300
    bad = {f"{URL}{number}" for number in range(16)}
    began = clock.now
    site = Site(takes=0.1, fails=lambda url: ServerError("500", url=url) if url in bad else None)
    transport = paced(site, limit=16)
    found = await asyncio.gather(*[budgeted(transport, f"{URL}{n}", attempts=6) for n in range(count)])
    assert Counter(map(type, found)) == {bytes: count - 16, ServerError: 16}
    assert clock.now - began < 60


async def test_busy_at_the_start(clock: Clock) -> None:
    """A server that pushes everybody back for the first minute of a run gives all images once it has room."""
    ends = clock.now + 60
    site = Site(takes=0.1, fails=lambda url: Busy("503", url=url) if clock.now < ends else None)
    transport = paced(site, limit=16)
    found = await asyncio.gather(*[budgeted(transport, f"{URL}{number}", attempts=6) for number in range(300)])
    assert found == [b"x"] * 300
    assert len(site.opened) < 300 + 100
    assert clock.now < ends + 20


@pytest.mark.parametrize("seed", range(4))
async def test_an_outage_of_errors(clock: Clock, seed: int) -> None:
    """Minutes of 500s lose nothing, though bodies that were under way still end well as the others have their first."""
    ends, chance = clock.now + 240, random.Random(seed)
    begins = clock.now + 5

    def fails(url: str) -> TemporaryError | None:
        return ServerError("500", url=url) if begins <= clock.now < ends else None

    site = Site(thinks=lambda _: 0.05 + chance.random() / 10, fails=fails)
    site.chunks = lambda _: [(chance.random() / 5, b"x") for _ in range(3)]
    transport = Paced(site, policy=lambda _: Trials(8), timeout=30, outage=300, probes=6)
    urls = iter([f"{URL}{number}" for number in range(400)])
    found: list[bytes | TransferError] = []

    async def work() -> None:
        found.extend([await budgeted(transport, url, attempts=6) for url in urls])

    await asyncio.gather(*[work() for _ in range(16)])
    assert found == [b"xxx"] * 400


def test_another_hosts_refusals_block_nobody() -> None:
    """A host that redirects to one that refuses is not blocked, however many images that concerns."""
    watch = health()
    for number in range(50):
        error = Refused("403")
        error.elsewhere = True
        fail(watch, error, f"u{number}", now=1.0)
    assert watch.state is State.UP
