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
from typing import Final

from .health import Health, Try
from .limits import Limiter

SHORTEST: Final = 1.0
"""Seconds that an answer is waited for whatever the others get."""

SURPLUS: Final = 0.25
"""The same where more are under way than are allowed, so that they keep out those who would be answered."""

USUAL: Final = 4
"""Times the mean wait for an answer that it is waited for at least."""

TIMES: Final = 8
"""Answers that each of the others was given meanwhile: no queue that is served in turn lets so many pass."""

_EVERY: Final = 0.25
_KNOWN: Final = 8
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
        self._broken: dict[tuple[str, bool], int] = {}
        self._usual = 0.0
        self._answered_at = 0.0
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
        took = self._answered_at - a_try.began
        if self._health.answers >= _KNOWN:
            took = min(took, USUAL * self._usual)  # those that had no place are not what is usual
        self._usual += (took - self._usual) / min(self._health.answers + 1, 50)

    def over(self, a_try: Try) -> None:
        """Forget a transfer: it has its answer, or has failed."""
        self._waiting.pop(a_try, None)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now, room = loop.time(), self._limiter.room
        shortest = max(SURPLUS if room < 0 else SHORTEST, USUAL * self._usual)
        # where slots are free or nobody is answered any more, it is connections with a place that stand idle
        stands = room > 0 or now - self._answered_at >= shortest
        enough = 1 if stands else TIMES * self._limiter.held
        for a_try in [*self._waiting]:
            times = self._broken.get((a_try.url, stands), 0)
            if now - a_try.began >= shortest * 4**times and self._health.answers - a_try.answers >= enough:
                if len(self._broken) >= _REMEMBERED:
                    self._broken.clear()  # those that were answered are not taken out: it must not grow with the list
                self._broken[a_try.url, stands] = times + 1
                self._waiting.pop(a_try).reschedule(now)
        self._timer = loop.call_later(_EVERY, self._look) if self._waiting else None
