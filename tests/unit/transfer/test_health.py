"""The watch over one host, told what happened and when; no loop, no waiting."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roco_async.errors import (
    Blocked,
    Broken,
    Busy,
    Damaged,
    Grace,
    HostDown,
    Reason,
    Refused,
    ServerError,
    Stale,
    Stalled,
    TemporaryError,
    Unreachable,
)
from roco_async.transfer.health import Health, State, Try

OUTAGE = 300.0


def health(*, outage: float = OUTAGE, probes: int = 6) -> Health:
    return Health(outage=outage, probes=probes)


def silent() -> TemporaryError:
    return Stalled("silence", answered=False)


def fail(
    watch: Health, error: TemporaryError, url: str = "u", *, now: float = 0.0, limit: int = 4, others: int = 3
) -> Try:
    """Let one transfer begin and fail at once."""
    a_try = watch.began(url, now)
    watch.failed(error, a_try, now, limit=limit, others=others)
    return a_try


def probe(watch: Health, error: TemporaryError, now: float) -> None:
    watch.failed(error, watch.began("u", now, is_probe=True), now, limit=4, others=0)


def succeed(watch: Health, url: str = "u", now: float = 0.0) -> None:
    a_try = watch.began(url, now)
    watch.answered(a_try)
    watch.over(a_try)
    watch.succeeded()


def lost(watch: Health, now: float = 0.0) -> None:
    """Take a host that had answered away."""
    fail(watch, Unreachable("refused", answered=False), now=now, others=0)
    assert watch.state is State.AWAY


def test_a_host_is_up_at_first() -> None:
    """A host of which nothing is known may be asked."""
    assert health().state is State.UP


def test_no_connection_at_the_very_first_try_is_away() -> None:
    """A host that never answered is away with the first refused connection, others under way or not."""
    watch = health()
    fail(watch, Unreachable("refused", answered=False), others=3)
    assert watch.state is State.AWAY


def test_no_connection_beside_others_is_no_outage() -> None:
    """Once a host has answered, one refused connection beside open ones says nothing about the host."""
    watch = health()
    succeed(watch)
    fail(watch, Unreachable("refused", answered=False), others=2)
    assert watch.state is State.UP
    fail(watch, Unreachable("refused", answered=False), others=0)
    assert watch.state.value == "away"


@pytest.mark.parametrize(
    ("limit", "others", "needed"), [(1, 0, 8), (4, 3, 8), (20, 19, 20), (100, 19, 20), (20, 99, 20)]
)
def test_a_run_of_failures_is_away(limit: int, others: int, needed: int) -> None:
    """Failures in a row, of more than one URL, take a host away: at least 8, and as many as are at once."""
    watch = health()
    succeed(watch)
    for number in range(needed - 1):
        fail(watch, Broken("reset"), f"u{number}", limit=limit, others=others)
    assert watch.state is State.UP
    fail(watch, Broken("reset"), "last", limit=limit, others=others)
    assert watch.state.value == "away"


def test_retry_after_makes_the_run_shorter() -> None:
    """Where the host itself asks for time, six failures in a row are enough."""
    watch = health()
    succeed(watch)
    for number in range(6):
        assert watch.state is State.UP
        fail(watch, Busy("503", retry_after=1.0), f"u{number}", limit=50, others=49)
    assert watch.state.value == "away"


def test_what_began_together_is_one_piece_of_news() -> None:
    """However many transfers break at once, the host is not away before one that began afterwards has failed too."""
    watch = health()
    succeed(watch)
    burst = [watch.began(f"u{number}", 1.0) for number in range(40)]
    for a_try in burst:
        watch.failed(Broken("reset"), a_try, 2.0, limit=40, others=39)
    assert watch.state is State.UP
    fail(watch, Broken("reset"), "later", now=2.5, limit=40, others=39)
    assert watch.state.value == "away"


def test_a_success_begins_the_run_afresh() -> None:
    """Failures with a success between them never take a host away."""
    watch = health()
    for number in range(200):
        fail(watch, Broken("reset"), f"u{number}")
        if number % 7 == 6:
            succeed(watch)
    assert watch.state is State.UP


def test_one_bad_object_is_no_outage() -> None:
    """However often one URL breaks, the host is not away: it may be the object's fault."""
    watch = health()
    succeed(watch)
    for _ in range(99):
        fail(watch, Broken("reset"), "the bad one")
    assert watch.state is State.UP


@pytest.mark.parametrize("error", [Stale("changed"), Damaged("digest"), Broken("idle connection", overload=False)])
def test_the_items_own_faults_say_nothing(error: TemporaryError) -> None:
    """A changed or damaged object is an answer: no run of them takes the host away, and each costs an attempt."""
    watch = health()
    for number in range(99):
        fail(watch, error, f"u{number}")
    assert watch.state is State.UP
    assert error.grace is Grace.NONE


@pytest.mark.parametrize("answered_before", [True, False])
def test_twenty_refusals_in_a_row_block(answered_before: bool) -> None:
    """The twentieth refusal in a row ends the host's work, with Blocked and the last refusal's words."""
    watch = health()
    if answered_before:
        succeed(watch)
    for _ in range(19):
        fail(watch, Refused("403"))
    assert watch.state is State.UP
    fail(watch, Refused("the twentieth"))
    assert watch.state.value == "ended"
    ending = watch.ending("http://h/x")
    assert isinstance(ending, Blocked)
    assert ending.reason is Reason.BLOCKED
    assert "the twentieth" in str(ending)
    assert "http://h/x" in str(ending)


def test_a_success_resets_the_refusals() -> None:
    """Nineteen refusals, a success, and nineteen more block nothing; an answer without success resets nothing."""
    watch = health()
    for _ in range(19):
        fail(watch, Refused("403"))
    succeed(watch)
    for _ in range(19):
        fail(watch, Refused("403"))
    watch.answered(watch.began("u", 0.0))
    assert watch.state is State.UP
    fail(watch, Refused("403"))
    assert watch.state.value == "ended"


def test_refusals_cost_their_attempt() -> None:
    """A refusal gets no grace, even while others succeed."""
    watch = health()
    a_try = watch.began("u", 0.0)
    succeed(watch)
    error = Refused("403")
    watch.failed(error, a_try, 0.0, limit=4, others=3)
    assert error.grace is Grace.NONE


@pytest.mark.parametrize("error", [Busy("503"), Broken("reset"), Stalled("slow"), ServerError("500")])
def test_turned_away_while_others_succeed(error: TemporaryError) -> None:
    """A push-back is free if a transfer ended well between this one's beginning and its end, and only then."""
    watch = health()
    succeed(watch)
    fail(watch, error)
    assert error.grace is Grace.NONE
    a_try = watch.began("u", 0.0)
    succeed(watch)
    watch.failed(error, a_try, 0.0, limit=4, others=3)
    assert error.grace.value == Grace.PUSHED_BACK.value


def test_turned_away_while_others_are_served() -> None:
    """A push-back is free while the host serves another transfer, and costs as soon as it serves none."""
    watch = health()
    other = watch.began("other", 0.0)
    watch.answered(other)
    served, alone = Busy("503"), Busy("503")
    fail(watch, served)
    watch.over(other)
    fail(watch, alone)
    assert (served.grace, alone.grace) == (Grace.PUSHED_BACK, Grace.NONE)


def test_the_hosts_silence_is_free() -> None:
    """A try that began after the host's last answer and ended with silence is free once others have failed too."""
    watch = health()
    succeed(watch)
    first, second = silent(), silent()
    fail(watch, first, "a")
    fail(watch, second, "b")
    assert (first.grace, second.grace) == (Grace.NONE, Grace.HOST_AWAY)


def test_one_silent_object_costs() -> None:
    """Silence about one URL while nothing else is tried costs its attempts, or it would be asked for ever."""
    watch = health()
    succeed(watch)
    errors = [silent() for _ in range(9)]
    for error in errors:
        fail(watch, error, "the silent one")
    assert {error.grace for error in errors} == {Grace.NONE}


def test_the_try_that_finds_the_outage_is_free() -> None:
    """The failure that takes the host away, the probes, and all that fail while it is away, cost nothing."""
    watch = health()
    succeed(watch)
    stray = watch.began("stray", 0.0)
    first, probed, late = Unreachable("a", answered=False), silent(), Broken("cut")
    fail(watch, first, others=0)
    probe(watch, probed, 1.0)
    watch.failed(late, stray, 2.0, limit=4, others=0)
    assert {error.grace for error in (first, probed, late)} == {Grace.HOST_AWAY}


def test_probes_come_at_growing_intervals() -> None:
    """A quarter of a second at first, then a sixteenth of the time away, at most 30 s; the last when time is up."""
    watch = health(outage=3600)
    succeed(watch)
    lost(watch)
    times = [0.0]
    while watch.state is State.AWAY:
        times.append(watch.next_probe)
        probe(watch, silent(), watch.next_probe)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    for time, gap in zip(times, gaps, strict=False):
        assert gap == pytest.approx(min(max(time / 16, 0.25), 30.0, 3600 - time))
    assert gaps[0] == 0.25
    assert max(gaps) == pytest.approx(30)
    assert times[-1] == 3600


@pytest.mark.parametrize("began", [0.0, 78.01])  # with 60, the second is one whose difference is rounded down
@pytest.mark.parametrize("outage", [0.0, 0.1, 60.0, 300.0])
def test_an_outage_is_waited_out_and_no_longer(outage: float, began: float) -> None:
    """A host that had answered ends with the first probe that fails at or after `outage` seconds, as HOST_DOWN."""
    watch = health(outage=outage)
    succeed(watch)
    fail(watch, Unreachable("refused", answered=False), now=began, others=0)
    now = began
    while watch.state is State.AWAY:
        assert now < began + outage
        now = watch.next_probe
        probe(watch, silent(), now)
    assert now == began + outage
    ending = watch.ending("http://h/x")
    assert isinstance(ending, HostDown)
    assert ending.reason is Reason.HOST_DOWN


@pytest.mark.parametrize("probes", [1, 2, 6])
def test_a_host_that_never_answered_gets_so_many_probes(probes: int) -> None:
    """A host that never answered is asked `probes` times in all, however long `outage` is."""
    watch = health(outage=9999, probes=probes)
    asked = 1
    fail(watch, Unreachable("no such host", answered=False))
    while watch.state is State.AWAY:
        asked += 1
        probe(watch, Unreachable("no such host", answered=False), watch.next_probe)
    assert asked == probes
    assert "never answered" in str(watch.ending("u"))


def test_a_pushing_host_that_ends_keeps_its_reason() -> None:
    """A host that answered 503 to everybody until the time was up ends with BUSY, not with HOST_DOWN."""
    watch = health(outage=1)
    succeed(watch)
    for number in range(8):
        fail(watch, Busy("503"), f"u{number}")
    assert watch.pushed
    while watch.state is State.AWAY:
        probe(watch, Busy("503"), watch.next_probe)
    assert watch.ending("u").reason is Reason.BUSY


def test_retry_after_delays_the_probe() -> None:
    """A probe that was told to come back in 20 s is followed by the next in 20 s."""
    watch = health()
    succeed(watch)
    lost(watch)
    probe(watch, Busy("503", retry_after=20.0), 1.0)
    assert watch.next_probe == 21.0


def test_only_the_probe_brings_the_host_back() -> None:
    """An answer to an older transfer is none to the question whether the host is back; the probe's is."""
    watch = health()
    succeed(watch)
    stray = watch.began("stray", 0.0)
    lost(watch)
    assert not watch.answered(stray)
    assert watch.state is State.AWAY
    assert watch.answered(watch.began("u", 1.0, is_probe=True))
    assert watch.state.value == "up"


def test_a_second_outage_has_its_own_time() -> None:
    """After a return the clock of the next outage begins at zero."""
    watch = health()
    succeed(watch)
    lost(watch)
    watch.answered(watch.began("u", 299.0, is_probe=True))
    lost(watch, 299.0)
    probe(watch, silent(), 301.0)
    assert watch.state is State.AWAY


events = st.lists(
    st.sampled_from(["success", "answer", "reset", "silence", "refused", "unreachable", "busy", "damaged", "probe"]),
    max_size=120,
)


@given(events, st.integers(1, 20), st.integers(0, 20))
def test_ended_is_for_ever_and_away_is_not(row: list[str], limit: int, others: int) -> None:
    """In any row of events a host whose work has ended stays so, and one that is away is probed within 30 s."""
    watch, now, ended = health(outage=10), 0.0, False
    for place, event in enumerate(row):
        now += 0.5
        before = watch.state
        match event:
            case "success" if before is State.UP:
                succeed(watch, now=now)
                assert watch.state is State.UP
            case "answer":
                watch.answered(watch.began("u", now))
                assert watch.state is before
            case "probe" if before is State.AWAY:
                probe(watch, silent(), now)
            case "reset" | "silence" | "refused" | "unreachable" | "busy" | "damaged":
                errors = {
                    "reset": Broken("reset"), "silence": silent(), "refused": Refused("403"), "busy": Busy("503"),
                    "unreachable": Unreachable("no", answered=False), "damaged": Damaged("md5"),
                }  # fmt: skip
                fail(watch, errors[event], f"u{place}", now=now, limit=limit, others=others)
            case _:
                pass
        assert not ended or watch.state is State.ENDED
        ended = watch.state is State.ENDED
        assert watch.state is not State.AWAY or watch.next_probe <= now + 30
