"""Rows that must not get lost: after a clock that was ahead, a refused write, a cancellation, and a torn line."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from roco_async.errors import DiskRefused, Reason
from roco_async.records import ImageRecord, Outcome, Status
from roco_async.store import journal as room
from roco_async.store.files import Files
from roco_async.store.inventory import Inventory
from roco_async.store.journal import Journal, Ledger, read_rows, rows_of
from roco_async.store.shelf import Shelf
from roco_async.store.verify import Finding, State, note

RECORD = ImageRecord("a", "PMC1", "fig1.jpg")
OLD, NEW = "a" * 32, "b" * 32
FAILURE = Outcome(record=RECORD, status=Status.FAILED, reason=Reason.BUSY, error="503")
DAMAGE = Finding(record=RECORD, state=State.DAMAGED, path="images/a.jpg", size=7, md5=NEW, fault="flipped")


def fetched(record: ImageRecord = RECORD, md5: str = NEW) -> Outcome:
    path = Path("images") / f"{record.id}.jpg"
    return Outcome(record=record, status=Status.FETCHED, path=path, bytes=7, md5=md5, source="cloud", url="http://h/a")


def many(start: int, stop: int) -> list[Outcome]:
    return [fetched(replace(RECORD, id=f"r{number}")) for number in range(start, stop)]


def journals(out: Path) -> Path:
    return out / ".roco" / "journal"


def rows(out: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(journals(out).glob("*")) for row in read_rows(str(path))]


class System:
    """`os` as the journal sees it, with a write of the test's own."""

    def __init__(self, write: Callable[[int, Any], int]) -> None:
        self.write = write

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


class SlowDisk:
    """Writes wait for leave, and the first ones are refused after it."""

    def __init__(self, refusals: int = 0) -> None:
        self._refusals = refusals
        self.begun, self.leave = threading.Event(), threading.Event()

    def write(self, descriptor: int, data: Any) -> int:
        self.begun.set()
        assert self.leave.wait(20)
        if self._refusals:
            self._refusals -= 1
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        return os.write(descriptor, data)


async def closing(shelf: Shelf, disk: SlowDisk, monkeypatch: pytest.MonkeyPatch) -> asyncio.Task[None]:
    """Close a shelf that has three more rows while its disk is at work on the first batch."""
    monkeypatch.setattr(room, "os", System(disk.write))
    await shelf.open()
    shelf.record(many(0, 512))
    await asyncio.to_thread(disk.begun.wait, 20)
    shelf.record(many(512, 515))
    task = asyncio.create_task(shelf.aclose())
    await asyncio.sleep(0)
    return task


class TestClock:
    @pytest.fixture(autouse=True)
    def _ahead(self, tmp_path: Path) -> None:
        """There is a row that was written while the clock was an hour ahead, in a journal that is read last."""
        journals(tmp_path).mkdir(parents=True)
        (line,) = rows_of([fetched(md5=OLD)]).splitlines()
        row = json.loads(line) | {"t": round(time.time(), 3) + 3600}
        (journals(tmp_path) / "9.jsonl").write_text(json.dumps(row) + "\n")

    @pytest.mark.parametrize(
        "outcome", [fetched(), replace(fetched(), url=None), FAILURE], ids=["short", "long", "not"]
    )
    async def test_a_run(self, outcome: Outcome, files: Files, tmp_path: Path) -> None:
        """What a run writes of an image comes after all that it has read of it."""
        shelf = Shelf(tmp_path, files)
        await shelf.open()
        shelf.record([outcome, fetched(replace(RECORD, id="other"))])
        await shelf.aclose()
        found = await files.call(Ledger.read, str(journals(tmp_path)))
        row, other = found.row("images", "a.jpg"), found.row("images", "other.jpg")
        assert row is not None
        assert other is not None
        assert (row.there, row.md5) == ((True, NEW) if outcome is not FAILURE else (False, OLD))
        assert other.time < row.time - 3000, "an image of which nothing is known has the time as it is"

    async def test_a_check(self, files: Files, tmp_path: Path) -> None:
        """Damage that is noted, and what mends it after that, count as well."""
        inventory = Inventory(tmp_path, files)
        await inventory.open()
        await files.call(note, inventory, [DAMAGE])
        row = (await files.call(Ledger.read, str(journals(tmp_path)))).row("images", "a.jpg")
        assert row is not None
        assert (row.there, row.bad) == (False, NEW)
        await self.test_a_run(fetched(), files, tmp_path)


def test_a_time_at_the_end_of_all_times(tmp_path: Path) -> None:
    """A foreign row of the greatest time there is makes no row that cannot be read."""
    row = {"t": math.nextafter(math.inf, 0), "folder": "images", "file": "a.jpg", "status": "FAILED"}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "b.jsonl").write_bytes(rows_of([fetched(), *many(0, 1)], Ledger.read(str(tmp_path))))
    found = Ledger.read(str(tmp_path))
    assert found.row("images", "a.jpg") is not None
    assert found.row("images", "r0.jpg") is not None


class TestEnd:
    async def test_a_write_that_is_refused_as_the_run_ends(
        self, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A batch that the disk refuses while the shelf is closed is written once more, and no row is lost."""
        shelf, disk = Shelf(tmp_path, files), SlowDisk(refusals=1)
        task = await closing(shelf, disk, monkeypatch)
        disk.leave.set()
        await task
        assert len({row["file"] for row in rows(tmp_path)}) == 515

    async def test_a_disk_that_refuses_all(self, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A disk that refuses the last batches too is told by `aclose`."""
        shelf, disk = Shelf(tmp_path, files), SlowDisk(refusals=1000)
        task = await closing(shelf, disk, monkeypatch)
        disk.leave.set()
        with pytest.raises(DiskRefused, match="quota"):
            await task

    @pytest.mark.parametrize("refusals", [0, 1])
    async def test_cancelled(
        self, refusals: int, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A cancellation of the last write goes on once all rows are written, however often it comes."""
        shelf, disk = Shelf(tmp_path, files), SlowDisk(refusals)
        task = await closing(shelf, disk, monkeypatch)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        disk.leave.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len({row["file"] for row in rows(tmp_path)}) == 515


@pytest.mark.parametrize("taken", [0, 1, 60, 200])
def test_a_write_that_was_taken_in_part(taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that the disk took a part of and is given again is whole: its first row is not glued to the torn one."""
    steps = [taken, None] if taken else [None]

    def write(descriptor: int, data: Any) -> int:
        if not steps:
            return os.write(descriptor, data)
        if (most := steps.pop(0)) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(descriptor, data[:most])

    journal = Journal(str(tmp_path))
    journal.write(rows_of(many(0, 1)))
    batch = rows_of(many(1, 4))
    with monkeypatch.context() as patch:
        patch.setattr(room, "os", System(write))
        with pytest.raises(OSError, match="No space"):
            journal.write(batch)
        journal.write(batch)
    journal.write(rows_of(many(4, 5)))
    journal.close()
    (path,) = tmp_path.iterdir()
    assert [row["file"] for row in read_rows(str(path))] == [
        *(["r0.jpg", "r1.jpg"] if taken == 200 else ["r0.jpg"]), "r1.jpg", "r2.jpg", "r3.jpg", "r4.jpg",
    ]  # fmt: skip


async def test_a_folder_that_went_between_two_runs(files: Files, tmp_path: Path) -> None:
    """A second run on one disk makes the folders again that somebody took away after the first."""
    data = b"\xff\xd8\xff and so on \xff\xd9"
    for _ in range(2):
        shelf = Shelf(tmp_path / "out", files)
        await shelf.open()
        receiver = shelf.receiver(shelf.path(RECORD), RECORD.name, md5=hashlib.md5(data).hexdigest(), size=None)
        await receiver.feed(data)
        await receiver.finish()
        await shelf.aclose()
        assert (tmp_path / "out/images/a.jpg").read_bytes() == data
        (tmp_path / "out/images/a.jpg").unlink()
        (tmp_path / "out/images").rmdir()
