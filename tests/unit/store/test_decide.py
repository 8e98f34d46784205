"""What is to be done about an image, row by row of the table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roco_async.records import ImageRecord
from roco_async.store.decide import Decision, decide
from roco_async.store.journal import Row

MD5, OTHER = "a" * 32, "b" * 32
THERE, FAILED = Row(True, 7, MD5, 1.0), Row(False, 0, None, 1.0)


def record(md5: str | None = None, size: int | None = None) -> ImageRecord:
    return ImageRecord("a", "PMC1", "a.jpg", md5=md5, size=size)


@pytest.mark.parametrize("size", [None, 0])
@pytest.mark.parametrize("row", [None, THERE, FAILED])
def test_none_or_empty(size: int | None, row: Row | None) -> None:
    """No file, or an empty one, is fetched whatever the journal says."""
    assert decide(record(), size, row) is Decision.FETCH


@pytest.mark.parametrize("row", [None, THERE, FAILED])
def test_not_the_size_that_the_list_says(row: Row | None) -> None:
    """A file of another size than the list's is fetched whatever the journal says."""
    assert decide(record(size=8), 7, row) is Decision.FETCH


@pytest.mark.parametrize("known", [record(), record(size=7), record(MD5), record(MD5.upper(), 7)])
def test_there_by_both(known: ImageRecord) -> None:
    """A file of the journal's size, and of the list's md5 in either case, is there."""
    assert decide(known, 7, THERE) is Decision.SKIP


def test_of_another_size_or_md5() -> None:
    """A file of another size than the journal's, or a row of another md5 than the list's, is fetched."""
    assert decide(record(), 8, THERE) is Decision.FETCH
    assert decide(record(OTHER), 7, THERE) is Decision.FETCH
    assert decide(record(MD5), 7, Row(True, 7, None, 1.0)) is Decision.FETCH


@pytest.mark.parametrize("row", [None, FAILED])
@pytest.mark.parametrize("known", [record(), record(MD5), record(size=7)])
def test_a_file_that_no_row_vouches_for(known: ImageRecord, row: Row | None) -> None:
    """A file without a row, or whose last word was a failure, is read, not fetched anew."""
    assert decide(known, 7, row) is Decision.CHECK


sizes = st.one_of(st.none(), st.integers(0, 3))
rows = st.one_of(
    st.none(), st.builds(Row, st.booleans(), st.integers(0, 3), st.sampled_from([None, MD5, OTHER]), st.just(1.0))
)


@given(size=sizes, row=rows, md5=st.sampled_from([None, MD5, OTHER]), told=sizes)
def test_nothing_is_skipped_without_a_witness(
    size: int | None, row: Row | None, md5: str | None, told: int | None
) -> None:
    """SKIP needs a file with bytes, a row that says so of the same size, and no word of the list against it."""
    if decide(record(md5, told), size, row) is Decision.SKIP:
        assert size
        assert row is not None
        assert row.there
        assert row.size == size
        assert md5 in (None, row.md5)
        assert told in (None, size)
