"""Paced and the bytes that pass through it: trickles are broken off where others move, the rate is kept over all."""

from __future__ import annotations

import asyncio

import pytest

from roco_async.errors import Stalled
from roco_async.transfer.rate import RateLimit
from tests.unit.clock import Clock

from .hosts import URL, Site, outcome, paced, read


def transfers(slow: float, fast: int) -> Site:
    def chunks(url: str) -> list[tuple[float, bytes]]:
        if url.endswith("slow"):
            return [(1.0, bytes(int(slow)))] * 120
        return [(1.0, bytes(fast))] * 120

    return Site(chunks=chunks)


async def test_a_trickle_is_broken_off_while_others_move(clock: Clock) -> None:
    """Under 1 KB/s over twice the timeout, while the other moves, a transfer is broken off as Stalled."""
    transport = paced(transfers(slow=100, fast=50_000), timeout=10)
    began = clock.now
    other = asyncio.create_task(outcome(transport, f"{URL}fast"))
    with pytest.raises(Stalled):
        await read(transport, f"{URL}slow")
    assert 20 <= clock.now - began <= 22
    assert isinstance(await other, bytes)


async def test_a_trickle_alone_is_left(clock: Clock) -> None:
    """On its own a slow transfer is let go on: the line may be so."""
    transport = paced(transfers(slow=100, fast=0), timeout=10)
    assert len(await read(transport, f"{URL}slow")) == 12_000


async def test_where_all_starve_none_is_broken_off(clock: Clock) -> None:
    """On a thin line every transfer trickles, and each is left to its end."""
    transport = paced(transfers(slow=100, fast=200), timeout=10)
    found = await asyncio.gather(*[outcome(transport, f"{URL}{n}slow") for n in range(3)], outcome(transport, URL))
    assert all(isinstance(one, bytes) for one in found)


async def test_over_a_kilobyte_a_second_is_no_trickle(clock: Clock) -> None:
    """1,000 bytes a second beside a fast one are enough."""
    transport = paced(transfers(slow=1000, fast=1_000_000), timeout=10)
    found = await asyncio.gather(outcome(transport, f"{URL}slow"), outcome(transport, f"{URL}fast"))
    assert [len(one) for one in found if isinstance(one, bytes)] == [120_000, 120_000_000]


async def test_the_rate_is_kept_over_all(clock: Clock) -> None:
    """Four transfers together get no more than the rate, and the rate is no reason to break one off."""
    site = Site(chunks=lambda _: [(0.0, bytes(100))] * 25)
    transport = paced(site, rate=RateLimit(500), timeout=1)
    began = clock.now
    found = await asyncio.gather(*[outcome(transport, f"{URL}{n}") for n in range(4)])
    assert [len(one) for one in found if isinstance(one, bytes)] == [2500] * 4
    assert clock.now - began == pytest.approx(4 * 2500 / 500, rel=0.05)
