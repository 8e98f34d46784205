"""What is missing and why, without reading a file."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from roco_async.config import FetchConfig
from roco_async.errors import DiskRefused
from roco_async.missing import find_missing, temporary_failures
from roco_async.records import ImageRecord

RECORD = ImageRecord("a", "PMC1", "a.jpg")
CONTENT = b"seven b"
THERE = {"t": 1, "status": "FETCHED", "bytes": 7, "md5": "a" * 32}
BUSY = {"t": 2, "status": "FAILED", "bytes": 0, "md5": None, "reason": "BUSY"}
LOST = BUSY | {"reason": "NO_MEDIA"}
BAD = {"t": 3, "status": "FAILED", "bytes": 7, "md5": "b" * 32, "reason": "DAMAGED"}


async def each(records: Iterable[ImageRecord]) -> AsyncIterator[ImageRecord]:
    for record in records:
        yield record


def write(out: Path, content: bytes | None, rows: Iterable[dict[str, Any]]) -> None:
    (out / ".roco" / "journal").mkdir(parents=True)
    lines = [json.dumps({"folder": "images", "file": "a.jpg"} | row) + "\n" for row in rows]
    (out / ".roco" / "journal" / "a.jsonl").write_text("".join(lines))
    if content is not None:
        (out / "images").mkdir()
        (out / "images" / "a.jpg").write_bytes(content)


@pytest.mark.parametrize(
    ("content", "rows", "lack", "again"),
    [
        (None, [], "NEVER_TRIED", False),
        (None, [THERE], "GONE", False),
        (None, [BUSY], "BUSY", True),
        (None, [THERE, BUSY], "BUSY", True),
        (None, [BUSY | {"reason": "OF_A_LATER_VERSION"}], "NEVER_TRIED", True),
        (None, [LOST], "NO_MEDIA", False),
        (b"", [THERE], "DAMAGED", False),
        (b"", [THERE, LOST], "NO_MEDIA", False),
        (CONTENT[:3], [THERE], "DAMAGED", False),
        (CONTENT[:3], [THERE, BUSY], "BUSY", True),
        (CONTENT, [THERE, BAD], "DAMAGED", True),
        (CONTENT, [THERE, BAD, BUSY | {"t": 4}], "BUSY", True),
        (CONTENT, [BAD], "DAMAGED", True),
        (CONTENT, [], None, False),
        (CONTENT, [THERE], None, False),
        (CONTENT, [BUSY], None, True),
        (CONTENT, [THERE, BUSY], None, True),
        (CONTENT, [THERE, BAD, THERE | {"t": 5}], None, False),
    ],
)
async def test_table(
    tmp_path: Path, content: bytes | None, rows: list[dict[str, Any]], lack: str | None, again: bool
) -> None:
    """Each pair of file and journal: why the image is missing, if it is, and whether a retry would take it."""
    write(tmp_path, content, rows)
    before = sorted(os.walk(tmp_path))
    config = FetchConfig(out=tmp_path)
    found = await find_missing(each([RECORD]), config)
    assert [one.name for one, _ in found.ordered] == ([lack] if lack else [])
    assert found.there == (lack is None)
    assert await temporary_failures(each([RECORD]), config) == ([RECORD] if again else [])
    assert sorted(os.walk(tmp_path)) == before


async def test_hostile_records(tmp_path: Path) -> None:
    """A record that would lead out is UNSAFE, a loss for good, and no retry takes it."""
    bad = [replace(RECORD, folder="../x"), replace(RECORD, id="a/b")]
    found = await find_missing(each(bad), FetchConfig(out=tmp_path))
    assert [(lack.name, len(records)) for lack, records in found.ordered] == [("UNSAFE", 2)]
    assert found.only_permanent_losses
    assert await temporary_failures(each(bad), FetchConfig(out=tmp_path)) == []


async def test_a_journal_that_cannot_be_read(tmp_path: Path) -> None:
    """A file where the journals should be is DiskRefused."""
    (tmp_path / ".roco").mkdir()
    (tmp_path / ".roco" / "journal").write_bytes(b"")
    with pytest.raises(DiskRefused):
        await find_missing(each([RECORD]), FetchConfig(out=tmp_path))
