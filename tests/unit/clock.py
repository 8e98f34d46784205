"""An event loop's clock that jumps to the next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest


class Clock:
    """The time of a loop. It stands still while anything is ready to run.

    Args:
        loop: whose time it is from now on.
        patch: puts everything back after the test.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, patch: pytest.MonkeyPatch) -> None:
        self.now = loop.time()
        selector: selectors.BaseSelector = cast(Any, loop)._selector
        select = selector.select

        def jump(timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            ready = select(0 if timeout is not None else None)
            if not ready and timeout:
                self.now += timeout
            return ready

        patch.setattr(loop, "time", lambda: self.now)
        patch.setattr(selector, "select", jump)


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Clock]:
    """Let the running loop jump from timer to timer; for tests without threads and sockets."""
    with monkeypatch.context() as patch:
        yield Clock(asyncio.get_running_loop(), patch)


async def settle(turns: int = 20) -> None:
    """Let everything that is ready run, some turns of the loop long; no time passes."""
    for _ in range(turns):
        await asyncio.sleep(0)
