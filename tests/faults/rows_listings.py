"""Rows: listings, versions, and names."""

from __future__ import annotations

from typing import Final

from roco_async import ImageRecord, Reason
from tests.servers.faults import (
    BROKEN_XML,
    DOCTYPE_XML,
    Chunked,
    Cut,
    Fault,
    Late,
    Reset,
    Stall,
    WrongByte,
    html_page,
    status,
    xml_page,
)
from tests.servers.objects import Entry, listing_xml

from .rows_answers import TURNED_AWAY
from .stage import KEY, LISTED, SECOND, A, B, Objects, Row, record

BAD: Final = (Reason.BAD_LISTING,)
LOST: Final = (Reason.NOT_FOUND,)
IN_SECOND: Final[Objects] = {SECOND: A}
TEXTS: Final = {f"PMC1.1/PMC1.1.{suffix}": b"text" for suffix in ("xml", "txt", "pdf")}
HUGE: Final = listing_xml([Entry(f"PMC1.2/{'x' * 200}{number}.jpg", 7, '"x"') for number in range(24_000)])
ENDLESS: Final = listing_xml([Entry("PMC1.3/b.jpg", 7, '"x"')], token="again")
ELSEWHERE: Final = listing_xml([Entry("PMC11.1/a.jpg", 7, '"x"'), Entry("../../etc/a.jpg", 7, '"x"')])
OTHER_NAMESPACE: Final = listing_xml(
    [Entry(SECOND, len(A), '"0"')], namespace="http://doc.s3.amazonaws.com/2006-03-01"
).replace(b"&quot;", b"&#34;")
MANY: Final = {f"PMC1.2/{number:04}.jpg": b"" for number in range(999)}


def listed(does: object, *, once: bool = False) -> tuple[Fault, ...]:
    return (Fault(does, on=LISTED, nth=1 if once else None),)  # type: ignore[arg-type]


def _listings() -> list[Row]:
    bad = {
        "a web page": html_page(),
        "broken XML": xml_page(BROKEN_XML),
        "with a DOCTYPE": xml_page(DOCTYPE_XML),
        "over 8 MiB": xml_page(HUGE),
        "empty": xml_page(b""),
        "another document": xml_page(b"<Error><Code>Nothing</Code></Error>"),
        "binary": xml_page(bytes(range(256))),
        "404": status(404),
    }
    rows = []
    for name, does in bad.items():
        rows.append(Row(f"listing {name}, once", listed(does, once=True), most=4, held=IN_SECOND))
        # The first try of three was the guess at version 1.
        rows.append(Row(f"listing {name}, for ever", listed(does), BAD, most=4, held=IN_SECOND))
    for name, again in {"503": status(503), "500": status(500), "403": status(403), "reset": Reset(), "late": Late(),
                        "cut": Cut(200), "cut, chunked": Cut(50), "stalled": Stall(100)}.items():  # fmt: skip
        faults = listed(again, once=True) + (listed(Chunked()) if "chunked" in name else ())
        rows.append(Row(f"listing {name}, then good", faults, most=5, held=IN_SECOND))
    rows += [
        Row("listing 503 for ever", listed(status(503)), (Reason.BUSY,), most=1 + TURNED_AWAY, held=IN_SECOND),
        Row("listing 403 for ever", listed(status(403)), (Reason.REFUSED,), most=3, held=IN_SECOND),
        Row("listing in pages of one", held={**IN_SECOND, **TEXTS, "PMC1.3/b.jpg": B}, server={"page_size": 1}, most=7),
        Row("the second page is bad once", (Fault(html_page(), on="[?]*token=1"),), BAD, most=8,
            held={**TEXTS, **IN_SECOND}, server={"page_size": 1}),
        Row("a token that comes again and again", listed(xml_page(ENDLESS)), LOST, permanent=True, most=3,
            held={}),
        Row("pages without end", held=MANY, server={"page_size": 5}, reason=BAD, most=102),
        Row("a hundred pages", held={**dict(list(MANY.items())[:99]), SECOND: A}, server={"page_size": 1}, most=102),
        Row("1,000 keys", held={**MANY, "PMC1.3/a.jpg": A}, most=3),
        Row("1,001 keys", held={**MANY, "PMC1.2/z.jpg": B, "PMC1.3/a.jpg": A}, most=4),
        Row("keys of others in the listing", listed(xml_page(ELSEWHERE)), LOST, permanent=True, most=2,
            held={}),
        Row("another namespace, quotes as &#34;", listed(xml_page(OTHER_NAMESPACE)), most=3, held=IN_SECOND),
        Row("the listed version is damaged", (Fault(WrongByte(9000), on=SECOND),), (Reason.DAMAGED,), most=5,
            held=IN_SECOND),
        Row("listed, and gone by now", (Fault(status(404), on=SECOND),), LOST, permanent=True, most=3, held=IN_SECOND),
    ]  # fmt: skip
    return rows


def _versions() -> list[Row]:
    return [
        Row("in version 2 only", most=3, held=IN_SECOND),
        Row("in versions 1 and 2", most=1, held={KEY: A, SECOND: B}),
        Row("in versions 9 and 10", most=3, held={"PMC1.10/a.jpg": B, "PMC1.9/a.jpg": A}),
        Row("in version 10 only", most=3, held={"PMC1.10/a.jpg": A, "PMC1.9/b.jpg": B}),
        Row("of PMC11, not of PMC1", most=2, held={"PMC11.1/a.jpg": A, "PMC11.2/a.jpg": A}, reason=LOST,
            permanent=True),
        Row("in another case only", most=2, held={"PMC1.1/A.JPG": A}, reason=LOST, permanent=True),
        Row("another image of the article", most=2, held={"PMC1.1/b.jpg": A}, reason=LOST, permanent=True),
        Row("a manuscript without media", most=2, held=TEXTS, reason=(Reason.NO_MEDIA,), permanent=True,
            wanted=record(1, "nihms-1-f1.jpg")),
        Row("a bucket below a path", most=3, held=IN_SECOND, server={"base_path": "/some/where/"}),
        Row("a folder below the version", most=2, held={"PMC1.1/x/a.jpg": A}, reason=(*LOST, Reason.NO_MEDIA),
            permanent=True),
    ]  # fmt: skip


NAMES: Final = (
    "two words.jpg", "a+b.jpg", "%41.jpg", "a#b.jpg", "a?b=c.jpg", "größe.jpg", "日本.jpg", "a&b;c=d.jpg", "..a.jpg",
    "a%2Fb.jpg", "%.jpg", "it's (1).jpg", "a:b@c.jpg", "e\u0301.jpg", "~tilde!$*,.jpg", "{curly}[1].jpg",
    'qu"ote.jpg', "<xml>&amp;.jpg", "-dash.jpg",
)  # fmt: skip

HOSTILE: Final = {
    "name ../": record(1, "../a.jpg"),
    "name with /": record(1, "b/a.jpg"),
    "name ..": record(1, ".."),
    "empty name": record(1, ""),
    "name with a backslash": record(1, "a\\b.jpg"),
    "name with NUL": record(1, "a\0.jpg"),
    "name with a newline": record(1, "a\nb.jpg"),
    "pmcid with /": ImageRecord("IMG_1", "../PMC1", "a.jpg"),
    "pmcid that is none": ImageRecord("IMG_1", "PMC1.1/a.jpg?x=", "a.jpg"),
    "pmcid empty": ImageRecord("IMG_1", "", "a.jpg"),
    "pmcid in other digits": ImageRecord("IMG_1", "PMC١", "a.jpg"),
    "id ../": ImageRecord("../../IMG_1", "PMC1", "a.jpg"),
    "id with /": ImageRecord("x/IMG_1", "PMC1", "a.jpg"),
    "absolute id": ImageRecord("/tmp/IMG_1", "PMC1", "a.jpg"),
    "empty id": ImageRecord("", "PMC1", "a.jpg"),
    "id ..": ImageRecord("..", "PMC1", "a.jpg"),
    "id with NUL": ImageRecord("IMG\0", "PMC1", "a.jpg"),
    "folder ../": record(1, folder="../out2"),
    "absolute folder": record(1, folder="/tmp/elsewhere"),
    "folder a/../../b": record(1, folder="a/../../b"),
    "url file:": record(1, url="file:///etc/hostname"),
    "url ftp:": record(1, url="ftp://127.0.0.1/a.jpg"),
    "url that is none": record(1, url="a.jpg"),
}


def _names() -> list[Row]:
    rows = [Row(f"name {name}", most=1, held={f"PMC1.1/{name}": A}, wanted=record(1, name)) for name in NAMES]
    rows += [Row(f"listed name {name}", most=3, held={f"PMC1.2/{name}": A}, wanted=record(1, name)) for name in NAMES]
    unsafe = (Reason.UNSAFE,)
    rows += [Row(name, most=0, wanted=wanted, reason=unsafe, permanent=True) for name, wanted in HOSTILE.items()]
    return rows


LISTINGS: Final = (*_listings(), *_versions(), *_names())
