"""FTP by aioftp (RFC 959, RFC 2428, RFC 3659): transfers, and where aioftp's errors become ours.

Rules for editing this file:

1. A control connection is given to another transfer only when each of its commands has had its answer (`in_step`).
   After a cancel or an error nobody knows what is still to come on it: it is closed.
2. The data connection is ours, not aioftp's: aioftp 0.28 loses its socket after a 550 to RETR.
3. A file is resumed only where SIZE and MDTM are those of before; they are asked once more at a resumed file's end.
"""

from __future__ import annotations

import asyncio
import errno
from types import TracebackType
from typing import Final

import aioftp

from ..errors import Broken, Busy, Stale, Stalled, TransferError, Unreachable, Unsafe
from ..protocols import START, Body, Point
from .control_connection import ControlConnection
from .data_connection import DataConnection
from .replies import Account, address, refusal

_IDLE: Final = 60.0
_PATIENCE: Final = 3.0
"""Seconds for the last reply of a transfer whose bytes nobody waits for: it may never come (seen at 80 ms)."""

_OUT_OF_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS})
_FOREIGN: Final = (aioftp.AIOFTPException, OSError, ValueError)

_Prepared = tuple[asyncio.Task[DataConnection], int | None, str | None]
"""A data connection that may not be open yet, and the file's size and validator."""


class FtpTransport:
    """A Transport over FTP in passive mode; control connections are kept and used again.

    Args:
        timeout: seconds without a byte, a reply or a connection after which a transfer is broken off.

    Example:
        >>> async def size(url):
        ...     transport = FtpTransport(timeout=30)
        ...     async with transport.open(url) as body:
        ...         return body.size
    """

    def __init__(self, *, timeout: float) -> None:
        self.timeout = timeout
        self._open: set[ControlConnection] = set()
        self._idle: dict[Account, list[tuple[ControlConnection, asyncio.TimerHandle]]] = {}
        self._without_epsv: set[tuple[str, int]] = set()

    def open(self, url: str, at: Point = START) -> _Exchange:
        """Ask for `ftp://[user[:password]@]host[:port]/path` from `at` on.

        Raises, on entering and from the body's chunks:
            PermanentError: 550, or a URL that is none of FTP.
            TemporaryError: everything else that can go wrong.
        """
        return _Exchange(self, url, at)

    async def aclose(self) -> None:
        """Close all connections."""
        for waiting in self._idle.values():
            for _, timer in waiting:
                timer.cancel()
        self._idle.clear()
        for control in self._open:
            control.close()
        self._open.clear()
        await asyncio.sleep(0)  # transports close in the loop's next turn

    def take(self, account: Account) -> tuple[ControlConnection, bool]:
        """Return a control connection, and whether it was used before; the one used last comes first."""
        waiting = self._idle.get(account)
        if waiting:
            control, timer = waiting.pop()
            timer.cancel()
            control.answered = False
            return control, True
        return self.fresh(), False

    def fresh(self) -> ControlConnection:
        """Return a control connection that is not connected yet."""
        control = ControlConnection(self.timeout, self._without_epsv)
        self._open.add(control)
        return control

    def give_back(self, account: Account, control: ControlConnection) -> None:
        """Keep the connection for another transfer if it can serve one, else close it."""
        if not control.in_step or control not in self._open:
            self._drop(control)
            return
        timer = asyncio.get_running_loop().call_later(_IDLE, self._expire, account, control)
        self._idle.setdefault(account, []).append((control, timer))

    def _expire(self, account: Account, control: ControlConnection) -> None:
        left = [pair for pair in self._idle[account] if pair[0] is not control]
        if left:
            self._idle[account] = left
        else:
            del self._idle[account]
        self._drop(control)

    def _drop(self, control: ControlConnection) -> None:
        self._open.discard(control)
        control.close()


class _Exchange:
    """One transfer, from `async with` to the end of the block; the body's chunks too."""

    __slots__ = ("_account", "_at", "_control", "_data", "_path", "_place", "_resumed", "_size", "_transport", "_url")

    def __init__(self, transport: FtpTransport, url: str, at: Point) -> None:
        self._transport = transport
        self._url = url
        self._at = at
        self._data: DataConnection | None = None

    async def __aenter__(self) -> Body:
        self._account, self._path = address(self._url)
        try:
            return await self._begin()
        except _FOREIGN as error:
            raise self._mapped(error) from error
        finally:
            if self._data is None:
                self._let_go()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._data is not None:
                await self._leave()
        finally:
            self._let_go()

    def __aiter__(self) -> _Exchange:
        return self

    async def __anext__(self) -> bytes:
        if self._data is None:
            raise StopAsyncIteration
        try:
            chunk = await self._data.read(self._transport.timeout)
            if not chunk:
                await self._end()
        except _FOREIGN as error:
            raise self._mapped(error) from error
        if not chunk:
            raise StopAsyncIteration
        self._place += len(chunk)
        if self._size is not None and self._place > self._size:
            # it grew, or a REST that was accepted had no effect
            raise Stale(f"more than the {self._size} bytes that SIZE told", operation="RETR", url=self._url)
        return chunk

    async def _begin(self) -> Body:
        connecting, size, validator = await self._first_words()
        control = self._control
        data: DataConnection | None = None
        try:
            control.operation = "data connection"
            data = await self._connected(connecting)
            # Only now: a REST without its RETR would be another transfer's beginning.
            offset = self._at.offset if validator is not None and validator == self._at.validator else 0
            self._resumed = offset > 0 and await control.restart_at(offset)
            self._place = offset if self._resumed else 0
            await control.ask(f"RETR {self._path}", "1xx")
        except BaseException:
            if data is not None:
                data.close()  # by PASV it is none that was begun beside the first words
            await _abandon(connecting)
            raise
        self._size, self._data = size, data
        return Body(start=self._place, size=size, validator=validator, digest=None, chunks=self)

    async def _connected(self, connecting: asyncio.Task[DataConnection]) -> DataConnection:
        try:
            return await connecting
        except OSError as error:
            if error.errno in _OUT_OF_DESCRIPTORS:
                raise
            data = await self._control.connect_past_epsv()
            if data is None:
                self._control.operation = "data connection"
                raise
            return data

    async def _first_words(self) -> _Prepared:
        """Get a control connection, and by it what comes before RETR."""
        self._control, was_idle = self._transport.take(self._account)
        if was_idle:
            try:
                return await self._prepare()
            except (aioftp.StatusCodeError, ConnectionError):
                if self._control.in_step:
                    raise
                # The server had closed it meanwhile, or a late reply of the last transfer came: no failure yet.
                self._let_go()
                self._control = self._transport.fresh()
        await self._control.enter(self._account)
        return await self._prepare()

    async def _prepare(self) -> _Prepared:
        """Learn the file's version; the data connection is made meanwhile, a round trip less before the first byte."""
        size = await self._control.size(self._path)
        port = await self._control.passive_port()
        connecting = asyncio.create_task(self._control.connect_data(port))
        try:
            return connecting, size, await self._control.validator(self._path, size)
        except BaseException:
            await _abandon(connecting)
            raise

    async def _end(self) -> None:
        """Take note of how the server says that the transfer ended."""
        data, self._data = self._data, None
        control = self._control
        assert data is not None
        data.close()
        whole = self._place == self._size
        try:
            await control.ask("", "2xx", patience=_PATIENCE if self._size is not None else None)
        except (TimeoutError, ConnectionError):
            if self._size is None:
                raise
        if self._size is not None and not whole:
            raise Broken(f"{self._place} of {self._size} bytes came", operation="RETR", url=self._url)
        if self._resumed and control.in_step:
            # It may have been replaced between MDTM and RETR.
            size = await control.size(self._path)
            if await control.validator(self._path, size) != self._at.validator:
                raise Stale("the file changed while it was read", operation="MDTM", url=self._url)

    async def _leave(self) -> None:
        """Close the data connection, and wait for what the server says to that: then the connection is in step."""
        assert self._data is not None
        self._data.close()
        try:
            await self._control.ask("", "2xx", "426", patience=_PATIENCE)
        except _FOREIGN:
            return  # whatever it was, `in_step` tells whether the connection can be used again

    def _let_go(self) -> None:
        data, self._data = self._data, None
        if data is not None:
            data.close()
        self._transport.give_back(self._account, self._control)

    def _mapped(self, error: Exception) -> TransferError:
        return mapped(error, self._url, operation=self._control.operation, answered=self._control.answered)


async def _abandon(connecting: asyncio.Task[DataConnection]) -> None:
    """Close a data connection that is not used, or not open yet; a cancellation meanwhile comes after that."""
    connecting.cancel()
    cancelled: asyncio.CancelledError | None = None
    while not connecting.done():
        try:
            await asyncio.wait([connecting])
        except asyncio.CancelledError as error:
            cancelled = error
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().close()
    if cancelled is not None:
        raise cancelled


def mapped(error: Exception, url: str, *, operation: str, answered: bool) -> TransferError:
    """Return the TransferError for what aioftp or a socket raised.

    Args:
        error: the foreign exception.
        url: what was asked for.
        operation: the verb whose reply was waited for, or what was made: `CONNECT`, `data connection`.
        answered: whether a reply had come in this transfer.
    """
    text = str(error) or type(error).__name__
    match error:
        case aioftp.StatusCodeError():
            return refusal(str(error.received_codes[-1]), "\n".join(error.info), operation=operation, url=url)
        case aioftp.errors.InvalidCommand():
            return Unsafe("a line break in a command", operation=operation, url=url)
        case UnicodeError():
            return Unsafe(f"no usable host name: {text}", operation=operation, url=url)
        case OSError() if error.errno in _OUT_OF_DESCRIPTORS:
            return Busy(f"this process has no more descriptors: {text}", operation=operation, url=url)
        case OSError() if operation == "CONNECT":
            return Unreachable(text, operation=operation, url=url, answered=False)
        case TimeoutError():
            return Stalled("no bytes for too long", operation=operation, url=url, answered=answered)
        case ConnectionResetError():
            return Broken("the server closed the connection", operation=operation, url=url, answered=answered)
        case _:
            return Broken(text, operation=operation, url=url, answered=answered)
