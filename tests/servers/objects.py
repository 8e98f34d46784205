"""What an S3-like bucket answers, as pure functions: no socket here.

`range_of` and `if_range_holds` follow RFC 9110 §14.1.2, §14.2 and §13.1.5; tests/contract/test_servers.py holds them
to nginx and moto, so that they share no misunderstanding with the client.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cached_property
from itertools import islice, takewhile
from typing import Final, Literal
from xml.sax.saxutils import escape

LAST_MODIFIED: Final = 1_750_000_000  # one fixed second for all objects, so that answers do not depend on the clock
S3_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class StoredObject:
    """One object of the bucket. `etag` is sent as it stands; None sends none; left out, it is S3's: the quoted md5."""

    data: bytes
    etag: str | None = ""
    content_type: str = "binary/octet-stream"
    modified: float = LAST_MODIFIED

    def __post_init__(self) -> None:
        if self.etag == "":
            object.__setattr__(self, "etag", f'"{self.md5}"')

    @cached_property
    def md5(self) -> str:
        return hashlib.md5(self.data).hexdigest()

    @property
    def last_modified(self) -> str:
        return formatdate(self.modified, usegmt=True)


class Bucket:
    """Objects by key, over a mapping that is only read: a bucket of drawn pictures draws one when it is asked for."""

    def __init__(self, objects: Mapping[str, StoredObject | bytes]) -> None:
        self._objects = objects
        self._changes: dict[str, StoredObject | bytes | None] = {}
        self._keys: list[str] | None = None

    def get(self, key: str) -> StoredObject | None:
        found = self._changes[key] if key in self._changes else self._objects.get(key)
        return StoredObject(found) if isinstance(found, bytes) else found

    def put(self, key: str, stored: StoredObject | bytes | None) -> None:
        """Store under the key; None deletes."""
        self._changes[key] = stored
        self._keys = None

    def keys_from(self, prefix: str) -> list[str]:
        """Return the keys with this prefix in S3's order, that of their UTF-8 bytes."""
        if self._keys is None:
            gone = {key for key, stored in self._changes.items() if stored is None}
            self._keys = sorted({*self._objects, *self._changes} - gone)
        first = bisect_left(self._keys, prefix)
        return list(takewhile(lambda key: key.startswith(prefix), islice(self._keys, first, None)))


@dataclass
class Reply:
    """What goes out. The faults of faults.py bend one of these; scripted.py puts it on the wire as it stands.

    Args:
        framing: how the body's end is told: Content-Length, the connection's end, or chunked coding.
        reset: RST before a byte of the answer; `closed`: FIN instead.
        delay: seconds before the first byte; None for ever.
        cut: body bytes after which the connection ends, and whether by RST.
        stall: body bytes after which nothing comes for so many seconds; None for ever.
        pace: at most so many bytes, each so many seconds.
        interim: statuses of answers that come before this one (RFC 9110 §15.2).
        vanishes: body bytes after which the peer is gone without a word; -1 after the whole answer.
    """

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    framing: Literal["length", "close", "chunked"] = "length"
    reset: bool = False
    closed: bool = False
    delay: float | None = 0.0
    cut: tuple[int, bool] | None = None
    stall: tuple[int, float | None] | None = None
    pace: tuple[int, float] | None = None
    interim: tuple[int, ...] = ()
    vanishes: int | None = None

    def header(self, name: str, value: str | None) -> None:
        """Set a header in the place of all of that name; None takes it away."""
        self.headers = [(key, old) for key, old in self.headers if key.lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))


class Unsatisfiable(Exception):
    """The range lies outside the object: 416."""


_RANGE = re.compile(r"bytes\s*=\s*(?:(\d+)-(\d*)|-(\d+))\s*", re.ASCII | re.IGNORECASE)


def range_of(header: str | None, size: int) -> tuple[int, int] | None:
    """Return first and last byte (inclusive), or None where the header is to be ignored: no single range of bytes.

    Raises:
        Unsatisfiable: nothing of the object is in it.

    Example:
        >>> range_of("bytes=2-5", 10), range_of("bytes=2-", 10), range_of("bytes=-3", 10), range_of("bytes=0-99", 10)
        ((2, 5), (2, 9), (7, 9), (0, 9))
    """
    match = _RANGE.fullmatch(header) if header else None
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        if int(suffix) == 0:
            raise Unsatisfiable
        if size == 0:
            return None  # satisfiable by RFC 9110 §14.1.2, yet no 206 could say so; nginx and S3 answer 200
        return max(0, size - int(suffix)), size - 1
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return start, min(int(last), size - 1) if last else size - 1


def if_range_holds(header: str | None, stored: StoredObject) -> bool:
    """Return whether the range may be answered: no condition, or the object's own strong validator."""
    if header is None:
        return True
    if header.startswith(('"', "W/")):
        return header == stored.etag and not header.startswith("W/")
    return header == stored.last_modified


def error(status: int, code: str, message: str, **fields: str) -> Reply:
    """Return S3's error: XML with a code."""
    inner = "".join(
        f"<{name}>{escape(value)}</{name}>" for name, value in {"Code": code, "Message": message, **fields}.items()
    )
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}<RequestId>4442587FB7D0A2F9</RequestId></Error>'
    return Reply(status, [("Content-Type", "application/xml")], body.encode())


def not_found(key: str) -> Reply:
    return error(404, "NoSuchKey", "The specified key does not exist.", Key=key)


def slow_down(retry_after: str | None = None) -> Reply:
    reply = error(503, "SlowDown", "Please reduce your request rate.")
    reply.header("Retry-After", retry_after)
    return reply


def answer(stored: StoredObject, headers: Mapping[str, str]) -> Reply:
    """Answer a GET of an object; `headers` are the request's, names in lower case."""
    reply = Reply(200, [("Last-Modified", stored.last_modified), ("Accept-Ranges", "bytes")], stored.data)
    reply.header("ETag", stored.etag)
    reply.header("Content-Type", stored.content_type)
    if not if_range_holds(headers.get("if-range"), stored):
        return reply
    try:
        span = range_of(headers.get("range"), len(stored.data))
    except Unsatisfiable:
        refusal = error(416, "InvalidRange", "The requested range is not satisfiable")
        refusal.header("Content-Range", f"bytes */{len(stored.data)}")
        return refusal
    if span is not None:
        first, last = span
        reply.status, reply.body = 206, stored.data[first : last + 1]
        reply.header("Content-Range", f"bytes {first}-{last}/{len(stored.data)}")
    return reply


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of a listing; `etag` with its quotes, as S3 sends it."""

    key: str
    size: int
    etag: str


def listing_xml(
    entries: Iterable[Entry],
    *,
    prefix: str = "",
    max_keys: int = 1000,
    token: str | None = None,
    namespace: str = S3_NAMESPACE,
) -> bytes:
    """Return one page of ListObjectsV2; `token` is the next page's, None on the last."""
    rows = [
        f"<Contents><Key>{escape(entry.key)}</Key><LastModified>2026-08-20T10:11:12.000Z</LastModified>"
        f"<ETag>{escape(entry.etag, {chr(34): '&quot;'})}</ETag><Size>{entry.size}</Size>"
        "<StorageClass>INTELLIGENT_TIERING</StorageClass></Contents>"
        for entry in entries
    ]
    more = "" if token is None else f"<NextContinuationToken>{escape(token)}</NextContinuationToken>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{namespace}"><Name>bucket</Name>'
        f"<Prefix>{escape(prefix)}</Prefix>{more}<KeyCount>{len(rows)}</KeyCount><MaxKeys>{max_keys}</MaxKeys>"
        f"<IsTruncated>{'false' if token is None else 'true'}</IsTruncated>{''.join(rows)}</ListBucketResult>"
    ).encode()


def listing(bucket: Bucket, query: Mapping[str, str], page: int) -> Reply:
    """Answer a ListObjectsV2 request with at most `page` rows."""
    prefix = query.get("prefix", "")
    keys = bucket.keys_from(prefix)
    try:
        most = min(int(query.get("max-keys", "1000")), page)
        start = int(query.get("continuation-token", "0"))
    except ValueError:
        return error(400, "InvalidArgument", "max-keys or the continuation token is wrong")
    stored = [(key, bucket.get(key)) for key in keys[start : start + most]]
    entries = [Entry(key, len(found.data), found.etag or "") for key, found in stored if found is not None]
    token = str(start + most) if len(keys) > start + most else None
    body = listing_xml(entries, prefix=prefix, max_keys=most, token=token)
    return Reply(200, [("Content-Type", "application/xml")], body)
