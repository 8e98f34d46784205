"""The scripted server, without faults, answers as nginx and moto do.

Client and fake come from the same hands: where both misread RFC 9110 their test is green all the same. So each answer
stands in a table here, and the real servers are held to the same table. Where a real one is known to differ, that is
named in `DIFFERS`, with what it does instead.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

import pytest

from tests.servers.faults import Fault, IgnoreIfRange
from tests.servers.nginx import Nginx
from tests.servers.objects import S3_NAMESPACE
from tests.servers.s3 import MotoServer
from tests.servers.scripted import ScriptedServer, in_thread

DATA = bytes(index % 251 for index in range(1000))
NAMES = ("two words.jpg", "a+b.jpg", "%41.jpg", "é ü.jpg", "a#b.jpg", "a?b.jpg", "a&b=c.jpg", "Case.jpg", "case.jpg")
OBJECTS = {"whole": DATA, "empty": b"", **{f"PMC1.1/{name}": name.encode() for name in NAMES}}
SERVERS = ("nginx", "moto", "scripted")


@dataclass
class Raw:
    """An answer as it came: no library has followed, decoded or repaired anything."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


@dataclass
class Served:
    name: str
    base: str

    def ask(self, target: str, method: str = "GET", **headers: str) -> Raw:
        parts = urlsplit(self.base)
        assert parts.hostname is not None
        connection = HTTPConnection(parts.hostname, parts.port, timeout=10)
        try:
            connection.request(
                method, parts.path + target, headers={k.replace("_", "-"): v for k, v in headers.items()}
            )
            answer = connection.getresponse()
            return Raw(answer.status, answer.headers, answer.read())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Served]]:
    """Start a server by name when it is first asked for, with `OBJECTS` in it."""
    running: dict[str, Served] = {}
    with contextlib.ExitStack() as stack:

        def start(name: str) -> str:
            if name == "scripted":
                return stack.enter_context(in_thread(ScriptedServer(OBJECTS, base_path="/bucket/"))).server.base
            work = tmp_path_factory.mktemp(name)
            if name == "moto":
                return stack.enter_context(MotoServer(work)).bucket(OBJECTS).base
            for key, data in OBJECTS.items():
                file = work / "files" / key
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
            return stack.enter_context(Nginx(work / "files", work / "nginx")).base

        def get(name: str) -> Served:
            if name not in running:
                running[name] = Served(name, start(name))
            return running[name]

        yield get


@pytest.fixture(params=SERVERS)
def served(request: pytest.FixtureRequest, servers: Callable[[str], Served]) -> Served:
    return servers(request.param)


WHOLE = (200, 0, 999)
BEYOND = (416, 0, -1)
RANGES = {
    "bytes=0-0": (206, 0, 0),
    "bytes=0-": (206, 0, 999),
    "bytes=5-9": (206, 5, 9),
    "bytes=0-998": (206, 0, 998),
    "bytes=0-999": (206, 0, 999),
    "bytes=0-1000": (206, 0, 999),
    "bytes=998-5000": (206, 998, 999),
    "bytes=999-": (206, 999, 999),
    "bytes=999-999": (206, 999, 999),
    "bytes=-1": (206, 999, 999),
    "bytes=-10": (206, 990, 999),
    "bytes=-1000": (206, 0, 999),
    "bytes=-1001": (206, 0, 999),
    "BYTES=1-2": (206, 1, 2),
    "bytes= 1-2": (206, 1, 2),
    "bytes=1000-": BEYOND,
    "bytes=1000-1001": BEYOND,
    "bytes=-0": BEYOND,
    "items=0-5": WHOLE,
    "bytes=9-5": WHOLE,
    "bytes=a-b": WHOLE,
    "bytes=-": WHOLE,
    "bytes=5": WHOLE,
}
# RFC 9110 §14.2 lets a server refuse a malformed range with 416 as well as ignore it; moto takes any unit for bytes.
DIFFERS = {
    ("nginx", "bytes=9-5"): BEYOND,
    ("nginx", "bytes=a-b"): BEYOND,
    ("nginx", "bytes=-"): BEYOND,
    ("nginx", "bytes=5"): BEYOND,
    ("moto", "items=0-5"): (206, 0, 5),
}


@pytest.mark.parametrize("header", RANGES)
def test_a_range_is_answered_with_these_bytes(served: Served, header: str) -> None:
    """Ranges are inclusive at both ends, and Content-Range, Content-Length and body agree about it."""
    status, first, last = DIFFERS.get((served.name, header), RANGES[header])
    answer = served.ask("whole", Range=header)
    assert answer.status == status
    assert answer.headers["Content-Length"] == str(len(answer.body))
    if status == 416:
        # moto leaves Content-Range out, which RFC 9110 §15.5.17 allows
        assert answer.headers["Content-Range"] == (None if served.name == "moto" else "bytes */1000")
        return
    assert answer.body == DATA[first : last + 1]
    assert answer.headers["Content-Range"] == (f"bytes {first}-{last}/1000" if status == 206 else None)


def test_a_whole_object_says_that_it_has_ranges(served: Served) -> None:
    """A 200 announces that ranges are served."""
    assert served.ask("whole").headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(("header", "status"), [("", 200), ("bytes=-1", 200), ("bytes=5-9", 416), ("bytes=0-", 416)])
def test_an_empty_object_has_no_range(served: Served, header: str, status: int) -> None:
    """An empty object is 200 with length 0, and no byte of it can be asked for."""
    answer = served.ask("empty", Range=header)
    # nginx ignores a range from 0 of an empty file
    assert answer.status == (200 if (served.name, header) == ("nginx", "bytes=0-") else status)
    if answer.status == 200:
        assert (answer.body, answer.headers["Content-Length"]) == (b"", "0")


@pytest.mark.parametrize("condition", ["its etag", "its date", "another etag", "its etag, weak", "another date"])
@pytest.mark.parametrize("name", ["nginx", "scripted"])
def test_if_range_lets_a_part_out_only_for_the_strong_validator(
    servers: Callable[[str], Served], name: str, condition: str
) -> None:
    """With the object's own strong validator the part comes, with any other the whole (RFC 9110 §13.1.5)."""
    server = servers(name)
    known = server.ask("whole").headers
    validator = {
        "its etag": known["ETag"],
        "its date": known["Last-Modified"],
        "another etag": '"another"',
        "its etag, weak": f"W/{known['ETag']}",
        "another date": "Sun, 06 Nov 1994 08:49:37 GMT",
    }[condition]
    answer = server.ask("whole", Range="bytes=900-", If_Range=validator)
    if condition in ("its etag", "its date"):
        assert (answer.status, answer.body, answer.headers["ETag"]) == (206, DATA[900:], known["ETag"])
    else:
        assert (answer.status, answer.body, answer.headers["Content-Range"]) == (200, DATA, None)


def test_ignoring_if_range_is_what_moto_does(servers: Callable[[str], Served]) -> None:
    """The fault IgnoreIfRange gives moto's answer to a wrong validator: 206 of the object as it is now."""
    with in_thread(ScriptedServer(OBJECTS, Fault(IgnoreIfRange()))) as threaded:
        pair = (servers("moto"), Served("scripted", threaded.server.base))
        theirs, ours = (each.ask("whole", Range="bytes=900-", If_Range='"another"') for each in pair)
    for header in ("Content-Range", "Content-Length", "ETag"):
        assert theirs.headers[header] == ours.headers[header]
    assert (theirs.status, theirs.body) == (ours.status, ours.body) == (206, DATA[900:])


@pytest.mark.parametrize("name", ["moto", "scripted"])
def test_the_etag_is_s3s(servers: Callable[[str], Served], name: str) -> None:
    """The ETag of an object is its md5 in quotes, in a 200 and in a 206."""
    for headers in ({}, {"Range": "bytes=1-2"}):
        assert servers(name).ask("whole", **headers).headers["ETag"] == f'"{hashlib.md5(DATA).hexdigest()}"'


@pytest.mark.parametrize("header", [None, "bytes=5-9"])
def test_head_is_get_without_a_body(served: Served, header: str | None) -> None:
    """HEAD has the length, validator and type of GET, and no body."""
    get, head = served.ask("whole"), served.ask("whole", "HEAD")
    assert head.body == b""
    for name in ("Content-Length", "ETag", "Content-Type", "Last-Modified"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_taken_as_it_was_quoted(served: Served, name: str) -> None:
    """Blanks, plus, per cent, non-ASCII, # and ? in a key arrive; case tells keys apart."""
    assert served.ask("PMC1.1/" + quote(name)).body == name.encode()


def test_what_is_missing_is_404(served: Served) -> None:
    """A key that is not there is 404, and S3's code says NoSuchKey."""
    answer = served.ask("PMC1.1/none.jpg")
    assert answer.status == 404
    if served.name != "nginx":
        assert ET.fromstring(answer.body).findtext("Code") == "NoSuchKey"


@pytest.mark.parametrize("name", ["nginx", "scripted"])
def test_a_connection_lives_on(servers: Callable[[str], Served], name: str) -> None:
    """One connection serves one request after another, whatever their statuses are."""
    parts = urlsplit(servers(name).base)
    assert parts.hostname is not None
    connection = HTTPConnection(parts.hostname, parts.port, timeout=10)
    statuses = []
    try:
        for target, header in (
            ("whole", "bytes=1-2"),
            ("none", ""),
            ("whole", "bytes=5000-"),
            ("empty", ""),
            ("whole", ""),
        ):
            connection.request("GET", parts.path + target, headers={"Range": header})
            answer = connection.getresponse()
            statuses.append((answer.status, len(answer.read()) > 0, answer.isclosed() and connection.sock is not None))
    finally:
        connection.close()
    assert statuses == [(206, True, True), (404, True, True), (416, True, True), (200, False, True), (200, True, True)]


def _pages(server: Served, prefix: str, max_keys: int) -> list[ET.Element]:
    pages, token = [], ""
    while True:
        more = f"&continuation-token={quote(token)}" if token else ""
        answer = server.ask(f"?list-type=2&prefix={quote(prefix)}&max-keys={max_keys}{more}")
        assert answer.status == 200
        pages.append(ET.fromstring(answer.body))
        token = pages[-1].findtext(f"{{{S3_NAMESPACE}}}NextContinuationToken") or ""
        if not token:
            return pages


@pytest.mark.parametrize("max_keys", [1, 2, 3, 1000])
@pytest.mark.parametrize("prefix", ["PMC1.", "PMC1.1/", "PMC1", "PMC1.1/a", "w", "none", ""])
def test_listings_say_the_same(servers: Callable[[str], Served], prefix: str, max_keys: int) -> None:
    """A listing has moto's keys, sizes, ETags, order, counts and page breaks, in S3's namespace."""

    def said(page: ET.Element) -> object:
        def text(element: ET.Element, tag: str) -> str | None:
            return element.findtext(f"{{{S3_NAMESPACE}}}{tag}")

        rows = page.findall(f"{{{S3_NAMESPACE}}}Contents")
        return (
            page.tag,
            [text(page, tag) or "" for tag in ("KeyCount", "MaxKeys", "IsTruncated", "Prefix")],
            [[text(row, tag) for tag in ("Key", "Size", "ETag")] for row in rows],
        )

    theirs, ours = (_pages(servers(name), prefix, max_keys) for name in ("moto", "scripted"))
    assert list(map(said, ours)) == list(map(said, theirs))
