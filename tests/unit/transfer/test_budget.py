"""The budget of an item: what costs a try, what costs none, and how long it waits."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

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
    NoMedia,
    NotFound,
    Refused,
    Stale,
    Stalled,
    TemporaryError,
    TooLarge,
    TransferError,
    Unsafe,
)
from roco_async.transfer import budget as module
from roco_async.transfer.budget import PROGRESS, Budget


class Waits(list[float]):
    """A sleep that only takes note."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def graced(grace: Grace, error: TemporaryError | None = None) -> TemporaryError:
    error = error or Broken("gone")
    error.grace = grace
    return error


async def tries(budget: Budget, errors: Sequence[tuple[TransferError, int]]) -> int:
    """Spend until the budget raises; return how many tries were made."""
    for made, (error, gained) in enumerate(errors, 1):
        budget.begin()
        try:
            await budget.spend(error, gained=gained)
        except TransferError as raised:
            return made if raised is error else -1
    return len(errors) + 1


@pytest.mark.parametrize("attempts", [1, 2, 6])
async def test_an_item_gets_so_many_tries(attempts: int) -> None:
    """`attempts` counts requests, the first included, and each is counted in `tries`."""
    budget = Budget(attempts, sleep=Waits())
    assert await tries(budget, [(Broken("cut"), 0)] * 50) == attempts
    assert budget.tries == attempts


@pytest.mark.parametrize("attempts", [1, 2, 6])
async def test_a_try_that_moved_a_mebibyte_is_none(attempts: int) -> None:
    """1 MiB of new ground counts as no try and begins the row afresh; a byte less counts."""
    moved = [(Broken("cut"), PROGRESS)] * 20
    assert await tries(Budget(attempts, sleep=Waits()), [*moved, *[(Broken("cut"), 0)] * 50]) == 20 + attempts
    almost = [(Broken("cut"), PROGRESS - 1)] * 50
    assert await tries(Budget(attempts, sleep=Waits()), almost) == attempts


async def test_the_row_begins_afresh_in_the_middle() -> None:
    """Failures before a good stretch of way are forgiven."""
    row = [(Broken("cut"), 0)] * 4
    assert await tries(Budget(5, sleep=Waits()), [*row, (Broken("cut"), PROGRESS), *row, *row]) == 4 + 1 + 5


@given(st.lists(st.sampled_from([0, 1, PROGRESS - 1, PROGRESS, 9 * PROGRESS]), max_size=60), st.integers(1, 7))
def test_any_row_of_gains(gains: list[int], attempts: int) -> None:
    """An item ends exactly with its `attempts`-th try in a row that moved less than 1 MiB."""
    expected, row = len(gains) + 1, 0
    for place, gained in enumerate(gains, 1):
        row = row + 1 if gained < PROGRESS else 0
        if row == attempts:
            expected = place
            break
    assert (
        asyncio.run(tries(Budget(attempts, sleep=Waits()), [(Broken("cut"), gained) for gained in gains])) == expected
    )


@pytest.mark.parametrize("error", [NotFound("404"), NoMedia("none"), TooLarge("big"), Unsafe("..")])
async def test_a_permanent_error_ends_at_once(error: TransferError) -> None:
    """A permanent error is raised without a wait, whatever was gained."""
    waits = Waits()
    with pytest.raises(type(error)):
        await Budget(6, sleep=waits).spend(error, gained=9 * PROGRESS)
    assert waits == []


@pytest.mark.parametrize("error", [HostDown("away"), Blocked("twenty")])
async def test_an_ended_host_ends_the_item(error: TransferError) -> None:
    """A host that is given up, or has blocked us, is not asked again for this item, although the error is temporary."""
    assert not error.reason.permanent
    assert await tries(Budget(6, sleep=Waits()), [(error, 0)] * 9) == 1


async def test_two_refusals_are_all() -> None:
    """The second `Refused` ends the item, wherever the two stand in the row and whatever lies between."""
    assert await tries(Budget(6, sleep=Waits()), [(Refused("403"), 0)] * 9) == 2
    between: list[tuple[TransferError, int]] = [(Refused("403"), 0), (Broken("cut"), PROGRESS), (Busy("503"), 0)]
    assert await tries(Budget(9, sleep=Waits()), [*between, (Refused("403"), 0), (Broken("cut"), 0)]) == 4


async def test_an_absent_host_costs_nothing() -> None:
    """A try that ended with the host's own silence costs no attempt, however often."""
    away = [(graced(Grace.HOST_AWAY), 0)] * 200
    assert await tries(Budget(2, sleep=Waits()), [*away, *[(Broken("cut"), 0)] * 9]) == 202


async def test_push_backs_are_free_but_bounded() -> None:
    """A refusal while others succeed is free eight times `attempts`, a break twice; then it costs: none is eternal."""
    assert await tries(Budget(3, sleep=Waits()), [(graced(Grace.PUSHED_BACK, Busy("503")), 0)] * 999) == 8 * 3 + 3
    assert await tries(Budget(3, sleep=Waits()), [(graced(Grace.PUSHED_BACK, Broken("cut")), 0)] * 999) == 2 * 3 + 3


@given(st.lists(st.sampled_from(Grace), max_size=400), st.integers(1, 6))
def test_only_an_absent_host_can_go_on(graces: list[Grace], attempts: int) -> None:
    """Whatever the graces are, an item's tries that are not the host's absence stay within nine times `attempts`."""
    errors: list[tuple[TransferError, int]] = [(graced(grace), 0) for grace in graces]
    made = asyncio.run(tries(Budget(attempts, sleep=Waits()), errors))
    assert sum(grace is not Grace.HOST_AWAY for grace in graces[:made]) <= 9 * attempts


async def test_full_jitter_within_its_bounds() -> None:
    """Wait n is spread over [0, min(5 s, 0.1 s * 2^(n-1))]: never beyond, and both ends of it are used."""
    samples: list[list[float]] = []
    for _ in range(300):
        waits = Waits()
        await tries(Budget(12, sleep=waits), [(Broken("cut"), 0)] * 12)
        samples.append(waits)
    for n, waited in enumerate(zip(*samples, strict=True), 1):
        top = min(5.0, 0.1 * 2 ** (n - 1))
        assert min(waited) >= 0
        assert top * 0.9 < max(waited) <= top
        assert min(waited) < top * 0.1


def test_the_formula_stands_in_the_docstring() -> None:
    """The module says the formula that the test above holds it to."""
    assert "[0, min(5 s, 0.1 s * 2^(n-1))]" in str(module.__doc__)


@given(st.floats(0, 300), st.integers(1, 5))
def test_retry_after_is_a_floor(wish: float, before: int) -> None:
    """The wait is never shorter than the server's wish, and the wish makes no short wait of a long one."""
    waits = Waits()
    errors: list[tuple[TransferError, int]] = [(Broken("cut"), 0)] * before
    asyncio.run(tries(Budget(9, sleep=waits), [*errors, (Busy("503", retry_after=wish), 0)]))
    assert wish <= waits[-1] <= max(wish, 5.0)


async def test_progress_shortens_the_wait_again() -> None:
    """After new ground the wait begins at its first bound again."""
    waits = Waits()
    await tries(Budget(99, sleep=waits), [(Broken("cut"), 0)] * 10 + [(Broken("cut"), PROGRESS)] * 50)
    assert max(waits[10:]) <= 0.1


async def test_retrying_is_told() -> None:
    """An item that failed once says so, and says so no sooner."""
    budget = Budget(6, sleep=Waits())
    budget.begin()
    assert not budget.retrying
    await budget.spend(Stalled("silence"), gained=0)
    assert budget.retrying


async def test_a_cancelled_wait_ends_the_task() -> None:
    """Cancellation inside the wait is never swallowed: tenacity's predicates once did so."""
    asleep = asyncio.Event()
    goes_on = False

    async def for_ever(seconds: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    async def item() -> None:
        nonlocal goes_on
        await Budget(6, sleep=for_ever).spend(Broken("cut"), gained=0)
        goes_on = True

    task = asyncio.create_task(item())
    await asleep.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not goes_on


async def test_what_is_no_transfer_error_of_ours_is_raised() -> None:
    """A bare TransferError belongs to neither branch of the tree and is not retried."""
    error = TransferError("unknown")
    assert await tries(Budget(6, sleep=Waits()), [(error, 0)]) == 1


@pytest.mark.parametrize(("first", "second"), [*itertools.permutations([Stale("a"), Damaged("b"), Broken("c")], 2)])
async def test_kinds_share_one_budget(first: TemporaryError, second: TemporaryError) -> None:
    """Different temporary errors use the same tries."""
    assert await tries(Budget(4, sleep=Waits()), [(first, 0), (second, 0)] * 9) == 4
