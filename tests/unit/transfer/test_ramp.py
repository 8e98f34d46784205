"""The watch over the first climb, fed by hand."""

from __future__ import annotations

import pytest

from roco_async.transfer.ramp import FAR, FAST, Ramp

START = 4
SIZE = 100_000


def watched(took: float = 1.0, *, epoch: float = 0.0) -> Ramp:
    """A watch that has seen its first transfers, all at once and as long as each other."""
    ramp = Ramp(START)
    for _ in range(START):
        ramp.moved(SIZE)
        ramp.succeeded(epoch + took, began=epoch, limit=START)
    return ramp


def test_a_far_line_without_a_queue_is_climbed_fast() -> None:
    """A transfer that takes no longer than the quickest adds more than one slot."""
    assert watched().succeeded(2.0, began=1.0, limit=8) == FAST > 1


@pytest.mark.parametrize(
    ("took", "limit"), [(1.5, 8), (1.0, 16)], ids=["slower than the quickest", "too far ahead of what has ended"]
)
def test_a_far_line_is_climbed_by_one_in_doubt(took: float, limit: int) -> None:
    """A transfer that has waited, or whose like have been overtaken by new ones, adds one slot."""
    assert watched().succeeded(1.0 + took, began=1.0, limit=limit) == 1


def test_a_near_line_is_climbed_by_one() -> None:
    """Where a transfer is short any climb is over soon."""
    assert watched(FAR / 2).succeeded(FAR, began=FAR / 2, limit=8) == 1


def test_a_drop_ends_the_fast_climb() -> None:
    """After a drop each success adds one, however quick it was."""
    ramp = watched()
    ramp.dropped()
    assert ramp.succeeded(2.0, began=1.0, limit=8) == 1


@pytest.mark.parametrize("epoch", [0.0, 9500.0])
def test_slower_transfers_that_bring_less_are_a_collapse(epoch: float) -> None:
    """Where transfers take longer and fewer bytes come the climb went too far, and the best limit is known."""
    ramp = watched(epoch=epoch)
    for _ in range(2):
        ramp.moved(SIZE)
        ramp.succeeded(epoch + 4.0, began=epoch + 1.0, limit=8)
    assert ramp.has_collapsed
    assert ramp.peak_limit == START


def test_slower_transfers_that_bring_as_much_are_a_full_line() -> None:
    """Where transfers take longer and the bytes stay the line is shared, and nothing has collapsed."""
    ramp = watched()
    for end in range(6, 20):
        ramp.moved(SIZE)
        ramp.succeeded(end / 4, began=end / 4 - 2, limit=8)
    assert not ramp.has_collapsed


def test_one_slow_transfer_is_no_collapse() -> None:
    """A single slow transfer may be a large image or a slow answer."""
    ramp = watched()
    ramp.succeeded(5.0, began=1.0, limit=8)
    assert not ramp.has_collapsed
