"""One control connection of FTP, by aioftp (RFC 959, RFC 2428, RFC 3659)."""

from __future__ import annotations

import asyncio
from typing import Final

import aioftp

from .data_connection import DataConnection
from .replies import TRANSFER, Account, fact, is_lacking, port_of_epsv, port_of_pasv

_MOST_LINES: Final = 1000
_HEAD_START: Final = 0.25
"""Seconds that a connection to one address of a name has before the next is tried beside it (RFC 8305 §5)."""


class ControlConnection(aioftp.BaseClient):
    """One control connection. Each wait has an end, and after each command it is known whether it is in step."""

    def __init__(self, timeout: float, without_epsv: set[tuple[str, int]]) -> None:
        # One character a byte: replies in any encoding can be read, and paths go out as the URL has them.
        super().__init__(encoding="latin-1", happy_eyeballs_delay=_HEAD_START)
        self._timeout = timeout
        self._without_epsv = without_epsv
        self._by_epsv = False
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

    async def size(self, path: str) -> int | None:
        """Return a file's size in bytes (RFC 3659 §4); None where the server does not tell.

        That there is no such file is left to RETR to say: servers that forbid SIZE say 550 too.
        """
        size = await self._fact("SIZE", path)
        return None if size is None or "." in size else int(size)

    async def validator(self, path: str, size: int | None) -> str | None:
        """Return what tells a file of this size from its other versions: size and moment (RFC 3659 §3)."""
        if size is None:
            return None
        moment = await self._fact("MDTM", path)
        return None if moment is None else f"{size}:{moment}"

    async def _fact(self, verb: str, path: str) -> str | None:
        try:
            _, text = await self.ask(f"{verb} {path}", "213")
        except aioftp.StatusCodeError as error:
            if _is_lacking(error):
                return None
            raise
        return fact(text)

    async def passive_port(self) -> int:
        """Return the port at which the server waits for the next data connection (RFC 2428 §3, RFC 959 PASV)."""
        place = self._peer
        self._by_epsv = place not in self._without_epsv
        if self._by_epsv:
            try:
                return port_of_epsv((await self.ask("EPSV", "229"))[1])
            except aioftp.StatusCodeError as error:
                if not _is_lacking(error):
                    raise
                self._without_epsv.add(place)
                self._by_epsv = False
        return port_of_pasv((await self.ask("PASV", "227"))[1])

    async def connect_data(self, port: int) -> DataConnection:
        """Open a data connection to the peer of this one.

        The host's name may stand for several machines, and the address in a reply to PASV for any (replies.py).
        """
        async with asyncio.timeout(self._timeout):
            _, data = await asyncio.get_running_loop().create_connection(DataConnection, self._peer[0], port)
        return data

    async def connect_past_epsv(self) -> DataConnection | None:
        """Open a data connection by PASV where the port of EPSV could not be reached; None where that is no way.

        A firewall may read the replies to PASV only, and open the ports that they name. Where that is so EPSV is not
        asked for again. PASV names an address of IPv4, and may lack a command (RFC 2428 §1).

        Raises:
            OSError: the port of PASV cannot be reached either.
        """
        if not self._by_epsv or ":" in self._peer[0]:
            return None
        self._by_epsv = False
        try:
            _, reply = await self.ask("PASV", "227")
        except aioftp.StatusCodeError as error:
            if not _is_lacking(error):
                raise
            return None
        port = port_of_pasv(reply)
        self.operation = "data connection"
        data = await self.connect_data(port)
        self._without_epsv.add(self._peer)
        return data

    @property
    def _peer(self) -> tuple[str, int]:
        host, port, *_ = self.stream.writer.get_extra_info("peername")
        return host, port

    async def restart_at(self, offset: int) -> bool:
        """Let the next RETR begin at a byte (RFC 3659 §5); False where the server cannot."""
        try:
            await self.ask(f"REST {offset}", "350")
        except aioftp.StatusCodeError as error:
            if not _is_lacking(error):
                raise
            return False
        return True


def _is_lacking(error: aioftp.StatusCodeError) -> bool:
    return is_lacking(str(error.received_codes[-1]), "\n".join(error.info))
