"""Rows: statuses, broken connections, and redirects."""

from __future__ import annotations

from typing import Final

from roco_async import Reason
from tests.servers.faults import (
    Answer,
    Close,
    Cut,
    Fault,
    Header,
    Interim,
    Late,
    Reset,
    Stall,
    Vanish,
    html_page,
    redirect,
    status,
)

from .stage import KEY, LISTED, SECOND, A, Row

TEMPORARY: Final = tuple(reason for reason in Reason if not reason.permanent)
BROKEN: Final = (Reason.BROKEN, Reason.UNREACHABLE, Reason.HOST_DOWN)
PUSHED: Final = 9
"""The most requests of three attempts that break off: others' successes excuse six of them (docs/architecture.md)."""
TURNED_AWAY: Final = 27
"""The most of three attempts that the server turns away, alike."""
ODD: Final = ("-5", "soon", "", "1e9", "0", "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 99 Foo 9999 99:99:99 GMT")


def once(does: object) -> tuple[Fault, ...]:
    return (Fault(does, on=KEY, nth=1),)  # type: ignore[arg-type]


def always(does: object) -> tuple[Fault, ...]:
    return (Fault(does, on=KEY),)  # type: ignore[arg-type]


def _statuses() -> list[Row]:
    rows = [Row(f"{code} once", once(status(code)), most=2) for code in (408, 421, 425, 429, 500, 502, 503, 504, 520)]
    rows += [Row(f"{code} once, then 200", once(status(code)), most=2) for code in (401, 403, 407)]
    failed = (Reason.SERVER_ERROR,)
    rows += [Row(f"{code} for ever", always(status(code)), failed, most=PUSHED) for code in (500, 502, 504, 599)]
    rows += [
        Row(f"{code} for ever", always(status(code)), (Reason.BUSY,), most=TURNED_AWAY) for code in (421, 425, 429, 503)
    ]
    rows += [Row("408 for ever", always(status(408)), TEMPORARY, most=PUSHED)]
    rows += [Row(f"{code} for ever", always(status(code)), (Reason.REFUSED,), most=2) for code in (401, 403, 407)]
    rows += [Row("403 as a web page", always(html_page(403)), (Reason.REFUSED,), most=2)]
    lost = (Reason.NOT_FOUND,)
    rows += [
        Row("404 and an empty listing", held={}, reason=lost, permanent=True, most=2),
        Row("404 though it is listed", always(status(404)), lost, permanent=True, most=3),
        Row("410 for ever", always(status(410)), lost, permanent=True, most=3),
        Row("404 as a web page", (Fault(html_page(404), on=KEY),), lost, permanent=True, most=2, held={}),
        Row("404 once though it is there", once(status(404)), most=3),
        Row("416 where nothing was asked", always(status(416)), tuple(Reason), permanent=None, most=PUSHED),
        Row("416 for the rest", (*once(Cut(5000)), Fault(status(416), on=KEY, nth=2)), most=3, resumed=5000),
        Row("204 without a body", always(Answer(204)), TEMPORARY, most=PUSHED),
        Row("206 of everything, unasked", once(Answer(206, (), A)), most=2),
        Row("304 unasked", always(Answer(304)), tuple(Reason), permanent=None, most=PUSHED),
        Row("a header of 20 kB once", once(Header("x-long", "x" * 20_000)), most=2),
        Row("a header of 20 kB for ever", always(Header("x-long", "x" * 20_000)), TEMPORARY, most=2 * PUSHED),
        Row("two lengths that differ", always(Header("content-length", "7")), TEMPORARY, most=2 * PUSHED),
        *(
            Row(f"{' and '.join(map(str, codes))} before the answer", always(Interim(codes)), most=1)
            for codes in ((100,), (102,), (103,), (100, 102, 103), (103,) * 20)
        ),
        Row("103 before a 404", held={SECOND: A}, faults=always(Interim((103,))), most=3),
        Row("an unknown status", always(Answer(299, (), b"what?")), TEMPORARY, most=PUSHED),
    ]
    return rows


def _waits() -> list[Row]:
    rows = [Row(f"Retry-After: {word[:12]}", once(status(503, retry_after=word)), most=2) for word in ODD]
    return [*rows, Row("500 with Retry-After: 0", once(status(500, retry_after=0)), most=2)]


def _connections() -> list[Row]:
    # aiohttp repeats a GET by itself where the connection drops before the answer: twice as many on the wire.
    # Resets and timeouts are push-backs: while others succeed, they cost no attempt.
    return [
        Row("reset before the answer, once", once(Reset()), most=2),
        Row("closed before the answer, once", once(Close()), most=2),
        Row("reset before the answer, for ever", always(Reset()), BROKEN, most=2 * PUSHED),
        Row("closed before the answer, for ever", always(Close()), BROKEN, most=2 * PUSHED),
        Row("no answer, once", once(Late()), most=2),
        Row("no answer, for ever", always(Late()), (Reason.STALLED,), most=PUSHED),
        Row("reset in the body, once", once(Cut(5000, reset=True)), most=2, resumed=5000),
        Row("closed in the body, once", once(Cut(5000)), most=2, resumed=5000),
        Row("closed before the body, once", once(Cut(0)), most=2),
        Row("closed before the last byte, once", once(Cut(len(A) - 1)), most=2, resumed=len(A) - 1),
        Row("closed after 100 bytes, for ever", always(Cut(100)), (Reason.BROKEN,), most=PUSHED),
        Row("stall in the body, once", once(Stall(5000)), most=2, resumed=5000),
        Row("stall in the body, for ever", always(Stall(100)), (Reason.STALLED,), most=PUSHED),
        Row("stall before the body, once", once(Stall(0)), most=2),
        Row("a pause under the timeout", once(Stall(5000, 0.2)), most=1),
        # half-open: the peer lost its power, and its side of the connection knows of nothing
        Row("the peer vanishes in the body, once", once(Vanish(5000)), most=2, resumed=5000),
        Row("the peer vanishes before the body, once", once(Vanish(0)), most=2, resumed=None),
        Row("the peer vanishes after its answer", (Fault(Vanish(), on=KEY),), most=1),
        Row(
            "the peer vanishes after a 404, and is asked again",
            (Fault(Vanish(), on=KEY),),
            most=5,
            held={SECOND: A},
            config={"connections": 1},
        ),
        Row("every third connection is closed", (Fault(Close(), every=3),), most=4),
    ]


def _redirects() -> list[Row]:
    moved = {KEY: b"", "PMC1.1/moved.jpg": A}
    away = tuple(Reason)
    rows = [
        Row(f"{code} to another path", always(redirect("/PMC1.1/moved.jpg", code)), most=2, held=moved)
        for code in (301, 302, 303, 307, 308)
    ]
    rows += [
        Row("redirect to itself", always(redirect(f"/{KEY}")), away, permanent=None, most=3 * 22),
        Row("redirect to file:", always(redirect("file:///etc/hostname")), away, permanent=None, most=3),
        Row("redirect to ftp:", always(redirect("ftp://127.0.0.1/a.jpg")), away, permanent=None, most=3),
        Row("redirect to data:", always(redirect("data:image/jpeg;base64,/9j/2Q==")), away, permanent=None, most=3),
        Row("redirect to javascript:", always(redirect("javascript:alert(1)")), away, permanent=None, most=3),
        Row("redirect to nowhere", always(redirect("")), away, permanent=None, most=3 * 22),
        Row("redirect to a broken URL", always(redirect("http://[::1:bad/")), away, permanent=None, most=3),
        Row("redirect to a port that is closed", always(redirect("http://127.0.0.1:1/a.jpg")), TEMPORARY, most=PUSHED),
        Row("302 without Location", always(Answer(302)), away, permanent=None, most=3),
        Row("a listing that redirects", (Fault(redirect("/nowhere"), on=LISTED),), TEMPORARY, most=9, held={SECOND: A}),
    ]
    return rows


ANSWERS: Final = (*_statuses(), *_waits(), *_connections(), *_redirects())
