"""An FTP server that errs on command: raw asyncio streams, so that each connection can fail at any byte.

    async with ScriptedFtp({"a.tar.gz": data}, script={"RETR": ["425 no"]}) as server:
        ...  # server.url("a.tar.gz")
    assert server.verbs() == ["USER", "PASS", "TYPE", "SIZE", "MDTM", "EPSV", "RETR"]

Without faults it answers as vsftpd does (tests/contract/test_ftp.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import count
from typing import Final, Self
from urllib.parse import quote


class Silence(Enum):
    """What takes the place of a reply."""

    NEVER = "no reply, and the connection stays"
    CLOSED = "the control connection ends"


Answer = str | Silence | None
"""A reply line, a silence, or None for what the server would say by itself."""


@dataclass(frozen=True)
class Data:
    """How a data connection fails: after so many bytes it is `cut` (426), `reset` (426) or says nothing (`stall`).

    `silently` sends no reply after it; `refused` announces a port where nobody listens.
    """

    cut: int | None = None
    reset: int | None = None
    stall: int | None = None
    silently: bool = False
    refused: bool = False


WHOLE: Final = Data()


class _Leaves(Exception):
    """The control connection is at its end."""


class ScriptedFtp:
    """Files behind an FTP server on 127.0.0.1 or ::1.

    Args:
        files: content by path, as bytes of the URL decode to UTF-8.
        script: for a verb, `greeting` or `end` (the reply after a transfer): what is said instead, one for each time.
        data: how each data connection in turn fails; later ones do not.
        lacks: verbs that are answered 502.
        most: control connections at once; one more is greeted by 421.
        pasv_address: what a reply to PASV says.
        idle: seconds after which a connection without a command is closed.
        password: what the login needs; any if None.
        host: where to listen.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        *,
        script: Mapping[str, Iterable[Answer]] | None = None,
        data: Iterable[Data] = (),
        lacks: Iterable[str] = (),
        most: int | None = None,
        pasv_address: str = "127.0.0.1",
        idle: float | None = None,
        password: str | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self._moments = count(20_240_101_000_000)
        self._files = {path: (content, next(self._moments)) for path, content in files.items()}
        self._script: dict[str, Iterator[Answer]] = {verb: iter(answers) for verb, answers in (script or {}).items()}
        self._data = iter(data)
        self.lacks = frozenset(lacks)
        self._most = most
        self.pasv_address = pasv_address
        self.idle = idle
        self.password = password
        self.host = host
        self.commands: list[tuple[int, str]] = []
        self.connections = 0
        self.now = 0
        self.most_seen = 0
        self.refused = 0
        self.sent = 0
        self._sessions: set[asyncio.Task[None]] = set()

    @property
    def base(self) -> str:
        return f"ftp://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"

    def url(self, path: str) -> str:
        return self.base + quote(path, safe="/")

    def put(self, path: str, content: bytes) -> None:
        """Store under the path with a later time."""
        self._files[path] = (content, next(self._moments))

    def file(self, path: str) -> tuple[bytes, int] | None:
        return self._files.get(path)

    def verbs(self, connection: int | None = None) -> list[str]:
        """Return the verbs that came, of one connection or of all."""
        return [line.partition(" ")[0] for number, line in self.commands if connection in (None, number)]

    def instead(self, verb: str) -> Answer:
        return next(self._script.get(verb, iter(())), None)

    def next_data(self) -> Data:
        return next(self._data, WHOLE)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self.host, 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        await self._server.wait_closed()

    async def hang_up(self) -> None:
        """Close every control connection, as a server does that is started again."""
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        self.connections += 1
        self.now += 1
        try:
            if self._most is not None and self.now > self._most:
                self.refused += 1
                writer.write(b"421 There are too many connected users, please try later.\r\n")
                return
            self.most_seen = max(self.most_seen, self.now)
            with contextlib.suppress(_Leaves, ConnectionError, TimeoutError, asyncio.CancelledError):
                await _Session(self, self.connections, reader, writer).run()
        finally:
            self.now -= 1
            self._sessions.discard(task)
            writer.close()


class _Session:
    """One control connection."""

    def __init__(
        self, server: ScriptedFtp, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server, self._number, self._reader, self._writer = server, number, reader, writer
        self._offset = 0
        self._listener: asyncio.Server | None = None
        self._accepted: asyncio.Future[asyncio.StreamWriter] | None = None
        self._fault = WHOLE
        self._logged_in = False

    async def run(self) -> None:
        try:
            await self._say("greeting", "220-Welcome to a mirror\r\n2026-11-24 is a line like any other\r\n220 ready")
            while True:
                line = (await asyncio.wait_for(self._reader.readline(), self._server.idle)).decode().rstrip("\r\n")
                if not line:
                    return
                self._server.commands.append((self._number, line))
                verb, _, argument = line.partition(" ")
                await self._obey(verb, argument)
        finally:
            await self._drop_data()

    async def _say(self, verb: str, reply: str) -> bool:
        """Send the reply or what the script has instead; return whether it was the reply."""
        instead = self._server.instead(verb)
        if instead is Silence.CLOSED:
            raise _Leaves
        if instead is Silence.NEVER:
            return False
        self._writer.write(f"{instead or reply}\r\n".encode("latin-1"))
        await self._writer.drain()
        return instead is None

    async def _obey(self, verb: str, argument: str) -> None:
        server = self._server
        offset, self._offset = self._offset, 0
        found = server.file(argument)
        if not self._logged_in and verb not in ("USER", "PASS"):
            self._writer.write(b"530 Please login with USER and PASS.\r\n")
        elif verb in server.lacks:
            self._writer.write(f"502 {verb} is not implemented\r\n".encode())
        elif verb == "REST":
            if await self._say(verb, "350 From there"):
                self._offset = int(argument)
        elif verb == "RETR" and found:
            if await self._say(verb, f"150 Opening data connection ({len(found[0])} bytes)."):
                await self._send(found[0][offset:])
        else:
            await self._say(verb, await self._reply(verb, argument, found))

    async def _reply(self, verb: str, argument: str, found: tuple[bytes, int] | None) -> str:
        match verb:
            case "USER":
                return "331 And the password?"
            case "PASS":
                self._logged_in = self._server.password in (None, argument)
                return "230 Come in" if self._logged_in else "530 Login incorrect."
            case "TYPE":
                return "200 As bytes"
            case "SIZE":
                return f"213 {len(found[0])}" if found else "550 Could not get file size."
            case "MDTM":
                return f"213 {found[1]}" if found else "550 Could not get file modification time."
            case "EPSV":
                return f"229 Entering Extended Passive Mode (|||{await self._listen()}|)"
            case "PASV":
                port = await self._listen()
                place = self._server.pasv_address.replace(".", ",")
                return f"227 Entering Passive Mode ({place},{port // 256},{port % 256})."
            case "RETR":
                return "550 Failed to open file."
        return "500 Unknown command."

    async def _listen(self) -> int:
        await self._drop_data()
        self._fault = self._server.next_data()
        accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()

        async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if accepted.done():
                writer.close()
            else:
                accepted.set_result(writer)

        self._listener = await asyncio.start_server(accept, self._server.host, 0)
        self._accepted = accepted
        port: int = self._listener.sockets[0].getsockname()[1]
        if self._fault.refused:
            self._listener.close()
        return port

    async def _send(self, content: bytes) -> None:
        assert self._accepted is not None
        fault, writer = self._fault, await self._accepted
        ends = [place for place in (fault.cut, fault.reset, fault.stall) if place is not None]
        part = content[: ends[0]] if ends else content
        reply = "226 Transfer complete." if len(part) == len(content) else "426 Failure writing network stream."
        try:
            for start in range(0, len(part), 65536):
                piece = part[start : start + 65536]
                writer.write(piece)
                await writer.drain()
                self._server.sent += len(piece)
            if fault.stall is not None:
                await asyncio.Event().wait()
            if fault.reset is not None:
                await asyncio.sleep(0.05)  # what was written is to arrive before the reset
                wire = writer.get_extra_info("socket")
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            else:
                writer.close()
                await writer.wait_closed()
        except ConnectionError:
            reply = "426 Failure writing network stream."
        await self._drop_data()
        if not fault.silently:
            await self._say("end", reply)

    async def _drop_data(self) -> None:
        listener, self._listener = self._listener, None
        accepted, self._accepted = self._accepted, None
        if listener is not None:
            listener.close()
        if accepted is not None and accepted.done():
            accepted.result().close()
