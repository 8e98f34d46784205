"""The plain policy that the product's is held against."""

from __future__ import annotations

from roco_async.transfer.limits import Verdict


class Aimd:
    """The plain policy: doubles until something is refused, then adds one a round and cuts by three tenths.

    Only a transfer that began after the last cut can cut again: one burst of refusals is one piece of news. It does not
    climb while the limit is not used, nor for answers that say nothing about the load.
    """

    def __init__(self, most: int, *, start: int = 4) -> None:
        self._most = most
        self._limit = float(min(start, most))
        self._cut_at = float("-inf")
        self._slow_start = True

    @property
    def limit(self) -> int:
        return max(1, int(self._limit))

    def ready_at(self, now: float) -> float:
        return now

    def started(self, now: float) -> None:
        pass

    def moved(self, count: int) -> None:
        pass

    def rest(self, took: float) -> float:
        return 0.0

    def after(self, verdict: Verdict, *, held: int, now: float, began: float, pushed: bool) -> int:
        if verdict is Verdict.DROPPED:
            if began > self._cut_at:
                self._limit = max(1.0, self._limit * 0.7)
                self._cut_at = now
                self._slow_start = False
        elif verdict is Verdict.SUCCESS and held >= self.limit:
            step = 1.0 if self._slow_start else 1.0 / self._limit
            self._limit = min(float(self._most), self._limit + step)
        return self.limit

    def full(self, places: int, *, now: float) -> None:
        self._limit = float(places)

    def came_back(self, *, now: float, probes: int, pushed: bool) -> int:
        if pushed:
            self._limit = max(1.0, self._limit / 2)
        self._cut_at = now
        return self.limit
