"""How FTP's URLs, replies and aioftp's errors become ours."""

from __future__ import annotations

import errno
import inspect
import socket
from collections.abc import Callable

import aioftp.errors
import pytest

from roco_async.errors import (
    Broken,
    Busy,
    NotFound,
    Refused,
    ServerError,
    Stalled,
    TemporaryError,
    TransferError,
    Unreachable,
    Unsafe,
)
from roco_async.transport.ftp import mapped
from roco_async.transport.replies import TRANSFER, Account, address, fact, port_of_epsv, port_of_pasv, readable, refusal

URL = "ftp://mirror.example/pub/a.tar.gz"

AIOFTP: dict[type[Exception], tuple[Callable[[], Exception], type[TransferError]]] = {
    aioftp.errors.AIOFTPException: (lambda: aioftp.errors.AIOFTPException("what"), Broken),
    aioftp.errors.StatusCodeError: (
        lambda: aioftp.errors.StatusCodeError(aioftp.Code("1xx"), aioftp.Code("550"), ["gone"]),
        NotFound,
    ),
    aioftp.errors.InvalidCommand: (lambda: aioftp.errors.InvalidCommand("CR"), Unsafe),
    # its server's own, and its lister's: never raised by what we use of its client
    aioftp.errors.PathIsNotAbsolute: (lambda: aioftp.errors.PathIsNotAbsolute("a"), Broken),
    aioftp.errors.PathIOError: (lambda: aioftp.errors.PathIOError(reason=None), Broken),
    aioftp.errors.NoAvailablePort: (lambda: aioftp.errors.NoAvailablePort("none"), Broken),
}


def test_every_error_of_aioftp_has_a_place() -> None:
    """A new version of aioftp with a class that the table does not know fails here."""
    found = {
        kind
        for _, kind in inspect.getmembers(aioftp.errors, inspect.isclass)
        if issubclass(kind, BaseException) and kind.__module__ == "aioftp.errors"
    }
    assert found == set(AIOFTP)


@pytest.mark.parametrize("kind", AIOFTP)
def test_errors_of_aioftp(kind: type[Exception]) -> None:
    """Each becomes the error of its place, with operation and URL."""
    make, expected = AIOFTP[kind]
    error = mapped(make(), URL, operation="RETR", answered=True)
    assert type(error) is expected
    assert (error.operation, error.url) == ("RETR", URL)


@pytest.mark.parametrize(
    ("error", "operation", "answered", "expected"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "CONNECT", False, Unreachable),
        (socket.gaierror(socket.EAI_NONAME, "no such host"), "CONNECT", False, Unreachable),
        (OSError(errno.ENETUNREACH, "no route"), "CONNECT", False, Unreachable),
        (TimeoutError(), "CONNECT", False, Unreachable),
        (TimeoutError(), "greeting", False, Stalled),
        (TimeoutError(), "RETR", True, Stalled),
        (ConnectionResetError(), "greeting", False, Broken),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "EPSV", True, Broken),
        (BrokenPipeError(errno.EPIPE, "pipe"), "SIZE", True, Broken),
        (ValueError("no FTP"), "greeting", False, Broken),
    ],
)
def test_errors_of_sockets(error: Exception, operation: str, answered: bool, expected: type[TemporaryError]) -> None:
    """A host that cannot be reached is told apart from one that breaks off, and `answered` is carried on."""
    found = mapped(error, URL, operation=operation, answered=answered)
    assert type(found) is expected
    assert isinstance(found, TemporaryError)
    assert found.answered is answered


def test_a_lack_of_descriptors_is_a_push_back() -> None:
    """EMFILE at connect is this process's own limit: `Busy`, not a host that is away."""
    assert type(mapped(OSError(errno.EMFILE, "too many"), URL, operation="CONNECT", answered=False)) is Busy


def test_a_host_name_that_is_none() -> None:
    """A name that IDNA cannot encode is wrong for good."""
    error = UnicodeEncodeError("idna", "x" * 70, 0, 70, "label too long")
    assert type(mapped(error, URL, operation="CONNECT", answered=False)) is Unsafe


CROWDED = [
    ("421", "There are too many connected users, please try later."),
    ("421", "There are too many connections from your internet address."),
    ("421", "8 users (the maximum) are already logged in, sorry"),
    ("421", "Too many connections. Service temporarily unavailable."),
    ("530", "Sorry, the maximum number of clients (50) from your host are already connected."),
    ("530", "Sorry, the maximum number of allowed clients (30) are already connected."),
    ("530", "Sorry, max. number of users reached"),
    ("530", "Too many users logged in for this account."),
    ("530", "User limit reached"),
    ("530", "This account is restricted to 2 simultaneous logins."),
    ("451", "Too many open files"),
    ("500", "The server is too busy"),
]


@pytest.mark.parametrize(("code", "text"), CROWDED)
def test_the_words_of_a_crowded_server(code: str, text: str) -> None:
    """What vsftpd, proftpd, pure-ftpd, pyftpdlib, Serv-U and others say to one client too many is `Busy`."""
    error = refusal(code, text, operation="PASS", url=URL)
    assert type(error) is Busy
    assert error.overload


@pytest.mark.parametrize(
    ("code", "text", "operation", "expected", "overload"),
    [
        ("530", "Login incorrect.", "PASS", Refused, False),
        ("530", "Maximum login attempts. Disconnecting.", "PASS", Refused, False),
        ("530", "Too many failed login attempts.", "PASS", Refused, False),
        ("332", "Need account", "USER", Refused, False),
        ("500", "Unknown command", "RETR", Refused, False),
        ("500", "OOPS: vsf_sysutil_bind, maximum number of attempts to find a listening port", "EPSV", Busy, True),
        ("500", "OOPS: child died", "RETR", ServerError, True),
        ("550", "too_many_words.tar.gz: No such file", "RETR", NotFound, None),
        ("550", "Permission denied", "PASV", Refused, False),
        ("450", "File busy", "RETR", Broken, False),
        ("425", "Can't open data connection", "RETR", Broken, True),
        ("426", "Transfer aborted", TRANSFER, Broken, True),
        ("451", "Read error", TRANSFER, ServerError, True),
        ("550", "Input/output error", TRANSFER, Broken, True),
        ("299", "What?", "RETR", Broken, True),
    ],
)
def test_codes(code: str, text: str, operation: str, expected: type[TransferError], overload: bool | None) -> None:
    """Each code has one place, by the command that it answers, and tells whether fewer connections may help."""
    error = refusal(code, text, operation=operation, url=URL)
    assert type(error) is expected
    assert getattr(error, "overload", None) is overload


def test_a_reply_is_shown_on_one_short_line() -> None:
    """What a server says is shown in its own letters, on one line, and not at any length."""
    shown = refusal("550", "kein\r\n Gl\xc3\xbcck" + "!" * 5000, operation="RETR", url=URL).message
    assert shown.startswith("550 kein Glück!")
    assert len(shown) < 320


@pytest.mark.parametrize(
    ("url", "account", "path"),
    [
        (URL, Account("mirror.example", 21, "anonymous", "roco_async@"), "pub/a.tar.gz"),
        ("ftp://h:2121/%2Fetc/x", Account("h", 2121, "anonymous", "roco_async@"), "/etc/x"),
        ("ftp://me@h/a;type=i", Account("h", 21, "me", ""), "a"),
        ("ftp://m%40e:p%3Aw%2F@[::1]:2121/a%3Bb?c", Account("::1", 2121, "m@e", "p:w/"), "a;b?c"),
        ("ftp://h/%C3%A9%20%E9", Account("h", 21, "anonymous", "roco_async@"), "\xc3\xa9 \xe9"),
    ],
)
def test_addresses(url: str, account: Account, path: str) -> None:
    """URL parts are percent-decoded to bytes, one character each; a path is relative unless it begins with %2F."""
    assert address(url) == (account, path)


@pytest.mark.parametrize(
    "url", ["ftps://h/a", "http://h/a", "ftp:///a", "ftp://h:port/a", "ftp://me:secret@[h/a", "ftp://me:sec/ret@h/a"]
)
def test_urls_that_are_none(url: str) -> None:
    """What is no FTP URL is refused for good, and a password in it is not shown."""
    with pytest.raises(Unsafe) as caught:
        address(url)
    assert "sec" not in f"{caught.value} {caught.value.url} {caught.value.__cause__} {caught.value.operation}"


def test_an_account_does_not_show_its_password() -> None:
    """`repr` of an account is fit for a log."""
    assert "secret" not in repr(Account("h", 21, "me", "secret"))


@pytest.mark.parametrize("reply", ["(|||6446|)", "ok (!!!6446!) now", "(x) (|||6446|)"])
def test_replies_to_epsv(reply: str) -> None:
    """The port stands between any delimiter (RFC 2428 §3)."""
    assert port_of_epsv(reply) == 6446


@pytest.mark.parametrize("reply", ["", "(||6446|)", "(|||0|)", "(|||65536|)", "(|||123456|)", "(|||-5|)"])
def test_bad_replies_to_epsv(reply: str) -> None:
    """What names no port from 1 to 65535 is an error."""
    with pytest.raises(ValueError, match="no port"):
        port_of_epsv(reply)


@pytest.mark.parametrize("reply", ["(10,0,0,1,25,46)", "Entering Passive Mode 10,0,0,1,25,46", "=10,0,0,1,25,46."])
def test_replies_to_pasv(reply: str) -> None:
    """The six numbers are searched for, with brackets or without (RFC 1123 §4.1.2.6)."""
    assert port_of_pasv(reply) == 6446


@pytest.mark.parametrize("reply", ["", "(10,0,0,1,25)", "(10,0,0,1,0,0)", "(10,0,0,1,300,1)", "(10,0,0,1,1,256)"])
def test_bad_replies_to_pasv(reply: str) -> None:
    """What names no port is an error."""
    with pytest.raises(ValueError, match="no port"):
        port_of_pasv(reply)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("4096", "4096"),
        (" 20260101120000.5 ", "20260101120000.5"),
        ("", None),
        ("4 kB", None),
        ("-1", None),
        ("½", None),
    ],
)
def test_facts(reply: str, expected: str | None) -> None:
    """Only digits count as a size or a time."""
    assert fact(reply) == expected


def test_a_reply_commands_no_terminal() -> None:
    """Escape sequences, bells and line breaks in a server's words come out as text of one line."""
    assert readable("no\x1b[2J\x07 such\r\n file \xc3\xb6") == "no\ufffd[2J\ufffd such file ö"
