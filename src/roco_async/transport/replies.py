"""What FTP's URLs and replies say. Pure (RFC 959, RFC 1738 §3.2, RFC 2428, RFC 3659)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

from ..errors import Broken, Busy, NotFound, Refused, ServerError, TransferError, Unsafe

PORT: Final = 21
TRANSFER: Final = "transfer"
"""The operation whose reply says how a RETR ended."""

_BREAKS_A_LINE = re.compile(r"[\r\n\0]")
_TYPE = re.compile(r";type=[aid]\Z", re.IGNORECASE)
_EPSV = re.compile(r"\((.)\1\1(\d{1,5})\1\)")
_PASV = re.compile(r"(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})")
_FACT = re.compile(r"\s*(\d{1,18}(?:\.\d{1,9})?)\s*")

# What servers say when it is their number of clients, and not this one, that they refuse. "Maximum login attempts" is
# a wrong password.
_CROWDED = re.compile(
    r"too many(?!.*(?:attempt|fail|password))|too busy|simultaneous|the maximum\)|try (?:again )?later"
    r"|(?:maximum|max\.?) (?:number|no\.? of|connection|user|client|session)"
    r"|(?:connection|client|user|session)s? limit|limit (?:is |was |has been )?(?:reached|exceeded)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Account:
    """Whose control connection it is: connections of one account stand in for one another."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)


def address(url: str) -> tuple[Account, str]:
    """Return the account and the path that an `ftp:` URL names (RFC 1738 §3.2).

    The path is relative to where the login leads, as it is for curl and wget; `%2F` at its beginning makes it absolute.
    Both texts have one character a byte: a path of FTP is bytes, and a mirror's need not be UTF-8.

    Raises:
        Unsafe: no FTP URL, or one whose parts would end a command line before its time.

    Example:
        >>> address("ftp://mirror.example/pub/two%20words.tar.gz")[1]
        'pub/two words.tar.gz'
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or PORT
    except ValueError:
        # Neither the reason nor the URL is told if there is a password: nobody knows where in them it stands.
        raise Unsafe("no usable URL", operation="RETR", url="" if "@" in url else url) from None
    if parts.scheme == "ftps":
        raise Unsafe("ftps:// is not supported; ftp://, https:// and file:// are", operation="RETR", url=url)
    if parts.scheme != "ftp" or not host:
        raise Unsafe("no FTP URL with a host", operation="RETR", url=url)
    path = parts.path.removeprefix("/") + (f"?{parts.query}" if parts.query else "")
    path = _decoded(_TYPE.sub("", path))
    user = _decoded(parts.username or "anonymous")
    password = _decoded(parts.password or ("" if parts.username else "roco_async@"))
    if any(_BREAKS_A_LINE.search(text) for text in (host, path, user, password)):
        raise Unsafe("a line break or NUL in path, user or password", operation="RETR", url=url)
    return Account(host, port, user, password), path


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("latin-1")


def readable(reply: str) -> str:
    """Return a reply's text, one character a byte, as a person should see it: one line, not too long.

    What a terminal would take for a command of its own (ESC, BEL) is shown as unreadable.
    """
    text = " ".join(reply.encode("latin-1", "replace").decode("utf-8", "replace").split())[:300]
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def port_of_epsv(reply: str) -> int:
    """Return the port of a 229 reply (RFC 2428 §3).

    Raises:
        ValueError: it names none.

    Example:
        >>> port_of_epsv("Entering Extended Passive Mode (|||6446|)")
        6446
    """
    match = _EPSV.search(reply)
    return _port(int(match[2]) if match else 0, reply)


def port_of_pasv(reply: str) -> int:
    """Return the port of a 227 reply; its digits are searched for, as RFC 1123 §4.1.2.6 asks.

    The address beside it is deliberately not read. Behind address translation it is a private one that leads nowhere,
    and a hostile server could point it at a machine of ours (RFC 2577 §4): the peer of the control connection is asked.

    Raises:
        ValueError: it names none.

    Example:
        >>> port_of_pasv("Entering Passive Mode (10,0,0,1,25,46)")
        6446
    """
    match = _PASV.search(reply)
    high, low = (int(match[5]), int(match[6])) if match else (0, 0)
    return _port(high * 256 + low if low < 256 else 0, reply)


def _port(number: int, reply: str) -> int:
    if not 0 < number < 65536:
        raise ValueError(f"no port in {readable(reply)!r}")
    return number


def fact(reply: str) -> str | None:
    """Return the number of a 213 reply to SIZE or MDTM (RFC 3659 §3, §4), None where it is none.

    Example:
        >>> fact("20260824101112.123"), fact("4096"), fact("about 4 kB")
        ('20260824101112.123', '4096', None)
    """
    match = _FACT.fullmatch(reply)
    return match[1] if match else None


def is_lacking(code: str, text: str) -> bool:
    """Return whether a refusal means that the server does not do this, rather than that it fails or turns away.

    Any 5xx but 530 ("not logged in") is one: 550 is said of EPSV, SIZE and MDTM by servers that forbid them. vsftpd's
    `500 OOPS:` is its last word before it exits.
    """
    return code.startswith("5") and code != "530" and not text.lstrip().startswith("OOPS")


def refusal(code: str, text: str, *, operation: str, url: str) -> TransferError:
    """Return the TransferError for a reply that brings no file (RFC 959 §4.2).

    Args:
        code: three digits.
        text: the reply's words.
        operation: the verb that was answered, `USER`, `RETR`, …
        url: what was asked for.
    """
    message = f"{code} {readable(text)}".strip()
    if code == "421" or (code != "550" and code[:1] in ("4", "5") and _CROWDED.search(text)):
        return Busy(message, operation=operation, url=url)
    if code in ("550", "551", "553") and operation in ("RETR", "SIZE"):
        return NotFound(message, operation=operation, url=url)
    if code == "450":  # this one file is in use: no sign of overload
        return Broken(message, operation=operation, url=url, overload=False)
    if code in ("451", "452") or (code == "500" and not is_lacking(code, text)):
        return ServerError(message, operation=operation, url=url)
    if (code.startswith(("33", "5")) or code == "430") and operation != TRANSFER:
        return Refused(message, operation=operation, url=url)
    return Broken(message, operation=operation, url=url)
