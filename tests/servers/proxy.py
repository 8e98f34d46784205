"""A proxy that errs on command: absolute URLs are forwarded, CONNECT opens a tunnel, all to one server of ours.

async with ScriptedProxy(server.port, password="me:secret") as proxy:
    ...  # proxy.url, proxy.heads
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from typing import Final, Self

_ROOM: Final = 65536


class ScriptedProxy:
    """A proxy on a free port of 127.0.0.1.

    Args:
        target: the port of 127.0.0.1 that everything goes to, whatever its name.
        password: `user:password` that it wants, else 407.
        says: what it says to every request instead; b"" to hang up, None for what is right.
        silent: it says nothing at all.
    """

    def __init__(
        self, target: int, *, password: str | None = None, says: bytes | None = None, silent: bool = False
    ) -> None:
        self._target = target
        self._wanted = None if password is None else base64.b64encode(password.encode()).decode()
        self._says = says
        self._silent = silent
        self.heads: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._answer(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.decode("latin-1"))
        if self._silent:
            await asyncio.Event().wait()
        if self._says is not None:
            writer.write(self._says)
            await writer.drain()
            return
        if self._wanted is not None and f"Proxy-Authorization: Basic {self._wanted}\r\n".encode() not in head:
            writer.write(b"HTTP/1.1 407 Password\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        line, rest = head.split(b"\r\n", 1)
        method, url, version = line.split(b" ")
        there = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            if method == b"CONNECT":
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                path = b"/" + url.split(b"/", 3)[3]
                there[1].write(b" ".join((method, path, version)) + b"\r\nConnection: close\r\n" + rest)
            async with asyncio.TaskGroup() as both:
                both.create_task(_carry(reader, there[1]))
                both.create_task(_carry(there[0], writer))
        finally:
            there[1].close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(_ROOM):
            writer.write(piece)
            await writer.drain()
        writer.close()
