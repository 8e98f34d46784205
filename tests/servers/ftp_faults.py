"""What an FTP server can do wrong, as data.

`Said` is said in place of a reply, `Sent` is how a data connection fails, and `Put` changes a file at a certain moment;
each says of which file (`on`) and at which time (`nth`):

    Said("RETR", "450 File busy", on="*PMC1.tar.gz", nth=1)     the first RETR of this file is turned away
    Sent(Data(cut=1000))                                        every file ends after 1,000 bytes
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Silence(Enum):
    """What takes the place of a reply."""

    NEVER = "no reply, and the connection stays"
    CLOSED = "the control connection ends"


@dataclass(frozen=True)
class Endless:
    """A reply without an end: this, each so many seconds, for as long as the client listens."""

    text: str
    pause: float = 0.0


Answer = str | Silence | Endless | None
"""A reply line, a silence, or None for what the server would say by itself."""


@dataclass(frozen=True)
class Data:
    """How a data connection fails: after so many bytes it is `cut` (426), `reset` (426) or says nothing (`stall`).

    `silently` sends no reply after it; `refused` announces a port where nobody listens; `early` says 226 before the
    first byte; `lingers` closes nothing after the last one; `leaves` ends the control connection before the first one;
    `pace` is at most so many bytes, each so many seconds.
    """

    cut: int | None = None
    reset: int | None = None
    stall: int | None = None
    silently: bool = False
    refused: bool = False
    early: bool = False
    lingers: bool = False
    leaves: bool = False
    pace: tuple[int, float] = (65536, 0.0)


WHOLE: Final = Data()


@dataclass(frozen=True, kw_only=True)
class _Struck:
    """Which file is struck, and when.

    Args:
        on: `fnmatch` pattern of the file that the connection is busy with: the last one it was asked for.
        nth: only these times *of one file*, counted from 1.
    """

    on: str = "*"
    nth: int | Collection[int] | None = None

    def strikes(self, time: int) -> bool:
        return self.nth is None or time in ((self.nth,) if isinstance(self.nth, int) else self.nth)


@dataclass(frozen=True)
class Said(_Struck):
    """What is said to a command in place of the right reply.

    Args:
        verb: the command's, `greeting`, or `end` (the reply after a transfer).
        reply: `{port}`, `{high}` and `{low}` in it are those of the data connection.
        does: whether the command has its effect all the same.
    """

    verb: str
    reply: str | Silence | Endless
    does: bool = False


@dataclass(frozen=True)
class Sent(_Struck):
    """How the data connections of a file fail."""

    data: Data
    verb: str = "data"


@dataclass(frozen=True)
class Put(_Struck):
    """From this command on the file is another one; None: there is none any more."""

    verb: str
    content: bytes | None


FtpFault = Said | Sent | Put
