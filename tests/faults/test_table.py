"""The fault table of the cloud road: every row is played for real."""

from __future__ import annotations

from pathlib import Path

import pytest

from .rows_answers import ANSWERS
from .rows_bodies import BODIES
from .rows_listings import LISTINGS
from .stage import Row, check


def cases(rows: tuple[Row, ...]) -> list[object]:
    return [pytest.param(row, id=row.name) for row in rows]


@pytest.mark.parametrize("row", cases(ANSWERS))
async def test_an_answer_that_is_wrong(row: Row, tmp_path: Path) -> None:
    """A status, a broken connection or a redirect ends as its row says, and nothing beside it is lost."""
    await check(row, tmp_path / "out")


@pytest.mark.parametrize("row", cases(BODIES))
async def test_a_body_that_is_wrong(row: Row, tmp_path: Path) -> None:
    """Content, framing, range, validator or coding ends as its row says, and nothing beside it is lost."""
    await check(row, tmp_path / "out")


@pytest.mark.parametrize("row", cases(LISTINGS))
async def test_a_listing_or_name_that_is_odd(row: Row, tmp_path: Path) -> None:
    """A listing, a version or a name ends as its row says, and nothing beside it is lost."""
    await check(row, tmp_path / "out")


def test_each_row_has_a_name_of_its_own() -> None:
    """No row hides another one."""
    names = [row.name for row in (*ANSWERS, *BODIES, *LISTINGS)]
    assert len(names) == len(set(names))
