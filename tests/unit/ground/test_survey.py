"""The dry run: counts without a request and without a byte written."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from roco_async.config import FetchConfig
from roco_async.errors import DiskRefused
from roco_async.records import ImageRecord
from roco_async.survey import Survey, survey
from tests.servers.pictures import tiny_jpeg

RECORDS = [ImageRecord(f"R{number}", f"PMC{number // 2}", "a.jpg") for number in range(10)]


async def each(records: Iterable[ImageRecord]) -> AsyncGenerator[ImageRecord, None]:
    for record in records:
        yield record


def put(out: Path, record: ImageRecord, content: bytes) -> None:
    (out / record.folder).mkdir(parents=True, exist_ok=True)
    (out / record.folder / f"{record.id}.jpg").write_bytes(content)


async def test_nothing_there(tmp_path: Path) -> None:
    """Of an empty folder everything is to be fetched, articles are counted once, and nothing is made."""
    out = tmp_path / "out"
    assert await survey(each(RECORDS), FetchConfig(out=out)) == Survey(images=10, articles=5, to_fetch=10)
    assert not out.exists()


async def test_what_is_there(tmp_path: Path) -> None:
    """A file with its row is there, one without is unchecked, one that is empty or of another size is fetched."""
    picture = tiny_jpeg()
    for record, content in zip(RECORDS, [picture, picture, b"", picture], strict=False):
        put(tmp_path, record, content)
    (tmp_path / ".roco" / "journal").mkdir(parents=True)
    row = f'{{"t":1,"folder":"images","file":"R0.jpg","status":"FETCHED","bytes":{len(picture)}}}\n'
    (tmp_path / ".roco" / "journal" / "a.jsonl").write_text(row)
    before = sorted(os.walk(tmp_path))
    wanted = [*RECORDS[:3], replace(RECORDS[3], size=1)]
    found = await survey(each(wanted), FetchConfig(out=tmp_path))
    assert found == Survey(images=4, articles=2, there=1, unchecked=1, to_fetch=2, sizes_known=1, bytes_known=1)
    assert sorted(os.walk(tmp_path)) == before


async def test_only_the_first(tmp_path: Path) -> None:
    """`limit` counts here as it does in a run."""
    assert (await survey(each(RECORDS), FetchConfig(out=tmp_path, limit=3))).images == 3


async def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    """A file where the images should be is DiskRefused."""
    (tmp_path / "images").write_bytes(b"")
    with pytest.raises(DiskRefused):
        await survey(each(RECORDS), FetchConfig(out=tmp_path))


async def test_hostile_records(tmp_path: Path) -> None:
    """A record that would lead out ends no survey, is not there, and is not to be fetched."""
    bad = [replace(RECORDS[0], folder="../x"), replace(RECORDS[0], id="a/b")]
    assert await survey(each(bad), FetchConfig(out=tmp_path)) == Survey(images=2, articles=1)
