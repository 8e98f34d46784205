"""What is to be done about an image, before any request. Pure.

| file                          | journal's latest word                  | decision |
|-------------------------------|----------------------------------------|----------|
| none, empty                   | anything                               | FETCH    |
| not of the size the list says | anything                               | FETCH    |
| there                         | there, same size (and the list's md5)  | SKIP     |
| there                         | there, of another size or md5          | FETCH    |
| there                         | it failed, or nothing                  | CHECK    |

CHECK reads the file: a kill may have come between it and its row, or another tool may have put it there.
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
