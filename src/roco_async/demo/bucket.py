"""A bucket on the loopback that answers as S3 does and misbehaves on purpose, but kindly.

It pushes back with 503 SlowDown above a number of requests, cuts every n-th body in the middle (a part asked for by
`Range` is never cut, so that a resumed transfer ends), and takes its time. It counts what it did. As a guest of the
house `demo` is the one other owner of aiohttp beside `transport/http.py`: for its server, and a session without proxy.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from types import TracebackType
from typing import Self
from xml.sax.saxutils import escape

from aiohttp import web

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_DATE = "2026-11-01T00:00:00.000Z"
_CHUNK = 8 * 1024  # bytes
_MOST_KEYS = 1000  # a page, S3's own figure


@dataclass(slots=True)
class BucketCounts:
    """What the bucket did: requests in all, and among them listings, refusals (503), cut bodies and resumed ones
    (206), keys that are not there (404), and the most requests that were under way at once."""

    requests: int = 0
    listings: int = 0
    refusals: int = 0
    cuts: int = 0
    resumes: int = 0
    missing: int = 0
    most_at_once: int = 0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Stored:
    body: bytes
    etag: str


class Bucket:
    """Serve objects from memory on 127.0.0.1 and a free port, for as long as the block is open.

    Args:
        objects: key → bytes.
        busy_above: requests under way at once above which one is answered 503 SlowDown.
        cut_every: every n-th whole body is cut in its middle; 0 cuts none.
        latency: seconds before an answer begins.
        pace: seconds between two chunks of 8 KiB.

    Example:
        >>> async def main() -> None:
        ...     async with Bucket({"PMC99000001.1/a.jpg": b"..."}) as bucket:
        ...         print(bucket.url)
        >>> asyncio.run(main())  # doctest: +SKIP
        http://127.0.0.1:40123/
    """

    def __init__(
        self,
        objects: Mapping[str, bytes],
        *,
        busy_above: int = 8,
        cut_every: int = 25,
        latency: float = 0.01,
        pace: float = 0.015,
    ) -> None:
        self._objects = {key: _Stored(body, _etag(body)) for key, body in sorted(objects.items())}
        self._keys = list(self._objects)
        self._busy_above = busy_above
        self._cut_every = cut_every
        self._latency = latency
        self._pace = pace
        self._under_way = 0
        self._bodies = 0
        self._runner: web.AppRunner | None = None
        self.counts = BucketCounts()
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{key:.*}", self._answer, allow_head=False)
        # A cut transfer is no reason to hold up the end of the demo.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, "127.0.0.1", 0)
            await site.start()
        except BaseException:
            await self._runner.cleanup()
            raise
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.counts.requests += 1
        if self._under_way >= self._busy_above:
            self.counts.refusals += 1
            return _fault(503, "SlowDown", "Please reduce your request rate.")
        self._under_way += 1
        self.counts.most_at_once = max(self.counts.most_at_once, self._under_way)
        try:
            await asyncio.sleep(self._latency)
            key = request.match_info["key"]
            return self._list(request) if key == "" else await self._get(request, key)
        finally:
            self._under_way -= 1

    def _list(self, request: web.Request) -> web.Response:
        """ListObjectsV2: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html"""
        self.counts.listings += 1
        if request.query.get("list-type") != "2":
            return _fault(400, "InvalidArgument", "Only list-type=2 is spoken here.")
        prefix = request.query.get("prefix", "")
        try:
            most = min(_MOST_KEYS, max(0, int(request.query.get("max-keys", _MOST_KEYS))))
            after = base64.b64decode(request.query.get("continuation-token", ""), validate=True).decode()
        except ValueError:
            return _fault(400, "InvalidArgument", "max-keys is no number, or the continuation token is none.")
        first = bisect_left(self._keys, max(prefix, after + "\0" if after else ""))
        matching = [key for key in islice(self._keys, first, first + most + 1) if key.startswith(prefix)]
        page, more = matching[:most], len(matching) > most > 0
        parts = [f"<Name>demo</Name><Prefix>{escape(prefix)}</Prefix><MaxKeys>{most}</MaxKeys>"]
        parts.append(f"<KeyCount>{len(page)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>")
        if more:
            token = base64.b64encode(page[-1].encode()).decode()
            parts.append(f"<NextContinuationToken>{token}</NextContinuationToken>")
        for key in page:
            stored = self._objects[key]
            parts.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>{_DATE}</LastModified>"
                f"<ETag>{escape(stored.etag, {chr(34): '&quot;'})}</ETag><Size>{len(stored.body)}</Size>"
                "<StorageClass>STANDARD</StorageClass></Contents>"
            )
        return _xml(200, f'<ListBucketResult xmlns="{_NAMESPACE}">{"".join(parts)}</ListBucketResult>')

    async def _get(self, request: web.Request, key: str) -> web.StreamResponse:
        stored = self._objects.get(key)
        if stored is None:
            self.counts.missing += 1
            return _fault(404, "NoSuchKey", "The specified key does not exist.", key)
        span = _span(request, stored)
        size = len(stored.body)
        if span is not None and span[0] >= size:
            return _fault(416, "InvalidRange", "The requested range is not satisfiable", key)
        start, end = span or (0, size)
        headers = {"ETag": stored.etag, "Accept-Ranges": "bytes", "Content-Type": "binary/octet-stream"}
        if span is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
            self.counts.resumes += start > 0
        response = web.StreamResponse(status=206 if span else 200, headers=headers)
        response.content_length = end - start
        cut = span is None and self._is_cut()
        try:
            await response.prepare(request)
            await self._send(response, stored.body[start : start + (end - start) // 2 if cut else end])
        except ConnectionError:
            # The client has left (Ctrl-C); aiohttp would log that as an error, with a traceback.
            return response
        if cut:
            self.counts.cuts += 1
            if request.transport is not None:
                # `close` and not `abort`: what was sent arrives, so that there is a byte to go on from.
                request.transport.close()
        return response

    def _is_cut(self) -> bool:
        self._bodies += 1
        return self._cut_every > 0 and self._bodies % self._cut_every == 0

    async def _send(self, response: web.StreamResponse, body: bytes) -> None:
        for at in range(0, len(body), _CHUNK):
            if at:
                await asyncio.sleep(self._pace)
            await response.write(body[at : at + _CHUNK])


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def _span(request: web.Request, stored: _Stored) -> tuple[int, int] | None:
    """Return the bytes asked for as [start, end), or None where the whole is to be sent (RFC 9110 §13.1.5, §14.2)."""
    if request.headers.get("If-Range", stored.etag) != stored.etag:
        return None
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""))
    if match is None or match[0] == "bytes=-":
        return None
    size = len(stored.body)
    if not match[1]:
        # A suffix of no byte at all is beyond the end, and refused there.
        return (max(0, size - int(match[2])), size) if int(match[2]) else (size, size)
    start = int(match[1])
    end = int(match[2]) + 1 if match[2] else size
    return None if end <= start and match[2] else (start, min(end, size))


def _fault(status: int, code: str, message: str, key: str = "") -> web.Response:
    where = f"<Key>{escape(key)}</Key>" if key else ""
    return _xml(status, f"<Error><Code>{code}</Code><Message>{escape(message)}</Message>{where}</Error>")


def _xml(status: int, root: str) -> web.Response:
    return web.Response(
        status=status, text=f'<?xml version="1.0" encoding="UTF-8"?>\n{root}', content_type="application/xml"
    )
