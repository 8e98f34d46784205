"""How the end of a transfer becomes an `Outcome`."""

from __future__ import annotations

from pathlib import Path

from ..errors import TransferError, redacted
from ..records import ImageRecord, Outcome, Status
from ..store.files import Kept


def outcome_of(
    record: ImageRecord, result: Kept | TransferError, *, path: Path | None, source: str, url: str | None, attempts: int
) -> Outcome:
    """Return what came of one image.

    Args:
        record: the image.
        result: the file it became, or why it did not.
        path: its final name; None where it has none.
        source: which source was asked.
        url: what was asked for last.
        attempts: requests made for it.
    """
    url = redacted(url) if url else url  # it goes into the journal
    if isinstance(result, TransferError):
        return Outcome(
            record=record,
            status=Status.FAILED,
            source=source,
            url=url,
            attempts=attempts,
            reason=result.reason,
            error=str(result),
        )
    return Outcome(
        record=record,
        status=Status.FETCHED,
        path=path,
        bytes=result.size,
        md5=result.md5,
        verified=result.verified,
        source=source,
        url=url,
        attempts=attempts,
    )
