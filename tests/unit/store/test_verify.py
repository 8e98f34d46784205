"""What a look at the disk finds, and what the next fetch makes of it."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from roco_async.errors import DiskRefused, Reason
from roco_async.records import ImageRecord, Outcome, Status
from roco_async.store import verify as room
from roco_async.store.decide import is_known_bad, wanted_md5
from roco_async.store.files import Files, Found
from roco_async.store.inventory import GONE, NEVER_TRIED, Inventory, Place, why_missing
from roco_async.store.journal import Ledger, Row
from roco_async.store.shelf import Shelf
from roco_async.store.verify import Finding, State, Verifier, judge, note
from tests.servers.pictures import tiny_jpeg

GOOD, OTHER = tiny_jpeg(), tiny_jpeg(b"other")
MD5 = hashlib.md5(GOOD).hexdigest()
BAD = GOOD[:30] + bytes([GOOD[30] ^ 1]) + GOOD[31:]
RECORD = ImageRecord("a", "PMC1", "fig1.jpg")
THERE = Row(True, len(GOOD), MD5, 1.0)


def put(out: Path, content: bytes, name: str = "images/a.jpg") -> Path:
    path = out / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def fetched(record: ImageRecord = RECORD, content: bytes = GOOD) -> Outcome:
    return Outcome(
        record=record,
        status=Status.FETCHED,
        path=Path(f"images/{record.id}.jpg"),
        bytes=len(content),
        md5=hashlib.md5(content).hexdigest(),
    )


def failed(reason: Reason = Reason.BUSY, record: ImageRecord = RECORD) -> Outcome:
    return Outcome(record=record, status=Status.FAILED, reason=reason, error="so it was")


async def a_run(files: Files, out: Path, *outcomes: Outcome) -> None:
    """Write a journal, as a run that ended so does."""
    shelf = Shelf(out, files)
    await shelf.open()
    shelf.record(outcomes)
    await shelf.aclose()


async def each(records: Iterable[ImageRecord]) -> AsyncIterator[ImageRecord]:
    for record in records:
        yield record


async def look(files: Files, out: Path, *records: ImageRecord, noting: bool = False) -> list[Finding]:
    inventory = Inventory(out, files)
    await inventory.open()
    async with aclosing(Verifier(inventory).findings(each(records))) as findings:
        found = [finding async for finding in findings]
    if noting:
        await files.call(note, inventory, found)
    return found


async def would_fetch(files: Files, out: Path, record: ImageRecord = RECORD) -> bool:
    """Whether a run asks the network for the image."""
    shelf = Shelf(out, files)
    await shelf.open()
    outcome = await shelf.find(record)
    await shelf.aclose()
    return outcome is None


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(out.glob(".roco/journal/*")) for line in path.read_text().splitlines()]


class TestJudge:
    @pytest.mark.parametrize(
        ("record", "row", "found", "state"),
        [
            (RECORD, THERE, Found(len(GOOD), MD5, None), State.VERIFIED),
            (replace(RECORD, md5=MD5.upper()), None, Found(len(GOOD), MD5, None), State.VERIFIED),
            (RECORD, Row(False, len(GOOD), MD5, 1.0, Reason.BUSY), Found(len(GOOD), MD5, None), State.VERIFIED),
            (RECORD, None, Found(len(GOOD), MD5, None), State.UNRECORDED),
            (RECORD, Row(False, 0, None, 1.0, Reason.BUSY), Found(len(GOOD), MD5, None), State.UNRECORDED),
            (RECORD, THERE, Found(len(GOOD), "b" * 32, "md5 b where a is wanted"), State.DAMAGED),
            (RECORD, THERE, Found(5, "b" * 32, None), State.DAMAGED),
            (RECORD, None, Found(0, "b" * 32, None), State.DAMAGED),
            (RECORD, None, Found(9, "b" * 32, "a page of HTML or XML"), State.DAMAGED),
            (replace(RECORD, size=1), None, Found(9, "b" * 32, None), State.DAMAGED),
            (RECORD, Row(False, 0, None, 1.0, Reason.DAMAGED, MD5), Found(len(GOOD), MD5, None), State.DAMAGED),
        ],
    )
    def test_table(self, record: ImageRecord, row: Row | None, found: Found, state: State) -> None:
        """Each row of the table: verified by a known md5, unrecorded without one, damaged by any fault."""
        finding = judge(record, Place("images/a.jpg", found.size, row), found)
        assert finding.state is state
        assert (finding.fault is None) is (state is not State.DAMAGED)

    def test_the_lists_md5_outranks_the_journal(self) -> None:
        """A file of the list's md5 is good although an earlier check called its bytes bad, and of any size."""
        row = Row(False, 5, "b" * 32, 1.0, Reason.DAMAGED, MD5)
        finding = judge(replace(RECORD, md5=MD5), Place("a", 9, row), Found(9, MD5, None))
        assert finding.state is State.VERIFIED
        assert wanted_md5(replace(RECORD, md5=MD5), row) == MD5
        assert not is_known_bad(replace(RECORD, md5=MD5), row, MD5)

    @pytest.mark.parametrize(
        ("row", "lack"),
        [(None, "NEVER_TRIED"), (THERE, "GONE"), (Row(False, 0, None, 1.0, Reason.NO_MEDIA), "NO_MEDIA"),
         (Row(False, 0, None, 1.0), "NEVER_TRIED")],
    )  # fmt: skip
    def test_why_it_is_missing(self, row: Row | None, lack: str) -> None:
        """A missing image has the journal's reason, or one of the two words for having none."""
        assert why_missing(row).name == lack
        assert not NEVER_TRIED.permanent
        assert not GONE.permanent


class TestFindings:
    async def test_each_kind(self, files: Files, tmp_path: Path) -> None:
        """A good, a flipped, a cut, an unrecorded, a deleted and a hostile image are each found to be that."""
        names = ["good", "flipped", "cut", "foreign", "gone"]
        by_id = {name: replace(RECORD, id=name) for name in names} | {"bad": replace(RECORD, id="../bad")}
        for name, content in zip(names, [GOOD, BAD, GOOD[:-9], OTHER], strict=False):
            put(tmp_path, content, f"images/{name}.jpg")
        await a_run(files, tmp_path, *(fetched(by_id[name]) for name in names if name != "foreign"))
        found = {one.record.id: one for one in await look(files, tmp_path, *by_id.values())}
        assert {name: str(one.state) for name, one in found.items()} == {
            "good": "VERIFIED", "flipped": "DAMAGED", "cut": "DAMAGED", "foreign": "UNRECORDED", "gone": "MISSING",
            "../bad": "MISSING",
        }  # fmt: skip
        assert found["cut"].fault == f"cut: {len(GOOD) - 9} of {len(GOOD)} bytes"
        assert MD5 in str(found["flipped"].fault)
        assert [found[name].lack.name for name in ("gone", "../bad")] == ["GONE", "UNSAFE"]  # type: ignore[union-attr]

    async def test_nothing_is_changed(self, files: Files, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Looking makes, moves and removes no file: a dead run's temporary file stays too."""
        tmp_path = tmp_path_factory.mktemp("out")  # `tmp_path` may have no temporary file after a test
        put(tmp_path, BAD)
        put(tmp_path, b"x", f"images/.roco-{os.uname().nodename}-1-1-abcdef-0.part")
        put(tmp_path, b"x", "images/notes.txt")
        before = sorted(os.walk(tmp_path))
        inventory = Inventory(tmp_path, files)
        await inventory.open()
        async with aclosing(Verifier(inventory).findings(each([RECORD]))) as findings:
            assert [one.state async for one in findings] == [State.UNRECORDED]
        assert inventory.unnamed() == ["images/notes.txt"]
        assert sorted(os.walk(tmp_path)) == before

    async def test_an_empty_folder(self, files: Files, tmp_path: Path) -> None:
        """Without a folder every image is missing, and none is made."""
        found = await look(files, tmp_path / "none", RECORD, replace(RECORD, folder="x" * 300))
        assert [one.state for one in found] == [State.MISSING] * 2
        assert not (tmp_path / "none").exists()

    async def test_many_at_once(self, files: Files, tmp_path: Path) -> None:
        """A thousand images come out once each, whatever the batches and the threads."""
        records = [replace(RECORD, id=f"r{number}") for number in range(1000)]
        for record in records[::2]:
            put(tmp_path, GOOD, f"images/{record.id}.jpg")
        found = await look(files, tmp_path, *records)
        assert sorted(one.record.id for one in found) == sorted(record.id for record in records)
        assert sum(one.state is State.UNRECORDED for one in found) == 500

    async def test_as_many_threads_as_workers(
        self, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Three workers read three batches at the same time."""
        together = threading.Barrier(3, timeout=10)

        def meet(record: ImageRecord, place: Place) -> Finding:
            if record.id in ("r0", "r64", "r128"):
                together.wait()
            return Finding(record=record, state=State.VERIFIED)

        monkeypatch.setattr(room, "examine", meet)
        records = [replace(RECORD, id=f"r{number}") for number in range(192)]
        for record in records:
            put(tmp_path, GOOD, f"images/{record.id}.jpg")
        inventory = Inventory(tmp_path, files)
        async with aclosing(Verifier(inventory, workers=3).findings(each(records))) as findings:
            assert len([one async for one in findings]) == 192

    async def test_leaving_early_ends_the_threads(
        self, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever leaves the loop waits for one file a thread, not for the list."""
        read: list[str] = []

        def slowly(record: ImageRecord, place: Place) -> Finding:
            read.append(record.id)
            threading.Event().wait(0.01)
            return Finding(record=record, state=State.VERIFIED)

        monkeypatch.setattr(room, "examine", slowly)
        records = [replace(RECORD, id=f"r{number}") for number in range(1000)]
        for record in records:
            put(tmp_path, GOOD, f"images/{record.id}.jpg")
        async with aclosing(Verifier(Inventory(tmp_path, files), workers=2).findings(each(records))) as findings:
            await anext(findings)
        count = len(read)
        assert count < 300
        await asyncio.sleep(0.05)
        assert len(read) == count, "no thread goes on"

    async def test_drained(self, files: Files, tmp_path: Path) -> None:
        """A drained check ends by itself, with what was under way."""
        records = [replace(RECORD, id=f"r{number}") for number in range(500)]
        verifier = Verifier(Inventory(tmp_path, files))
        seen = 0
        async with aclosing(verifier.findings(each(records))) as findings:
            async for _ in findings:
                seen += 1
                verifier.drain()
        assert seen == 1

    @pytest.mark.parametrize("number", [errno.EIO, errno.EUCLEAN])
    async def test_a_bad_sector(
        self, number: int, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file that the disk cannot read is damaged and ends nothing; the next fetch replaces it."""

        def broken(*_: object) -> Found:
            raise OSError(number, os.strerror(number))

        put(tmp_path, GOOD)
        await a_run(files, tmp_path, fetched())
        monkeypatch.setattr(room, "check_found", broken)
        (found,) = await look(files, tmp_path, RECORD, noting=True)
        assert (found.state, found.md5) == (State.DAMAGED, None)
        monkeypatch.setattr("roco_async.store.shelf.check_found", broken)
        assert await would_fetch(files, tmp_path)

    async def test_a_file_that_may_not_be_read(
        self, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file that is not ours to read ends the check, in words of the disk, however many there are."""

        def forbidden(*_: object) -> Found:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(room, "check_found", forbidden)
        records = [replace(RECORD, id=f"r{number}") for number in range(300)]
        for record in records:
            put(tmp_path, GOOD, f"images/{record.id}.jpg")
        with pytest.raises(DiskRefused, match="Permission denied"):
            await look(files, tmp_path, *records)


class TestNoted:
    """What the next fetch does after a check."""

    async def test_a_flipped_byte_is_fetched_again(self, files: Files, tmp_path: Path) -> None:
        """Damage that no fetch would see gets a row with its md5, and the next fetch asks for the image."""
        put(tmp_path, BAD)
        await a_run(files, tmp_path, fetched())
        assert not await would_fetch(files, tmp_path), "size and row agree"
        await look(files, tmp_path, RECORD, noting=True)
        (*_, last) = rows(tmp_path)
        assert (last["status"], last["reason"], last["bytes"]) == ("FAILED", "DAMAGED", len(BAD))
        assert last["md5"] == hashlib.md5(BAD).hexdigest()
        assert await would_fetch(files, tmp_path)

    async def test_a_fetch_that_failed_forgets_nothing(self, files: Files, tmp_path: Path) -> None:
        """After a fetch that could not mend it the damaged file still is not taken for good."""
        put(tmp_path, BAD)
        await a_run(files, tmp_path, fetched())
        await look(files, tmp_path, RECORD, noting=True)
        await a_run(files, tmp_path, failed())
        assert await would_fetch(files, tmp_path)
        (again,) = await look(files, tmp_path, RECORD)
        assert again.state is State.DAMAGED

    async def test_killed_after_mending(self, files: Files, tmp_path: Path) -> None:
        """A kill between the new file and its row costs no second request: the file is what it was."""
        put(tmp_path, BAD)
        await a_run(files, tmp_path, fetched())
        await look(files, tmp_path, RECORD, noting=True)
        put(tmp_path, GOOD)
        assert not await would_fetch(files, tmp_path)

    async def test_damaged_in_another_way(self, files: Files, tmp_path: Path) -> None:
        """A disk that spoils the file anew after the check hides nothing: only the md5 that it had counts as mended."""
        put(tmp_path, BAD)
        await a_run(files, tmp_path, fetched())
        await look(files, tmp_path, RECORD, noting=True)
        put(tmp_path, BAD[:40] + bytes([BAD[40] ^ 1]) + BAD[41:])
        assert await would_fetch(files, tmp_path)

    async def test_bad_without_a_former_md5(self, files: Files, tmp_path: Path) -> None:
        """A file that only the bucket called damaged is known by its bytes; others in its place are judged afresh."""
        put(tmp_path, BAD)
        (found,) = await look(files, tmp_path, RECORD)
        inventory = Inventory(tmp_path, files)
        await files.call(note, inventory, [replace(found, state=State.DAMAGED, fault="the bucket has another")])
        assert await would_fetch(files, tmp_path)
        put(tmp_path, GOOD)
        assert not await would_fetch(files, tmp_path)

    async def test_noted_once(self, files: Files, tmp_path: Path) -> None:
        """A second check of the same damage writes no second row, and one of a good folder no journal."""
        put(tmp_path, GOOD)
        await a_run(files, tmp_path, fetched())
        await look(files, tmp_path, RECORD, noting=True)
        assert len(rows(tmp_path)) == 1
        put(tmp_path, BAD)
        for _ in range(2):
            await look(files, tmp_path, RECORD, noting=True)
        assert [row["status"] for row in rows(tmp_path)] == ["FETCHED", "FAILED"]

    async def test_mended_is_noted(self, files: Files, tmp_path: Path) -> None:
        """A good file whose last row is a failure gets a row that vouches for it."""
        put(tmp_path, GOOD)
        await a_run(files, tmp_path, fetched(), failed())
        await look(files, tmp_path, RECORD, noting=True)
        assert [row["status"] for row in rows(tmp_path)] == ["FETCHED", "FAILED", "SKIPPED"]

    async def test_fetched_again(self, files: Files, tmp_path: Path) -> None:
        """A row of a later fetch ends the matter, of another object too."""
        put(tmp_path, BAD)
        await a_run(files, tmp_path, fetched())
        await look(files, tmp_path, RECORD, noting=True)
        put(tmp_path, OTHER)
        await a_run(files, tmp_path, fetched(content=OTHER))
        (found,) = await look(files, tmp_path, RECORD)
        assert found.state is State.VERIFIED


def ledger(folder: Path, entries: Sequence[dict[str, Any]]) -> Row | None:
    common = {"folder": "f", "file": "a.jpg"}
    (folder / "a.jsonl").write_text("".join(json.dumps(common | entry) + "\n" for entry in entries))
    return Ledger.read(str(folder)).row("f", "a.jpg")


GOOD_ROW = {"t": 1, "status": "FETCHED", "bytes": 7, "md5": "a" * 32}
BAD_ROW = {"t": 2, "status": "FAILED", "bytes": 6, "md5": "b" * 32, "reason": "DAMAGED"}
BUSY_ROW = {"t": 3, "status": "FAILED", "bytes": 0, "md5": None, "reason": "BUSY"}


class TestLedger:
    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
    def test_failures_keep_what_was_known(self, tmp_path: Path, order: tuple[int, ...]) -> None:
        """Whatever the order of the lines: the latest reason, the last good md5 and size, and the bad md5."""
        entries = [GOOD_ROW, BAD_ROW, BUSY_ROW]
        found = ledger(tmp_path, [entries[place] for place in order])
        assert found == Row(False, 7, "a" * 32, 3.0, Reason.BUSY, "b" * 32)

    @pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0)])
    def test_bytes_that_are_both(self, tmp_path: Path, order: tuple[int, ...]) -> None:
        """Bytes that were adopted and then found bad are bad: no md5 is left that a mended file would have to have."""
        entries = [GOOD_ROW | {"status": "SKIPPED", "verified": None, "md5": "b" * 32}, BAD_ROW, BUSY_ROW]
        found = ledger(tmp_path, [entries[place] for place in order])
        assert found is not None
        assert (found.md5, found.bad, found.reason) == (None, "b" * 32, Reason.BUSY)

    @pytest.mark.parametrize(
        ("fields", "adopted"),
        [({"status": "SKIPPED", "verified": None}, True), ({"status": "SKIPPED", "verified": "md5"}, False),
         ({"status": "FETCHED", "verified": None}, False)],
    )  # fmt: skip
    def test_adopted(self, tmp_path: Path, fields: dict[str, Any], adopted: bool) -> None:
        """Found on the disk and held against no md5: that is adopted, and a failure after it changes nothing."""
        for rows_after in ([], [BUSY_ROW]):
            found = ledger(tmp_path, [GOOD_ROW | fields, *rows_after])
            assert found is not None
            assert found.adopted is adopted

    def test_there_again(self, tmp_path: Path) -> None:
        """An image that came again has no bad md5 and no reason."""
        again = GOOD_ROW | {"t": 4, "md5": "c" * 32}
        assert ledger(tmp_path, [GOOD_ROW, BAD_ROW, again]) == Row(True, 7, "c" * 32, 4.0)

    @pytest.mark.parametrize("reason", ["ON_THE_MOON", None, 7])
    def test_a_reason_of_another_version(self, tmp_path: Path, reason: object) -> None:
        """A reason that this version does not know is a failure all the same."""
        assert ledger(tmp_path, [BUSY_ROW | {"reason": reason}]) == Row(False, 0, None, 3.0)
