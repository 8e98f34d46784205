"""Finds the transfers that a server leaves waiting while it answers all the others.

A server with fewer places than it lets connect says nothing to a connection that is one too many: it waits in the
backlog until an older one closes, or its SYN is dropped and sent again after seconds. Connections that are kept alive
do not close, so that it waits for the whole run of the others, and the run at its end for it. Nobody refuses; only that
others are answered again and again meanwhile tells of it. Broken off, such a request is answered at once on a
connection that has a place.

Rules for editing this file:

1. Some answers do take long: a request that was broken off is waited for four times as long the next time.
2. One timer looks after all of a host's transfers; what each costs is a note in a dict.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from .health import Health, Try
from .limits import Limiter

SHORTEST: Final = 1.0
"""Seconds that an answer is waited for whatever the others get."""

SURPLUS: Final = 0.25
"""The same where more are under way than are allowed, so that they keep out those who would be answered."""

USUAL: Final = 4
"""Times the mean wait for an answer that it is waited for at least."""

TIMES: Final = 4
"""Answers that each of those served was given meanwhile: no queue that is served in turn lets so many pass."""

_EVERY: Final = 0.25
_REMEMBERED: Final = 4096


class Overtaken:
    """The transfers of one host that wait for their answer.

    Args:
        health: counts the host's answers.
        limiter: tells how many transfers there are.

    Example:
        >>> async def opened(overtaken, a_try, opening):
        ...     try:
        ...         async with overtaken.watched(a_try):     # TimeoutError where it is broken off
        ...             return await opening
        ...     finally:
        ...         overtaken.over(a_try)
    """

    def __init__(self, health: Health, limiter: Limiter) -> None:
        self._health = health
        self._limiter = limiter
        self._waiting: dict[Try, asyncio.Timeout] = {}
        self._broken: dict[str, int] = {}
        self._vain = 0
        self._answers_at_standstill = 0
        self._usual = 0.0
        self._took = 0.0
        self._answered_at = 0.0
        self._looks: deque[tuple[float, int]] = deque(maxlen=5)
        self._timer: asyncio.TimerHandle | None = None

    def watched(self, a_try: Try) -> asyncio.Timeout:
        """Return what ends the wait for this one's answer, to be entered at once."""
        timeout = asyncio.timeout(None)
        if not a_try.is_probe:
            self._waiting[a_try] = timeout
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(_EVERY, self._look)
        return timeout

    def answered(self, a_try: Try) -> None:
        """Take note of how long an answer took."""
        self._answered_at = asyncio.get_running_loop().time()
        self._usual = _mean(self._usual, self._answered_at - a_try.began, self._health.answers)

    def succeeded(self, a_try: Try, now: float) -> None:
        """Take note of how long a whole transfer took."""
        self._took = _mean(self._took, now - a_try.began, self._health.answers)

    def over(self, a_try: Try) -> None:
        """Forget a transfer: it has its answer, or has failed."""
        self._waiting.pop(a_try, None)

    def _look(self) -> None:
        """Break off who waits too long; where that is nobody's fault but the limit's, it is no news about the load."""
        loop = asyncio.get_running_loop()
        now, answers, room = loop.time(), self._health.answers, self._limiter.room
        self._looks.append((now, answers))
        shortest = max(SURPLUS if room < 0 else SHORTEST, USUAL * self._usual)
        # where slots are free or nobody is answered any more, it is connections with a place that stand idle
        if room > 0 or now - self._answered_at >= shortest:
            self._break_standstill(now, shortest, enough=1 if room >= 0 else 0)
        else:
            self._break_overtaken(now, shortest)
        self._timer = loop.call_later(_EVERY, self._look) if self._waiting else None

    def _break_standstill(self, now: float, shortest: float, *, enough: int) -> None:
        """Break off who waits, less and less soon as long as nobody is answered for it."""
        answers = self._health.answers
        if answers != self._answers_at_standstill:
            self._vain = 0
        broken = False
        for a_try in [*self._waiting]:
            if now - a_try.began >= shortest * 4**self._vain and answers - a_try.answers >= enough:
                a_try.made_room = True
                self._waiting.pop(a_try).reschedule(now)
                broken = True
        if broken:
            self._vain, self._answers_at_standstill = self._vain + 1, answers

    def _break_overtaken(self, now: float, shortest: float) -> None:
        enough = TIMES * self._served(now)
        for a_try in [*self._waiting]:
            times = self._broken.get(a_try.url, 0)
            given = self._health.answers - a_try.answers
            if now - a_try.began >= shortest * 4**times and given >= enough:
                if len(self._broken) >= _REMEMBERED:
                    self._broken.clear()  # those that were answered are not taken out: it must not grow with the list
                self._broken[a_try.url] = times + 1
                a_try.was_left = True
                self._waiting.pop(a_try).reschedule(now)

    def _served(self, now: float) -> int:
        """Return how many transfers are served at once: as many as come in the time that one takes (Little's law)."""
        at, answers = self._looks[0]
        return max(1, round(self._took * (self._health.answers - answers) / max(_EVERY, now - at)))


def _mean(mean: float, took: float, count: int) -> float:
    """Return the mean with another one, which counts as at most some times the mean: without a place is not usual."""
    if not mean:
        return took
    return mean + (min(took, USUAL * mean) - mean) / min(count + 1, 50)
