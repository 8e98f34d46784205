"""A bucket that errs on command: raw asyncio streams, so that connections can be torn at any byte, in any way.

    async with ScriptedServer({"PMC1.1/a.jpg": data}, Fault(Cut(1000), nth=1)) as server:
        ...  # server.base, server.url(key)
    assert [request.status for request in server.requests_of("PMC1.1/a.jpg")] == [200, 206]

Without faults it answers as nginx and S3 do (tests/contract/test_servers.py). `in_thread` runs one beside a
synchronous test, or a test whose client is another process.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import socket
import ssl
import struct
import sys
import termios
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http.client import responses
from typing import Any, Final, Self, TypeVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

from .faults import Fault, Script
from .objects import Bucket, Reply, StoredObject, answer, error, listing, not_found, slow_down

PIECE: Final = 256 * 1024
_ATTACH_FILTER: Final = 26  # SO_ATTACH_FILTER of Linux, socket(7)
_DROP_ALL: Final = struct.pack("HBBI", 6, 0, 0, 0)  # BPF: return 0 bytes of every packet
T = TypeVar("T")


@dataclass
class Request:
    """One request as it came in, and what became of it.

    Args:
        at: `time.monotonic()` of its last header byte.
        key: the object's key, or `?` and the query of a listing, decoded.
        headers: names in lower case.
        connection: counts the server's connections from 1.
        status: 0 until it is answered, and for good where no answer was given.
        sent: bytes of the body handed to the system.
        whole: whether the answer went out to its end.
    """

    at: float
    method: str
    target: str
    key: str
    headers: dict[str, str]
    connection: int
    status: int = 0
    sent: int = 0
    whole: bool = False


class _Ends(Exception):
    """The connection is at its end."""


@dataclass
class _Connection:
    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def reset(self) -> None:
        """End the connection by RST; what was not sent is lost."""
        wire = self.writer.get_extra_info("socket")
        if wire is not None and wire.fileno() >= 0:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def vanish(self) -> None:
        """Hear nothing more and say nothing more, not even an ACK, as a machine that lost its power; never returns."""
        await self.wait_delivered()
        program = ctypes.create_string_buffer(_DROP_ALL)
        wire = self.writer.get_extra_info("socket")
        wire.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))
        await asyncio.Event().wait()

    async def send(self, data: bytes | memoryview) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def wait_delivered(self) -> None:
        """Wait until the other side's system has all bytes: an RST before that would take them back.

        Over TLS asyncio may hold some more, so that fewer arrive.
        """
        handle = self.writer.get_extra_info("socket").fileno()
        unsent = bytearray(4)
        while handle >= 0 and not self.writer.transport.is_closing():
            fcntl.ioctl(handle, termios.TIOCOUTQ, unsent)
            if int.from_bytes(unsent, sys.byteorder) == 0:
                return
            await asyncio.sleep(0.001)  # the kernel has no event for "acknowledged"


class ScriptedServer:
    """An S3-like bucket on a free port of 127.0.0.1 or ::1.

    Args:
        objects: what the bucket holds; bytes get S3's headers, with their md5 as ETag.
        faults: what goes wrong, see faults.py; `script.add()` brings more while it runs.
        base_path: where the bucket begins, `/` or `/some/path/`.
        page_size: the most rows of one listing page.
        max_requests: with so many being answered, the next one gets 503 SlowDown.
        max_connections: with so many open, the next one is reset.
        tls: serve HTTPS with it; see tls.py.
        host: where to listen.
    """

    def __init__(
        self,
        objects: Mapping[str, StoredObject | bytes],
        *faults: Fault,
        base_path: str = "/",
        page_size: int = 1000,
        max_requests: int | None = None,
        max_connections: int | None = None,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.bucket = Bucket(objects)
        self.script = Script(faults)
        self.base_path = base_path
        self.page_size = page_size
        self.max_requests = max_requests
        self.max_connections = max_connections
        self.tls = tls
        self.host = host
        self.port = 0
        self.requests: list[Request] = []
        self.connections = self.peak_requests = self.peak_connections = self.refused = 0
        self._active = 0
        self._tasks: dict[asyncio.Task[Any], _Connection] = {}
        self._server: asyncio.Server | None = None
        self._place: socket.socket | None = None

    @property
    def base(self) -> str:
        """The bucket's base URL, with a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.tls else ''}://{host}:{self.port}{self.base_path}"

    def url(self, key: str) -> str:
        return self.base + quote(key, safe="/")

    def requests_of(self, key: str) -> list[Request]:
        return [request for request in self.requests if request.key == key]

    @property
    def image_requests(self) -> list[Request]:
        """All requests but listings."""
        return [request for request in self.requests if not request.key.startswith("?")]

    @property
    def listings(self) -> list[Request]:
        return [request for request in self.requests if request.key.startswith("?")]

    @property
    def open_connections(self) -> int:
        return len(self._tasks)

    async def __aenter__(self) -> Self:
        self._reserve()
        await self.resume()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pause()
        if self._place is not None:
            self._place.close()

    async def pause(self) -> None:
        """Begin an outage: reset all connections, refuse new ones. The port stays ours."""
        if self._server is None:
            return
        self._server.close()
        self._reserve()
        self._server = None
        for task, connection in self._tasks.items():
            connection.reset()
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def resume(self) -> None:
        """End an outage, on the same port."""
        place, self._place = self._place, None
        self._server = await asyncio.start_server(self._serve, sock=place, ssl=self.tls, backlog=1024)

    def _reserve(self) -> None:
        """Bind without listening: a connection is refused, and nobody else gets the port."""
        self._place = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET, socket.SOCK_STREAM)
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind((self.host, self.port))
        self.port = self._place.getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = _Connection(self.connections, reader, writer)
        # drain() then waits until the system has all; TLS of asyncio never goes on with a limit of 0
        writer.transport.set_write_buffer_limits(high=1 if self.tls else 0, low=0)
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = connection
        try:
            if self._server is None or len(self._tasks) > (self.max_connections or sys.maxsize):
                self.refused += 1
                connection.reset()
                return
            self.peak_connections = max(self.peak_connections, len(self._tasks))
            while True:
                await self._answer_one(connection)
        except (_Ends, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            connection.reset()  # and not raised: asyncio's streams log a task that ends cancelled
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            del self._tasks[task]

    async def _answer_one(self, connection: _Connection) -> None:
        head = await connection.reader.readuntil(b"\r\n\r\n")
        request = self._parse(head.decode("latin-1"), connection.number)
        self.requests.append(request)
        self._active += 1
        self.peak_requests = max(self.peak_requests, self._active)
        try:
            reply = self._reply_to(request)
            await self._deliver(connection, request, reply)
        finally:
            self._active -= 1
        if reply.framing == "close" or request.headers.get("connection", "").lower() == "close":
            raise _Ends

    def _parse(self, head: str, number: int) -> Request:
        line, *rest = head.rstrip("\r\n").split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rest)}
        parts = urlsplit(target)
        if parts.query and parts.path.rstrip("/") == self.base_path.rstrip("/"):
            key = "?" + unquote(parts.query)
        else:
            key = unquote(parts.path.removeprefix(self.base_path))
        return Request(time.monotonic(), method, target, key, headers, number)

    def _reply_to(self, request: Request) -> Reply:
        if self.max_requests is not None and self._active > self.max_requests:
            return slow_down()
        headers = dict(request.headers)
        behaviours = self.script.due(request.key)
        for behaviour in behaviours:
            behaviour.meddle(self.bucket, request.key)
            behaviour.mishear(headers)
        if request.method not in ("GET", "HEAD"):
            reply = error(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        elif request.key.startswith("?"):
            query = {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}
            reply = listing(self.bucket, query, self.page_size)
        elif (stored := self.bucket.get(request.key)) is None:
            reply = not_found(request.key)
        else:
            for behaviour in behaviours:
                stored = behaviour.disguise(stored)
            reply = answer(stored, headers)
        for behaviour in behaviours:
            behaviour.bend(reply)
        return reply

    async def _deliver(self, connection: _Connection, request: Request, reply: Reply) -> None:
        if reply.delay != 0:
            await self._hold(connection, reply.delay)
        if reply.reset:
            connection.reset()
        if reply.reset or reply.closed:
            raise _Ends
        request.status = reply.status
        body = b"" if request.method == "HEAD" else reply.body
        head = b"".join(b"HTTP/1.1 %d Interim\r\nLink: </x>\r\n\r\n" % code for code in reply.interim) + _head(reply)
        if reply.vanishes is not None and reply.vanishes >= 0:
            await connection.send(head + body[: reply.vanishes])
            await connection.vanish()
        if reply.cut is reply.stall is reply.pace is None and reply.framing != "chunked":
            await connection.send(head + body if len(body) < PIECE else head)
            if len(body) >= PIECE:
                await connection.send(body)
            request.sent = len(body)
        else:
            await connection.send(head)
            await self._deliver_slowly(connection, request, reply, body)
        request.whole = True
        if reply.vanishes is not None:
            await connection.vanish()

    async def _deliver_slowly(self, connection: _Connection, request: Request, reply: Reply, body: bytes) -> None:
        """Send the body in pieces that end exactly where something happens."""
        view, chunked = memoryview(body), reply.framing == "chunked"
        end = len(body) if reply.cut is None else min(reply.cut[0], len(body))
        stall, (step, pause) = reply.stall, reply.pace or (PIECE, 0.0)
        while request.sent < end or (stall is not None and stall[0] <= end):
            if stall is not None and stall[0] <= request.sent:
                await self._hold(connection, stall[1])
                stall = None
                continue
            stop = min(end, request.sent + step, stall[0] if stall is not None else end)
            piece = view[request.sent : stop]
            await connection.send(b"%x\r\n%b\r\n" % (len(piece), bytes(piece)) if chunked else piece)
            request.sent = stop
            if pause and stop < end:
                await self._hold(connection, pause)
        if reply.cut is not None:
            if reply.cut[1]:
                await connection.wait_delivered()
                connection.reset()
            raise _Ends
        if chunked:
            await connection.send(b"0\r\n\r\n")

    async def _hold(self, connection: _Connection, seconds: float | None) -> None:
        """Wait, but no longer than the client does; a stopping server cancels it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if await connection.reader.read(1) == b"":
                    raise _Ends


def _head(reply: Reply) -> bytes:
    phrase = responses.get(reply.status, "Unknown")
    headers = [*reply.headers, ("Date", formatdate(usegmt=True)), ("x-amz-request-id", "4442587FB7D0A2F9")]
    if reply.framing == "length":
        headers.append(("Content-Length", str(len(reply.body))))
    elif reply.framing == "chunked":
        headers.append(("Transfer-Encoding", "chunked"))
    else:
        headers.append(("Connection", "close"))
    lines = [f"HTTP/1.1 {reply.status} {phrase}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


@dataclass
class ThreadedServer:
    """A ScriptedServer whose loop runs in another thread; its counts and lists may be read from here."""

    server: ScriptedServer
    _loop: asyncio.AbstractEventLoop

    def call(self, doing: Coroutine[Any, Any, T]) -> T:
        """Run `server.pause()` or `server.resume()` over there."""
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(10)


@contextlib.contextmanager
def in_thread(server: ScriptedServer) -> Iterator[ThreadedServer]:
    """Serve from a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="scripted server")
    thread.start()
    threaded = ThreadedServer(server, loop)
    try:
        threaded.call(server.__aenter__())
        yield threaded
    finally:
        threaded.call(server.__aexit__())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
