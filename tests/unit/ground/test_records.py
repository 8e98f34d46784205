"""The words that travel: the report's counts, and what `--json` prints."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roco_async.errors import FetchIncomplete, Reason
from roco_async.records import FetchReport, ImageRecord, Outcome, Status

RECORD = ImageRecord("a", "PMC1", "a.jpg")

outcomes = st.one_of(
    st.builds(lambda size: Outcome(record=RECORD, status=Status.FETCHED, bytes=size), st.integers(0, 10**9)),
    st.builds(lambda size: Outcome(record=RECORD, status=Status.SKIPPED, bytes=size), st.integers(0, 10**9)),
    st.builds(lambda reason: Outcome(record=RECORD, status=Status.FAILED, reason=reason), st.sampled_from(Reason)),
)


@given(st.lists(outcomes, max_size=30))
def test_the_counts_add_up(row: list[Outcome]) -> None:
    """Fetched, skipped and failed make requested, reasons make failed, and bytes are of fetched images only."""
    report = FetchReport()
    report.extend(row)
    assert report.requested == len(row) == report.fetched + report.skipped + report.failed
    assert report.failed == sum(report.reasons.values()) == len(report.failures)
    assert report.bytes == sum(outcome.bytes for outcome in row if outcome.status is Status.FETCHED)
    assert report.complete is (report.failed == 0)
    assert report.only_permanent_losses is all(outcome.reason.permanent for outcome in row if outcome.reason)


@given(st.lists(outcomes, max_size=30))
def test_as_json(row: list[Outcome]) -> None:
    """The plain values are those of the command line's contract, with plain names of reasons."""
    report = FetchReport(elapsed=1.23456)
    report.extend(row)
    printed = json.loads(json.dumps(report.as_dict()))
    assert list(printed) == ["requested", "fetched", "skipped", "failed", "bytes", "elapsed", "reasons"]
    assert set(printed["reasons"]) <= {reason.name for reason in Reason}
    assert printed["elapsed"] == 1.235


def test_it_raises_only_for_failures() -> None:
    """`raise_for_failures` is silent as long as nothing is missing."""
    report = FetchReport()
    report.add(Outcome(record=RECORD, status=Status.SKIPPED))
    report.raise_for_failures()
    report.add(Outcome(record=RECORD, status=Status.FAILED, reason=Reason.NOT_FOUND))
    with pytest.raises(FetchIncomplete):
        report.raise_for_failures()
