"""What is said when nothing comes."""

from __future__ import annotations

import asyncio

import pytest

from roco_async.transfer.watchdog import Watchdog
from tests.unit.clock import Clock


async def test_silence_is_told_once_with_its_urls(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """After its time without a byte it names the open transfers, without passwords, once a silence."""
    dog = Watchdog(60)
    for number in range(7):
        dog.began(number, f"http://me:secret@host/{number}.jpg")
    await asyncio.sleep(61)
    assert caplog.messages == [
        "No byte for 60 s; waiting for "
        + ", ".join(f"http://***@host/{number}.jpg" for number in range(5))
        + " and 2 more"
    ]
    for number in range(7):
        dog.ended(number)


async def test_bytes_keep_it_quiet(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """As long as any transfer has a byte within the time, nothing is said, however many others have none."""
    dog = Watchdog(60)
    dog.began("slow", "http://host/slow.jpg")
    dog.began("quick", "http://host/quick.jpg")
    for _ in range(20):
        await asyncio.sleep(59)
        dog.moved()
    assert not caplog.messages
    dog.ended("quick")
    await asyncio.sleep(61)
    assert caplog.messages == ["No byte for 60 s; waiting for http://host/slow.jpg"]
    dog.ended("slow")


async def test_no_timer_is_left(clock: Clock) -> None:
    """When the last transfer has ended, no timer waits."""
    dog = Watchdog(60)
    dog.began("one", "http://host/1.jpg")
    dog.ended("one")
    await asyncio.sleep(0)
    assert not [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
