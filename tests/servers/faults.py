"""What a server can do wrong, as data.

A `Fault` says what (`does`), where (`on`: a pattern of keys) and when (`nth`, `every`). All faults that match a request
bend its answer, in their order, so that `WeakEtag` and `Cut` together are a weak ETag whose body is cut:

    Fault(Cut(1000), on="PMC1.1/a.jpg", nth=1)              the first answer for this key ends after 1,000 bytes
    Fault(status(503, retry_after=2), every=5)              each fifth request, of whatever key
    Fault(html_page(), on=LISTINGS)                         every listing is a web page
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Final

from .objects import Bucket, Reply, StoredObject

LISTINGS: Final = "[?]*"  # a listing's key is its query: ?list-type=2&prefix=PMC1.

HTML: Final = b"<!DOCTYPE html>\n<html><head><title>Maintenance</title></head><body>Come back later.</body></html>\n"
BROKEN_XML: Final = b'<?xml version="1.0"?><ListBucketResult><Contents><Key>PMC1.1/a.jpg</Key>'
DOCTYPE_XML: Final = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b"<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated><Prefix>&b;</Prefix></ListBucketResult>"
)


class Behaviour:
    """One way to misbehave: a frozen dataclass that overrides one of these four, which are called in this order."""

    def meddle(self, bucket: Bucket, key: str) -> None:
        """Change the bucket before the request is answered."""

    def mishear(self, headers: dict[str, str]) -> None:
        """Change the request's headers; names in lower case."""

    def disguise(self, stored: StoredObject) -> StoredObject:
        """Change the object that this one answer is made from."""
        return stored

    def bend(self, reply: Reply) -> None:
        """Change the answer, or the way in which it is put on the wire."""


@dataclass(frozen=True)
class Fault:
    """What happens where and when.

    Args:
        does: the misbehaviour.
        on: `fnmatch` pattern of the key; every key and listing if left out.
        nth: only these requests *of one key*, counted from 1; each key has its own count.
        every: only each so-manieth request *of all that match `on`*.
    """

    does: Behaviour
    on: str = "*"
    nth: int | Collection[int] | None = None
    every: int | None = None

    def matches(self, key: str) -> bool:
        return fnmatchcase(key, self.on)

    def strikes(self, of_key: int, of_all: int) -> bool:
        """Say whether the so-manieth request of its key, and of all that matched, is hit."""
        if self.nth is not None and of_key not in ([self.nth] if isinstance(self.nth, int) else self.nth):
            return False
        return self.every is None or of_all % self.every == 0


# -- instead of an answer


@dataclass(frozen=True)
class Answer(Behaviour):
    """Answer this, whatever was asked."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def bend(self, reply: Reply) -> None:
        reply.status, reply.headers, reply.body = self.status, list(self.headers), self.body


def status(code: int, *, retry_after: int | str | None = None, body: bytes = b"") -> Answer:
    """Answer with a status; `retry_after` in seconds or as an HTTP date."""
    headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
    return Answer(code, (("Content-Type", "text/plain"), *headers), body or f"{code}\n".encode())


def html_page(code: int = 200) -> Answer:
    """Answer with a web page, as captive portals and proxies do."""
    return Answer(code, (("Content-Type", "text/html"),), HTML)


def redirect(to: str, code: int = 302) -> Answer:
    """Send the client elsewhere; `to` may be a path, another host, or another scheme."""
    return Answer(code, (("Location", to),))


def xml_page(body: bytes) -> Answer:
    """Answer with this as a listing: `BROKEN_XML`, `DOCTYPE_XML`, or what `objects.listing_xml` makes."""
    return Answer(200, (("Content-Type", "application/xml"),), body)


@dataclass(frozen=True)
class Reset(Behaviour):
    """RST before a byte of the answer."""

    def bend(self, reply: Reply) -> None:
        reply.reset = True


@dataclass(frozen=True)
class Close(Behaviour):
    """FIN before a byte of the answer."""

    def bend(self, reply: Reply) -> None:
        reply.closed = True


# -- on the way


@dataclass(frozen=True)
class Cut(Behaviour):
    """End the connection after so many bytes of the body, by FIN or by RST; every byte before it has arrived."""

    after: int
    reset: bool = False

    def bend(self, reply: Reply) -> None:
        reply.cut = (self.after, self.reset)


@dataclass(frozen=True)
class Stall(Behaviour):
    """Send nothing for `seconds` (None: until the server stops) after so many bytes of the body."""

    after: int = 0
    seconds: float | None = None

    def bend(self, reply: Reply) -> None:
        reply.stall = (self.after, self.seconds)


@dataclass(frozen=True)
class Trickle(Behaviour):
    """Send `size` bytes each `seconds`."""

    size: int
    seconds: float

    def bend(self, reply: Reply) -> None:
        reply.pace = (self.size, self.seconds)


@dataclass(frozen=True)
class Late(Behaviour):
    """Wait before the first byte of the answer; None: until the server stops."""

    seconds: float | None = None

    def bend(self, reply: Reply) -> None:
        reply.delay = self.seconds


@dataclass(frozen=True)
class Vanish(Behaviour):
    """After so many bytes of the body (None: after the whole answer) the peer is gone: no FIN, no RST, no ACK."""

    after: int | None = None

    def bend(self, reply: Reply) -> None:
        reply.vanishes = -1 if self.after is None else self.after


@dataclass(frozen=True)
class Interim(Behaviour):
    """Answers with these statuses, 100, 102, 103, come before the answer."""

    codes: tuple[int, ...]

    def bend(self, reply: Reply) -> None:
        reply.interim = self.codes


@dataclass(frozen=True)
class CloseDelimited(Behaviour):
    """No Content-Length: the body ends with the connection."""

    def bend(self, reply: Reply) -> None:
        reply.framing = "close"


@dataclass(frozen=True)
class Chunked(Behaviour):
    """Chunked coding; with `Cut` the last chunk is lacking."""

    def bend(self, reply: Reply) -> None:
        reply.framing = "chunked"


# -- wrong content


@dataclass(frozen=True)
class WrongByte(Behaviour):
    """One byte of the body is another one; headers, ETag and length stay."""

    at: int = 0

    def bend(self, reply: Reply) -> None:
        body = bytearray(reply.body)
        if self.at < len(body):  # another fault may have put an error's short page in its place
            body[self.at] ^= 0xFF
            reply.body = bytes(body)


@dataclass(frozen=True)
class Shortened(Behaviour):
    """A body of so many bytes with the Content-Length that fits it, under the whole object's ETag."""

    to: int

    def bend(self, reply: Reply) -> None:
        reply.body = reply.body[: self.to]


@dataclass(frozen=True)
class Gzipped(Behaviour):
    """A proxy puts Content-Encoding on, and leaves the object's ETag."""

    def bend(self, reply: Reply) -> None:
        reply.body = gzip.compress(reply.body, mtime=0)
        reply.header("Content-Encoding", "gzip")


@dataclass(frozen=True)
class Etag(Behaviour):
    """Another form of ETag: `W/"{md5}"`, `"{md5}-2"`, `{md5}` without quotes, any text, or None for none at all."""

    form: str | None

    def disguise(self, stored: StoredObject) -> StoredObject:
        return replace(stored, etag=None if self.form is None else self.form.replace("{md5}", stored.md5))


@dataclass(frozen=True)
class Header(Behaviour):
    """Set one header of the answer; None takes it away."""

    name: str
    value: str | None

    def bend(self, reply: Reply) -> None:
        reply.header(self.name, self.value)


# -- wrong ranges and changes


@dataclass(frozen=True)
class IgnoreRange(Behaviour):
    """200 with the whole object where a range was asked."""

    def mishear(self, headers: dict[str, str]) -> None:
        headers.pop("range", None)


@dataclass(frozen=True)
class IgnoreIfRange(Behaviour):
    """206 of whatever the object is now, as moto, s3rver and SeaweedFS do."""

    def mishear(self, headers: dict[str, str]) -> None:
        headers.pop("if-range", None)


@dataclass(frozen=True)
class PartAs200(Behaviour):
    """200 with Content-Range and only the part, as `rclone serve s3` does."""

    def bend(self, reply: Reply) -> None:
        reply.status = 200 if reply.status == 206 else reply.status


@dataclass(frozen=True)
class ContentRange(Behaviour):
    """A 206 whose Content-Range says something else; None: a 206 without one."""

    value: str | None

    def bend(self, reply: Reply) -> None:
        if reply.status == 206:
            reply.header("Content-Range", self.value)


@dataclass(frozen=True)
class Swap(Behaviour):
    """From this request on the key holds something else; None: nothing any more."""

    to: StoredObject | bytes | None

    def meddle(self, bucket: Bucket, key: str) -> None:
        bucket.put(key, self.to)


@dataclass
class _Armed:
    fault: Fault
    of_key: Counter[str] = field(default_factory=Counter)
    of_all: int = 0


class Script:
    """The faults in force, and how often each has met a request."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._armed: list[_Armed] = []
        self.add(*faults)

    def add(self, *faults: Fault) -> None:
        self._armed += [_Armed(fault) for fault in faults]

    def clear(self) -> None:
        self._armed.clear()

    def due(self, key: str) -> list[Behaviour]:
        """Count a request in, and return what is to go wrong with it."""
        behaviours = []
        for armed in self._armed:
            if armed.fault.matches(key):
                armed.of_all += 1
                armed.of_key[key] += 1
                if armed.fault.strikes(armed.of_key[key], armed.of_all):
                    behaviours.append(armed.fault.does)
        return behaviours
