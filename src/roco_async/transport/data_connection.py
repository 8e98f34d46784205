"""The data connection of a passive FTP transfer: bytes as they came, then the end or the error (RFC 959 §3.2)."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, cast

WINDOW: Final = 512 * 1024
"""Bytes that are held before the sender is made to wait."""


class DataConnection(asyncio.Protocol):
    """A data connection. Unlike asyncio's StreamReader it gives what came before a reset, and only then the error."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._ended = False
        self._error: Exception | None = None
        self._news: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._chunks.append(data)
        self._held += len(data)
        if self._held >= WINDOW:
            self._transport.pause_reading()
        self._tell()

    def eof_received(self) -> None:
        self._ended = True
        self._tell()

    def connection_lost(self, error: Exception | None) -> None:
        self._ended = True
        self._error = error
        self._tell()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def read(self, timeout: float) -> bytes:
        """Return all bytes that are here, b"" at the end; raise TimeoutError after `timeout` seconds without one.

        All, since each read costs its consumer a hop to a thread and back: a copy is cheaper.
        """
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            self._news = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(timeout):
                await self._news
        chunk = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        if self._held >= WINDOW:
            self._transport.resume_reading()
        self._held = 0
        return chunk

    def close(self) -> None:
        """Close at once; what was not read is lost."""
        self._transport.abort()
