"""Oracle of the journal: the latest row by a second reading of the rules, and a row written after anything at all."""

from __future__ import annotations

import io
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from roco_async.errors import Reason
from roco_async.records import ImageRecord, Outcome, Status
from roco_async.store.journal import Ledger, read_rows, rows_of

from .cutting import derived

_FOLDER = "a folder of this target"


class _Said(NamedTuple):
    """What a line says, as far as no rule is needed to tell."""

    time: float
    there: bool
    size: int
    md5: str | None


def journal(data: bytes) -> None:
    """Hold the ledger to a second reading of the rows, to itself over two files, and to what is written after it."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "1.jsonl")
        _write(path, data)
        assert all(isinstance(row, dict) for row in read_rows(path))
        whole = Ledger.read(folder)
        latest = _latest(data)
        for (where, file), said in latest.items():
            row = whole.row(where, file)
            assert row is not None
            assert (row.there, row.time) == (said.there, said.time)
            if said.there:
                assert (row.size, row.md5) == (said.size, said.md5)
                assert row.reason is None
            assert row.reason is None or isinstance(row.reason, Reason)
        _hold_to_two_files(folder, data, whole, list(latest))
        if _FOLDER not in {where for where, _ in latest}:
            _hold_to_writing(path, data)


def _hold_to_two_files(folder: str, data: bytes, whole: Ledger, places: list[tuple[Any, Any]]) -> None:
    """Cut into two journals between two lines, the same rows say the same."""
    end = data.find(b"\n", derived(data, len(data))) + 1
    _write(os.path.join(folder, "1.jsonl"), data[:end])
    _write(os.path.join(folder, "2.jsonl"), data[end:])
    _write(os.path.join(folder, "3.json"), data)
    both = Ledger.read(folder)
    assert [both.row(*place) for place in places] == [whole.row(*place) for place in places]
    os.unlink(os.path.join(folder, "2.jsonl"))


def _hold_to_writing(path: str, data: bytes) -> None:
    """What is written behind anything at all is read back, whatever its fields hold; a torn row behind it is not."""
    word = data[-40:].decode("utf-8", "surrogateescape").replace("/", "-").replace("\0", "-")
    file = f"{word}.jpg"
    record = ImageRecord(word, "PMC1", "a.jpg", _FOLDER)
    written = Outcome(
        record=record, status=Status.FETCHED, path=Path("/out") / file, bytes=7, md5="a" * 32, verified="md5",
        source="cloud", url=f"https://h/{word}", attempts=1,
    )  # fmt: skip
    lost = Outcome(record=record, status=Status.FAILED, reason=Reason.BUSY, error=word)
    loss = rows_of([lost])
    (line,) = rows_of([written]).splitlines(keepends=True)
    entry = json.loads(line)
    assert (entry["folder"], entry["file"], entry["url"]) == (_FOLDER, file, f"https://h/{word}")
    assert (entry["status"], entry["bytes"], entry["md5"], entry["verified"]) == ("FETCHED", 7, "a" * 32, "md5")
    _write(path, data + b"\n" + loss + line + loss[:-9])
    row = Ledger.read(os.path.dirname(path)).row(_FOLDER, file)
    assert row is not None
    assert (row.there, row.size, row.md5, row.time) == (True, 7, "a" * 32, entry["t"])


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def _latest(data: bytes) -> dict[tuple[Any, Any], _Said]:
    """Of each place the row of the latest time, and of one time the last, among the rows that have all they need."""
    latest: dict[tuple[Any, Any], _Said] = {}
    for line in io.BytesIO(data):
        try:
            place, said = _read(json.loads(line))
        except (ValueError, RecursionError, TypeError, KeyError, OverflowError):
            continue
        if place not in latest or latest[place].time <= said.time:
            latest[place] = said
    return latest


def _read(entry: Any) -> tuple[tuple[Any, Any], _Said]:
    if not isinstance(entry, dict):
        raise TypeError("no row")
    md5, size = entry.get("md5"), entry.get("bytes")
    md5, size = md5 if isinstance(md5, str) else None, size if isinstance(size, int) else 0
    said = _Said(float(entry["t"]), entry["status"] != "FAILED", size, md5)
    if not math.isfinite(said.time):
        raise ValueError("no time")
    place = entry["folder"], entry["file"]
    hash((place, None if said.there else entry.get("reason")))
    return place, said
