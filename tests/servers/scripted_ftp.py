"""An FTP server that errs on command: raw asyncio streams, so that each connection can fail at any byte.

    async with ScriptedFtp({"a.tar.gz": data}, script={"RETR": ["425 no"]}) as server:
        ...  # server.url("a.tar.gz")
    assert server.verbs() == ["USER", "PASS", "TYPE", "SIZE", "MDTM", "EPSV", "RETR"]

What goes wrong with one file only is said by `faults`, see ftp_faults.py.

Without faults it answers as vsftpd does (tests/contract/test_ftp.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import count
from typing import Self
from urllib.parse import quote

from .ftp_faults import WHOLE, Answer, Data, Endless, FtpFault, Put, Said, Sent, Silence

__all__ = ["Data", "ScriptedFtp", "Silence"]


class _Leaves(Exception):
    """The control connection is at its end."""


class ScriptedFtp:
    """Files behind an FTP server on 127.0.0.1 or ::1.

    Args:
        files: content by path, as bytes of the URL decode to UTF-8.
        script: for a verb, `greeting` or `end` (the reply after a transfer): what is said instead, one for each time.
        data: how each data connection in turn fails; later ones do not.
        faults: what goes wrong with single files; goes before `script` and `data`.
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
        faults: Iterable[FtpFault] = (),
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
        self._faults = tuple(faults)
        self._met: Counter[tuple[int, str]] = Counter()
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

    def put(self, path: str, content: bytes | None) -> None:
        """Store under the path with a later time; None deletes."""
        if content is None:
            self._files.pop(path, None)
        else:
            self._files[path] = (content, next(self._moments))

    def file(self, path: str) -> tuple[bytes, int] | None:
        return self._files.get(path)

    def verbs(self, connection: int | None = None) -> list[str]:
        """Return the verbs that came, of one connection or of all."""
        return [line.partition(" ")[0] for number, line in self.commands if connection in (None, number)]

    def instead(self, verb: str, path: str) -> Said | None:
        """Return what is said in place of the right reply, and change the files as the faults say."""
        said: Said | None = None
        for fault in self._struck(verb, path):
            if isinstance(fault, Put):
                self.put(path, fault.content)
            elif isinstance(fault, Said):
                said = said or fault
        if said is None and (answer := next(self._script.get(verb, iter(())), None)) is not None:
            said = Said(verb, answer)
        return said

    def data_of(self, path: str) -> Data:
        struck = [fault.data for fault in self._struck("data", path) if isinstance(fault, Sent)]
        return struck[0] if struck else self.next_data()

    def next_data(self) -> Data:
        return next(self._data, WHOLE)

    def _struck(self, verb: str, path: str) -> list[FtpFault]:
        struck = []
        for number, fault in enumerate(self._faults):
            if fault.verb == verb and fnmatchcase(path, fault.on):
                self._met[number, path] += 1
                if fault.strikes(self._met[number, path]):
                    struck.append(fault)
        return struck

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
        self._path = ""
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
        """Send the reply or what stands in its place; return whether the command has its effect."""
        return await self._say_so(self._server.instead(verb, self._path), reply)

    async def _say_so(self, instead: Said | None, reply: str) -> bool:
        said = reply if instead is None else instead.reply
        if said is Silence.CLOSED:
            raise _Leaves
        if isinstance(said, Endless):
            while True:
                await self._write(said.text)
                await asyncio.sleep(said.pause)
        if isinstance(said, str):
            if instead is not None and self._listener is not None and self._listener.sockets:
                port = self._listener.sockets[0].getsockname()[1]
                for name, number in {"{port}": port, "{high}": port // 256, "{low}": port % 256}.items():
                    said = said.replace(name, str(number))
            await self._write(f"{said}\r\n")
        return instead is None or instead.does

    async def _write(self, text: str) -> None:
        self._writer.write(text.encode("latin-1"))
        await self._writer.drain()

    async def _obey(self, verb: str, argument: str) -> None:
        server = self._server
        if verb in ("SIZE", "MDTM", "RETR"):
            self._path = argument
        if not self._logged_in and verb not in ("USER", "PASS"):
            await self._write("530 Please login with USER and PASS.\r\n")
            return
        if verb in server.lacks:
            await self._write(f"502 {verb} is not implemented\r\n")
            return
        instead = server.instead(verb, self._path)
        found = server.file(argument)
        if verb == "REST":
            if await self._say_so(instead, "350 From there"):
                self._offset = int(argument)
        elif verb == "RETR" and found:
            offset, self._offset = self._offset, 0  # and by nothing else, as vsftpd and pyftpdlib do
            if await self._say_so(instead, f"150 Opening data connection ({len(found[0])} bytes)."):
                await self._send(found[0][offset:])
        else:
            reply = await self._reply(verb, argument, found)
            if await self._say_so(instead, reply) and verb == "USER" and instead is not None:
                self._logged_in = True

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
        self._fault = self._server.data_of(self._path)
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
        if fault.leaves:
            self._writer.close()
        if fault.early:
            await self._say("end", reply)
        try:
            step, pause = fault.pace
            for start in range(0, len(part), step):
                piece = part[start : start + step]
                writer.write(piece)
                await writer.drain()
                self._server.sent += len(piece)
                if pause:
                    await asyncio.sleep(pause)
            if fault.lingers:
                await self._say("end", reply)
            if fault.stall is not None or fault.lingers:
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
        if not fault.silently and not fault.early:
            await self._say("end", reply)

    async def _drop_data(self) -> None:
        listener, self._listener = self._listener, None
        accepted, self._accepted = self._accepted, None
        if listener is not None:
            listener.close()
        if accepted is not None and accepted.done():
            accepted.result().close()
