"""Rows: what is in the body, how its end is told, ranges, validators, and codings."""

from __future__ import annotations

import hashlib
from typing import Final

from roco_async import Reason
from tests.packages.stage import MIB, bomb
from tests.servers.faults import (
    HTML,
    Answer,
    Chunked,
    CloseDelimited,
    ContentRange,
    Cut,
    Etag,
    Fault,
    Gzipped,
    Header,
    IgnoreIfRange,
    IgnoreRange,
    PartAs200,
    Shortened,
    Swap,
    WrongByte,
    html_page,
    xml_page,
)
from tests.servers.objects import StoredObject

from .rows_answers import PUSHED, TEMPORARY, always, once
from .stage import KEY, LISTED, SECOND, A, B, Row, picture, record

DAMAGED: Final = (Reason.DAMAGED,)
NO_ETAG: Final = always(Etag(None))
XML: Final = b'<?xml version="1.0"?><Error><Code>InternalError</Code></Error>'
HTML_MD5: Final = hashlib.md5(HTML).hexdigest()
A_MD5: Final = hashlib.md5(A).hexdigest()
BOMB: Final = bomb(304 * MIB)


def _bodies() -> list[Row]:
    own_etag = Answer(200, (("Content-Type", "image/jpeg"), ("ETag", f'"{HTML_MD5}"')), HTML)
    hard = Answer(200, (("Content-Type", "image/jpeg"), ("ETag", '"x"')), b"\xff\xd8\xff\xe0" + bytes(4000))
    return [
        Row("wrong byte once", once(WrongByte(9000)), most=2),
        Row("wrong byte for ever", always(WrongByte(9000)), DAMAGED, most=3),
        Row("wrong first byte, no ETag", (*NO_ETAG, *always(WrongByte(0))), DAMAGED, most=3),
        Row("wrong last byte, no ETag", (*NO_ETAG, *always(WrongByte(-1))), DAMAGED, most=3),
        Row("a short body that says so, once", once(Shortened(7000)), most=2),
        Row("a short body that says so, for ever", always(Shortened(7000)), DAMAGED, most=3),
        Row("a short body that says so, no ETag", (*NO_ETAG, *always(Shortened(7000))), DAMAGED, most=3),
        Row("empty body once", once(Shortened(0)), most=2),
        Row("empty body for ever", always(Shortened(0)), DAMAGED, most=3),
        Row("empty body, no ETag", (*NO_ETAG, *always(Shortened(0))), DAMAGED, most=3),
        Row("an empty object under its own md5", held={KEY: b""}, reason=DAMAGED, most=3),
        Row("web page once", once(html_page()), most=2),
        Row("web page for ever", always(html_page()), DAMAGED, most=3),
        Row("web page under its own md5", always(own_etag), DAMAGED, most=3),
        Row("XML page for ever", always(xml_page(XML)), DAMAGED, most=3),
        Row("XML page with a BOM", always(xml_page(b"\xef\xbb\xbf\n " + XML)), DAMAGED, most=3),
        Row("a head of a picture and nothing behind", always(hard), DAMAGED, most=3),
        Row("close-delimited", always(CloseDelimited()), most=1),
        Row("close-delimited and cut once", (*always(CloseDelimited()), *once(Cut(5000))), most=2),
        Row("close-delimited and cut for ever", (*always(CloseDelimited()), *always(Cut(5000))), TEMPORARY, most=3),
        Row("close-delimited, no ETag", (*NO_ETAG, *always(CloseDelimited())), most=1, verified=None),
        Row("close-delimited, no ETag, cut", (*NO_ETAG, *always(CloseDelimited()), *once(Cut(5000))), most=2,
            verified=None),
        Row("chunked", always(Chunked()), most=1),
        Row("chunked and cut once", (*always(Chunked()), *once(Cut(5000))), most=2, resumed=5000),
        Row("chunked and cut for ever", (*always(Chunked()), *always(Cut(500))), (Reason.BROKEN,), most=PUSHED),
        Row("chunked, cut, no ETag", (*NO_ETAG, *always(Chunked()), *once(Cut(5000))), most=2, verified="length"),
        Row("another type", always(Header("Content-Type", "text/html")), most=1),
        Row("a record that knows another md5", wanted=record(1, md5="0" * 32), reason=DAMAGED, most=3),
        Row("a record that knows the md5", NO_ETAG, wanted=record(1, md5=A_MD5), most=1),
        Row("a record that knows the MD5 in capitals", NO_ETAG, wanted=record(1, md5=A_MD5.upper()), most=1),
        Row("a record that knows another size", NO_ETAG, wanted=record(1, size=7), reason=DAMAGED, most=3),
        Row("a record that knows the size", NO_ETAG, wanted=record(1, size=len(A)), most=1, verified="length"),
    ]  # fmt: skip


def _ranges() -> list[Row]:
    cut, then = once(Cut(5000)), {KEY: A}
    swap = Fault(Swap(B), on=KEY, nth=2)
    small, long = picture("s", 3000), picture("l", 40_000)
    ignorant = Fault(IgnoreIfRange(), on=KEY)
    etag = ("ETag", f'"{A_MD5}"')
    rest = (etag, ("Content-Range", "bytes 5000-19999/20000"))
    parts = (etag, ("Content-Type", "multipart/byteranges; boundary=x"))
    no_etag = (*NO_ETAG, Fault(Header("Last-Modified", None), on=KEY))
    rows = [
        Row("the server ignores Range", (*cut, *always(IgnoreRange())), most=2, resumed=5000),
        Row("200 + Content-Range + a part", (*cut, *always(PartAs200())), most=3),
        Row("changed, If-Range honoured", (*cut, swap), most=3, expect=B),
        Row("changed, If-Range ignored", (*cut, swap, ignorant), most=3, expect=B),
        Row("changed, and gone", (*cut, Fault(Swap(None), on=KEY, nth=2)), (Reason.NOT_FOUND,), permanent=True, most=4),
        Row("changed and smaller than the rest", (*cut, Fault(Swap(small), on=KEY, nth=2), ignorant), most=3,
            expect=small),
        Row("changed and longer", (*cut, Fault(Swap(long), on=KEY, nth=2), ignorant), most=3, expect=long),
        Row("changed under no ETag", (*no_etag, *cut, swap, ignorant), most=3, expect=B, verified="length"),
        Row("changed under a weak ETag", (*always(Etag('W/"same"')), *cut, swap, ignorant), most=3, expect=B,
            verified="length"),
        Row("the validator is lacking in the rest", (*cut, Fault(Header("ETag", None), on=KEY, nth=2)), most=3),
        Row("206 with more than it says", (*cut, Fault(Answer(206, rest, A[5000:] + b"more"), on=KEY, nth=2)), most=4),
        Row("206 with less than it says", (*cut, Fault(Answer(206, rest, A[5000:-9]), on=KEY, nth=2)), most=4),
        Row("206 in several parts", (*cut, Fault(Answer(206, parts, A[5000:]), on=KEY, nth=2)), most=4),
        Row("two cuts and both resumed", (Fault(Cut(5000), on=KEY, nth=(1, 2)),), most=3, resumed=5000),
    ]  # fmt: skip
    for value in ("bytes 0-14999/20000", "bytes 4999-19999/20000", "bytes 5001-19999/20000", "bytes 5000-19999/99999",
                  "bytes 5000-9999/20000", "bytes */20000", "elephants 1-2/3", "", None):  # fmt: skip
        name = f"206 with Content-Range {value}"
        rows.append(Row(name, (*cut, Fault(ContentRange(value), on=KEY, nth=2)), most=4, resumed=5000, held=then))
    return rows


def _validators() -> list[Row]:
    rows = []
    for name, form in {"weak": 'W/"{md5}"', "multipart": '"{md5}-2"', "unquoted": "{md5}", "no": None, "short": '"abc"',
                       "empty": '""', "capitals": '"ABCDEF"', "garbage": '\x80"'}.items():  # fmt: skip
        etag = always(Etag(form))
        rows.append(Row(f"{name} ETag", etag, most=1, verified="length"))
        rows.append(Row(f"{name} ETag and a cut", (*etag, *once(Cut(5000))), most=2, verified="length"))
    unquoted = StoredObject(A, etag=A_MD5)
    rows += [
        Row("multipart ETag resumes", (*always(Etag('"{md5}-2"')), *once(Cut(5000))), most=2, verified="length",
            resumed=5000),
        Row("unquoted ETag in the listing", most=3, held={SECOND: unquoted}),
        Row("unquoted ETag in the listing, wrong byte", (Fault(WrongByte(9000), on=SECOND),), DAMAGED, most=5,
            held={SECOND: unquoted}),
        Row("the listing knows another size", (Fault(Answer(200, (), picture("s", 3000)), on=SECOND),), DAMAGED, most=5,
            held={SECOND: StoredObject(A, etag=None)}),
    ]  # fmt: skip
    return rows


def _codings() -> list[Row]:
    zipped = always(Gzipped())
    bad = Answer(200, (("Content-Encoding", "gzip"), ("ETag", f'"{A_MD5}"')), b"no gzip at all")
    unknown = Answer(200, (("Content-Encoding", "lava"), ("ETag", f'"{A_MD5}"')), A)
    return [
        Row("gzip put on by a proxy", zipped, most=1),
        Row("gzip put on, cut: asked for as a whole", (*zipped, *once(Cut(100))), most=2, resumed=None),
        Row("gzip put on, cut for ever", (*zipped, *always(Cut(100))), TEMPORARY, most=PUSHED),
        Row("gzip put on, wrong inside", (*always(WrongByte(9000)), *zipped), DAMAGED, most=3),
        Row("gzip put on, no ETag", (*NO_ETAG, *zipped), most=1, verified=None),
        Row("gzip put on and chunked", (*zipped, *always(Chunked())), most=1),
        Row("Content-Encoding gzip, and it is none", always(bad), TEMPORARY, most=3),
        Row("Content-Encoding nobody knows", always(unknown), TEMPORARY, most=3),
        Row("Content-Encoding: identity", always(Header("Content-Encoding", "identity")), most=1),
        Row("a decompression bomb", always(Answer(200, (("Content-Encoding", "gzip"),), BOMB)), (Reason.TOO_LARGE,),
            permanent=True, most=1, within=15, config={"timeout": 10}),
        Row("Content-Length over the cap",
            (*always(CloseDelimited()), *always(Header("Content-Length", str(300 << 20)))), (Reason.TOO_LARGE,),
            permanent=True, most=1),
        Row("an absurd Content-Length", (*always(CloseDelimited()), *always(Header("Content-Length", "9" * 30))),
            tuple(Reason), permanent=None, most=2 * PUSHED),
        Row("a listing in gzip", (Fault(Gzipped(), on=LISTED),), most=3, held={SECOND: A}),
    ]  # fmt: skip


BODIES: Final = (*_bodies(), *_ranges(), *_validators(), *_codings())
