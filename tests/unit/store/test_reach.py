"""Journals and folders that cannot be reached, for want of a descriptor or by their names, end a run as a disk does."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from roco_async.errors import DiskRefused
from roco_async.records import ImageRecord, Outcome, Status
from roco_async.store.files import Files
from roco_async.store.inventory import Inventory
from roco_async.store.shelf import Shelf
from tests.servers.pictures import tiny_jpeg

RECORD = ImageRecord("a", "PMC1", "fig1.jpg")
NO_MORE = OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def failing(times: int, function: Callable[..., object]) -> Callable[..., object]:
    """Return the function, out of descriptors for so many calls."""
    left = [times]

    def call(*args: object, **kwargs: object) -> object:
        if left[0]:
            left[0] -= 1
            raise NO_MORE
        return function(*args, **kwargs)

    return call


async def test_no_descriptor_for_a_folder(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be read for want of a descriptor is DiskRefused, not an image's failure that nobody has."""
    shelf = Shelf(tmp_path, files)
    await shelf.open()
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", failing(1, os.scandir))
        with pytest.raises(DiskRefused, match="descriptors"):
            await shelf.find(RECORD)
    await shelf.aclose()


async def test_no_descriptor_for_the_journal(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that could not be written for want of a descriptor are not lost: they are written at the end."""
    shelf = Shelf(tmp_path, files)
    await shelf.open()
    outcome = Outcome(record=RECORD, status=Status.FETCHED, path=tmp_path / "images" / "a.jpg", bytes=7, md5="ab" * 16)
    monkeypatch.setattr(os, "open", failing(1, os.open))
    shelf.record([outcome] * 600)  # so many are written at once
    assert shelf._flushing is not None
    with pytest.raises(DiskRefused, match="descriptors"):
        await shelf._flushing
    with pytest.raises(DiskRefused, match="descriptors"):
        shelf.record([outcome])
    await shelf.aclose()
    assert shelf.journal_path is not None
    assert Path(shelf.journal_path).read_text().count("\n") == 601


async def test_no_descriptor_for_a_check(files: Files, tmp_path: Path) -> None:
    """A file that cannot be read for want of a descriptor is DiskRefused."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(tiny_jpeg())
    shelf = Shelf(tmp_path, files)
    await shelf.open()
    await shelf.look_into("images")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("roco_async.store.shelf.check_found", failing(1, len))
        with pytest.raises(DiskRefused, match="descriptors"):
            await shelf.find(RECORD)
    found = await shelf.find(RECORD)
    assert found is not None
    assert found.status is Status.SKIPPED
    await shelf.aclose()


@pytest.mark.parametrize("place", ["x" * 300, "/".join(["x" * 200] * 30)], ids=len)
async def test_an_output_folder_of_too_long_a_name(place: str, files: Files, tmp_path: Path) -> None:
    """An output folder that the file system has no name for is DiskRefused, to a run and to who only looks."""
    for reader in (Shelf(tmp_path / place, files), Inventory(tmp_path / place, files)):
        with pytest.raises(DiskRefused, match="too long"):
            await reader.open()
