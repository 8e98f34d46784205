"""The ceiling on bytes a second."""

from __future__ import annotations

import asyncio

import pytest

from roco_async.transfer.rate import RateLimit
from tests.unit.clock import Clock


async def test_what_came_is_paid_for(clock: Clock) -> None:
    """Each payment waits for its share, whatever its size."""
    limit, began = RateLimit(1000), clock.now
    for count in (500, 1, 1499):
        await limit.pay(count)
    assert clock.now - began == pytest.approx(2.0)


async def test_many_share_it(clock: Clock) -> None:
    """Ten that pay at once are served one after another."""
    limit, began = RateLimit(100), clock.now
    await asyncio.gather(*[limit.pay(10) for _ in range(10)])
    assert clock.now - began == pytest.approx(1.0)


async def test_idle_time_is_not_saved_up(clock: Clock) -> None:
    """After a pause there is no burst."""
    limit = RateLimit(100)
    await limit.pay(10)
    await asyncio.sleep(60)
    began = clock.now
    await limit.pay(100)
    assert clock.now - began == pytest.approx(1.0)
