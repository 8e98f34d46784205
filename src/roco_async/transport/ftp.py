"""FTP by aioftp (RFC 959, RFC 2428, RFC 3659): the one place that knows it, and where its errors become ours.

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
from .data_connection import DataConnection
from .replies import TRANSFER, Account, address, fact, is_lacking, port_of_epsv, port_of_pasv, refusal

_IDLE: Final = 60.0
_PATIENCE: Final = 3.0
"""Seconds for the last reply of a transfer whose bytes nobody waits for: it may never come (seen at 80 ms)."""

_MOST_LINES: Final = 1000
_OUT_OF_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS})
_FOREIGN: Final = (aioftp.AIOFTPException, OSError, ValueError)


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
        self._open: set[_Control] = set()
        self._idle: dict[Account, list[tuple[_Control, asyncio.TimerHandle]]] = {}
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

    def take(self, account: Account) -> tuple[_Control, bool]:
        """Return a control connection, and whether it was used before; the one used last comes first."""
        waiting = self._idle.get(account)
        if waiting:
            control, timer = waiting.pop()
            timer.cancel()
            control.answered = False
            return control, True
        return self.fresh(), False

    def fresh(self) -> _Control:
        """Return a control connection that is not connected yet."""
        control = _Control(self.timeout, self._without_epsv)
        self._open.add(control)
        return control

    def give_back(self, account: Account, control: _Control) -> None:
        """Keep the connection for another transfer if it can serve one, else close it."""
        if not control.in_step or control not in self._open:
            self._drop(control)
            return
        timer = asyncio.get_running_loop().call_later(_IDLE, self._expire, account, control)
        self._idle.setdefault(account, []).append((control, timer))

    def _expire(self, account: Account, control: _Control) -> None:
        left = [pair for pair in self._idle[account] if pair[0] is not control]
        if left:
            self._idle[account] = left
        else:
            del self._idle[account]
        self._drop(control)

    def _drop(self, control: _Control) -> None:
        self._open.discard(control)
        control.close()


class _Control(aioftp.BaseClient):
    """One control connection. Each wait has an end, and after each command it is known whether it is in step."""

    def __init__(self, timeout: float, without_epsv: set[tuple[str, int]]) -> None:
        # One character a byte: replies in any encoding can be read, and paths go out as the URL has them.
        super().__init__(encoding="latin-1")
        self._timeout = timeout
        self._without_epsv = without_epsv
        self.in_step = False
        self.answered = False
        self.operation = "CONNECT"

    async def enter(self, account: Account) -> None:
        """Connect, log in, and ask for bytes as they are."""
        async with asyncio.timeout(self._timeout):
            await self.connect(account.host, account.port)
        try:
            await self.ask("", "220")
            # Deliberately not aioftp's login: it goes on for as long as a server answers 331.
            code, _ = await self.ask(f"USER {account.user}", "2xx", "331")
            if code == "331":
                await self.ask(f"PASS {account.password}", "2xx", censor_after=5)
            await self.ask("TYPE I", "2xx")
        except aioftp.StatusCodeError:
            self.in_step = False  # not logged in: of use to nobody
            raise

    async def ask(
        self, command: str, *expected: str, censor_after: int | None = None, patience: float | None = None
    ) -> tuple[str, str]:
        """Send a command and return the code and the words of its reply.

        Args:
            command: verb and argument; empty to wait for the next reply only.
            expected: codes, `x` for any digit.
            censor_after: what of the command may be logged.
            patience: seconds for the whole reply; the transport's timeout if None.

        Raises:
            aioftp.StatusCodeError: another code.
        """
        self.in_step = False
        self.operation = command.partition(" ")[0] or ("greeting" if self.operation == "CONNECT" else TRANSFER)
        # "ready in nnn minutes"; and marks that a server makes while it sends (RFC 959 §4.1.3, 110)
        waits = {"greeting": ("120",), TRANSFER: ("1xx",)}.get(self.operation, ())
        try:
            async with asyncio.timeout(self._timeout if patience is None else patience):
                reply = await self.command(command or None, expected, waits, censor_after)
        except aioftp.StatusCodeError as error:
            code = str(error.received_codes[-1])
            self.answered = True
            self.in_step = code[:1] in ("4", "5") and code not in self._last_words()
            raise
        assert reply is not None  # a code was expected
        code, lines = reply
        self.answered = True
        self.in_step = not code.startswith("1")  # 1xx: another reply is to come
        return str(code), "\n".join(lines)

    def _last_words(self) -> tuple[str, ...]:
        """Codes after which a connection is of no use: the server leaves, or they answer an earlier transfer."""
        return ("421",) if self.operation in ("RETR", TRANSFER) else ("421", "425", "426")

    async def parse_response(self) -> tuple[aioftp.Code, list[str]]:
        """Read a reply to its last line: the code of the first, without a hyphen (RFC 959 §4.2).

        aioftp's own takes a banner's line that begins with three digits, a date say, for another reply.
        """
        code, text = await self.parse_line()
        if not (code.isascii() and code.isdigit()):
            raise ValueError(f"no FTP: the server says {code + text!r:.80}")
        lines = [text[1:]]
        last = not text.startswith("-")
        while not last:
            other, text = await self.parse_line()
            lines.append(text[1:] if other == code else other + text)
            last = other == code and not text.startswith("-")
            if len(lines) > _MOST_LINES:
                raise ValueError(f"a reply of over {_MOST_LINES} lines")
        return code, lines

    async def version(self, path: str) -> tuple[int | None, str | None]:
        """Return size and validator of a file; None where the server does not tell.

        That there is no such file is left to RETR to say: servers that forbid SIZE say 550 too.
        """
        size = await self._fact("SIZE", path)
        if size is None or "." in size:
            return None, None
        moment = await self._fact("MDTM", path)
        return int(size), None if moment is None else f"{size}:{moment}"

    async def _fact(self, verb: str, path: str) -> str | None:
        try:
            _, text = await self.ask(f"{verb} {path}", "213")
        except aioftp.StatusCodeError as error:
            if _is_lacking(error):
                return None
            raise
        return fact(text)

    async def connect_data(self) -> DataConnection:
        """Open a data connection to the peer of this one.

        The host's name may stand for several machines, and the address in a reply to PASV for any (replies.py).
        """
        peer = self.stream.writer.get_extra_info("peername")
        place = (peer[0], peer[1])
        port = None
        if place not in self._without_epsv:
            try:
                port = port_of_epsv((await self.ask("EPSV", "229"))[1])
            except aioftp.StatusCodeError as error:
                if not _is_lacking(error):
                    raise
                self._without_epsv.add(place)
        if port is None:
            port = port_of_pasv((await self.ask("PASV", "227"))[1])
        async with asyncio.timeout(self._timeout):
            _, data = await asyncio.get_running_loop().create_connection(DataConnection, peer[0], port)
        return data

    async def restart_at(self, offset: int) -> bool:
        """Let the next RETR begin at a byte (RFC 3659 §5); False where the server cannot."""
        try:
            await self.ask(f"REST {offset}", "350")
        except aioftp.StatusCodeError as error:
            if not _is_lacking(error):
                raise
            return False
        return True


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
        control, size, validator = await self._first_words()
        data = await control.connect_data()
        try:
            offset = self._at.offset if validator is not None and validator == self._at.validator else 0
            self._resumed = offset > 0 and await control.restart_at(offset)
            self._place = offset if self._resumed else 0
            await control.ask(f"RETR {self._path}", "1xx")
        except BaseException:
            data.close()
            raise
        self._size, self._data = size, data
        return Body(start=self._place, size=size, validator=validator, digest=None, chunks=self)

    async def _first_words(self) -> tuple[_Control, int | None, str | None]:
        """Return a control connection, and the file's size and validator by it."""
        control, was_idle = self._transport.take(self._account)
        self._control = control
        if was_idle:
            try:
                return control, *await control.version(self._path)
            except (aioftp.StatusCodeError, ConnectionError):
                if control.in_step:
                    raise
                # The server had closed it meanwhile, or a late reply of the last transfer came: no failure yet.
                self._let_go()
                control = self._control = self._transport.fresh()
        await control.enter(self._account)
        return control, *await control.version(self._path)

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
            _, validator = await control.version(self._path)
            if validator != self._at.validator:
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


def _is_lacking(error: aioftp.StatusCodeError) -> bool:
    return is_lacking(str(error.received_codes[-1]), "\n".join(error.info))


def mapped(error: Exception, url: str, *, operation: str, answered: bool) -> TransferError:
    """Return the TransferError for what aioftp or a socket raised.

    Args:
        error: the foreign exception.
        url: what was asked for.
        operation: the verb whose reply was waited for; `CONNECT` until there is a connection.
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
