"""The fault table of the cloud road, and of the ways to a host: every row is played for real."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from .rows_answers import ANSWERS
from .rows_bodies import BODIES
from .rows_listings import LISTINGS
from .rows_ways import WAYS
from .stage import Row, check
from .test_package_table import ROWS
from .way_stage import Row as WayRow
from .way_stage import check as check_way

CLOUD: Final = (*ANSWERS, *BODIES, *LISTINGS)
DOCS: Final = (Path(__file__).parents[2] / "docs/faults.md").read_text(encoding="utf-8")


def cases(rows: Sequence[Row | WayRow]) -> list[object]:
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


@pytest.mark.parametrize("row", cases(WAYS))
async def test_a_way_that_is_hard(row: WayRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS, a proxy, a name or an address ends as its row says, and nothing of another host is lost."""
    await check_way(row, tmp_path, monkeypatch)


def test_each_row_has_a_name_of_its_own() -> None:
    """No row hides another one."""
    names = [row.name for row in CLOUD] + [row.name for row in WAYS]
    assert len(names) == len(set(names))


def test_the_docs_count_the_rows() -> None:
    """docs/faults.md says how many rows each road has."""
    counts = Counter(road.name for row in ROWS for road in row.on)
    counts |= Counter({"cloud": len(CLOUD), "way": len(WAYS)})
    told = {road: int(number) for road, number in re.findall(r"^\| `(\w+)` \| (\d+) \|", DOCS, re.MULTILINE)}
    assert told == counts
