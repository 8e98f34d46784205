"""What can go wrong, as one tree.

    RocoError
    ├─ UsageError               bad configuration or input; `.issues` lists every fault       exit 2
    ├─ DiskRefused              full, read-only, no permission: ends the run                  exit 5
    ├─ AnnotationsUnavailable   the annotations could not be fetched, or are not upstream's   exit 4
    ├─ FetchIncomplete          from `FetchReport.raise_for_failures()`; has `.report`
    └─ TransferError            one transfer's failure: operation, url, `__cause__`, `.reason`
       ├─ PermanentError        asking again brings nothing
       │  ├─ NotFound           404, 410, 550; in no version of the article
       │  ├─ NoMedia            the article is there, its media were never published
       │  ├─ NoMember           the package is there and lacks the member
       │  ├─ TooLarge           over a cap: image, header, decompression bomb
       │  └─ Unsafe             a name that would leave the images folder, or that the disk does not take
       └─ TemporaryError        worth another try, within the budget
          ├─ Refused            403, 401, 407, 530, a bad certificate: two tries an item
          ├─ Blocked            the host refused twenty in a row: its work has ended
          ├─ Unreachable        no connection: refused, no route, no such host
          ├─ HostDown           the host was waited for and did not come back
          ├─ Broken             the connection ended before the body did
          ├─ Stalled            no bytes, or next to none, for too long
          ├─ Busy               the server pushes back: 503, 429, 421, 425; `.retry_after`
          ├─ ServerError        500, 502, 504 and their like
          ├─ Stale              the object changed between two tries: begin afresh
          ├─ Damaged            wrong digest or length, or no picture at all
          └─ BadListing         an answer that is no ListBucketResult: proves nothing

Foreign exceptions become these in one place each: `transport/http.py` maps aiohttp's, `transport/ftp.py` aioftp's,
`transport/file.py` and `store/files.py` the disk's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .records import FetchReport


class Reason(StrEnum):
    """Why an image is missing. `permanent` says whether asking again can help.

    Example:
        >>> Reason.NOT_FOUND.permanent, Reason.BUSY.permanent
        (True, False)
    """

    NOT_FOUND = "NOT_FOUND"
    NO_MEDIA = "NO_MEDIA"
    NO_MEMBER = "NO_MEMBER"
    TOO_LARGE = "TOO_LARGE"
    UNSAFE = "UNSAFE"
    REFUSED = "REFUSED"
    BLOCKED = "BLOCKED"
    UNREACHABLE = "UNREACHABLE"
    HOST_DOWN = "HOST_DOWN"
    BROKEN = "BROKEN"
    STALLED = "STALLED"
    BUSY = "BUSY"
    SERVER_ERROR = "SERVER_ERROR"
    CHANGED = "CHANGED"
    DAMAGED = "DAMAGED"
    BAD_LISTING = "BAD_LISTING"

    @property
    def permanent(self) -> bool:
        return self in _PERMANENT

    @property
    def meaning(self) -> str:
        """One short sentence for a person."""
        return _MEANINGS[self]


_PERMANENT = frozenset({Reason.NOT_FOUND, Reason.NO_MEDIA, Reason.NO_MEMBER, Reason.TOO_LARGE, Reason.UNSAFE})

_MEANINGS = {
    Reason.NOT_FOUND: "no version of the article has this image any more",
    Reason.NO_MEDIA: "the article is a text-only manuscript: its images were never published",
    Reason.NO_MEMBER: "the article's package has no such member",
    Reason.TOO_LARGE: "larger than what this program accepts",
    Reason.UNSAFE: "no file can have its name: it would lead out of the images folder, or the disk does not take it",
    Reason.REFUSED: "the server or a proxy refuses access (403, 407, certificate)",
    Reason.BLOCKED: "the host refused twenty requests in a row and was asked for nothing more",
    Reason.UNREACHABLE: "no connection to the host",
    Reason.HOST_DOWN: "the host never answered, or stopped and did not come back in time",
    Reason.BROKEN: "the connection broke again and again",
    Reason.STALLED: "the server sent nothing, or next to nothing, for too long",
    Reason.BUSY: "the server kept asking for fewer requests (503, 429)",
    Reason.SERVER_ERROR: "the server failed (5xx)",
    Reason.CHANGED: "the object kept changing while it was fetched",
    Reason.DAMAGED: "what arrived, or was found on the disk, is not the image that was announced",
    Reason.BAD_LISTING: "the bucket's listing could not be read",
}


class Grace(Enum):
    """Why a failed try costs the item no attempt (it was the host's doing, not the item's)."""

    NONE = "it costs one"
    HOST_AWAY = "the host gave no answer to anybody, or this was its probe"
    PUSHED_BACK = "the host turned this try away while others succeeded"
    BROKEN_OFF = "this program let others go first"


class RocoError(Exception):
    """Catch this to catch all that roco_async raises on purpose."""


class UsageError(RocoError):
    """Bad configuration or bad input, found before any request.

    Args:
        issues: every fault, one sentence each; a line of a file is named as `file:line: what`.
    """

    def __init__(self, issues: Sequence[str]) -> None:
        self.issues = tuple(issues)
        super().__init__("\n".join(self.issues))


class DiskRefused(RocoError):
    """The disk takes no more: full, over quota, read-only, or not ours to write. `__cause__` is the OSError."""


class AnnotationsUnavailable(RocoError):
    """The annotations could not be fetched, or a file of them is not the one upstream published."""


class FetchIncomplete(RocoError):
    """Some images are missing; `.report` says which and why."""

    def __init__(self, report: FetchReport) -> None:
        self.report = report
        missing = ", ".join(f"{count} {name}" for name, count in report.reasons.items())
        super().__init__(f"{report.failed} of {report.requested} images are missing: {missing}")


_USERINFO = re.compile(
    r"(\s*+(?:(?!(?i:file):)[A-Za-z][A-Za-z0-9+.-]*+:[/\\]++|file:[/\\]{1,2}+|[/\\]{2,}+)?+)"
    # a password that was not encoded may have any letter, so where no port follows the colon it goes to the last @
    r"(?:[^/?#@:\[]*+:(?!\d{1,5}(?:[/?#]|$)).*|[^/?#]*)@",
    re.DOTALL,
)


def redacted(url: str) -> str:
    """Return the URL without the user's name and password, fit for a log.

    Example:
        >>> redacted("ftp://me:secret@mirror.example/pub/a.tar.gz")
        'ftp://***@mirror.example/pub/a.tar.gz'
    """
    found = _USERINFO.match(url)
    return f"{found[1]}***@{url[found.end() :]}" if found else url


class TransferError(RocoError):
    """One transfer's failure.

    Args:
        message: what happened, without the URL.
        operation: the verb on the wire (`GET`, `RETR`), or what was being done (`check`).
        url: what was asked for; a password in it is never shown.
    """

    reason: Reason = Reason.BROKEN

    def __init__(self, message: str, *, operation: str = "", url: str = "") -> None:
        self.message = message
        self.operation = operation
        self.url = redacted(url)
        super().__init__(message)

    def __str__(self) -> str:
        where = " ".join(part for part in (self.operation, self.url) if part)
        return f"{where}: {self.message}" if where else self.message


class PermanentError(TransferError):
    """Asking again brings nothing."""


class NotFound(PermanentError):
    reason = Reason.NOT_FOUND


class NoMedia(PermanentError):
    reason = Reason.NO_MEDIA


class NoMember(PermanentError):
    reason = Reason.NO_MEMBER


class TooLarge(PermanentError):
    reason = Reason.TOO_LARGE


class Unsafe(PermanentError):
    reason = Reason.UNSAFE


class TemporaryError(TransferError):
    """Worth another try, within the budget.

    `overload` tells the limiter that fewer connections may help. `answered` is False where the host gave no answer
    at all, which may mean that it is away. `elsewhere` says that the host had answered, by a redirect to another one,
    which failed. `retry_after` is the server's own wish, in seconds. `grace` says why this try costs the item no
    attempt; the watch over the host sets it.
    """

    overload: bool = False
    elsewhere: bool = False
    grace: Grace = Grace.NONE

    def __init__(
        self,
        message: str,
        *,
        operation: str = "",
        url: str = "",
        answered: bool = True,
        retry_after: float | None = None,
        overload: bool | None = None,
    ) -> None:
        super().__init__(message, operation=operation, url=url)
        self.answered = answered
        self.retry_after = retry_after
        if overload is not None:
            self.overload = overload


class Refused(TemporaryError):
    reason = Reason.REFUSED


class Blocked(TemporaryError):
    reason = Reason.BLOCKED


class Unreachable(TemporaryError):
    reason = Reason.UNREACHABLE
    overload = True


class HostDown(TemporaryError):
    reason = Reason.HOST_DOWN


class Broken(TemporaryError):
    reason = Reason.BROKEN
    overload = True


class Stalled(TemporaryError):
    reason = Reason.STALLED
    overload = True


class Busy(TemporaryError):
    reason = Reason.BUSY
    overload = True


class ServerError(TemporaryError):
    reason = Reason.SERVER_ERROR
    overload = True


class Stale(TemporaryError):
    reason = Reason.CHANGED


class Damaged(TemporaryError):
    reason = Reason.DAMAGED


class BadListing(TemporaryError):
    reason = Reason.BAD_LISTING
