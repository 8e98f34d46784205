"""HTTP(S) by aiohttp: the one place that knows it, and the one place where its errors become ours.

Rules for editing this file:

1. Bytes are taken as they are: no decompression by aiohttp, or length, digest and Range no longer fit.
2. A body is resumed only by a strong validator, and what a 206 says of itself is compared whatever was asked: several
   S3 look-alikes ignore If-Range and send a part of the *new* object.
3. An answer is read to its end where the connection can live on, and closed where it can't.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Final

import aiohttp

from .. import __version__
from ..errors import (
    Broken,
    Busy,
    NotFound,
    Refused,
    ServerError,
    Stale,
    Stalled,
    TransferError,
    Unreachable,
)
from ..protocols import ROUND_TRIPS, START, Body, Point
from .coding import after, decoded, is_gzip, is_gzip_twice
from .connections import OUT_OF_DESCRIPTORS, Connections, TurnedAway
from .headers import length, retry_after, s3_md5, span, validator
from .proxies import Proxies
from .redirects import Way
from .sessions import Lent, SessionClosed

PROJECT_URL: Final = "https://github.com/roco-async/roco_async"

_MOST_REDIRECTS: Final = 10
_PATIENCE: Final = 3
"""Times the timeout that all before a body may take: proxies, interim answers, redirects, heads that creep."""

_ERROR_BODY: Final = 64 * 1024

_S3_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,60})</Code>")


def user_agent() -> str:
    """The honest name that PMC asks automated clients to give."""
    return f"roco_async/{__version__} (+{PROJECT_URL})"


class HttpTransport:
    """A Transport over HTTP/1.1 (RFC 9110, RFC 9112).

    Args:
        timeout: seconds without a byte, or without a connection, after which a transfer is broken off.
        session: somebody else's session; it is used as it is and never closed.

    Example:
        >>> async def size(url):
        ...     transport = HttpTransport(timeout=30)
        ...     async with transport.open(url) as body:
        ...         return body.size
    """

    def __init__(self, *, timeout: float, session: aiohttp.ClientSession | None = None) -> None:
        self._session = session
        self.lent = None if session is None else Lent(session)
        self._timeout = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=timeout, sock_read=timeout)
        self._headers = {"User-Agent": user_agent(), "Accept": "*/*", "Accept-Encoding": "identity"}
        self.patience = _PATIENCE * timeout
        self._proxies = Proxies()
        self._quickest: dict[str, float] = {}

    def open(self, url: str, at: Point = START) -> _Exchange:
        """Ask for `url` from `at` on.

        Raises, on entering and from the body's chunks:
            PermanentError: 404 or 410.
            TemporaryError: everything else that can go wrong.
        """
        return _Exchange(self, url, at)

    async def aclose(self) -> None:
        """Close the session if it is this transport's own; wait until its sockets are closed."""
        if self._session is not None and self.lent is None:
            session, self._session = self._session, None
            await session.close()
            await asyncio.sleep(0)  # transports close in the loop's next turn

    async def get(self, way: Way, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """Send one GET, following redirects that stay within http and https."""
        session, lent = self._own_or_given(), self.lent
        for _ in range(_MOST_REDIRECTS + 1):
            if lent is not None and lent.closed:
                raise SessionClosed
            target = way.target
            response = await session.get(
                target,
                headers=headers,
                allow_redirects=False,
                raise_for_status=False,
                timeout=self._timeout,
                auto_decompress=False,
                # a session that was passed in has its own idea of proxies
                proxy=self._proxies.of(target.scheme, target.host or "", target.port) if lent is None else None,
                middlewares=lent.elsewhere() if lent is not None and way.crossed else None,
            )
            if response.status not in (301, 302, 303, 307, 308):
                return response
            location = response.headers.get("Location", "")
            await _read_out(response)
            way.go_on(location)
        raise Refused(f"more than {_MOST_REDIRECTS} redirects", operation="GET", url=way.url)

    def reconnect(self, host: str, first_byte: float) -> float:
        """Return what a fresh connection costs: about eight round trips, until its window has grown (slow start).

        Args:
            host: whose.
            first_byte: seconds from the request to the answer's head; the least that was seen stands for a round trip.
        """
        quickest = self._quickest[host] = min(first_byte, self._quickest.get(host, first_byte))
        return ROUND_TRIPS * quickest

    def request_headers(self, at: Point) -> dict[str, str]:
        asked = self._headers if self.lent else {}  # an own session adds them to each request, in less time
        if not at.offset:
            return asked
        asked = asked | {"Range": f"bytes={at.offset}-"}
        if at.validator:
            asked["If-Range"] = at.validator
        return asked

    def _own_or_given(self) -> aiohttp.ClientSession:
        if self._session is None:
            connections = Connections(ttl_dns_cache=300, keepalive_timeout=60)
            self._session = aiohttp.ClientSession(
                connector=connections,
                middlewares=[connections.tell],
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                timeout=self._timeout,
                auto_decompress=False,
                trust_env=False,  # it would also send ~/.netrc; proxies.py reads the proxies
            )
        return self._session


class _Exchange:
    """One request and its answer, from `async with` to the end of the block."""

    __slots__ = ("_at", "_response", "_transport", "_url")

    def __init__(self, transport: HttpTransport, url: str, at: Point) -> None:
        self._transport = transport
        self._url = url
        self._at = at

    async def __aenter__(self) -> Body:
        loop = asyncio.get_running_loop()
        began = loop.time()
        transport, lent = self._transport, self._transport.lent
        way = Way(self._url)
        try:
            async with asyncio.timeout(transport.patience):
                response = await transport.get(way, transport.request_headers(self._at))
                body = await self._body_of(response)
        except TransferError as ours:
            way.clear(ours)
            raise
        except Exception as foreign:  # of a session that is closed meanwhile aiohttp asserts what is not so any more
            is_closed = lent is not None and lent.closed
            if not is_closed and not isinstance(foreign, aiohttp.ClientError | OSError | ValueError):
                raise
            error = mapped(SessionClosed() if is_closed else foreign, self._url, answered=False)
            way.clear(error)
            raise error from foreign
        body.reconnect = transport.reconnect(response.url.raw_authority, loop.time() - began)
        if lent is not None:
            lent.begin(response)
        return body

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport.lent is not None:
            self._transport.lent.end(self._response)
        _let_go(self._response, whole=kind is None and self._response.content.at_eof())

    async def _body_of(self, response: aiohttp.ClientResponse) -> Body:
        self._response = response
        try:
            return await self._body(response)
        except BaseException:
            _let_go(response, whole=response.content.at_eof())
            raise

    async def _body(self, response: aiohttp.ClientResponse) -> Body:
        status = response.status
        if status == 200:
            return await self._whole(response)
        if status == 206:
            return self._part(response)
        message = await _explain(response)
        if status == 416 and self._at.offset:
            raise Stale(f"{message}: shorter than before", operation="GET", url=self._url)
        raise refusal(status, message, self._url, response.headers)

    async def _whole(self, response: aiohttp.ClientResponse) -> Body:
        headers = response.headers
        size = length(headers)
        if "Content-Range" in headers:
            part = span(headers)
            if self._at.offset or part is None or part[0] != 0 or part[1] + 1 != part[2]:
                # rclone's S3 server answers a Range so, with a part: not to be joined, not to be taken for the whole
                raise Stale("200 with a Content-Range", operation="GET", url=self._url)
        coding = headers.get("Content-Encoding", "identity").strip().lower()
        chunks: AsyncIterator[bytes] = _Chunks(response.content, self._url, self._transport.lent)
        encoded = coding not in ("identity", "")
        if encoded and is_gzip(self._url):  # mostly a label on the file itself; a proxy may have packed it once more
            first = await anext(chunks, b"")
            chunks = after(first, chunks)
            encoded = is_gzip_twice(first)
        if encoded:
            return Body(
                start=0, size=None, validator=None, digest=s3_md5(headers),
                chunks=decoded(chunks, coding, self._url),
            )  # fmt: skip
        return Body(start=0, size=size, validator=validator(headers), digest=s3_md5(headers), chunks=chunks)

    def _part(self, response: aiohttp.ClientResponse) -> Body:
        headers = response.headers
        part = span(headers)
        if not self._at.offset:
            raise Broken("206 where no range was asked for", operation="GET", url=self._url)
        if part is None or part[0] != self._at.offset or part[1] < part[0]:
            said = headers.get("Content-Range", "none")
            raise Stale(f"wrong Content-Range: {said}", operation="GET", url=self._url)
        if self._at.validator is None or validator(headers) != self._at.validator:
            raise Stale("206 of another version", operation="GET", url=self._url)
        coding = headers.get("Content-Encoding", "identity").strip().lower()
        if coding not in ("identity", "") and not is_gzip(self._url):  # what was decoded has no validator
            raise Stale("206 of an encoded body", operation="GET", url=self._url)
        return Body(
            start=part[0],
            size=part[2],
            validator=self._at.validator,
            digest=s3_md5(headers),
            chunks=_Chunks(response.content, self._url, self._transport.lent),
        )


class _Chunks:
    """The body's bytes as they arrive; keeps what came before a cut, unlike `read()`."""

    __slots__ = ("_content", "_lent", "_url")

    def __init__(self, content: aiohttp.StreamReader, url: str, lent: Lent | None) -> None:
        self._content = content
        self._url = url
        self._lent = lent

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        content = self._content
        try:
            chunk = await content.readany()
        except RuntimeError as error:
            if self._lent is None or not self._lent.closed:
                raise
            raise mapped(SessionClosed(), self._url, answered=True) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            content.set_exception(None)  # type: ignore[arg-type]  # readany() raises before it gives what came before a cut
            chunk = content.read_nowait()
            content.set_exception(error)
            if not chunk:
                raise mapped(error, self._url, answered=True) from error
        if not chunk:
            raise StopAsyncIteration
        return chunk


def mapped(error: Exception, url: str, *, answered: bool) -> TransferError:
    """Return the TransferError for what aiohttp or the socket raised.

    Args:
        error: the foreign exception; the most specific class below wins.
        url: what was asked for.
        answered: whether the answer's head had arrived.
    """
    text = str(error) or type(error).__name__
    match error:
        case SessionClosed():
            return Refused(text, operation="GET", url=url)
        case aiohttp.ClientHttpProxyError():
            return refusal(error.status, f"the proxy answered {error.status} {error.message}", url, error.headers or {})
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ServerFingerprintMismatch():
            return Refused(f"certificate: {text}", operation="GET", url=url)
        case aiohttp.ClientConnectorError() if error.os_error.errno in OUT_OF_DESCRIPTORS:
            return Busy(f"this process has no more descriptors: {text}", operation="GET", url=url)
        case aiohttp.ClientConnectorError() if isinstance(error.os_error, ssl.SSLCertVerificationError):
            return Refused(f"certificate: {text}", operation="GET", url=url)
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return Unreachable(text, operation="GET", url=url, answered=False)
        case TurnedAway():
            message = f"the server closed a fresh connection: {text}"
            return Broken(message, operation="GET", url=url, answered=answered)
        case aiohttp.ServerDisconnectedError():
            # an idle connection closed by the server shows up so: normal traffic, and no sign of overload
            message = "the server closed the connection"
            return Broken(message, operation="GET", url=url, answered=answered, overload=False)
        case TimeoutError():
            return Stalled("no bytes for too long", operation="GET", url=url, answered=answered)
        case aiohttp.ClientPayloadError():
            return Broken(f"the body was cut: {text}", operation="GET", url=url)
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return Refused(f"no usable URL: {text}", operation="GET", url=url)
        case aiohttp.ClientResponseError():
            return Broken(f"no proper HTTP: {error.message}", operation="GET", url=url)
        case ssl.SSLError():
            return Broken(f"TLS: {text}", operation="GET", url=url, answered=answered)
        case aiohttp.ClientError() | OSError():
            return Broken(text, operation="GET", url=url, answered=answered)
        case _:
            return Refused(f"no usable URL or answer: {text}", operation="GET", url=url)


def refusal(status: int, message: str, url: str, headers: Mapping[str, str]) -> TransferError:
    """Return the TransferError for a status that brings no image (RFC 9110 §15; S3 "Error responses")."""
    if status in (404, 410):
        return NotFound(message, operation="GET", url=url)
    wait = retry_after(headers)
    if status in (421, 425, 429, 503):
        return Busy(message, operation="GET", url=url, retry_after=wait)
    if status == 408:
        return Stalled(message, operation="GET", url=url)
    if status >= 500:
        return ServerError(message, operation="GET", url=url, retry_after=wait)
    if status >= 400:
        return Refused(message, operation="GET", url=url, retry_after=wait)
    return Broken(message, operation="GET", url=url)


def _let_go(response: aiohttp.ClientResponse, *, whole: bool) -> None:
    """Give a connection back whose answer was read to its end, and close any other."""
    if whole:
        response.release()
    else:
        response.close()


async def _read_out(response: aiohttp.ClientResponse) -> bytes:
    """Read a small body so that the connection can be used again; close it if the body is not small."""
    body = b""
    try:
        while len(body) <= _ERROR_BODY and (chunk := await response.content.readany()):
            body += chunk
    except (aiohttp.ClientError, OSError, RuntimeError):
        response.close()
    except asyncio.CancelledError:
        response.close()
        raise
    _let_go(response, whole=response.content.at_eof())
    return body


async def _explain(response: aiohttp.ClientResponse) -> str:
    """Return the status in words, with S3's own code where the body has one."""
    body = await _read_out(response)
    code = _S3_CODE.search(body)
    words = code[1].decode() if code else (response.reason or "")
    return f"{response.status} {words}".strip()
