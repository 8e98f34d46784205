"""The shelf: what is there and what is to be fetched, and rows written in batches."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from roco_async.errors import DiskRefused, Reason, Unsafe
from roco_async.records import ImageRecord, Outcome, Status
from roco_async.store.decide import Decision
from roco_async.store.files import Files
from roco_async.store.shelf import Shelf
from tests.servers.pictures import tiny_jpeg

PICTURE = tiny_jpeg()
MD5 = hashlib.md5(PICTURE).hexdigest()
RECORD = ImageRecord("a", "PMC1", "fig1.jpg")


@pytest.fixture
async def shelf(files: Files, tmp_path: Path) -> AsyncIterator[Shelf]:
    """The shelf of one run, open."""
    made = Shelf(tmp_path, files)
    await made.open()
    yield made
    await made.aclose()


def put(out: Path, content: bytes = PICTURE, name: str = "images/a.jpg") -> Path:
    path = out / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def fetched(record: ImageRecord = RECORD, **fields: Any) -> Outcome:
    told: dict[str, Any] = {"path": Path("images") / f"{record.id}.jpg", "bytes": len(PICTURE), "md5": MD5} | fields
    return Outcome(record=record, status=Status.FETCHED, **told)


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(out.glob(".roco/journal/*")) for line in path.read_text().splitlines()]


async def run(files: Files, out: Path, outcomes: list[Outcome]) -> None:
    """One run that ends with these outcomes."""
    shelf = Shelf(out, files)
    await shelf.open()
    shelf.record(outcomes)
    await shelf.aclose()


class TestFind:
    async def test_nothing_there(self, shelf: Shelf, tmp_path: Path) -> None:
        """An image without a file is to be fetched, and looking makes no folder."""
        assert await shelf.find(RECORD) is None
        assert os.listdir(tmp_path) == []

    async def test_there_by_its_row(self, files: Files, tmp_path: Path) -> None:
        """A file that a former run's row vouches for is SKIPPED with that row's words, without being read."""
        path = put(tmp_path, b"x" * len(PICTURE))
        await run(files, tmp_path, [fetched()])
        shelf = Shelf(tmp_path, files)
        await shelf.open()
        found = await shelf.find(RECORD)
        assert found == Outcome(record=RECORD, status=Status.SKIPPED, path=path, bytes=len(PICTURE), md5=MD5)
        await shelf.aclose()

    async def test_there_without_a_row(self, shelf: Shelf, tmp_path: Path) -> None:
        """A good file without a row is read, SKIPPED, and gets its row for the next run."""
        put(tmp_path)
        found = await shelf.find(RECORD)
        assert found is not None
        assert (found.status, found.md5, found.verified) == (Status.SKIPPED, MD5, None)
        await shelf.aclose()
        assert [(row["file"], row["status"], row["md5"]) for row in rows(tmp_path)] == [("a.jpg", "SKIPPED", MD5)]

    @pytest.mark.parametrize("content", [b"", PICTURE[:-1], b"<html>", b"hello"])
    async def test_a_damaged_file_is_fetched(self, shelf: Shelf, tmp_path: Path, content: bytes) -> None:
        """A file without a row that is no whole picture is to be fetched, and gets no row."""
        put(tmp_path, content)
        assert await shelf.find(RECORD) is None
        await shelf.aclose()
        assert rows(tmp_path) == []

    @pytest.mark.parametrize(("md5", "verified"), [(MD5, "md5"), (MD5.upper(), "md5"), ("0" * 32, None)])
    async def test_held_against_the_lists_md5(
        self, shelf: Shelf, tmp_path: Path, md5: str, verified: str | None
    ) -> None:
        """A list's md5 decides about a file without a row, and `verified` says so."""
        put(tmp_path)
        found = await shelf.find(replace(RECORD, md5=md5))
        assert (found.verified if found else None) == verified

    async def test_after_a_failure_the_file_is_read(self, files: Files, tmp_path: Path) -> None:
        """A file whose last row is a failure is read, not trusted and not fetched anew."""
        put(tmp_path)
        await run(files, tmp_path, [Outcome(record=RECORD, status=Status.FAILED, reason=Reason.DAMAGED)])
        shelf = Shelf(tmp_path, files)
        await shelf.open()
        found = await shelf.find(RECORD)
        assert found is not None
        assert found.status is Status.SKIPPED
        await shelf.aclose()
        assert [row["status"] for row in rows(tmp_path)] == ["FAILED", "SKIPPED"]

    @pytest.mark.parametrize(
        "record", [replace(RECORD, id="../x"), replace(RECORD, folder=".roco"), replace(RECORD, name="")]
    )
    async def test_an_image_without_a_name_is_a_value(self, shelf: Shelf, record: ImageRecord) -> None:
        """A record that would lead out of the folder is a FAILED outcome, not an exception."""
        found = await shelf.find(record)
        assert found is not None
        assert (found.status, found.reason) == (Status.FAILED, Reason.UNSAFE)
        with pytest.raises(Unsafe):
            shelf.path(record)

    async def test_a_folder_that_no_disk_takes(self, shelf: Shelf) -> None:
        """A folder whose name is too long for the file system ends no run: its images fail one by one."""
        record = replace(RECORD, folder="x" * 300)
        assert await shelf.find(record) is None
        receiver = shelf.receiver(shelf.path(record), record.name, md5=None, size=None)
        await receiver.feed(PICTURE)
        with pytest.raises(Unsafe):
            await receiver.finish()

    async def test_a_folder_is_looked_into_once(self, shelf: Shelf, tmp_path: Path) -> None:
        """One scandir tells of a folder's images: what comes later by another hand is not seen."""
        assert await shelf.find(RECORD) is None
        put(tmp_path)
        assert await shelf.find(RECORD) is None

    async def test_a_file_that_goes_meanwhile(self, shelf: Shelf, tmp_path: Path) -> None:
        """A file that is gone when it is to be read is to be fetched."""
        path = put(tmp_path)
        await shelf.look_into("images")
        path.unlink()
        assert await shelf.find(RECORD) is None

    async def test_a_folder_that_is_a_file(self, shelf: Shelf, tmp_path: Path) -> None:
        """A file where the folder should be ends the run."""
        put(tmp_path, name="images")
        with pytest.raises(DiskRefused):
            await shelf.find(RECORD)

    @pytest.mark.parametrize("size", [None, 0, len(PICTURE), len(PICTURE) + 1])
    @pytest.mark.parametrize("told", [None, "came", "failed"])
    @pytest.mark.parametrize("listed", [None, MD5, "0" * 32])
    async def test_at_once_and_looked_closer(
        self, files: Files, tmp_path: Path, size: int | None, told: str | None, listed: str | None
    ) -> None:
        """What `has` tells at once `find` finds too, and it tells it of all that came and lies there as it was."""
        record = replace(RECORD, md5=listed)
        if size is not None:
            put(tmp_path, (PICTURE + b"x")[:size])
        if told is not None:
            failure = Outcome(record=record, status=Status.FAILED, reason=Reason.NOT_FOUND)
            await run(files, tmp_path, [fetched() if told == "came" else failure])
        shelf = Shelf(tmp_path, files)
        await shelf.open()
        assert not shelf.has(record)  # nobody has looked into the folder
        found = await shelf.find(record)
        as_it_was = (size, told) == (len(PICTURE), "came") and listed in (None, MD5)
        assert shelf.has(record) is as_it_was
        assert found is not None or not as_it_was
        await shelf.aclose()

    async def test_deciding_does_no_io(self, shelf: Shelf, tmp_path: Path) -> None:
        """`decide` says CHECK of an unknown file and leaves the reading to `find`."""
        put(tmp_path)
        await shelf.look_into("images")
        assert shelf.decide(RECORD) is Decision.CHECK
        assert shelf.decide(replace(RECORD, id="b")) is Decision.FETCH


class TestRows:
    async def test_no_row_no_file(self, shelf: Shelf, tmp_path: Path) -> None:
        """A run without an outcome leaves no journal and no folder."""
        shelf.record([])
        await shelf.aclose()
        assert (shelf.journal_path, os.listdir(tmp_path)) == (None, [])

    async def test_in_batches(self, files: Files, tmp_path: Path) -> None:
        """A thousand outcomes are all written, by the end at the latest, those that were there already excepted."""
        records = [replace(RECORD, id=f"r{number}") for number in range(1000)]
        there = Outcome(record=RECORD, status=Status.SKIPPED, path=Path("a.jpg"))
        await run(files, tmp_path, [*map(fetched, records), there])
        assert [row["file"] for row in rows(tmp_path)] == [f"{record.id}.jpg" for record in records]

    async def test_soon(self, shelf: Shelf, tmp_path: Path) -> None:
        """A full batch is written while the run goes on, so that a kill loses little."""
        shelf.record([fetched(replace(RECORD, id=f"r{number}")) for number in range(512)])
        while (
            shelf.journal_path is None
            or (await asyncio.to_thread(Path(shelf.journal_path).read_bytes)).count(b"\n") < 512
        ):
            await asyncio.sleep(0.001)
        assert len(rows(tmp_path)) == 512

    async def test_a_second_run_skips(self, files: Files, tmp_path: Path) -> None:
        """What one run has recorded the next one takes for there."""
        put(tmp_path)
        await run(files, tmp_path, [fetched()])
        shelf = Shelf(tmp_path, files)
        await shelf.open()
        await shelf.look_into("images")
        assert isinstance(shelf.decide(RECORD), Outcome)
        await shelf.aclose()


class TestRefused:
    async def test_at_the_end(self, files: Files, mount_tmpfs: Callable[[str], Path]) -> None:
        """A journal that cannot be written is told by `aclose` at the latest."""
        shelf = Shelf(mount_tmpfs("ro"), files)
        await shelf.open()
        shelf.record([fetched()])
        with pytest.raises(DiskRefused):
            await shelf.aclose()

    @pytest.mark.parametrize("more", [True, False])
    async def test_in_the_middle(self, files: Files, mount_tmpfs: Callable[[str], Path], more: bool) -> None:
        """A batch that could not be written is told with the next outcome, or by `aclose` if there is none."""
        shelf = Shelf(mount_tmpfs("ro"), files)
        await shelf.open()
        shelf.record([fetched(replace(RECORD, id=f"r{number}")) for number in range(512)])
        assert shelf._flushing is not None
        await asyncio.wait([shelf._flushing])
        if more:
            with pytest.raises(DiskRefused):
                shelf.record([fetched()])
        with pytest.raises(DiskRefused):
            await shelf.aclose()

    async def test_a_journal_that_cannot_be_read(self, files: Files, tmp_path: Path) -> None:
        """A file where the journals should be refuses at the opening."""
        put(tmp_path, name=".roco/journal")
        with pytest.raises(DiskRefused):
            await Shelf(tmp_path, files).open()
