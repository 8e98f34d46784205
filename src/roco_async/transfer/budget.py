"""How often an item is tried, and how long it waits between: tenacity's strategies behind five words.

The wait before try n+1 is uniform in [0, min(5 s, 0.1 s * 2^(n-1))] (full jitter), and never under Retry-After.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, stop_after_attempt, wait_random_exponential

from ..errors import Blocked, Busy, Grace, HostDown, Refused, TemporaryError, TransferError

PROGRESS: Final = 1 << 20
"""Bytes of new ground that make a try count as none."""

_REFUSALS: Final = 2
_BUSY_GRACES: Final = 8
_OTHER_GRACES: Final = 2
"""Times `attempts` that an item may be turned away, or broken off, for nothing: even with others succeeding it ends."""

Sleep = Callable[[float], Awaitable[None]]


class Budget:
    """The tries of one item, its listing's among them.

    Args:
        attempts: tries in a row that bring less than 1 MiB of new ground.
        sleep: waits the given seconds; tests pass their own.

    Example:
        >>> async def twice(once):
        ...     budget = Budget(2)
        ...     while True:
        ...         budget.begin()
        ...         try:
        ...             return await once()
        ...         except TransferError as error:
        ...             await budget.spend(error, gained=0)
    """

    __slots__ = ("_attempts", "_pushed", "_refused", "_sleep", "_strategy", "_used", "_waits", "tries")

    def __init__(self, attempts: int, *, sleep: Sleep = asyncio.sleep) -> None:
        self._attempts = attempts
        self._sleep = sleep
        self._used = 0
        self._refused = 0
        self._pushed = 0
        self._waits = 0
        self._strategy: AsyncRetrying | None = None
        self.tries = 0

    def begin(self) -> None:
        """Count a request."""
        self.tries += 1

    @property
    def retrying(self) -> bool:
        """Whether the item has failed before: it then stands at the head of a queue."""
        return self._waits > 0

    async def spend(self, error: TransferError, *, gained: int) -> None:
        """Wait for the next try.

        Args:
            error: what ended the last one.
            gained: bytes beyond the farthest point that any try of this item had reached.

        Raises:
            TransferError: `error` itself: it is permanent, or the budget is spent.
        """
        if isinstance(error, HostDown | Blocked):
            self.tries -= 1  # nobody was asked: the host's work has ended
            raise error
        if not isinstance(error, TemporaryError):
            raise error
        if isinstance(error, Refused):
            self._refused += 1
            if self._refused >= _REFUSALS:
                raise error
        if gained >= PROGRESS:
            self._used = 0
            self._waits = 0
        else:
            self._count(error)
        self._waits += 1
        wait = self._next_wait(error)
        if wait is None:
            raise error
        await self._sleep(wait)

    def _count(self, error: TemporaryError) -> None:
        if error.grace is Grace.HOST_AWAY:
            return
        if error.grace is not Grace.NONE:
            self._pushed += 1
            is_load = isinstance(error, Busy) or error.grace is Grace.BROKEN_OFF
            graces = _BUSY_GRACES if is_load else _OTHER_GRACES
            if self._pushed <= graces * self._attempts:
                return
        self._used += 1

    def _next_wait(self, error: TemporaryError) -> float | None:
        if self._strategy is None:  # 83 µs: made only after a failure
            self._strategy = AsyncRetrying(
                stop=stop_after_attempt(self._attempts), wait=wait_random_exponential(multiplier=0.1, max=5)
            )
        state = RetryCallState(self._strategy, None, (), {})
        state.attempt_number = max(self._used, 1)
        if self._used and self._strategy.stop(state):
            return None
        state.attempt_number = self._waits
        return max(self._strategy.wait(state), error.retry_after or 0.0)
