"""Whose turn it is to probe a host that is away, when those who wait leave."""

from __future__ import annotations

import asyncio

import pytest

from roco_async.errors import Broken
from roco_async.transfer import hosts as hosts_module
from roco_async.transfer.health import State
from tests.unit.clock import Clock

from .hosts import URL, Site, outcome, paced


async def away(site: Site, clock: Clock) -> tuple[hosts_module.Paced, hosts_module.Host]:
    """Return a transport whose host answered once, and is away now."""
    transport = paced(site, limit=4)
    await outcome(transport, f"{URL}first")
    site.down = True
    await outcome(transport, f"{URL}second")
    host = transport.host_of(URL)
    assert host.health.state is State.AWAY
    return transport, host


async def test_who_leaves_passes_the_turn_on(clock: Clock) -> None:
    """A transfer that is cancelled in the moment in which it got the probe leaves it to another one that waits."""
    site = Site()
    transport, host = await away(site, clock)
    first = asyncio.create_task(outcome(transport, f"{URL}a"))
    other = asyncio.create_task(outcome(transport, f"{URL}b"))
    await asyncio.sleep(0)
    site.down = False
    host._send_probe()  # the timer's moment, with the cancel before the waiter has woken
    first.cancel()
    assert await other == b"x"
    assert first.cancelled()
    assert host.health.state is State.UP
    assert [url for _, url in site.opened[2:]] == [f"{URL}b"]


async def test_who_left_gets_no_turn(clock: Clock) -> None:
    """The probe is given to none of those that were cancelled while they waited for it."""
    site = Site()
    transport, _ = await away(site, clock)
    waiting = [asyncio.create_task(outcome(transport, f"{URL}{letter}")) for letter in "abc"]
    await asyncio.sleep(0)  # they wait, and the timer of the probe has not come yet
    opened = len(site.opened)
    for task in waiting[:2]:
        task.cancel()
    site.down = False
    assert await waiting[2] == b"x"
    assert [url for _, url in site.opened[opened:]] == [f"{URL}c"]


async def test_when_all_have_left(clock: Clock) -> None:
    """A probe's moment that finds nobody waiting is no loss: the next that comes gets it."""
    site = Site()
    transport, host = await away(site, clock)
    waiting = asyncio.create_task(outcome(transport, f"{URL}a"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(host.health.next_probe + 1 - asyncio.get_running_loop().time())
    site.down = False
    assert await outcome(transport, f"{URL}b") == b"x"
    assert [url for _, url in site.opened[2:]] == [f"{URL}b"]


async def test_what_failed_is_not_remembered_for_ever(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URLs that failed, and stand first when they come again, do not grow with the list."""
    monkeypatch.setattr(hosts_module, "_REMEMBERED", 5)
    site = Site(fails=lambda url: Broken("cut", overload=False) if "bad" in url else None)
    transport = paced(site)
    for number in range(40):
        await outcome(transport, f"{URL}bad{number}")
        await outcome(transport, f"{URL}good{number}")
    assert len(transport.host_of(URL)._failed) <= 5
