"""What is to be done about an image, before any request. Pure.

| file                          | journal's latest word                  | decision |
|-------------------------------|----------------------------------------|----------|
| none, empty                   | anything                               | FETCH    |
| not of the size the list says | anything                               | FETCH    |
| there                         | there, same size (and the list's md5)  | SKIP     |
| there                         | there, of another size or md5          | FETCH    |
| there                         | it failed, or nothing                  | CHECK    |

CHECK reads the file: a kill may have come between it and its row, or another tool may have put it there. Then:

| its bytes                                                     | decision |
|---------------------------------------------------------------|----------|
| have the md5 that the list says, or another one than it says  | SKIP, or FETCH |
| are those that `verify` found damaged                         | FETCH    |
| have the md5 of when it was last there (mended), or another   | SKIP, or FETCH |
| are of no known md5: a whole picture by its ends, or none     | SKIP, or FETCH |
"""

from __future__ import annotations

from enum import Enum

from ..records import ImageRecord
from .journal import Row


class Decision(Enum):
    SKIP = "skip"
    CHECK = "check"
    FETCH = "fetch"


def decide(record: ImageRecord, size: int | None, row: Row | None) -> Decision:
    """Decide by the file's size on disk (None: no file) and the journal's latest row (None: no row).

    Example:
        >>> decide(ImageRecord("a", "PMC1", "a.jpg"), None, None)
        <Decision.FETCH: 'fetch'>
    """
    if not size or (record.size is not None and record.size != size):
        return Decision.FETCH
    if row is None or not row.there:
        return Decision.CHECK
    if row.size != size or (record.md5 is not None and record.md5.lower() != row.md5):
        return Decision.FETCH
    return Decision.SKIP


def wanted_md5(record: ImageRecord, row: Row | None) -> str | None:
    """Return the md5 that a file has to have: the list's, else that of when it was last there; None if nobody knows.

    Example:
        >>> wanted_md5(ImageRecord("a", "PMC1", "a.jpg", md5="AB" * 16), None) == "ab" * 16
        True
    """
    if record.md5 is not None:
        return record.md5.lower()
    return row.md5 if row is not None else None


def is_known_bad(record: ImageRecord, row: Row | None, md5: str) -> bool:
    """Tell whether `verify` found these very bytes damaged, and no list says that they are the right ones.

    Example:
        >>> is_known_bad(ImageRecord("a", "PMC1", "a.jpg"), Row(False, 0, None, 1.0, bad="ab" * 16), "ab" * 16)
        True
    """
    return record.md5 is None and row is not None and row.bad == md5
