"""What the transfers of the first climb say sooner than its doublings do: that it may go faster, or went too far.

A doubling is judged by what came while it lasted. On a far line that is long after the first of its answers, and on one
that collapses under too many bodies it may be never. Pure: it is told the time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import inf
from typing import Final

FAR: Final = 0.25
"""Seconds of a first transfer from which on a line is far: on a nearer one any climb is over soon."""

FAST: Final = 3
"""Slots that a success adds on a far line as long as transfers get no slower; else it adds one."""

_FLAT: Final = 1.3  # times the quickest transfer, up to which nothing waits for anything
_AHEAD: Final = 4  # times the slots that the transfers which now end were begun with, up to which the climb is fast
_SLOW: Final = 1.5  # times the first transfers, from which on one has waited for others
_SLOW_ONES: Final = 2  # more of them than of others, of late: a single one may just be a large image
_FALLEN: Final = 0.8  # of the most bytes a second, under which slower transfers are a collapse and no fair share


@dataclass(frozen=True, slots=True)
class _Mark:
    at: float
    moved: int
    limit: int


class Ramp:
    """The watch over the first climb.

    Args:
        start: slots that it begins with; as many transfers say how long one takes on a line that is not loaded.
    """

    def __init__(self, start: int) -> None:
        self.peak_limit = start
        self.has_collapsed = False
        self._start = start
        self._successes = 0
        self._unloaded = 0.0
        self._quickest = inf
        self._slow = 0
        self._is_clean = True
        self._moved = 0
        self._most_moved = 0.0  # bytes a second, over the time of an unloaded transfer
        self._marks: deque[_Mark] = deque()

    def moved(self, count: int) -> None:
        self._moved += count

    def dropped(self) -> None:
        """Take note of a drop: the climb is fast only where nothing speaks against it."""
        self._is_clean = False

    def succeeded(self, now: float, *, began: float, limit: int) -> int:
        """Take note of a success and return how many slots it adds."""
        took = now - began
        self._successes += 1
        self._quickest = min(self._quickest, took)
        if self._successes <= self._start:
            self._unloaded += (took - self._unloaded) / self._successes
        else:
            self._slow = max(0, self._slow + (1 if took > _SLOW * self._unloaded else -1))
        if not self._marks:
            self._marks.append(_Mark(began, 0, limit))
        self._compare(now)
        self._marks.append(_Mark(now, self._moved, limit))
        is_flat = took <= _FLAT * self._quickest and limit < _AHEAD * self._marks[0].limit
        return FAST if is_flat and self._is_clean and self._unloaded >= FAR else 1

    def _compare(self, now: float) -> None:
        """Hold what came in the time of an unloaded transfer against the most that came in as long a time."""
        if self._successes < self._start:
            return
        since = now - self._unloaded
        while len(self._marks) > 1 and self._marks[1].at <= since:
            self._marks.popleft()
        mark = self._marks[0]
        if mark.at > since:
            return
        rate = (self._moved - mark.moved) / max(1e-3, now - mark.at)
        if rate > self._most_moved:
            self._most_moved, self.peak_limit = rate, mark.limit
        self.has_collapsed = self._slow >= _SLOW_ONES and rate < _FALLEN * self._most_moved
