"""Rows: what an HTTP server can do wrong with a package."""

from __future__ import annotations

import hashlib
from email.utils import formatdate
from typing import Final

from roco_async import Reason
from tests.servers.faults import (
    HTML,
    Answer,
    Behaviour,
    Chunked,
    Close,
    CloseDelimited,
    ContentRange,
    Cut,
    Etag,
    Fault,
    Gzipped,
    Header,
    IgnoreIfRange,
    IgnoreRange,
    Interim,
    Late,
    PartAs200,
    Reset,
    Shortened,
    Swap,
    Vanish,
    WrongByte,
    html_page,
    redirect,
    status,
)

from .package_stage import EARLY, EITHER, LENGTH, MIDDLE, NEW, OURS, PATH, WHOLE, Http, Row
from .rows_packages import AWAY, BROKEN, LACK, LOST, PUSHED, THREE, TURNED_AWAY, always, once

TEMPORARY: Final = tuple(reason for reason in Reason if not reason.permanent)
REFUSED: Final = (Reason.REFUSED,)
DAMAGED: Final = (Reason.DAMAGED,)
MD5: Final = hashlib.md5(WHOLE).hexdigest()
MOVED: Final = "/pub/moved/PMC1.tar.gz"


def http(name: str, *does: Behaviour, **says: object) -> Row:
    """A row of one server that does all this at every request."""
    return Row(name, (always(*does),), **says)  # type: ignore[arg-type]


def http_once(name: str, *does: Behaviour, **says: object) -> Row:
    """A row of a server that does one thing at the first request, another at the second."""
    return Row(name, (once(*does),), **{"most": 1 + len(does), **says})  # type: ignore[arg-type]


def cut_then(name: str, *does: Behaviour, **says: object) -> Row:
    """A row of a server that breaks in the middle, and does all this at the second request."""
    faults = (Fault(Cut(MIDDLE), on=OURS, nth=1), *(Fault(one, on=OURS, nth=2) for one in does))
    return Row(name, (Http(faults),), **{"most": 3, "config": {"attempts": 3}, **says})  # type: ignore[arg-type]


def _statuses() -> list[Row]:
    rows = [http_once(f"{code} once", status(code)) for code in (401, 403, 407, 408, 421, 425, 429, 500, 502, 503, 504)]
    rows += [
        http(f"{code} for ever", status(code), reason=REFUSED, most=2, words=str(code))
        for code in (400, 401, 402, 403, 405, 406, 407, 409, 418, 451)
    ]
    rows += [
        http(f"{code} for ever", status(code), reason=LOST, permanent=True, words=str(code)) for code in (404, 410)
    ]
    rows += [
        http(f"{code} for ever", status(code), reason=(Reason.BUSY,), most=TURNED_AWAY, words=str(code))
        for code in (421, 425, 429, 503)
    ]
    rows += [
        http(f"{code} for ever", status(code), reason=(Reason.SERVER_ERROR,), most=PUSHED, words=str(code))
        for code in (500, 501, 502, 504, 505, 507, 511, 520, 599)
    ]
    rows += [
        http("408 for ever", status(408), reason=(Reason.STALLED,), most=PUSHED),
        http("404 as a web page", html_page(404), reason=LOST, permanent=True),
        http("403 as a web page", html_page(403), reason=REFUSED, most=2),
        http("416 where nothing was asked", status(416), reason=TEMPORARY, most=PUSHED),
        cut_then("416 for the rest", status(416), resumed=MIDDLE),
        cut_then("403 for the rest", status(403), resumed=MIDDLE),
        cut_then("404 for the rest", status(404), reason=LOST, permanent=True, resumed=MIDDLE),
        cut_then("503 for the rest", status(503), resumed=MIDDLE),
        cut_then("500 for the rest", status(500), resumed=MIDDLE),
        http("204 without a body", Answer(204), reason=TEMPORARY, most=PUSHED),
        http("206 of everything, unasked", Answer(206, (), WHOLE), reason=TEMPORARY, most=PUSHED),
        http("304 unasked", Answer(304), reason=TEMPORARY, most=PUSHED),
        http("a status that nobody knows", Answer(299, (), WHOLE), reason=TEMPORARY, most=PUSHED),
        *(
            http(f"{' and '.join(map(str, codes))} before the answer", Interim(codes))
            for codes in ((100,), (102,), (103,), (100, 102, 103), (103,) * 20)
        ),
        Row(
            "103 before a 503",
            (Http(tuple(Fault(one, on=OURS, nth=1) for one in (Interim((103,)), status(503)))),),
            most=2,
        ),
    ]
    waits = ("0", "-5", "soon", "", "0.5", "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 99 Foo 9999 99:99:99 GMT")
    rows += [http_once(f"503 with Retry-After: {word[:12]}", status(503, retry_after=word)) for word in waits]
    return [
        *rows,
        http_once("429 with Retry-After in seconds", status(429, retry_after=1), within=8),
        http_once("503 with Retry-After as a date", status(503, retry_after=formatdate(1, usegmt=True))),
        http_once("500 with Retry-After: 0", status(500, retry_after=0)),
    ]  # fmt: skip


def _connections() -> list[Row]:
    # aiohttp repeats a GET by itself where the connection drops before the answer: twice as many on the wire
    twice = 2 * PUSHED
    third = Http((Fault(Close(), every=3),))
    return [
        http_once("reset before the answer, once", Reset()),
        http_once("closed before the answer, once", Close()),
        http("reset before the answer, for ever", Reset(), reason=AWAY, most=twice),
        http("closed before the answer, for ever", Close(), reason=AWAY, most=twice),
        http_once("no answer, once", Late()),
        http("no answer, for ever", Late(), reason=(Reason.STALLED,), most=4, config={"attempts": 1, "timeout": 0.3}),
        http("a late answer", Late(0.2)),
        Row("every third request of a kept connection is closed", (third,), most=3),
        Row("every second request of a kept connection is closed", (Http((Fault(Close(), every=2),)),), most=4,
            config={"attempts": 6}),
        http_once("the peer vanishes in the body, once", Vanish(MIDDLE), resumed=MIDDLE),
        http_once("the peer vanishes before the body, once", Vanish(0), resumed=None),
        http("the peer vanishes after its answer", Vanish()),
    ]  # fmt: skip


def _headers() -> list[Row]:
    twenty = Header("x-long", "x" * 20_000)
    return [
        http_once("a header of 20 kB, once", twenty),
        http("a header of 20 kB, for ever", twenty, reason=TEMPORARY, most=2 * PUSHED),
        http("a header of 7 kB", Header("x-long", "x" * 7000)),
        http("a header in no encoding", Header("x-odd", "\x80\xff")),
        http("two lengths that differ", Header("content-length", "7"), reason=TEMPORARY, most=2 * PUSHED),
        http("an absurd Content-Length", CloseDelimited(), Header("Content-Length", "9" * 30), reason=TEMPORARY,
             permanent=None, most=2 * PUSHED),
        http("a Content-Length below zero", CloseDelimited(), Header("Content-Length", "-1"), reason=TEMPORARY,
             most=2 * PUSHED),
        http("a Content-Length that is too long", CloseDelimited(), Header("Content-Length", str(len(WHOLE) + 9)),
             verified=EITHER, most=2),
        http("another type", Header("Content-Type", "text/html")),
        http("no type", Header("Content-Type", None)),
    ]  # fmt: skip


def _redirects() -> list[Row]:
    faults = [(Fault(redirect(MOVED, code), on=OURS), code) for code in (301, 302, 303, 307, 308)]
    held = {"pub/moved/PMC1.tar.gz": WHOLE}
    rows = [Row(f"{code} to another path", (Http((fault,), beside=held),), most=2) for fault, code in faults]
    elsewhere = {
        "file:": "file:///etc/hostname", "ftp:": "ftp://127.0.0.1/a.tar.gz", "data:": "data:application/gzip;base64,AA",
        "javascript:": "javascript:alert(1)", "a broken URL": "http://[::1:bad/", "https: that is none": "https://",
    }  # fmt: skip
    rows += [http(f"redirect to {name}", redirect(to), reason=REFUSED, most=2) for name, to in elsewhere.items()]
    return [
        *rows,
        Row("redirect to another host", (Http((Fault(redirect(f"http://localhost:{{port}}{MOVED}"), on=OURS),),
                                              beside=held),), most=2),
        http("redirect to itself", redirect(f"/{PATH}"), reason=REFUSED, most=2 * 11),
        http("redirect to nowhere", redirect(""), reason=REFUSED, most=2 * 11),
        http("redirect to a 404", redirect("/none"), reason=LOST, permanent=True, most=2),
        http("redirect to a closed port", redirect("http://127.0.0.1:1/a.tar.gz"), reason=TEMPORARY, most=PUSHED),
        http("302 without Location", Answer(302), reason=REFUSED, most=2),
        http_once("300 once", Answer(300)),
    ]  # fmt: skip


def _bodies() -> list[Row]:
    gz, tar = (("Content-Type", "application/gzip"), ("Content-Type", "application/x-tar"))
    words = "beginning of the stream"
    return [
        http_once("a captive portal, once", html_page()),
        http("a captive portal", html_page(), reason=DAMAGED, most=2, words=words),
        http("a captive portal of the right type", Answer(200, (gz,), HTML), reason=DAMAGED, most=2, words=words),
        http("a captive portal under the right ETag", Answer(200, (gz, ("ETag", f'"{MD5}"')), HTML), reason=DAMAGED,
             most=2, words=words),
        cut_then("a captive portal for the rest", html_page(), resumed=MIDDLE),
        cut_then("a captive portal as 206 for the rest", Answer(206, (tar,), HTML), resumed=MIDDLE),
        http_once("a wrong byte, once", WrongByte(EARLY), resumed=None),
        http("a wrong byte, for ever", WrongByte(EARLY), reason=DAMAGED, most=2, words="CRC-32"),
        http_once("a short body that says so, once", Shortened(MIDDLE), resumed=None),
        http("a short body that says so, for ever", Shortened(MIDDLE), reason=DAMAGED, most=2, words="end of the"),
        http_once("an empty body, once", Shortened(0), resumed=None),
        http("an empty body, for ever", Shortened(0), reason=DAMAGED, most=2),
        http("close-delimited", CloseDelimited(), verified=EITHER),
        http("close-delimited while one is lacking", CloseDelimited(), wanted=THREE, lost=LACK),
        http("close-delimited and cut, for ever", CloseDelimited(), Cut(MIDDLE), reason=DAMAGED, most=2),
        Row("close-delimited and cut, once", (Http((*always(CloseDelimited()).faults, *once(Cut(MIDDLE)).faults)),),
            most=2, verified=EITHER, resumed=None),
        http("close-delimited and without its trailer", CloseDelimited(), package=WHOLE[:-4], verified=LENGTH),
        http("chunked", Chunked(), verified=EITHER),
        http("chunked while one is lacking", Chunked(), wanted=THREE, lost=LACK),
        Row("chunked and cut, once", (Http((*always(Chunked()).faults, *once(Cut(MIDDLE)).faults)),), most=2,
            resumed=MIDDLE, verified=EITHER),
        http("chunked and cut, for ever", Chunked(), Cut(500), reason=BROKEN, most=PUSHED),
    ]  # fmt: skip


def _ranges() -> list[Row]:
    ignorant = Fault(IgnoreIfRange(), on=OURS)
    end = len(WHOLE) - 1
    etag = ("ETag", f'"{MD5}"')
    rest = (etag, ("Content-Range", f"bytes {MIDDLE}-{end}/{end + 1}"))
    cut, swap = Fault(Cut(MIDDLE), on=OURS, nth=1), Fault(Swap(NEW), on=OURS, nth=2)
    wrong = (f"bytes 0-{end - MIDDLE}/{end + 1}", f"bytes {MIDDLE - 1}-{end}/{end + 1}",
             f"bytes {MIDDLE + 1}-{end}/{end + 1}", f"bytes {MIDDLE}-{end}/99999999", f"bytes {MIDDLE}-40000/{end + 1}",
             f"bytes */{end + 1}", "elephants 1-2/3", "", None)  # fmt: skip
    rows = [cut_then(f"206 with Content-Range {value}", ContentRange(value), most=3,
                     resumed=MIDDLE) for value in wrong]  # fmt: skip
    return [
        *rows,
        cut_then("the server ignores Range", IgnoreRange(), most=2, resumed=MIDDLE),
        cut_then("200 with Content-Range and a part", PartAs200(), resumed=MIDDLE),
        cut_then("206 with less than it says", Answer(206, rest, WHOLE[MIDDLE:-9]), most=3, verified=EITHER),
        cut_then("206 with more than it says", Answer(206, rest, WHOLE[MIDDLE:] + b"more"), most=3),
        cut_then("206 of the same place in another package", Answer(206, rest, NEW[MIDDLE : end + 1]), most=3),
        cut_then("206 in several parts",
                 Answer(206, (etag, ("Content-Type", "multipart/byteranges; boundary=x")), WHOLE[MIDDLE:])),
        cut_then("206 without a validator", Header("ETag", None)),
        cut_then("206 under another ETag", Etag('"another"')),
        Row("changed, If-Range ignored", (Http((cut, swap, ignorant)),), most=3, version="new ", resumed=MIDDLE,
            config={"attempts": 3}),
        Row("changed under a weak ETag", (Http((Fault(Etag('W/"same"'), on=OURS), cut, swap, ignorant)),), most=2,
            version="new ", resumed=None),
        Row("changed under no ETag and no date", (Http((
            Fault(Etag(None), on=OURS), Fault(Header("Last-Modified", None), on=OURS), cut, swap, ignorant)),), most=2,
            version="new ", resumed=None),
        Row("changed for ever", (Http((Fault(Cut(MIDDLE), on=OURS), ignorant,
            *(Fault(Swap(NEW if number % 2 else WHOLE), on=OURS, nth=number + 1) for number in range(1, 20)))),),
            reason=(Reason.CHANGED, Reason.BROKEN), most=PUSHED),
    ]  # fmt: skip


def _validators() -> list[Row]:
    forms = {"strong": '"{md5}"', "multipart": '"{md5}-2"', "no md5 of an": '"5f3a-62b1"', "weak": 'W/"{md5}"',
             "no": None, "unquoted": "{md5}", "empty": '""', "half an": '"', "garbage in the": '\x80"'}  # fmt: skip
    rows = []
    for name, form in forms.items():
        bare = name in ("weak", "unquoted", "half an", "garbage in the")
        etag = Fault(Etag(form), on=OURS)
        rows += [
            http(f"{name} ETag", Etag(form)),
            Row(f"{name} ETag, and a cut", (Http((etag, Fault(Cut(MIDDLE), on=OURS, nth=1))),), most=2,
                resumed=None if bare else MIDDLE),
        ]  # fmt: skip
    return rows


def _codings() -> list[Row]:
    label, odd = Header("Content-Encoding", "gzip"), Header("Content-Encoding", "x-gzip")
    cut = once(Cut(MIDDLE)).faults
    return [
        http("labelled as gzip", label),
        http("labelled as x-gzip", odd),
        http("labelled as identity", Header("Content-Encoding", "identity")),
        Row("labelled as gzip, and a cut", (Http((*always(label).faults, *cut)),), most=2, resumed=MIDDLE),
        http("packed once more by a proxy", Gzipped(), verified=EITHER),
        http("packed once more while one is lacking", Gzipped(), wanted=THREE, lost=LACK),
        Row("packed once more, and a cut", (Http((*always(Gzipped()).faults, *cut)),), most=2, resumed=None,
            verified=EITHER),
        http("packed once more, and a wrong byte inside", WrongByte(EARLY), Gzipped(), wanted=THREE, reason=DAMAGED,
             most=2),
        http("packed once more, and chunked", Gzipped(), Chunked(), verified=EITHER),
        http("labelled as br", Header("Content-Encoding", "br")),
        http("labelled as lava", Header("Content-Encoding", "lava")),
    ]  # fmt: skip


MIRROR: Final = (
    *_statuses(), *_connections(), *_headers(), *_redirects(), *_bodies(), *_ranges(), *_validators(), *_codings(),
)  # fmt: skip
