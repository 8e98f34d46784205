"""The gap between two starts, for a host that counts requests and not connections.

No limit takes the place of it: at 10 requests a second one connection is too many.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import inf, sqrt
from typing import Final

LOWEST: Final = 0.2
"""Starts a second below which no pace falls."""

FIRST: Final = 1.0
"""Starts a second, the least to begin with after a pause."""

# What a success adds to the pace: about where the host refused last, below that, above it, and where it has not
# refused yet. A cut of 5 % about the ceiling is made good by fifty successes, so that one start in fifty is refused.
NEAR: Final = 0.001
BELOW: Final = 0.05
ABOVE: Final = 0.02
UNKNOWN: Final = 0.15


@dataclass(slots=True)
class Tally:
    """Transfers that ended, and those of them that were dropped."""

    seen: float = 0.0
    failed: float = 0.0

    def count(self, *, ok: bool) -> None:
        self.seen += 1
        self.failed += not ok

    @property
    def share(self) -> float:
        return self.failed / self.seen if self.seen else 0.0

    def plus(self, new: Tally, *, fade: float = 1.0) -> Tally:
        """Return the sum with another one, this one's weight times `fade`."""
        return Tally(fade * self.seen + new.seen, fade * self.failed + new.failed)

    def allowed(self, seen: float) -> float:
        """Return the failures among `seen` transfers that are still no news: three sigma over this tally's share."""
        share = (self.failed + 0.5) / (self.seen + 8)
        return share * seen + 3 * sqrt(share * seen * (1 + seen / (self.seen + 8))) + 0.5

    def fewer_than(self, share: float) -> bool | None:
        """Say whether clearly fewer failed than `share` lets expect; None while it cannot be told."""
        expected = share * self.seen
        if expected >= 2.7 and expected - self.failed >= 1.65 * sqrt(expected):
            return True
        return False if expected >= 12 or self.failed >= max(3.0, 0.75 * expected) else None


class Pacer:
    """Starts a second at most; infinite while it is off. Pure: it is told the time.

    A cut goes by what really came through, so that it is never far off. The climb afterwards is slow where the host
    refused last, and fast away from there.
    """

    def __init__(self) -> None:
        self.pace = inf
        self.failed = False
        self.why = 0.0  # the share of refusals that it is to end
        self._helped = False
        self._paced = Tally()
        self._ceiling = inf  # the pace at which the host refused last; infinite while that is searched for
        self._refused_at = inf  # the pace at the first refusal since the last pause
        self._next = -inf
        self._cut_at = -inf
        self._since = inf  # when what was accepted began to be counted
        self._accepted: deque[float] = deque(maxlen=17)
        self._floor = LOWEST

    @property
    def on(self) -> bool:
        return self.pace < inf

    def ready_at(self, now: float) -> float:
        """Return the time of the next permitted start, `now` if it may be at once."""
        return max(now, self._next)

    def started(self, now: float) -> None:
        """Take note of a start."""
        self._since = min(self._since, now)
        if self.on:
            self._next = max(now, self._next) + 1 / self.pace

    def succeeded(self, now: float, *, mean: float) -> None:
        """Take note of an answer that was no refusal, and climb; far above what comes through the pacer goes off.

        Args:
            now: seconds.
            mean: seconds that a transfer takes, after which the climb so far can be told to have been harmless.
        """
        self.accepted(now)
        if not self.on:
            return
        if self._ceiling == inf:
            gain = UNKNOWN
        elif self.pace < 0.9 * self._ceiling:
            gain = BELOW
        else:
            gain = NEAR if self.pace < 1.1 * self._ceiling else ABOVE
        self.pace *= 1 + min(gain, 0.5 / (self.pace * max(0.5, mean)))
        if len(self._accepted) == self._accepted.maxlen and self.pace > 3 * max(self.rate(now), LOWEST):
            self.off(now)

    def accepted(self, now: float) -> None:
        """Take note of a request that the host took, whatever became of its body."""
        self._accepted.append(now)

    def refused(self, now: float, *, began: float) -> bool:
        """Cut, if the refused transfer began after the last cut: one burst of refusals is one piece of news.

        Returns:
            Whether this ended the search for the ceiling: refusals up to here do not count against the pacer.
        """
        if not self.on or not self._helped:
            return False
        if self._refused_at == inf:
            self._refused_at = self.pace
        searched = self._ceiling == inf
        if began < self._cut_at:
            return False
        self._lower(now)
        if searched:
            self._paced = Tally()
        return searched

    def rate(self, now: float) -> float:
        """Return the requests a second that were accepted of late."""
        full = len(self._accepted) == self._accepted.maxlen
        since = self._accepted[0] if full else self._since
        return (len(self._accepted) - full) / max(0.05, now - since)

    def cut(self, now: float, *, why: float) -> None:
        """Start no more than came through, and see whether that ends the refusals, `why` of all."""
        self.why, self._helped, self._paced = why, False, Tally()
        # What was accepted is near what the host takes, if it counts requests. Where refusals are fate, each would
        # lower the pace again, and the slower it is the longer it takes to see that.
        self._floor = max(LOWEST, 0.5 * self.rate(now))
        self._lower(now)

    def _lower(self, now: float) -> None:
        searched = self.on and self._ceiling == inf
        self._ceiling = max(LOWEST, self.pace if searched else min(self.pace, self.rate(now)))
        self.pace = max(self._floor, (0.5 if searched else 0.95) * self._ceiling)
        self._cut_at = now
        self._next = max(self._next, now + 1 / self.pace)

    def is_vain(self, new: Tally) -> bool:
        """Say, with the transfers that ended since the last time, whether fewer starts plainly end no refusals."""
        self._paced = self._paced.plus(new)
        fewer = self._paced.fewer_than(self.why)
        if fewer is not None:
            self._helped, self._paced = fewer, Tally()
        return fewer is False

    def resume(self, now: float, rate: float) -> None:
        """Go on after a pause that the host asked for, between what it takes in the long run and where it refused.

        Args:
            now: seconds.
            rate: successes a second since the last such pause, this one counted: less than the host would have taken.
        """
        if self.on:
            above = min(4.0, max(1.0, self._refused_at / max(rate, LOWEST)))
            self._ceiling = max(LOWEST, rate * sqrt(above))
            self.pace = 0.97 * self._ceiling
        else:
            self.pace, self._ceiling = max(FIRST, rate), inf
        self.why, self._helped, self._paced = 1.0, True, Tally()
        self._floor = LOWEST
        self._refused_at = inf
        self._cut_at = now
        self._next = now + 1 / self.pace
        self._forget(now)

    def give_up(self, now: float) -> None:
        """Take note that fewer starts did not mean fewer refusals."""
        self.failed = True
        self.off(now)

    def off(self, now: float) -> None:
        """Let all start that the limit lets start."""
        self.pace = self._ceiling = inf
        self._next = -inf
        self._forget(now)

    def _forget(self, now: float) -> None:
        self._accepted.clear()
        self._since = now
