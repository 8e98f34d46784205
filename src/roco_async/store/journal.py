"""What happened, for the next run: append-only JSON lines under `<out>/.roco/journal/`, one file a run and process.

No locks and no mmap, so that it works on network file systems. A torn last line is passed over. The latest row of an
image counts, by the time written in it; a file without a row is checked, never fetched anew for lack of one. A clock
that was ahead once, here or on another machine, makes no row the latest for long: none is written with an earlier time
than the row of its image that this run has read.

A row: {"t": seconds since 1970, "folder", "file", "status", "bytes", "md5", "verified", "source", "url", "attempts"},
and for a missing image "id", "pmcid", "name", "reason" and "error". A FAILED row with an md5 is of a file that `verify`
found damaged: these very bytes are known to be bad.
"""

from __future__ import annotations

import json
import math
import os
import re
import socket
import stat
import time
from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring_ascii
from typing import Any, Final, NamedTuple

from ..errors import Reason, Unsafe
from ..records import ImageRecord, Outcome, Status
from .layout import file_name


class Row(NamedTuple):
    """The latest word on one image.

    `size` and `md5` are those of the last time that it was `there`. `reason` says why it is missing; None also where
    a later version of this program has a reason of its own. `bad` is the md5 of a file that was found damaged since.
    `adopted`: its bytes are those that another tool had brought, taken for good by their beginning and end.
    """

    there: bool
    size: int
    md5: str | None
    time: float
    reason: Reason | None = None
    bad: str | None = None
    adopted: bool = False


class Ledger:
    """All journals of an output folder, read once: folder → file name → latest row.

    Example:
        >>> Ledger.read("no/such/folder").row("images", "a.jpg") is None
        True
    """

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, Row]] = {}

    def row(self, folder: str, file: str) -> Row | None:
        rows = self._folders.get(folder)
        return rows.get(file) if rows else None

    @classmethod
    def read(cls, folder: str) -> Ledger:
        """Read every journal in `folder`; blocks. A folder that is not there is an empty ledger.

        Raises:
            OSError: it is there and cannot be read.
        """
        ledger = cls()
        try:
            names = sorted(name for name in os.listdir(folder) if name.endswith(".jsonl"))
        except FileNotFoundError:
            return ledger
        for path in (os.path.join(folder, name) for name in names):
            if not stat.S_ISREG(os.stat(path).st_mode):
                continue  # a pipe of that name would be waited for
            with open(path, "rb") as lines:
                for line in lines:
                    if plain := _PLAIN.match(line):
                        ledger._take_plain(plain)
                    elif (entry := _entry_of(line)) is not None:
                        ledger._take(entry)
        return ledger

    def _take_plain(self, match: re.Match[bytes]) -> None:
        moment, folder, file, size, md5 = match.groups()
        row = Row(True, int(size), md5.decode(), float(moment))
        rows = self._folders.setdefault(folder.decode(), {})
        name = file.decode()
        before = rows.get(name)
        rows[name] = row if before is None else _joined(before, row)

    def _take(self, entry: dict[str, Any]) -> None:
        try:
            size, md5, moment = entry.get("bytes"), entry.get("md5"), float(entry["t"])
            md5 = md5 if isinstance(md5, str) else None
            if entry["status"] != Status.FAILED:
                adopted = entry["status"] == Status.SKIPPED and entry.get("verified") is None
                row = Row(True, size if isinstance(size, int) else 0, md5, moment, adopted=adopted)
            else:
                row = Row(False, 0, None, moment, _REASONS.get(entry.get("reason")), md5)
            if not math.isfinite(row.time):
                return
            rows = self._folders.setdefault(entry["folder"], {})
            before = rows.get(entry["file"])
            rows[entry["file"]] = row if before is None else _joined(before, row)
        except (KeyError, TypeError, ValueError, OverflowError):
            return  # a row of another kind


_REASONS: Final[dict[Any, Reason]] = {str(reason): reason for reason in Reason}


def _joined(before: Row, row: Row) -> Row:
    """The later of two words; a failure forgets neither the file's last good md5 nor a bad one."""
    if row.time < before.time:
        before, row = row, before
    if row.there:
        return row
    bad = row.bad or before.bad
    good = row if row.md5 is not None else before
    if good.md5 == bad:  # bytes that were taken for good by their ends, and that the bucket knows otherwise
        return row._replace(size=0, md5=None, bad=bad)
    return row._replace(size=good.size, md5=good.md5, bad=bad, adopted=good.adopted)


_PLAIN: Final = re.compile(
    rb'\{"t":((?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,9})?),"folder":"([ !#-\[\]-~]*)","file":"([ !#-\[\]-~]*)",'
    rb'"status":"FETCHED","bytes":(0|[1-9][0-9]{0,14}),"md5":"([0-9a-f]{32})",'
    rb'"verified":(?:null|"[a-z0-9]+"),"source":"[a-z]+","url":"[ !#-\[\]-~]*","attempts":(?:0|[1-9][0-9]{0,8})\}$'
)
"""A row of an image that came, as `rows_of` writes it where nothing had to be escaped: nearly all are so, and `json`
takes twice as long."""


def read_rows(path: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of one journal; a torn or foreign line is passed over."""
    with open(path, "rb") as lines:
        for line in lines:
            if (entry := _entry_of(line)) is not None:
                yield entry


def _entry_of(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):  # the latter: brackets without end
        return None
    return entry if isinstance(entry, dict) else None


class Journal:
    """This run's own file; made with its first row. Its methods block: call them off the loop."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.path: str | None = None
        self._file: int | None = None
        self._is_torn = False

    def write(self, rows: bytes) -> None:
        """Append whole lines. They may be given again after a refusal, of which the disk may have taken a part.

        Raises:
            OSError: the disk refused.
        """
        if self._file is None:
            os.makedirs(self._folder, exist_ok=True)
            host = "".join(letter if letter.isalnum() else "-" for letter in socket.gethostname())[:64]
            stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + f"-{time.time_ns() % 10**9:09d}"
            self.path = os.path.join(self._folder, f"{stamp}-{host}-{os.getpid()}.jsonl")
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
        view = memoryview(b"\n" + rows if self._is_torn else rows)  # else the torn line would swallow the first one
        while view:
            view = view[os.write(self._file, view) :]
            self._is_torn = bool(view)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def rows_of(outcomes: Iterable[Outcome], known: Ledger | None = None) -> bytes:
    """Render outcomes as journal lines, each of a later time than what is known of its image."""
    now = round(time.time(), 3)
    return "".join(_line(outcome, now, known) for outcome in outcomes).encode()


def _line(outcome: Outcome, now: float, known: Ledger | None) -> str:
    """Return the outcome's row; that of an image that came is put together by hand, in a third of `json`'s time."""
    file = outcome.path.name if outcome.path else _file_name_or_id(outcome.record)
    before = known.row(outcome.record.folder, file) if known is not None else None
    moment = now if before is None or before.time < now else math.nextafter(before.time, math.inf)
    if outcome.status is not Status.FETCHED or outcome.path is None or outcome.md5 is None or outcome.url is None:
        return json.dumps(_entry(outcome, file, moment), separators=(",", ":")) + "\n"
    return (
        f'{{"t":{moment},"folder":{_quoted(outcome.record.folder)},"file":{_quoted(file)},"status":"FETCHED",'
        f'"bytes":{outcome.bytes},"md5":"{outcome.md5}","verified":{_quoted(outcome.verified)},'
        f'"source":{_quoted(outcome.source)},"url":{_quoted(outcome.url)},"attempts":{outcome.attempts}}}\n'
    )


def _quoted(text: str | None) -> str:
    return "null" if text is None else encode_basestring_ascii(text)


def _entry(outcome: Outcome, file: str, moment: float) -> dict[str, Any]:
    record = outcome.record
    entry: dict[str, Any] = {
        "t": moment,
        "folder": record.folder,
        "file": file,
        "status": outcome.status,
        "bytes": outcome.bytes,
        "md5": outcome.md5,
        "verified": outcome.verified,
        "source": outcome.source,
        "url": outcome.url,
        "attempts": outcome.attempts,
    }
    if outcome.status is Status.FAILED:
        entry |= {"id": record.id, "pmcid": record.pmcid, "name": record.name}
        entry |= {"reason": outcome.reason, "error": outcome.error}
    return entry


def _file_name_or_id(record: ImageRecord) -> str:
    try:
        return file_name(record)
    except Unsafe:
        return record.id
