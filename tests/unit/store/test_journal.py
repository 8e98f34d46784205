"""The journal: what is written is read again, the latest word counts, and what is torn or foreign is passed over."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from roco_async.errors import Reason
from roco_async.records import ImageRecord, Outcome, Status
from roco_async.store.journal import Journal, Ledger, Row, read_rows, rows_of

RECORD = ImageRecord("ROCO_1", "PMC1", "fig1.jpg", "test/radiology/images")
FETCHED = Outcome(
    record=RECORD, status=Status.FETCHED, path=Path("/out/test/radiology/images/ROCO_1.jpg"), bytes=7, md5="a" * 32,
    verified="md5", source="cloud", url="https://h/PMC1.1/fig1.jpg", attempts=2,
)  # fmt: skip
FAILED = Outcome(record=RECORD, status=Status.FAILED, reason=Reason.BUSY, error="503", attempts=6, source="cloud")


def row(**fields: Any) -> bytes:
    entry = {"t": 1.0, "folder": "f", "file": "a.jpg", "status": "FETCHED", "bytes": 7, "md5": None} | fields
    return json.dumps(entry).encode() + b"\n"


def ledger_of(folder: Path, *journals: bytes) -> Ledger:
    for number, content in enumerate(journals):
        (folder / f"{number}.jsonl").write_bytes(content)
    return Ledger.read(str(folder))


def test_a_row_has_what_the_docstring_says() -> None:
    """A fetched image's row has the ten fields, and no more."""
    (line,) = rows_of([FETCHED]).splitlines()
    entry = json.loads(line)
    assert entry.pop("t") > 1_700_000_000
    assert entry == {
        "folder": "test/radiology/images", "file": "ROCO_1.jpg", "status": "FETCHED", "bytes": 7, "md5": "a" * 32,
        "verified": "md5", "source": "cloud", "url": "https://h/PMC1.1/fig1.jpg", "attempts": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    "outcome",
    [
        FETCHED,
        replace(FETCHED, url='http://h/"ö\x7f\\.jpg'),
        replace(FETCHED, verified=None),
        replace(FETCHED, url=None),
    ],
    ids=["plain", "a URL with what JSON escapes", "by nothing", "without a URL"],
)
def test_an_image_that_came_is_read_as_json_reads_it(outcome: Outcome, tmp_path: Path) -> None:
    """A row that was put together by hand is JSON, and the ledger's short way takes from it what `json` takes."""
    line = rows_of([outcome])
    entry = json.loads(line)
    assert entry == {
        "t": entry["t"], "folder": RECORD.folder, "file": "ROCO_1.jpg", "status": "FETCHED", "bytes": 7,
        "md5": "a" * 32,
        "verified": outcome.verified, "source": "cloud", "url": outcome.url, "attempts": 2,
    }  # fmt: skip
    short = ledger_of(tmp_path, line).row(RECORD.folder, "ROCO_1.jpg")
    assert short == ledger_of(tmp_path, line.replace(b"{", b"{ ")).row(RECORD.folder, "ROCO_1.jpg")
    assert short == Row(True, 7, "a" * 32, entry["t"])


def test_a_missing_image_says_why() -> None:
    """A failed image's row names record, reason and error beside them."""
    entry = json.loads(rows_of([FAILED]))
    assert {name: entry[name] for name in ("file", "id", "pmcid", "name", "reason", "error")} == {
        "file": "ROCO_1.jpg", "id": "ROCO_1", "pmcid": "PMC1", "name": "fig1.jpg", "reason": "BUSY", "error": "503",
    }  # fmt: skip


def test_an_image_without_a_name_has_a_row() -> None:
    """An image whose id is no file name gets its row under the id."""
    bad = replace(FAILED, record=replace(RECORD, id="../x"), reason=Reason.UNSAFE)
    assert json.loads(rows_of([bad]))["file"] == "../x"


texts = st.text(st.characters(), min_size=1, max_size=9)
names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=9)
outcomes = st.builds(
    lambda folder, file, size, md5, failed, error: Outcome(
        record=ImageRecord(file, "PMC1", "a.jpg", folder),
        status=Status.FAILED if failed else Status.FETCHED,
        path=None if failed else Path("/out") / folder / file,
        bytes=0 if failed else size,
        md5=None if failed else md5,
        reason=Reason.BROKEN if failed else None,
        error=error if failed else None,
    ),
    st.sampled_from(["a", "b/c"]), names.filter(lambda name: name not in (".", "..")), st.integers(1, 1 << 40),
    st.one_of(st.none(), st.just("c" * 32)), st.booleans(), texts,
)  # fmt: skip


@given(batches=st.lists(st.lists(outcomes, max_size=5), max_size=4))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, batches: list[list[Outcome]]) -> None:
    """Whatever is written in batches is read again as it was, the last word on each image."""
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(str(folder))
    expected: dict[tuple[str, str], Outcome] = {}
    for batch in batches:
        journal.write(rows_of(batch))
        for outcome in batch:
            file = json.loads(rows_of([outcome]))["file"]
            expected[outcome.record.folder, file] = outcome
    journal.close()
    ledger = Ledger.read(str(folder))
    for (where, file), outcome in expected.items():
        found = ledger.row(where, file)
        assert found is not None
        assert found.there is (outcome.status is Status.FETCHED)
        assert found.reason == outcome.reason
        assert not found.there or (found.size, found.md5) == (outcome.bytes, outcome.md5)


def test_no_folder_is_an_empty_ledger(tmp_path: Path) -> None:
    """Where no run was before there are no rows."""
    assert Ledger.read(str(tmp_path / "none")).row("f", "a.jpg") is None


@pytest.mark.parametrize("torn", range(1, len(row(file="b.jpg")) - 1))
def test_a_torn_last_line(tmp_path: Path, torn: int) -> None:
    """A last line that a kill has cut, at any byte, is passed over, and the rows before it count."""
    ledger = ledger_of(tmp_path, row() + row(file="b.jpg")[:torn])
    assert ledger.row("f", "a.jpg") == Row(True, 7, None, 1.0)
    assert ledger.row("f", "b.jpg") is None


def test_a_last_line_without_its_end(tmp_path: Path) -> None:
    """A last line that lacks nothing but its line break counts."""
    assert ledger_of(tmp_path, row()[:-1]).row("f", "a.jpg") is not None


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_files_the_latest_time_counts(tmp_path: Path, order: tuple[int, int]) -> None:
    """The time in the rows decides, not the order of the files: two machines write at once."""
    rows = [row(t=5.0, status="FAILED"), row(t=9.0)]
    found = ledger_of(tmp_path, *[rows[place] for place in order]).row("f", "a.jpg")
    assert found is not None
    assert found.there


def test_of_two_rows_of_one_moment_the_later_counts(tmp_path: Path) -> None:
    """Rows of one batch have one time: the last of them counts."""
    found = ledger_of(tmp_path, row(bytes=1) + row(bytes=2)).row("f", "a.jpg")
    assert found is not None
    assert found.size == 2


FOREIGN = [
    b"\n", b"{}\n", b"[]\n", b"null\n", b"1\n", b"\xff\xfe\n", b"{\n", b'{"t": 1}\n', row(folder=[]), row(file={}),
    row(t=None), row(t="soon"), row(t=float("nan")), row(t=float("inf")), row(t=10**400), row(md5=7), row(bytes="many"),
]  # fmt: skip


@pytest.mark.parametrize("foreign", FOREIGN)
def test_foreign_rows_hide_nothing(tmp_path: Path, foreign: bytes) -> None:
    """A row of another kind does no harm to the good one that comes after it."""
    assert ledger_of(tmp_path, foreign + row(t=2.0)).row("f", "a.jpg") == Row(True, 7, None, 2.0)


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=3,
)


@given(fields=st.dictionaries(st.sampled_from(["t", "folder", "file", "status", "bytes", "md5"]), values, max_size=3))
@example(fields={"t": 1e308})
def test_any_foreign_fields(tmp_path_factory: pytest.TempPathFactory, fields: dict[str, Any]) -> None:
    """Whatever stands in a row's fields, the journal is read, and other images' rows count."""
    ledger = ledger_of(tmp_path_factory.mktemp("journal"), row(**fields) + row(file="other", folder="other"))
    assert ledger.row("other", "other") is not None


def test_only_journals_are_read(tmp_path: Path) -> None:
    """A file of another suffix beside the journals is left alone."""
    (tmp_path / "notes.txt").write_bytes(row())
    assert ledger_of(tmp_path).row("f", "a.jpg") is None


@pytest.mark.timeout(10)
def test_a_pipe_is_no_journal(tmp_path: Path) -> None:
    """A pipe with a journal's name is passed over: nobody writes into it, and a run must not wait for that."""
    os.mkfifo(tmp_path / "a.jsonl")
    assert ledger_of(tmp_path, row()).row("f", "a.jpg") is not None


def test_its_own_file_comes_with_the_first_row(tmp_path: Path) -> None:
    """A run without a row makes no file; two journals of one moment and process do not share one."""
    folder = tmp_path / "journal"
    journals = [Journal(str(folder)) for _ in range(2)]
    assert not folder.exists()
    for journal in journals:
        journal.write(b"{}\n")
        journal.write(b"[]\n")
        journal.close()
        journal.close()
    assert len({journal.path for journal in journals}) == len(os.listdir(folder)) == 2
    assert all(f"-{os.getpid()}.jsonl" in name for name in os.listdir(folder))


def test_read_rows_yields_objects_only(tmp_path: Path) -> None:
    """Of a journal with anything in it the JSON objects come, in their order."""
    (tmp_path / "a.jsonl").write_bytes(b'{"a":1}\n[1]\nxx\n{"b":2}\n{"c"')
    assert list(read_rows(str(tmp_path / "a.jsonl"))) == [{"a": 1}, {"b": 2}]
