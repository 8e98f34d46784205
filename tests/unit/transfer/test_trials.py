"""The policy that tries, fed by hand: one kind of news at a time."""

from __future__ import annotations

from math import inf

import pytest

from roco_async.transfer.limits import Verdict
from roco_async.transfer.pace import Pacer, Tally
from roco_async.transfer.trials import State, Trials
from roco_async.transfer.work import Work

SIZE = 100_000


class Feed:
    """A policy and the time; every transfer takes a second and as many are under way as may be."""

    def __init__(self, policy: Trials) -> None:
        self.policy = policy
        self.now = 0.0

    def end(self, verdict: Verdict = Verdict.SUCCESS, *, took: float = 1.0, pushed: bool = False) -> None:
        policy = self.policy
        if verdict is not Verdict.DROPPED:
            policy.moved(SIZE)
        policy.after(verdict, held=policy.limit, now=self.now, began=self.now - took, pushed=pushed)

    def round(self, dropped: int = 0, *, rate: float | None = None, pushed: bool = True) -> None:
        """Let as many transfers end as may be under way, `rate` a second (else all in one), the dropped ones spread."""
        limit = self.policy.limit
        for one in range(limit):
            self.now += 1 / (rate or limit)
            is_dropped = (one * dropped) // limit != ((one + 1) * dropped) // limit
            verdict = Verdict.DROPPED if is_dropped else Verdict.SUCCESS
            self.end(verdict, took=limit / (rate or limit), pushed=pushed)

    def until(self, state: State, **round_: float) -> None:
        for _ in range(200):
            if self.policy._state is state:
                return
            self.round(**round_)  # type: ignore[arg-type]
        raise AssertionError(f"never {state}, but {self.policy._state}")


def settled(limit: int, *, rounds: int = 1) -> Feed:
    """A policy that holds a limit whose work it knows, for some rounds more."""
    feed = Feed(Trials(64, start=limit))
    feed.policy._end_climb(limit, 0.0)
    feed.now = 1.0
    feed.round()
    feed.policy._work_at_best = Work(limit * SIZE, limit)
    feed.policy._hold(rounds, feed.now)
    return feed


def test_places_end_a_climb() -> None:
    """Where the host says nothing to those beyond its places the climb ends at them, and a trial goes back."""
    feed = Feed(Trials(64))
    feed.round()
    feed.policy.full(6, now=feed.now)
    assert (feed.policy.limit, feed.policy._state) == (6, State.HOLD)
    feed = settled(8)
    feed.until(State.UP)
    feed.policy.full(10, now=feed.now)
    assert (feed.policy.limit, feed.policy._state) == (8, State.HOLD)
    feed.policy.full(9, now=feed.now)
    assert feed.policy.limit == 8
    feed.policy.full(3, now=feed.now)
    assert feed.policy.limit == 3


def test_the_ramp_doubles_in_a_round() -> None:
    """Each success adds one while all slots are used, so that a round trip doubles the limit."""
    feed = Feed(Trials(64))
    for expected in (8, 16, 32, 64):
        feed.round(rate=10 * feed.policy.limit)
        assert feed.policy.limit == expected


def test_the_ramp_is_faster_on_a_far_line() -> None:
    """Where a transfer takes a second and none gets slower, a round trip brings more than a doubling."""
    feed = Feed(Trials(64))
    feed.round()
    assert feed.policy.limit == 16


def test_the_ramp_ends_where_the_line_collapses() -> None:
    """Transfers that get slower and bring less end the climb at the limit that brought the most."""
    feed = Feed(Trials(64))
    feed.round()
    for _ in range(2):
        feed.now += 5
        feed.end(took=5.0)
    assert feed.policy._state is State.HOLD
    assert feed.policy.limit == 4


@pytest.mark.parametrize("verdict", [Verdict.IGNORE, Verdict.SUCCESS])
def test_the_ramp_needs_successes_and_full_slots(verdict: Verdict) -> None:
    """Neither answers without a picture nor slots that nobody used raise the limit."""
    policy = Trials(64)
    for one in range(50):
        held = policy.limit if verdict is Verdict.IGNORE else policy.limit - 1
        policy.after(verdict, held=held, now=one / 10, began=one / 10 - 0.1, pushed=False)
        assert policy.limit == 4


def test_a_refusal_burst_is_one_piece_of_news() -> None:
    """Refusals of transfers that began before a change say nothing about it: twenty at once cost one step."""
    feed = Feed(Trials(64))
    for _ in range(3):
        feed.round()
    feed.end(Verdict.DROPPED)
    feed.end(Verdict.DROPPED)
    limit = feed.policy.limit
    for _ in range(20):
        feed.end(Verdict.DROPPED)
    assert feed.policy.limit == limit >= 16


def test_a_trial_that_pays_is_kept() -> None:
    """A higher limit that brings as much more in is the best from then on."""
    feed = settled(8)
    feed.until(State.UP)
    higher = feed.policy.limit
    feed.round()
    feed.round()
    assert feed.policy._best == higher > 8


def test_a_trial_in_doubt_is_extended_before_it_fails() -> None:
    """A higher limit that brings nothing more, and no refusal either, is looked at for longer, then undone."""
    feed = settled(8)
    feed.until(State.UP)
    rounds = 0
    while feed.policy._state is State.UP:
        feed.round(rate=8.0)
        rounds += 1
    assert rounds > 4
    assert feed.policy.limit == 8


def test_plainly_too_many_is_seen_before_the_round_ends() -> None:
    """A trial whose requests are refused is undone after half a round of them."""
    feed = settled(8)
    feed.until(State.UP)
    began = feed.now
    feed.now += 1
    ends = 0
    while feed.policy._state is State.UP:
        feed.policy.after(Verdict.DROPPED, held=feed.policy.limit, now=feed.now, began=began, pushed=True)
        ends += 1
    assert ends <= 8
    assert feed.policy.limit == 8


def test_holds_double_with_each_failed_trial() -> None:
    """After each trial that failed the next one is put off for twice as many rounds, and for ten seconds at most."""
    feed = settled(8)
    waits = []
    for _ in range(3):
        feed.until(State.UP)
        feed.policy._undo(feed.now)
        waits.append(feed.policy._hold_rounds)
        assert feed.policy._hold_until == feed.now + 10
    assert waits == [4, 8, 16]


def test_a_cut_that_ends_nothing_is_undone_and_the_failures_are_tolerated() -> None:
    """Broken transfers that a lower limit does not make fewer are taken for fate, and the limit climbs again."""
    feed = settled(16, rounds=8)
    feed.until(State.DOWN, dropped=4, pushed=False)
    assert feed.policy.limit < 16
    for _ in range(20):
        if feed.policy._state is not State.DOWN:
            break
        feed.round(dropped=max(1, feed.policy.limit // 4), pushed=False)
    assert feed.policy.limit == 16
    assert feed.policy._base.share == pytest.approx(0.25, abs=0.1)
    feed.until(State.UP, dropped=4, pushed=False)
    assert feed.policy.limit > 16


def test_a_cut_that_ends_the_failures_is_kept() -> None:
    """Failures that end with fewer connections lower the limit, and are not tolerated afterwards."""
    feed = settled(16, rounds=8)
    feed.until(State.DOWN, dropped=5)
    for _ in range(20):
        if feed.policy._state is State.HOLD:
            break
        feed.round(rate=12.0)
    assert feed.policy.limit < 16
    assert feed.policy._base.failed == 0


def test_answers_that_refuse_at_any_limit_start_the_pacer() -> None:
    """Where a cut ends no refusal the starts are spaced by what came through before, and the limit is back."""
    feed = settled(16, rounds=8)
    feed.until(State.DOWN, dropped=8)
    for _ in range(20):
        if feed.policy._state is State.HOLD:
            break
        feed.round(dropped=feed.policy.limit // 2, rate=8.0)
    feed.policy.started(feed.now)
    assert feed.policy.ready_at(feed.now) > feed.now
    assert feed.policy.limit == 16


def test_the_pacer_goes_off_where_it_ends_nothing() -> None:
    """A pacer under which as many are refused is given up, and the refusals are tolerated."""
    feed = settled(16)
    feed.policy._cut_was_vain = True
    feed.policy._slow(0.25, feed.now)
    for _ in range(10):
        feed.round(dropped=4)
    assert not feed.policy._pacer.on
    assert feed.policy._base.share == pytest.approx(0.25, abs=0.1)


def test_three_sigma_are_no_news() -> None:
    """What is tolerated grows with what was seen before, and a share that doubled is news."""
    base = Tally(400, 40)
    assert 12 < base.allowed(100) < 25


@pytest.mark.parametrize(
    ("seen", "failed", "verdict"), [(8, 0, None), (16, 0, True), (16, 4, False), (16, 2, None), (60, 8, False)]
)
def test_fewer_than_a_fifth_needs_evidence(seen: int, failed: int, verdict: bool | None) -> None:
    """Whether a cut ended failures is not decided before it can be told."""
    assert Tally(seen, failed).fewer_than(0.2) is verdict


@pytest.mark.parametrize(("probes", "limit"), [(0, 8), (1, 8), (2, 16)])
def test_after_an_outage_the_number_is_halved_unless_lone_probes_failed_too(probes: int, limit: int) -> None:
    """Two lone probes that failed say that it was not our number: the old limit stays."""
    feed = settled(16)
    assert feed.policy.came_back(now=feed.now + 5, probes=probes, pushed=False) == limit


def test_after_a_pause_that_was_asked_for_the_pace_is_what_the_host_took() -> None:
    """The first pace is the successes since the beginning, the pause counted."""
    feed = settled(16, rounds=8)
    for _ in range(3):
        feed.round()
    taken = feed.policy._successes
    assert feed.policy.came_back(now=20.0, probes=0, pushed=True) == 16
    assert feed.policy._pacer.pace == pytest.approx(taken / 20, rel=0.1)


def test_a_refused_slot_rests_for_what_it_lacks_to_a_mean_transfer() -> None:
    """A refusal at once rests a whole mean transfer, a body that broke at its end rests no more."""
    feed = settled(8)
    assert feed.policy.rest(0.0) == pytest.approx(1.0)
    assert feed.policy.rest(1.5) == 0


def test_the_pacer_cuts_once_a_burst() -> None:
    """Of refused requests that began before the last cut none cuts again."""
    pacer = Pacer()
    pacer.resume(0.0, 10.0)
    pace = pacer.pace
    assert pacer.refused(1.0, began=0.5)
    assert pacer.pace == pytest.approx(pace / 2)
    assert not pacer.refused(1.1, began=0.6)
    assert pacer.pace == pytest.approx(pace / 2)


def test_the_pacer_climbs_slowly_where_it_was_refused_and_faster_away_from_there() -> None:
    """About the ceiling a success adds a thousandth, well below it up to fifty times as much."""
    pacer = Pacer()
    pacer.resume(0.0, 10.0)
    pacer.refused(1.0, began=0.5)
    below = pacer.pace
    pacer.succeeded(1.1, mean=0.1)
    gain_below = pacer.pace / below - 1
    pacer._ceiling = pacer.pace
    near = pacer.pace
    pacer.succeeded(1.2, mean=0.1)
    assert gain_below > 20 * (pacer.pace / near - 1) > 0


@pytest.mark.parametrize("epoch", [0.0, 9500.0])
def test_a_clock_s_zero_means_nothing(epoch: float) -> None:
    """A pacer that is needed early goes by what came since the first start, not since the clock began."""
    pacer = Pacer()
    for number in range(8):
        pacer.started(epoch + number / 20)
        pacer.accepted(epoch + number / 20 + 0.04)
    pacer.cut(epoch + 0.4, why=0.5)
    assert pacer.pace == pytest.approx(0.95 * 20)


def test_a_pacer_that_is_off_holds_nobody_up() -> None:
    """Without a pace any start is permitted at once."""
    pacer = Pacer()
    for now in (0.0, 0.0, 0.1):
        assert pacer.ready_at(now) == now
        pacer.started(now)
    assert pacer.pace == inf


def test_work_counts_bytes_and_answers_alike() -> None:
    """Twice the bytes with as many answers is half as much again; without bytes the answers count alone."""
    assert Work(200, 5).over(Work(100, 5)) == 1.5
    assert Work(0, 10).over(Work(0, 5)) == 2


def test_refusals_by_fate_do_not_stop_the_starts() -> None:
    """Where one request in seven is refused whatever the pace, it stays at half of what was accepted at least."""
    pacer, now = Pacer(), 0.0
    for _ in range(40):
        now += 0.1
        pacer.accepted(now)
    pacer.cut(now, why=1 / 7)
    pacer.is_vain(Tally(seen=40.0, failed=0.0))  # by chance it seemed to help
    for number in range(700):
        now += 1 / pacer.pace
        if number % 7:
            pacer.succeeded(now, mean=0.1)
        else:
            pacer.refused(now, began=now)
    assert pacer.pace >= 5.0
