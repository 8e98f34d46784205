"""How many places a server has, as told by who is left waiting on which connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from unittest import mock

import pytest

from roco_async.errors import TransferError
from roco_async.protocols import START, Body, Point
from roco_async.transfer.hosts import Paced
from roco_async.transfer.limits import Policy, Verdict
from roco_async.transfer.trials import Trials
from tests.unit.clock import Clock

from .hosts import URL, Fixed, Site, stubborn


@dataclass(slots=True)
class Places(Site):
    """A Site that reads from so many kept connections, and leaves any other until one of them is closed.

    Args:
        handshake: seconds that a fresh connection takes.
    """

    places: int = 8
    handshake: float = 0.0
    kept: int = 0
    idle: int = 0
    asked: int = 0

    @asynccontextmanager
    async def open(self, url: str, at: Point = START) -> AsyncIterator[Body]:
        self.asked += 1
        if self.idle:
            self.idle -= 1
        else:
            await asyncio.sleep(self.handshake)
            while self.kept >= self.places:
                self.opened.append((asyncio.get_running_loop().time(), url))
                await asyncio.Event().wait()
            self.kept += 1
        try:
            async with Site.open(self, url, at) as body:
                yield body
        except BaseException:
            self.kept -= 1
            raise
        self.idle += 1


def transport(site: Site, policy: Policy) -> Paced:
    return Paced(site, policy=lambda _: policy, timeout=3600, outage=3600, probes=6)


async def fetch(paced: Paced, count: int) -> float:
    """Return the seconds that so many images took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    found = await asyncio.gather(*[stubborn(paced, f"{URL}{number}", attempts=20) for number in range(count)])
    assert not [one for one in found if isinstance(one, TransferError)]
    return loop.time() - began


@pytest.mark.parametrize("places", [1, 4, 16, 40])
async def test_the_limit_comes_down_to_them(clock: Clock, places: int) -> None:
    """A server with places for so many serves a list nearly as fast as if nobody had come beyond them."""
    site, policy = Places(takes=0.1, places=places), Trials(256)
    best = 200 * 0.1
    assert await fetch(transport(site, policy), 200 * places) < 1.2 * best + 2
    assert policy.limit <= 2 * places + 2


async def test_how_many_is_told(clock: Clock) -> None:
    """As many as are served beside those that are left are the places."""
    policy = Fixed(32)
    await fetch(transport(Places(takes=0.1, places=8), policy), 1000)
    assert set(policy.places) == {8}


async def test_a_lost_packet_is_no_place(clock: Clock) -> None:
    """One fresh connection of sixteen that hears nothing may have lost its first packet."""
    policy = Fixed(16)
    site = Site(takes=0.1)
    site.thinks = lambda url: 3.0 if url == f"{URL}3" and len(site.opened) <= 16 else 0.0
    await fetch(transport(site, policy), 1000)
    assert policy.places == []
    assert len(site.opened) == 1001


async def test_a_kept_connection_has_its_place(clock: Clock) -> None:
    """Where every second answer takes seconds on kept connections there are places for all, and that is no load."""
    policy = Fixed(16)
    slow = {f"{URL}{number}" for number in range(16, 1000, 2)}
    await fetch(transport(Site(takes=0.1, thinks=lambda url: 2.5 if url in slow else 0.0), policy), 1000)
    assert policy.places == []
    assert policy.verdicts.count(Verdict.DROPPED) < 30  # of 500: those that came on a fresh one, for one broken off


@pytest.mark.parametrize(("answer", "handshake"), [(0.1, 0.7), (0.1, 1.0), (0.05, 0.4), (0.01, 2.0)])
async def test_shaking_hands_takes_longer(clock: Clock, answer: float, handshake: float) -> None:
    """Where a fresh connection takes many times as long to be answered as a kept one, there are places for all."""
    site, policy = Places(takes=0.0, thinks=lambda _: answer, handshake=handshake, places=1000), Trials(256)
    with mock.patch.object(policy, "full") as full:
        await fetch(transport(site, policy), 6000)
    assert (site.asked, full.mock_calls) == (6000, [])


async def test_a_busy_process_blames_nobody(clock: Clock) -> None:
    """Where this process did not come to read for seconds, those that waited meanwhile are left to wait."""
    site, policy = Site(takes=0.0, thinks=lambda url: 0.1 + len(url) % 7 / 1000), Fixed(32)
    paced = transport(site, policy)

    def stall() -> None:
        clock.now += 5

    for turn in range(1, 60):
        asyncio.get_running_loop().call_later(turn / 3, stall)
    await fetch(paced, 2000)
    assert len(site.opened) == 2000
    assert policy.places == []
