"""The policy that tries: every change of the limit is an experiment, kept if it paid and undone if it did not.

What came in a second is the judge; a refusal is only the alarm. A refusal can come from the number of connections, from
the number of requests, or from fate, and three questions tell them apart: do they end with fewer connections (the
limit stays lower), else with fewer starts a second (the pacer stays on), else they are tolerated from then on.

Rules for editing this file:

1. A failure of a transfer that began before the last change says nothing about that change.
2. Only failures that neither question could end, or that a climb that paid brought along, raise the tolerated base:
   one that faded in by itself would follow a server's refusals wherever they go.
3. Each change is judged on `python -m benchmarks.networks`, with a seed that was never looked at (docs/limits.md).
"""

from __future__ import annotations

from enum import Enum
from math import ceil, inf, sqrt

from .limits import Verdict
from .pace import Pacer, Tally
from .ramp import Ramp
from .work import Work

LONGEST_HOLD = 10.0
"""Seconds between two trials: a cap that rises is found soon, and the trials between cost little."""

RAMP_PAYS = 1.15
"""What a doubling in the ramp has to bring: little, since a trial asks again with more care."""

_MEASURABLE = 1e-3
"""Seconds that a round lasts at least: some clocks know nothing shorter."""


class State(Enum):
    RAMP = "ramp"
    UP = "up"
    DOWN = "down"
    HOLD = "hold"


class Trials:
    """Try more connections, keep what brings more, and go back where it does not.

    Args:
        most: the highest limit.
        start: the first one; the ramp doubles it again and again while that pays.

    Example:
        >>> policy = Trials(256)
        >>> policy.after(Verdict.SUCCESS, held=4, now=0.1, began=0.0, pushed=False)
        5
    """

    def __init__(self, most: int, *, start: int = 4) -> None:
        self._most = most
        self._limit = self._best = min(start, most)
        self._ramp = Ramp(self._limit)
        self._state = State.RAMP
        self._changed_at = -inf
        self._since_change = Tally()
        # what is known: work at the best limit, failures that are tolerated, and those that may have to be
        self._work_at_best: Work | None = None
        self._base = Tally()
        self._suspect = Tally()
        # how to go on
        self._step = 1.0
        self._why = 0.0  # the share of failures that a cut or the pacer is to end; 0 where it is to bring more work
        self._undone = 0
        self._turn = 0
        self._poor_rounds = 0
        self._hold_rounds = 0
        self._hold_until = 0.0
        self._overshot = False
        self._alarmed = False
        self._tolerated = 0
        # the pacer
        self._pacer = Pacer()
        self._cut_was_vain = False
        # the transfers
        self._mean = 0.0  # seconds
        self._ended = 0
        self._back_at = inf
        self._successes = 0
        # the round
        self._round = Tally()
        self._round_at = inf  # none is measured
        self._wanted = 0.0
        self._extended = 0
        self._answers = 0
        self._bytes = 0
        self._full = 0
        self._pushes = 0

    @property
    def limit(self) -> int:
        return self._limit

    def ready_at(self, now: float) -> float:
        return self._pacer.ready_at(now)

    def started(self, now: float) -> None:
        self._pacer.started(now)

    def moved(self, count: int) -> None:
        self._bytes += count
        if self._state is State.RAMP:
            self._ramp.moved(count)

    def rest(self, took: float) -> float:
        """Return what a dropped transfer lacks to a mean one's time: a body that broke late has had its time."""
        return max(0.0, self._mean - took)

    def after(self, verdict: Verdict, *, held: int, now: float, began: float, pushed: bool) -> int:
        ok = verdict is not Verdict.DROPPED
        self._ended += 1
        self._mean += (now - began - self._mean) / min(self._ended, 50)
        self._since_change.count(ok=ok)
        if ok:
            self._pacer.succeeded(now, mean=self._mean)
            self._successes += 1
            self._back_at = min(self._back_at, began)
        elif not pushed:
            self._pacer.accepted(now)
        elif self._pacer.refused(now, began=began):
            self._measure(now)
        if self._state is State.RAMP:
            self._climb(verdict, held=held, now=now, began=began)
        elif self._state is State.UP and ((not ok and self._is_plainly_too_many()) or self._lags(now)):
            self._undo(now)
        elif began >= self._changed_at or ok:
            self._count(ok=ok, held=held, now=now, began=began, pushed=pushed)
        return self._limit

    def full(self, places: int, *, now: float) -> None:
        if self._state is State.RAMP or places < self._best:
            self._end_climb(min(places, self._limit), now)
        elif self._state is State.UP:
            self._undo(now)

    def came_back(self, *, now: float, probes: int, pushed: bool) -> int:
        if pushed:
            self._pacer.resume(now, self._successes / max(0.25, now - min(now, self._back_at)))
        elif probes < 2:
            self._best = max(1, self._best // 2)
            if self._work_at_best is not None:
                self._work_at_best = self._work_at_best.times(0.5)
        self._back_at, self._successes = now, 0
        self._hold(2, now)
        return self._limit

    def _climb(self, verdict: Verdict, *, held: int, now: float, began: float) -> None:
        """Add one for each success, or more where the line is far, while each doubling pays and nothing is refused."""
        ok = verdict is not Verdict.DROPPED
        if self._round_at == inf:
            self._measure(began)
        self._round.count(ok=ok)
        self._answers += ok
        if not ok:
            self._ramp.dropped()
        if self._round.failed >= 2:
            self._end_climb(max(self._best, int(0.7 * self._limit)), now)
            return
        if verdict is Verdict.SUCCESS:
            more = self._ramp.succeeded(now, began=began, limit=self._limit)
            if held >= self._limit and self._ramp.has_collapsed:
                self._overshot, self._step = True, 1 / 4
                self._end_climb(self._ramp.peak_limit, now)
                return
            if held >= self._limit:
                self._limit = min(self._limit + more, self._most)
        self._judge_doubling(now)

    def _judge_doubling(self, now: float) -> None:
        before = self._work_at_best
        late = before is not None and (now - self._round_at) * before.answers > 1.5 * self._best
        if not late and (self._limit < min(2 * self._best, self._most) or self._round.seen < self._best):
            return
        work = self._work(now)
        ratio = work.over(before) if before is not None else inf
        if ratio < 1:
            self._overshot = ratio < 0.7
            self._end_climb(self._best // 2, now)
        elif ratio < RAMP_PAYS:
            self._end_climb(self._best, now)
        elif self._limit >= self._most:
            self._end_climb(self._limit, now)
        else:
            self._best, self._work_at_best = self._limit, work
            self._base = self._base.plus(self._round)
            self._measure(now)

    def _end_climb(self, limit: int, now: float) -> None:
        self._best, self._work_at_best = max(1, limit), None
        self._hold(1, now)

    def _measure(self, now: float) -> None:
        self._round = Tally()
        self._round_at = now
        self._answers = self._bytes = self._full = self._pushes = 0
        number = 12.0 if self._pacer.on else 8.0
        step = abs(self._limit / self._best - 1)
        if step and not (self._state is State.DOWN and self._why):
            number = max(number, (1.2 / step) ** 2)
        self._wanted = ceil(number / self._limit) * self._limit

    def _count(self, *, ok: bool, held: int, now: float, began: float, pushed: bool) -> None:
        """Measure from the end of the first transfer that began after the change until enough have ended."""
        if self._round_at == inf:
            if began >= self._changed_at:
                self._measure(now)
            return
        self._round.count(ok=ok)
        self._answers += ok
        self._full += held >= self._limit
        self._pushes += pushed and not ok
        if self._round.seen < self._wanted or began < self._round_at or now - self._round_at < _MEASURABLE:
            return
        if self._state is State.UP:
            self._judge_up(now)
        elif self._state is State.HOLD:
            self._judge_hold(now)
        elif self._why:
            self._judge_cut(now)
        else:
            self._judge_down(now)

    def _work(self, now: float) -> Work:
        seconds = max(_MEASURABLE, now - self._round_at)
        return Work(self._bytes / seconds, self._answers / seconds)

    def _ratio(self, now: float) -> float:
        return self._work(now).over(self._work_at_best) if self._work_at_best is not None else 1.0

    def _is_plainly_too_many(self) -> bool:
        """Whether a trial has failed before its round's end."""
        seen, failed = self._since_change.seen, self._since_change.failed
        allowed = self._base.allowed(seen)
        most = failed > seen / 2 and failed >= max(2.0, self._limit / 4) and failed > allowed
        return most or (self._limit < 1.6 * self._best and failed > 1 + allowed)

    def _lags(self, now: float) -> bool:
        """Whether so little comes in that a trial need not go on: a collapsing line takes long to end its round."""
        if self._work_at_best is None or self._round_at == inf:
            return False
        return 1.6 * self._round.seen + 6 < (now - self._round_at) * self._work_at_best.answers

    def _extend(self) -> None:
        self._extended += 1
        self._wanted *= 2

    def _judge_up(self, now: float) -> None:
        bad = self._round.failed > self._base.allowed(self._round.seen)
        step, ratio = self._limit / self._best - 1, self._ratio(now)
        if ratio >= 1 + 0.8 * step or (ratio >= 1 + 0.4 * step and not bad):
            self._keep(self._work(now).times(min(1.0, 1.25 * (1 + step) / ratio)))
            self._base = self._base.plus(self._round, fade=0.7)
            self._step = min(1.0, 2 * self._step)
            self._up(now)
        elif not bad and ratio > 0.85 and self._extended < 2:
            self._extend()
        elif not bad and ratio >= (1 + step) ** 0.1 + 0.35 / sqrt(self._round.seen):
            self._keep(self._work(now))
            self._base = self._base.plus(self._round, fade=0.7)
            self._step /= 2
            self._hold(4, now)
        else:
            self._undo(now)

    def _judge_down(self, now: float) -> None:
        """Judge a cut that was to bring more work."""
        ratio = self._ratio(now)
        if ratio > 0.85 and not self._extended:
            self._extend()
        elif ratio >= 1 + 0.35 / sqrt(self._round.seen):
            self._keep(self._work(now))
            self._step = 1 / 8
            self._cut(now, why=0.0, by=0.5)
        else:
            self._undo(now)

    def _judge_cut(self, now: float) -> None:
        """Judge a cut that was to end failures."""
        fewer = self._round.fewer_than(self._why)
        if fewer is None:
            self._wanted += self._limit
        elif fewer and self._ratio(now) >= 1 - (1 - self._limit / self._best) / 2:
            self._keep(self._work(now))
            self._step = 1 / 8
            self._hold(1, now)
        elif fewer:  # the load it was, but this was too deep
            self._best, self._work_at_best = (self._limit + self._best) // 2, None
            self._hold(1, now)
        elif self._round.share > 0.2 and self._ratio(now) >= 1 - 0.3 * (1 - self._limit / self._best):
            self._keep(self._work(now))  # nothing is lost by going lower: perhaps this was not deep enough
            self._cut(now, why=self._round.share)
        elif self._pushes and not self._pacer.failed and not self._pacer.on:
            self._cut_was_vain = True
            self._slow(self._why, now)
        else:
            self._tolerate(now)

    def _judge_hold(self, now: float) -> None:
        work = self._work(now)
        if self._work_at_best is None:
            self._work_at_best = work
        ratio = work.over(self._work_at_best)
        self._work_at_best = self._work_at_best.towards(work, 1 / 3)
        if self._pacer.on:
            if self._pacer.is_vain(self._round):
                self._pacer.give_up(now)
                self._tolerate(now) if self._cut_was_vain else self._cut(now, why=self._pacer.why)
            else:
                self._measure(now)
            return
        self._suspect = self._suspect.plus(self._round, fade=0.9)
        self._poor_rounds = self._poor_rounds + 1 if ratio < 0.6 else 0
        if any(tally.failed > self._base.allowed(tally.seen) for tally in (self._round, self._suspect)):
            self._ask(max(self._round.share, self._suspect.share), now)
        elif self._poor_rounds >= 3:
            self._poor_rounds = 0
            self._cut(now, why=self._round.share)
        else:
            self._hold_rounds -= 1
            if self._hold_rounds > 0 and now < self._hold_until:
                self._measure(now)
            else:
                self._go_on(now)

    def _go_on(self, now: float) -> None:
        """Choose the next trial."""
        self._turn += 1
        asks = self._suspect.share > 0.02 and self._suspect.failed > 1
        if asks and self._turn % (2 + 2 * self._tolerated) == 1:
            self._ask(self._suspect.share, now)
        elif self._overshot:
            self._overshot = False
            self._cut(now, why=0.0, by=0.5)
        elif self._full < 0.6 * self._round.seen:
            self._measure(now)  # a limit that is not used must not climb
        elif self._undone >= 2 and self._turn % 2 == 0 and not self._alarmed:
            self._cut(now, why=0.0)
        else:
            self._up(now)

    def _ask(self, share: float, now: float) -> None:
        """Ask whether these failures come from the load."""
        if self._best > 1:
            self._cut(now, why=share)
        elif self._pushes * 2 > self._round.failed and not self._pacer.failed:
            self._slow(share, now)
        else:
            self._tolerate(now)

    def _up(self, now: float) -> None:
        if self._best >= self._most:
            self._hold(4, now)
        else:
            self._change(max(self._best + 1, int(self._best * (1 + self._step))), State.UP, now)

    def _cut(self, now: float, *, why: float, by: float = 0.25) -> None:
        if self._best <= 1:
            self._hold(4, now)
            return
        self._why = why
        self._change(min(self._best - 1, round(self._best * (1 - max(by, min(0.5, why))))), State.DOWN, now)

    def _slow(self, why: float, now: float) -> None:
        self._pacer.cut(now, why=why)
        self._hold(4, now)

    def _tolerate(self, now: float) -> None:
        """Take the failures for fate: neither the limit nor the pace changes them."""
        self._base, self._suspect = self._suspect.plus(self._round), Tally()
        self._pacer.failed = self._cut_was_vain = False
        self._tolerated += 1
        self._step = 1.0
        self._hold(1, now)

    def _keep(self, work: Work) -> None:
        self._best, self._work_at_best, self._suspect = self._limit, work, Tally()
        self._undone = self._tolerated = 0
        self._cut_was_vain = False

    def _undo(self, now: float) -> None:
        if self._state is State.UP:
            self._alarmed = self._since_change.failed > 0
        self._undone += 1
        self._step = max(self._step / 2, 1 / 8 if self._since_change.failed else 1 / 4)
        self._hold(4 << min(10, self._undone - 1), now)

    def _hold(self, rounds: int, now: float) -> None:
        self._hold_rounds, self._hold_until = rounds, now + LONGEST_HOLD
        self._change(self._best, State.HOLD, now)

    def _change(self, limit: int, state: State, now: float) -> None:
        self._limit, self._state, self._changed_at = max(1, min(limit, self._most)), state, now
        self._since_change, self._round_at, self._extended = Tally(), inf, 0
