"""Finds the transfers that a server leaves waiting while it answers all the others.

A server with fewer places than it lets connect says nothing to a connection that is one too many: it waits in the
backlog until an older one closes, or its SYN is dropped and sent again after seconds. Connections that are kept alive
do not close, so that it waits for the whole run of the others, and the run at its end for it. Nobody refuses; only that
others are answered again and again meanwhile tells of it. Broken off, such a request is answered at once on a
connection that has a place; and where many are left so, those that are answered are all that there are places for.

Rules for editing this file:

1. Some answers do take long: a request that was broken off is waited for four times as long the next time; where
   slots are free from the second time on, as most are answered at once then and nobody is kept waiting. Only `_swap`
   does not count: what it breaks off has a connection that it may take at once.
2. Only a fresh connection can be without a place. On one that was kept it is the answer that takes long, and how many
   others are under way says nothing about places.
3. One timer looks after all of a host's transfers; what each costs is a note in a dict.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final

from .health import Health, Try
from .limits import Limiter

SHORTEST: Final = 1.0
"""Seconds that an answer is waited for whatever the others get."""

SURPLUS: Final = 0.25
"""The same for fresh connections where many wait, and where more are under way than are allowed."""

SWAP: Final = 0.1
"""The same for a fresh connection where one that has a place stands idle, which it may take."""

USUAL: Final = 4
"""Times the mean wait for an answer that it is waited for at least; half as often where a connection stands idle."""

SHAKING: Final = 2
"""Times the mean wait on those fresh connections that were answered: to some servers the handshake is the long part."""

TIMES: Final = 4
"""Answers that each of those served was given meanwhile: no queue that is served in turn lets so many pass."""

_EVERY: Final = 0.1
_LOOKS: Final = 12  # over which what is served at once is measured
_REMEMBERED: Final = 4096


class Overtaken:
    """The transfers of one host that wait for their answer.

    Args:
        health: counts the host's answers.
        limiter: tells how many transfers there are, and is told how many places.

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
        self._idle = 0  # connections that were kept and not taken since, as far as can be told from above
        self._is_full = False  # whether some were plainly left without a place
        self._vain = 0
        self._answers_at_standstill = 0
        self._wait = _Mean()  # for an answer
        self._shaking = _Mean()  # the same on fresh connections
        self._took = _Mean()
        self._answered_at = 0.0
        self._looks: deque[tuple[float, int]] = deque(maxlen=_LOOKS)
        self._timer: asyncio.TimerHandle | None = None

    def watched(self, a_try: Try) -> asyncio.Timeout:
        """Return what ends the wait for this one's answer, to be entered at once."""
        a_try.is_fresh = not self._idle
        self._idle -= not a_try.is_fresh
        timeout = asyncio.timeout(None)
        if not a_try.is_probe:
            self._waiting[a_try] = timeout
            if self._timer is None:
                self._looks.clear()  # in a pause nobody was served
                self._timer = asyncio.get_running_loop().call_later(_EVERY, self._look)
        return timeout

    def answered(self, a_try: Try) -> None:
        """Take note of how long an answer took."""
        self._answered_at = asyncio.get_running_loop().time()
        waited = self._answered_at - a_try.began
        self._wait.add(waited)
        if a_try.is_fresh:
            self._shaking.add(waited)

    def over(self, a_try: Try) -> None:
        """Forget a transfer: it has its answer, or has failed."""
        self._waiting.pop(a_try, None)

    def kept(self) -> None:
        """Take note that a connection stands idle, as far as can be told from here: its transfer ended in order."""
        self._idle += 1

    def succeeded(self, a_try: Try, now: float) -> None:
        """Take note of how long a whole transfer took, and of its connection."""
        self.kept()
        self._took.add(now - a_try.began)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._looks.append((now, self._health.answers))
        assert self._timer is not None
        if now - self._timer.when() < _EVERY:  # else it was this process that was busy, and answers may lie here unread
            self._judge(now)
        self._timer = loop.call_later(_EVERY, self._look) if self._waiting else None

    def _judge(self, now: float) -> None:
        """Break off who waits too long."""
        room = self._limiter.room
        self._break_placeless(now)
        if self._is_full:
            self._swap(now)
        shortest = self._usual(SURPLUS if room < 0 else SHORTEST)
        # where slots are free or nobody is answered any more, it is connections with a place that stand idle
        if room > 0 or now - self._answered_at >= shortest:
            self._break_standstill(now, shortest, enough=1 if room >= 0 else 0)
        else:
            for a_try in self._overtaken(now, shortest):
                a_try.was_left = self._may_lack_place(a_try)
                a_try.made_room = not a_try.was_left
                self._break(a_try, now)

    def _usual(self, least: float, times: float = USUAL) -> float:
        """Return the seconds under which no wait for an answer is long here."""
        return max(least, times * self._wait.value, SHAKING * self._shaking.value)

    def _break_placeless(self, now: float) -> None:
        """Break off fresh connections that are left waiting if they are many, and say how many places there are."""
        held = self._limiter.held
        shortest = self._usual(SURPLUS)
        placeless = [a_try for a_try in self._overtaken(now, shortest) if self._may_lack_place(a_try)]
        if len(placeless) >= max(2, held / 8):  # fewer may be a packet that was lost
            self._make_room(placeless, now)
            self._is_full = True
            self._limiter.full(held - len(placeless) + self._idle)

    def _may_lack_place(self, a_try: Try) -> bool:
        """Whether it can only be the connection: what was broken off before may take long by itself."""
        return a_try.is_fresh and a_try.url not in self._broken

    def _swap(self, now: float) -> None:
        """Break off as many fresh connections as keep others from being used that have a place."""
        room, all_wait = self._limiter.room, len(self._waiting) == self._limiter.held
        if not self._idle or not (room or all_wait):
            return  # an idle connection is taken at once by who waits for a slot
        shortest = self._usual(SWAP, times=USUAL / 2)
        placeless = [one for one in self._waiting if one.is_fresh and now - one.began >= shortest]
        self._make_room(placeless[: self._idle + max(0, -room)], now)

    def _break_standstill(self, now: float, shortest: float, *, enough: int) -> None:
        """Break off who waits, less and less soon as long as nobody is answered for it."""
        answers = self._health.answers
        if answers != self._answers_at_standstill:
            self._vain = 0
        late = [
            a_try
            for a_try in self._waiting
            if answers - a_try.answers >= enough
            and now - a_try.began >= shortest * 4 ** max(self._vain, self._broken.get(a_try.url, 0) - 1)
        ]
        if late:
            self._make_room(late, now)
            self._vain, self._answers_at_standstill = self._vain + 1, answers

    def _overtaken(self, now: float, shortest: float) -> list[Try]:
        """Return who has waited so long, longer where it was broken off before, while others were answered."""
        answers, enough = self._health.answers, TIMES * self._served(now)
        return [
            a_try
            for a_try in self._waiting
            if answers - a_try.answers >= enough and now - a_try.began >= shortest * 4 ** self._broken.get(a_try.url, 0)
        ]

    def _make_room(self, tries: Iterable[Try], now: float) -> None:
        """Break them off; their ends are no news about the load."""
        for a_try in tries:
            a_try.made_room = True
            self._break(a_try, now)

    def _break(self, a_try: Try, now: float) -> None:
        if len(self._broken) >= _REMEMBERED:
            self._broken.clear()  # those that were answered are not taken out: it must not grow with the list
        self._broken[a_try.url] = self._broken.get(a_try.url, 0) + 1
        self._waiting.pop(a_try).reschedule(now)

    def _served(self, now: float) -> int:
        """Return how many transfers are served at once: as many as come in the time that one takes (Little's law)."""
        at, answers = self._looks[0]
        return max(1, round(self._took.value * (self._health.answers - answers) / max(_EVERY, now - at)))


class _Mean:
    """A mean of seconds. One that is longer counts as at most some times the mean: without a place is not usual."""

    __slots__ = ("_count", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self._count = 0

    def add(self, took: float) -> None:
        self._count += 1
        if self.value:
            took = min(took, USUAL * self.value)
        self.value += (took - self.value) / min(self._count, 50)
