"""Each fault does what it says, byte by byte: seen from a bare socket, without a client that could hide it."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from tests.servers import faults
from tests.servers.faults import BROKEN_XML, HTML, LISTINGS, Behaviour, Cut, Fault
from tests.servers.objects import Entry, listing_xml
from tests.servers.scripted import ScriptedServer
from tests.servers.tls import Authority

DATA = bytes(index % 251 for index in range(300_000))
MD5 = hashlib.md5(DATA).hexdigest()
PART = {"Range": "bytes=10-19"}
STALE = {"Range": "bytes=10-19", "If-Range": '"another"'}


@dataclass
class Heard:
    """Everything that came out of one connection, and how it ended: `fin`, `rst`, or `open`."""

    status: int
    headers: dict[str, str]
    body: bytes
    end: str


async def hear(
    server: ScriptedServer, target: str = "a", headers: Mapping[str, str] | None = None, patience: float = 5.0
) -> Heard:
    """Send one request on a new connection, and read until the connection ends or nothing more comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    lines = [f"GET {server.base_path}{target} HTTP/1.1", "Host: x", *(f"{k}: {v}" for k, v in (headers or {}).items())]
    got, end = b"", "fin"
    try:
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        async with asyncio.timeout(patience):
            while piece := await reader.read(65536):
                got += piece
    except TimeoutError:
        end = "open"
    except ConnectionResetError:
        end = "rst"
    finally:
        writer.transport.abort()
    head, _, body = got.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    return Heard(int(first.split(" ")[1]) if first else 0, fields, body, end)


CLOSE = {"Connection": "close"}


@pytest.mark.parametrize("by_reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("after", [0, 1, 70_000, 299_999])
async def test_a_cut_comes_after_exactly_so_many_bytes(after: int, by_reset: bool) -> None:
    """The bytes before the cut all arrive, none after it does, and the length still promises the whole."""
    async with ScriptedServer({"a": DATA}, Fault(Cut(after, reset=by_reset))) as server:
        heard = await hear(server)
        assert (heard.body, heard.end) == (DATA[:after], "rst" if by_reset else "fin")
        assert (heard.status, heard.headers["content-length"]) == (200, str(len(DATA)))
        assert (server.requests[0].sent, server.requests[0].whole) == (after, False)


@pytest.mark.parametrize(("does", "end"), [(faults.Reset(), "rst"), (faults.Close(), "fin")])
async def test_no_byte_of_an_answer(does: Behaviour, end: str) -> None:
    """Reset and Close end the connection before the answer's first byte."""
    async with ScriptedServer({"a": DATA}, Fault(does)) as server:
        assert await hear(server) == Heard(0, {}, b"", end)
        assert server.requests[0].status == 0


@pytest.mark.parametrize(("does", "body"), [(faults.Stall(1000), DATA[:1000]), (faults.Late(), b"")])
async def test_a_stall_lasts_until_somebody_leaves(does: Behaviour, body: bytes) -> None:
    """Nothing comes after the stall's byte; a client that leaves frees the connection, and so does the server's end."""
    async with ScriptedServer({"a": DATA}, Fault(does)) as server:
        heard = await hear(server, patience=0.1)
        assert (heard.body, heard.end) == (body, "open")
        waiting = asyncio.create_task(hear(server))
        while server.open_connections == 0 or len(server.requests) < 2:
            await asyncio.sleep(0)
        await server.pause()
        assert (await waiting).end == "rst"
        assert server.open_connections == 0


@pytest.mark.parametrize("does", [faults.Stall(1000, 0.05), faults.Late(0.05), faults.Trickle(100_000, 0.02)])
async def test_what_is_slow_comes_whole_in_the_end(does: Behaviour) -> None:
    """A stall, a delay and a trickle of known length end with the whole body, no sooner than they say."""
    async with ScriptedServer({"a": DATA}, Fault(does)) as server:
        begun = asyncio.get_running_loop().time()
        heard = await hear(server, headers=CLOSE)
        assert heard.body == DATA
        assert asyncio.get_running_loop().time() - begun >= 0.04


ANSWERS: dict[str, tuple[Behaviour, Mapping[str, str], int, Mapping[str, str | None], bytes]] = {
    "503": (faults.status(503, retry_after=7), {}, 503, {"retry-after": "7"}, b"503\n"),
    "429 with a date": (
        faults.status(429, retry_after="Sun, 06 Nov 2094 08:49:37 GMT"), {},
        429, {"retry-after": "Sun, 06 Nov 2094 08:49:37 GMT"}, b"429\n",
    ),
    "html": (faults.html_page(), PART, 200, {"content-type": "text/html", "content-range": None}, HTML),
    "redirect": (faults.redirect("file:///etc/passwd", 307), {}, 307, {"location": "file:///etc/passwd"}, b""),
    "wrong byte": (faults.WrongByte(2), PART, 206, {"etag": f'"{MD5}"'}, DATA[10:12] + b"\xf3" + DATA[13:20]),
    "shortened": (faults.Shortened(5), {}, 200, {"content-length": "5", "etag": f'"{MD5}"'}, DATA[:5]),
    "gzipped": (faults.Gzipped(), PART, 206, {"content-encoding": "gzip"}, gzip.compress(DATA[10:20], mtime=0)),
    "weak": (faults.Etag('W/"{md5}"'), {}, 200, {"etag": f'W/"{MD5}"'}, DATA),
    "weak is no If-Range": (faults.Etag('W/"{md5}"'), PART | {"If-Range": f'W/"{MD5}"'}, 200, {}, DATA),
    "multipart": (faults.Etag('"{md5}-2"'), {}, 200, {"etag": f'"{MD5}-2"'}, DATA),
    "no etag": (faults.Etag(None), {}, 200, {"etag": None}, DATA),
    "header": (faults.Header("X-Amz-Note", "hello"), {}, 200, {"x-amz-note": "hello"}, DATA),
    "range ignored": (faults.IgnoreRange(), PART, 200, {"content-range": None}, DATA),
    "if-range ignored": (faults.IgnoreIfRange(), STALE, 206, {"content-range": "bytes 10-19/300000"}, DATA[10:20]),
    "as rclone": (faults.PartAs200(), PART, 200, {"content-range": "bytes 10-19/300000"}, DATA[10:20]),
    "another part": (faults.ContentRange("bytes 0-9/99"), PART, 206, {"content-range": "bytes 0-9/99"}, DATA[10:20]),
    "no content-range": (faults.ContentRange(None), PART, 206, {"content-range": None}, DATA[10:20]),
    "no length": (faults.CloseDelimited(), PART, 206, {"content-length": None, "connection": "close"}, DATA[10:20]),
    "chunked": (
        faults.Chunked(), PART,
        206, {"transfer-encoding": "chunked", "content-length": None}, b"a\r\n" + DATA[10:20] + b"\r\n0\r\n\r\n",
    ),
    "swapped": (faults.Swap(b"another object"), PART | {"If-Range": f'"{MD5}"'}, 200, {}, b"another object"),
    "deleted": (faults.Swap(None), {}, 404, {"content-type": "application/xml"}, b"<Code>NoSuchKey</Code>"),
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS)
async def test_an_answer_is_wrong_in_this_way_only(case: str) -> None:
    """Status, headers and body are those of the fault, and the rest is the object's own."""
    does, headers, status, expected, body = ANSWERS[case]
    async with ScriptedServer({"a": DATA}, Fault(does)) as server:
        heard = await hear(server, headers={**headers, **CLOSE})
        assert (heard.status, heard.end) == (status, "fin")
        assert {name: heard.headers.get(name) for name in expected} == expected
        assert body in heard.body if status == 404 else heard.body == body


async def test_faults_add_up() -> None:
    """All faults that match bend the answer together: chunked, weak, and cut before its last chunk."""
    both = (Fault(faults.Chunked()), Fault(faults.Etag('W/"x"')), Fault(Cut(5)))
    async with ScriptedServer({"a": DATA}, *both) as server:
        heard = await hear(server)
        assert (heard.body, heard.headers["etag"]) == (b"5\r\n" + DATA[:5] + b"\r\n", 'W/"x"')


async def test_a_fault_strikes_where_and_when_it_says() -> None:
    """`on` is a pattern of keys, `nth` counts each key's requests, `every` those of all that match."""
    script = (
        Fault(faults.status(500), on="x/*", nth=2),
        Fault(faults.status(429), on="y/*", every=3),
        Fault(faults.xml_page(BROKEN_XML), on=LISTINGS, nth=(1, 2)),
    )
    keys = ("x/1", "x/2", "y/1", "y/2")
    async with ScriptedServer(dict.fromkeys(keys, DATA), *script) as server:
        seen = [[(await hear(server, key, CLOSE)).status for _ in range(3)] for key in keys]
        pages = [(await hear(server, "?list-type=2&prefix=x", CLOSE)).body == BROKEN_XML for _ in range(3)]
    assert seen == [[200, 500, 200], [200, 500, 200], [200, 200, 429], [200, 200, 429]]
    assert pages == [True, True, False]
    assert (len(server.requests), len(server.listings), len(server.image_requests)) == (15, 3, 12)
    assert [request.status for request in server.requests_of("x/1")] == [200, 500, 200]


async def test_a_token_that_never_ends_can_be_scripted() -> None:
    """A page with the same token again and again is one of `xml_page`'s answers."""
    page = listing_xml([Entry("a", 1, '"0"')], token="again")
    async with ScriptedServer({}, Fault(faults.xml_page(page), on=LISTINGS)) as server:
        heard = [await hear(server, f"?list-type=2{more}", CLOSE) for more in ("", "&continuation-token=again")]
    assert heard[0].body == heard[1].body == page
    assert b"<NextContinuationToken>again<" in page


async def test_pages_are_as_long_as_the_server_says() -> None:
    """`page_size` breaks a listing into pages, of which a client has to ask for each."""
    async with ScriptedServer({f"PMC1.1/{n}": b"" for n in range(5)}, page_size=2) as server:
        tokens = ["", "&continuation-token=2", "&continuation-token=4"]
        pages = [(await hear(server, "?list-type=2&prefix=PMC1." + more, CLOSE)).body for more in tokens]
    assert [page.count(b"<Key>") for page in pages] == [2, 2, 1]
    assert [b"<IsTruncated>true<" in page for page in pages] == [True, True, False]


async def test_one_request_too_many_is_told_to_slow_down() -> None:
    """With `max_requests` being answered the next gets 503 SlowDown, and the peak is counted."""
    async with ScriptedServer({"a": DATA}, Fault(faults.Late(0.1)), max_requests=2) as server:
        heard = await asyncio.gather(*(hear(server, headers=CLOSE) for _ in range(5)))
        assert sorted(each.status for each in heard) == [200, 200, 503, 503, 503]
        assert all(b"<Code>SlowDown</Code>" in each.body for each in heard if each.status == 503)
        assert server.peak_requests <= 5


async def test_one_connection_too_many_is_reset() -> None:
    """With `max_connections` open the newcomer is reset, and the old ones live on."""
    async with ScriptedServer({"a": DATA}, Fault(faults.Late(0.1)), max_connections=2) as server:
        heard = await asyncio.gather(*(hear(server, headers=CLOSE) for _ in range(5)))
        assert sorted(each.end for each in heard) == ["fin", "fin", "rst", "rst", "rst"]
        assert (server.peak_connections, server.refused, server.connections) == (2, 3, 5)


async def test_an_outage_begins_and_ends() -> None:
    """A paused server resets what is open and refuses what is new; resumed, it answers at the same port."""
    async with ScriptedServer({"a": DATA}, Fault(faults.Stall(), nth=1)) as server:
        waiting = asyncio.create_task(hear(server))
        while not server.requests:
            await asyncio.sleep(0)
        await server.pause()
        assert (await waiting).end == "rst"
        with pytest.raises(ConnectionRefusedError):
            await hear(server)
        await server.resume()
        assert (await hear(server, headers=CLOSE)).body == DATA


async def test_it_serves_tls(authority: Authority) -> None:
    """With a certificate the base is https, and a client that trusts the authority gets the object."""
    async with ScriptedServer({"a": DATA}, tls=authority.server_context()) as server:
        assert server.base.startswith("https://127.0.0.1:")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=authority.client_context())
        writer.write(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).endswith(DATA)
        writer.close()
        await writer.wait_closed()
