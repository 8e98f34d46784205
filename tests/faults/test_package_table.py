"""The fault table of the package roads: every row is played for real, on each of its roads."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from .package_stage import Road, Row, cases, check
from .rows_archives import ARCHIVES
from .rows_folder import FOLDER
from .rows_ftp import FTP_TALK
from .rows_ftp_data import FTP_DATA
from .rows_mirror import MIRROR
from .rows_packages import PACKAGES

ROWS: Final = (*ARCHIVES, *PACKAGES, *MIRROR, *FTP_TALK, *FTP_DATA, *FOLDER)


@pytest.mark.parametrize(("row", "road"), cases(ARCHIVES))
async def test_a_package_that_is_wrong(row: Row, road: Road, tmp_path: Path) -> None:
    """Whatever a package is, its pictures end as the row says on every road, and nothing beside it is lost."""
    await check(row, road, tmp_path)


@pytest.mark.parametrize(("row", "road"), cases(PACKAGES))
async def test_a_way_that_breaks(row: Row, road: Road, tmp_path: Path) -> None:
    """A line that is cut or falls silent and a package that changes end as the row says, and nothing is lost beside."""
    await check(row, road, tmp_path)


@pytest.mark.parametrize(("row", "road"), cases(MIRROR))
async def test_a_mirror_that_answers_wrongly(row: Row, road: Road, tmp_path: Path) -> None:
    """A status, a header, a redirect, a range or a coding ends as its row says, and nothing beside it is lost."""
    await check(row, road, tmp_path)


@pytest.mark.parametrize(("row", "road"), cases(FTP_TALK))
async def test_an_ftp_server_that_says_otherwise(row: Row, road: Road, tmp_path: Path) -> None:
    """A reply at any step before the transfer ends as its row says, and nothing beside it is lost."""
    await check(row, road, tmp_path)


@pytest.mark.parametrize(("row", "road"), cases(FTP_DATA))
async def test_an_ftp_transfer_that_fails(row: Row, road: Road, tmp_path: Path) -> None:
    """A data connection, or what is said to it, ends as its row says, and nothing beside it is lost."""
    await check(row, road, tmp_path)


@pytest.mark.parametrize(("row", "road"), cases(FOLDER))
async def test_a_folder_that_errs(row: Row, road: Road, tmp_path: Path) -> None:
    """What stands in a package's place, and what the system says of it, ends as its row says, alone."""
    await check(row, road, tmp_path)


def test_each_row_has_a_name_of_its_own() -> None:
    """No row hides another one of its road."""
    names = [(road.name, row.name) for row in ROWS for road in row.on]
    assert [name for name, count in Counter(names).items() if count > 1] == []
