"""How many transfers a host gets at once: a small mechanism, and the interface of the policy that decides.

The policy is pure: it is told what happened and says what the limit is. The mechanism (`Limiter`) only holds slots.

Rules for editing this file:

1. `held` never grows while `held >= limit`. A lowered limit lets the holders finish and admits nobody meanwhile.
2. A slot given back wakes by the state as it then is, never by the difference of two limits.
3. A waiter that is cancelled passes on the wake-up that it was given.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum
from heapq import heappop, heappush
from typing import Protocol


class Verdict(Enum):
    """What a transfer says about the load: it went through, it says nothing (404, damaged), or it was pushed back."""

    SUCCESS = "success"
    IGNORE = "ignore"
    DROPPED = "dropped"


class Policy(Protocol):
    """Decides how many transfers may be under way. Pure: no clock, no I/O, no waiting."""

    @property
    def limit(self) -> int:
        """Transfers that may be under way now, at least 1."""

    def rest(self, took: float) -> float:
        """Seconds that the slot of a transfer which was dropped after `took` seconds stays empty."""

    def ready_at(self, now: float) -> float:
        """The time of the next permitted start; not after `now` if there is no gap to keep."""

    def started(self, now: float) -> None:
        """A transfer begins."""

    def moved(self, count: int) -> None:
        """Bytes of any transfer have arrived."""

    def after(self, verdict: Verdict, *, held: int, now: float, began: float, pushed: bool) -> int:
        """Take note of a transfer's end and return the limit.

        Args:
            verdict: what it says about the load.
            held: slots in use or resting at its end, its own among them.
            now: seconds of a monotonic clock.
            began: when this transfer got its slot.
            pushed: whether an answer asked for less (503, 429, 421, 425), not a broken connection.
        """

    def full(self, places: int, *, now: float) -> None:
        """So many connections are served, and those beyond them are left without an answer."""

    def came_back(self, *, now: float, probes: int, pushed: bool) -> int:
        """The host answers again after `probes` lone probes had failed; return the limit to go on with."""


class Limiter:
    """Slots of one host. A slot that rests after a refusal is nobody's, and yet not free.

    Example:
        >>> async def one(limiter):
        ...     began = await limiter.acquire()
        ...     limiter.release(Verdict.SUCCESS, began=began, pushed=False)
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.held = 0
        self._resting: list[float] = []  # a heap of the times at which they are free again
        self._first: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def limit(self) -> int:
        return self.policy.limit

    @property
    def room(self) -> int:
        """Slots that are free and that nobody waits for; below zero where a lowered limit waits for holders to end."""
        free = self.policy.limit - self.held
        return min(0, free) if self._first or self._others else free

    async def acquire(self, *, first: bool = False) -> float:
        """Wait for a slot and take it; first come, first served.

        Args:
            first: stand before all who came without it, as a transfer does that has been tried before.

        Returns:
            The time at which the slot was got, in seconds of the loop's clock.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not (self._first or self._others) and self._is_free(now):
            self._take(now)
            return now
        waiter: asyncio.Future[None] = loop.create_future()
        queue = self._first if first else self._others
        queue.append(waiter)
        self.wake()
        if not waiter.done():
            try:
                await waiter  # whoever wakes a waiter has taken the slot for it
            except asyncio.CancelledError:
                if not waiter.cancelled():
                    self.held -= 1
                elif waiter in queue:  # else `wake` has passed it over already
                    queue.remove(waiter)
                self.wake()
                raise
        return loop.time()

    def release(self, verdict: Verdict, *, began: float, pushed: bool) -> None:
        """Give the slot back with what the transfer says about the load."""
        now = asyncio.get_running_loop().time()
        self.policy.after(verdict, held=self._taken(now), now=now, began=began, pushed=pushed)
        self.held -= 1
        if verdict is Verdict.DROPPED and (rest := self.policy.rest(now - began)) > 0:
            heappush(self._resting, now + rest)
        self.wake()

    def give_back(self) -> None:
        """Give the slot back with no news about the load: the transfer was cancelled or never began."""
        self.held -= 1
        self.wake()

    def full(self, places: int) -> None:
        """Tell the policy how many places the host has."""
        self.policy.full(max(1, places), now=asyncio.get_running_loop().time())
        self.wake()

    def dismiss(self) -> None:
        """Wake all who wait, whatever is free or due: nothing begins here any more, and each gives its slot back."""
        for queue in (self._first, self._others):
            while queue:
                waiter = queue.popleft()
                if not waiter.done():
                    self.held += 1
                    waiter.set_result(None)

    def wake(self) -> None:
        """Admit whoever may begin, and no timer is left where nobody waits."""
        now = asyncio.get_running_loop().time()
        while (waiter := self._next()) and self._is_free(now):
            (self._first or self._others).popleft()
            self._take(now)
            waiter.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if waiter and (at := self._due(now)) is not None:
            self._timer = asyncio.get_running_loop().call_at(at, self.wake)

    def _is_free(self, now: float) -> bool:
        return self._taken(now) < self.policy.limit and self.policy.ready_at(now) <= now

    def _take(self, now: float) -> None:
        self.held += 1
        self.policy.started(now)

    def _next(self) -> asyncio.Future[None] | None:
        for queue in (self._first, self._others):
            while queue and queue[0].done():
                queue.popleft()
            if queue:
                return queue[0]
        return None

    def _taken(self, now: float) -> int:
        while self._resting and self._resting[0] <= now:
            heappop(self._resting)
        return self.held + len(self._resting)

    def _due(self, now: float) -> float | None:
        """Return the time at which a slot falls free by itself; None where a release has to come first."""
        if self._taken(now) < self.policy.limit:
            return self.policy.ready_at(now)
        return self._resting[0] if self.held < self.policy.limit else None
