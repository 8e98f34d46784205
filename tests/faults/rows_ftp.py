"""Rows: what an FTP server can say at each step, code by code (RFC 959 §4.2, RFC 2228 §5, RFC 2428, RFC 3659)."""

from __future__ import annotations

from typing import Any, Final

from roco_async import Reason
from tests.servers.ftp_faults import Data, Endless, FtpFault, Said, Sent, Silence

from .package_stage import EITHER, MIDDLE, OURS, Ftp, Row
from .rows_packages import AWAY, BROKEN, LACK, PUSHED, THREE, TURNED_AWAY

BUSY: Final = (Reason.BUSY, Reason.HOST_DOWN)
REFUSED: Final = (Reason.REFUSED,)
FAILED: Final = (Reason.SERVER_ERROR,)
STALLED: Final = (Reason.STALLED, Reason.HOST_DOWN)
ONE: Final = {"connections": 1}
CROWD: Final = "Too many connections, try again later"


def said(verb: str, reply: str | Silence | Endless, *, nth: int | None = None, does: bool = False) -> Said:
    return Said(verb, reply, on=OURS if verb in _OF_A_FILE else "*", nth=nth, does=does)


_OF_A_FILE: Final = ("SIZE", "MDTM", "EPSV", "PASV", "REST", "RETR", "end")
"""Before the first of these nobody knows which file a connection is for."""


def ftp(name: str, *faults: FtpFault, lacks: tuple[str, ...] = (), **says: Any) -> Row:
    return Row(name, (Ftp(faults, {"lacks": lacks}),), **says)


def good(verb: str, reply: str, **says: Any) -> Row:
    """A row of a reply that is no failure."""
    return ftp(f"{verb}: {reply[:40]!a}", said(verb, reply, does=True), **{"config": ONE, **says})


def once(verb: str, reply: str | Silence | Endless, **says: Any) -> Row:
    """A row of a reply that comes once; the next try is whole."""
    return ftp(f"{verb}: {_words(reply)}, once", said(verb, reply, nth=1), **{"most": 2, "config": ONE, **says})


def ever(verb: str, reply: str | Silence | Endless, reason: tuple[Reason, ...], **says: Any) -> Row:
    """A row of a reply that comes for ever. Before a file is named, it comes to those beside too."""
    own: dict[str, Any] = {"most": 2 if reason == REFUSED else TURNED_AWAY if reason == BUSY[:1] else PUSHED}
    if verb not in _OF_A_FILE:
        own = {"for_all": True, "most": 30, "config": {"outage": 0.2, "timeout": 0.3, "attempts": 1}}
        own |= {"most": 8, "config": {}} if reason == REFUSED else {}
    if isinstance(reply, str):
        own["words"] = reply[:3]
    return ftp(f"{verb}: {_words(reply)}, for ever", said(verb, reply), **{"reason": reason, **own, **says})


def _words(reply: str | Silence | Endless) -> str:
    if isinstance(reply, Silence):
        return reply.value
    if isinstance(reply, Endless):
        return f"{reply.text[:16]!a} each {reply.pause:g} s without an end"
    return ascii(reply)[1:-1] if len(reply) < 50 else f"{reply[:24]!a} of {len(reply)} characters"


def _greetings() -> list[Row]:
    odd = {
        "in Latin-1": "220 Gr\xfc\xdfe",
        "in UTF-8": "220 Gr\xc3\xbc\xc3\x9fe",
        "of several lines": "220-one\r\n220-two\r\n220 three",
        "with lines that begin with digits": "220-\r\n2026-11-24\r\n123 users\r\n 220 not yet\r\n220 ready",
        "with another code inside": "220-\r\n530 not at all\r\n421-no\r\n220 ready",
        "of a code alone": "220",
        "with Telnet's bytes": "220 \xff\xfb\x01 ready",
        "with NULs": "220 \0\0 ready",
        "of 900 lines": "220-\r\n" + "more\r\n" * 900 + "220 ready",
        "that has to be waited for": "120 Ready in 0 minutes\r\n220 ready",
        "that has to be waited for twice": "120 Soon\r\n120 Sooner\r\n220 ready",
    }
    rows = [ftp(f"a greeting {name}", said("greeting", reply), config=ONE) for name, reply in odd.items()]
    rows += [once("greeting", reply) for reply in (
        "421 Service not available", f"530 {CROWD}", "500 OOPS: cannot fork", "554 No SMTP here", "230 Already in",
        Silence.CLOSED, Silence.NEVER,
    )]  # fmt: skip
    for reply, reason in {
        "421 Service not available": BUSY,
        "421-Sorry\r\n421 too many": BUSY,
        f"530 {CROWD}": BUSY,
        "530 Not you": REFUSED,
        "500 OOPS: cannot fork": (*FAILED, Reason.HOST_DOWN),
        "HTTP/1.1 400 Bad Request": AWAY,
        "SSH-2.0-OpenSSH_9.2": AWAY,
        "\0\0\0\0": AWAY,
        "": AWAY,
        "220-" + "x" * 200_000: AWAY,
        "220-\r\n" + "more\r\n" * 2000 + "220 ready": AWAY,
    }.items():
        rows.append(ever("greeting", reply, reason, words=""))
    return [
        *rows,
        ever("greeting", Silence.CLOSED, AWAY),
        ever("greeting", Silence.NEVER, STALLED),
        ever("greeting", "120 Ready in 999 minutes", STALLED, words=""),
        ever("greeting", Endless("220-more\r\n" * 200), (*AWAY, Reason.STALLED)),
        ever("greeting", Endless("220-more\r\n", 0.1), STALLED),
        ever("greeting", Endless("more" * 1000), (*AWAY, Reason.STALLED)),
    ]


def _logins() -> list[Row]:
    refusals = (
        "332 Need account", "430 Invalid user or password", "500 What?", "501 Bad name", "503 Not now",
        "504 Not for that", "530 Not logged in", "532 Need account for storing", "533 Protection level denied",
        "534 Policy requires TLS", "535 Failed security check", "550 TLS required on the control channel",
    )  # fmt: skip
    rows = [
        good("USER", "230 No password wanted"),
        good("USER", "232 Authorized by security data"),
        good("USER", "331-Send\r\n331 the password"),
        good("PASS", "202 Superfluous"),
        good("PASS", "230-Welcome\r\n230-530 is a line too\r\n230 in"),
        good("TYPE", "200-Now\r\n200 bytes"),
        good("TYPE", "220 Whatever"),
    ]
    for verb in ("USER", "PASS"):
        rows += [ever(verb, reply, REFUSED) for reply in refusals]
        rows += [
            once(verb, "421 Timeout"), once(verb, f"530 {CROWD}"), once(verb, "530 Not now"),
            once(verb, Silence.CLOSED),
            ever(verb, "421 Timeout", BUSY), ever(verb, "530 User limit reached", BUSY),
            ever(verb, "120 Wait", AWAY), ever(verb, "631 protected", AWAY, words=""),
            ever(verb, "no code at all", AWAY, words=""), ever(verb, Silence.CLOSED, AWAY),
            ever(verb, Silence.NEVER, STALLED),
        ]  # fmt: skip
    rows += [ever("PASS", "331 And again?", REFUSED)]
    rows += [ever("TYPE", f"{code} No bytes", REFUSED) for code in (500, 501, 503, 504, 530)]
    rows += [
        ever("TYPE", "421 Timeout", BUSY),
        once("TYPE", "421 Timeout"),
        ever("TYPE", Silence.NEVER, STALLED),
    ]
    return rows


def _facts() -> list[Row]:
    rows = []
    for verb in ("SIZE", "MDTM"):
        # that there is no such file is left to RETR to say: servers that forbid SIZE and MDTM say 550 too
        rows += [good(verb, f"{code} Not here") for code in (500, 501, 502, 503, 504, 550, 553)]
        facts = ("", " lots", " -5", " 12 13", "-\r\n 7\r\n213 end", " \xbd", " 1e5", " 99999999999999999999", " 0x10")
        rows += [good(verb, f"213{text}") for text in facts]
        rows += [ever(verb, "530 Please login", REFUSED), ever(verb, "421 Timeout", BUSY[:1]),
                 once(verb, "421 Timeout"), ever(verb, "450 Busy", BROKEN), ever(verb, "451 Error", FAILED),
                 ever(verb, "425 No", BROKEN),
                 ever(verb, "150 What?", BROKEN), ever(verb, "200 OK", BROKEN), ever(verb, "631 x", BROKEN, words=""),
                 once(verb, Silence.CLOSED), once(verb, Silence.NEVER),
                 ever(verb, Silence.CLOSED, BROKEN), once(verb, Endless("213-more\r\n" * 200)),
                 ever(verb, Silence.NEVER, STALLED[:1], config={"attempts": 1, "timeout": 0.3}, most=4)]  # fmt: skip
    return [
        *rows,
        good("SIZE", "213 0", reason=(Reason.CHANGED,), most=PUSHED),
        good("SIZE", "213 7", reason=(Reason.CHANGED,), most=PUSHED),
        good("SIZE", "213 99999999", verified=EITHER),
        ftp("SIZE: too large while one is lacking", said("SIZE", "213 99999999"), wanted=THREE, reason=BROKEN,
            most=PUSHED),
        ftp("SIZE: too small, once", said("SIZE", "213 7", nth=1), most=2),
        good("MDTM", "213 20261124101112.123"),
        good("MDTM", "213 1"),
        ftp("neither SIZE nor MDTM", lacks=("SIZE", "MDTM"), wanted=THREE, lost=LACK),
        *(ftp(f"{verb} is lacking, and a cut", Sent(Data(cut=MIDDLE), on=OURS, nth=1), lacks=(verb,), most=2,
              resumed=None) for verb in ("SIZE", "MDTM")),
        ftp("SIZE is lacking, and a cut that nobody tells", Sent(Data(cut=MIDDLE, silently=True), on=OURS, nth=1),
            lacks=("SIZE",), most=2, resumed=None),
    ]  # fmt: skip


FTP_TALK: Final = (*_greetings(), *_logins(), *_facts())
