"""Does the disk still have what it was given? Every file is read again, by as many threads as there are cores.

md5 frees the interpreter's lock, so threads do. A file is held against the md5 that the list says, else against the one
in the journal; a file that neither knows is judged by its own beginning and end, and said to be unrecorded.

| file                                                              | finding    |
|-------------------------------------------------------------------|------------|
| none                                                              | MISSING    |
| empty, a page, of another size or md5, known bad, or unreadable   | DAMAGED    |
| of the list's or the journal's md5                                | VERIFIED   |
| whole by its ends, and no md5 to hold it against                  | UNRECORDED |

Nothing is removed here, and no file is written but this run's own journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from ..errors import DiskRefused, Reason, Unsafe
from ..records import ImageRecord, Outcome, Status
from .decide import is_known_bad, wanted_md5
from .files import Found, check_found
from .inventory import Inventory, Lack, Place, lack_of, why_missing
from .journal import Journal, Row, rows_of
from .lookup import LOST

_BATCH: Final = 64
_BATCH_BYTES: Final = 8 << 20
"""A batch is one hop to a thread; it ends with the file that fills it."""


class State(StrEnum):
    """What a look at one image found."""

    VERIFIED = "VERIFIED"
    UNRECORDED = "UNRECORDED"
    DAMAGED = "DAMAGED"
    MISSING = "MISSING"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What became of one image.

    Args:
        record: the image.
        state: see the table above.
        path: the file; None where there is none.
        size: its bytes.
        md5: its digest, None where it could not be read.
        fault: what is wrong with it, in words.
        lack: why it is missing, or why it could not be held against the bucket.
        noted: whether the journal says so already.
        adopted: whether the journal knows it from no better witness than its own beginning and end.
    """

    record: ImageRecord
    state: State
    path: str | None = None
    size: int = 0
    md5: str | None = None
    fault: str | None = None
    lack: Lack | None = None
    noted: bool = False
    adopted: bool = False


class Verifier:
    """One pass over the files of an output folder.

    Args:
        inventory: what there is, open.
        workers: threads that read; as many as this process has cores if left out.

    Example:
        >>> async def damaged(verifier, records):
        ...     return [one async for one in verifier.findings(records) if one.state is State.DAMAGED]
    """

    def __init__(self, inventory: Inventory, workers: int | None = None) -> None:
        self._inventory = inventory
        self._workers = workers or _cores()
        self._draining = self._stopping = False
        self._refusal: OSError | None = None

    def drain(self) -> None:
        """Look at no further image; what is being read is finished."""
        self._draining = True

    async def findings(self, records: AsyncIterable[ImageRecord]) -> AsyncGenerator[Finding, None]:
        """Yield what became of each image, in no particular order; close it (`aclosing`) to stop the threads.

        Raises:
            DiskRefused: a folder or file is there and cannot be read; all that was read before has been yielded.
        """
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="roco_async verify")
        reading: set[asyncio.Future[list[Finding]]] = set()
        try:
            async with aclosing(self._batches(records)) as batches:
                async for batch in batches:
                    if isinstance(batch, Finding):
                        yield batch
                        continue
                    while len(reading) >= 2 * self._workers:
                        done, reading = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
                        for finding in _results(done):
                            yield finding
                    if self._refusal is not None:
                        break
                    reading.add(asyncio.get_running_loop().run_in_executor(pool, self._read, batch))
            while reading:
                done, reading = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
                for finding in _results(done):
                    yield finding
            if self._refusal is not None:
                raise DiskRefused(f"the disk refused: {self._refusal}") from self._refusal
        finally:
            self._stopping = True
            pool.shutdown(wait=False)
            await _over(reading)

    async def _batches(
        self, records: AsyncIterable[ImageRecord]
    ) -> AsyncGenerator[Finding | list[tuple[ImageRecord, Place]], None]:
        """Images without a file as they come, the others in batches for the threads."""
        batch: list[tuple[ImageRecord, Place]] = []
        held = 0
        async for record in records:
            if self._draining:
                break
            try:
                place = await self._inventory.place(record)
            except Unsafe as error:
                yield Finding(record=record, state=State.MISSING, fault=str(error), lack=lack_of(error.reason))
                continue
            if place.size is None:
                yield _missing(record, place.row)
                continue
            batch.append((record, place))
            held += place.size
            if len(batch) >= _BATCH or held >= _BATCH_BYTES:
                yield batch
                batch, held = [], 0
        if batch:
            yield batch

    def _read(self, batch: list[tuple[ImageRecord, Place]]) -> list[Finding]:
        findings = []
        for record, place in batch:
            if self._stopping or self._refusal is not None:
                break
            try:
                findings.append(examine(record, place))
            except OSError as error:
                self._refusal = error
        return findings


def examine(record: ImageRecord, place: Place) -> Finding:
    """Read a file and judge it; blocks.

    Raises:
        OSError: it is there and this process may not read it.
    """
    try:
        found = check_found(place.path, record.name, wanted_md5(record, place.row))
    except FileNotFoundError:
        return _missing(record, place.row)
    except OSError as error:
        if error.errno not in LOST:
            raise
        fault = f"cannot be read: {error.strerror}"
        return Finding(record=record, state=State.DAMAGED, path=place.path, fault=fault)
    return judge(record, place, found)


def judge(record: ImageRecord, place: Place, found: Found) -> Finding:
    """Say what a file is that was read; pure.

    Example:
        >>> place = Place("images/a.jpg", 7, Row(True, 7, "ab" * 16, 1.0))
        >>> judge(ImageRecord("a", "PMC1", "a.jpg"), place, Found(7, "ab" * 16, None)).state
        <State.VERIFIED: 'VERIFIED'>
    """
    row = place.row
    fault = _size_fault(record, row, found.size) or found.fault
    if fault is None and is_known_bad(record, row, found.md5):
        fault = "an earlier check found it damaged"
    vouched = wanted_md5(record, row) is not None
    return Finding(
        record=record,
        state=State.DAMAGED if fault else State.VERIFIED if vouched else State.UNRECORDED,
        path=place.path,
        size=found.size,
        md5=found.md5,
        fault=fault,
        noted=row is not None and (not row.there and row.bad == found.md5 if fault else row.there),
        adopted=record.md5 is None and row is not None and row.adopted,
    )


def _size_fault(record: ImageRecord, row: Row | None, size: int) -> str | None:
    if not size:
        return "empty"
    wanted = record.size
    if wanted is None and record.md5 is None and row is not None:
        wanted = row.size or None
    if wanted is None or size == wanted:
        return None
    return f"cut: {size:,} of {wanted:,} bytes" if size < wanted else f"{size:,} bytes where {wanted:,} are wanted"


def _missing(record: ImageRecord, row: Row | None) -> Finding:
    return Finding(record=record, state=State.MISSING, lack=why_missing(row))


def note(inventory: Inventory, findings: Iterable[Finding]) -> Path | None:
    """Write into a journal of its own what the next run has to know; blocks.

    A damaged file gets a FAILED row with its md5, so that the next fetch mends it; a good one that the journal did not
    vouch for gets a row that does.

    Returns:
        The journal; None where it would have had no row.

    Raises:
        OSError: the disk refused.
    """
    told = (State.DAMAGED, State.VERIFIED)  # of the others there is nothing to vouch for
    rows = [_row_of(finding) for finding in findings if finding.state in told and not finding.noted]
    if not rows:
        return None
    journal = Journal(inventory.journals)
    try:
        journal.write(rows_of(rows, inventory.ledger))
    finally:
        journal.close()
    assert journal.path is not None
    return Path(journal.path)


def _row_of(finding: Finding) -> Outcome:
    if finding.state is State.DAMAGED:
        return Outcome(
            record=finding.record,
            status=Status.FAILED,
            bytes=finding.size,
            md5=finding.md5,
            reason=Reason.DAMAGED,
            error=finding.fault,
        )
    assert finding.path is not None
    return Outcome(
        record=finding.record,
        status=Status.SKIPPED,
        path=Path(finding.path),
        bytes=finding.size,
        md5=finding.md5,
        verified="md5",
    )


def _results(done: Iterable[asyncio.Future[list[Finding]]]) -> list[Finding]:
    for future in done:
        future.exception()  # all are looked at
    return [finding for future in done for finding in future.result()]


async def _over(reading: set[asyncio.Future[list[Finding]]]) -> None:
    """Wait for the threads' ends, however often this task is cancelled meanwhile; each finishes one file at most."""
    while left := [future for future in reading if not future.done()]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(left)
    for future in reading:
        future.exception()


def _cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
