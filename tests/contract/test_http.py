"""What HTTP adds to the suite of transports: answers that must not be joined, forms of ETag, cuts, TLS, sessions."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from pathlib import Path

import aiohttp
import pytest

from roco_async.errors import Broken, NotFound, Refused, Stale
from roco_async.protocols import Body, Point
from roco_async.transport.http import HttpTransport
from tests.contract.test_transports import DATA, read
from tests.servers import faults
from tests.servers.faults import Behaviour, Cut, Etag, Fault
from tests.servers.nginx import Nginx
from tests.servers.scripted import ScriptedServer
from tests.servers.tls import Authority

MD5 = hashlib.md5(DATA).hexdigest()
ETAG = f'"{MD5}"'


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    """An HttpTransport that is closed after the test."""
    made = HttpTransport(timeout=5)
    yield made
    await made.aclose()


@pytest.mark.parametrize(
    ("form", "resumable", "digest"),
    [
        ('"{md5}"', True, MD5),
        ('"{md5}-2"', True, None),
        ('"5f3a-62b1"', True, None),
        ('W/"{md5}"', False, None),
        ("{md5}", False, None),
        ('"', False, None),
    ],
)
async def test_a_digest_is_read_from_an_s3_etag_only(
    transport: HttpTransport, form: str, resumable: bool, digest: str | None
) -> None:
    """Only 32 hex digits in quotes are an md5, and only an ETag in quotes without W/ is a strong validator."""
    async with ScriptedServer({"a": DATA}, Fault(Etag(form))) as server, transport.open(server.url("a")) as body:
        assert await read(body) == DATA
        assert (body.digest, body.validator) == (digest, form.replace("{md5}", MD5) if resumable else None)


async def test_an_old_date_is_a_validator(transport: HttpTransport) -> None:
    """Without an ETag the rest is asked for by Last-Modified, or not at all; in neither case is it joined wrongly."""
    async with ScriptedServer({"a": DATA}, Fault(Etag(None))) as server:
        async with transport.open(server.url("a")) as body:
            assert (body.digest, await read(body)) == (None, DATA)
        async with transport.open(server.url("a"), Point(1000, body.validator)) as rest:
            assert await read(rest) == DATA[rest.start :]
            assert rest.start in (0, 1000)


@pytest.mark.parametrize(
    "does",
    [
        faults.PartAs200(),
        faults.ContentRange(None),
        faults.ContentRange("bytes 999-399999/400000"),
        faults.ContentRange("bytes 1001-399999/400000"),
        faults.ContentRange("bytes */400000"),
        faults.ContentRange("1000-"),
        faults.Gzipped(),
        faults.Etag('"another"'),
        faults.Etag('W/"{md5}"'),
        faults.Etag(None),
    ],
    ids=repr,
)
async def test_a_part_that_may_be_another_is_stale(transport: HttpTransport, does: Behaviour) -> None:
    """A part under a wrong Content-Range, another validator or a coding is never handed on."""
    script = (Fault(faults.IgnoreIfRange()), Fault(does))
    async with ScriptedServer({"a": DATA}, *script) as server:
        with pytest.raises(Stale):
            async with transport.open(server.url("a"), Point(1000, ETAG)):
                pytest.fail("a doubtful part was let through")


@pytest.mark.parametrize("does", [Etag('W/"{md5}"'), faults.Header("ETag", None)], ids=repr)
async def test_no_validator_on_either_side_is_no_match(transport: HttpTransport, does: Behaviour) -> None:
    """An offset without a validator, and a 206 without one, are not "the same version"."""
    bare = (Fault(does), Fault(faults.Header("Last-Modified", None)))
    async with ScriptedServer({"a": DATA}, *bare) as server:
        with pytest.raises(Stale):
            async with transport.open(server.url("a"), Point(1000, None)):
                pytest.fail("a part of nobody knows what was let through")


async def test_a_server_without_ranges_sends_the_whole(transport: HttpTransport) -> None:
    """200 where a part was asked for is the whole object from byte 0."""
    async with (
        ScriptedServer({"a": DATA}, Fault(faults.IgnoreRange())) as server,
        transport.open(server.url("a"), Point(1000, ETAG)) as body,
    ):
        assert (body.start, await read(body)) == (0, DATA)


@pytest.mark.parametrize("framing", [None, faults.Chunked()], ids=["length", "chunked"])
@pytest.mark.parametrize("by_reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("after", [1, 70_000, 399_999])
async def test_a_cut_keeps_what_came_before_it(
    transport: HttpTransport, after: int, by_reset: bool, framing: Behaviour | None
) -> None:
    """Every byte before the cut is handed on, then `Broken` is raised; from there the rest makes it whole."""
    script = [Fault(Cut(after, reset=by_reset), nth=1)]
    script += [Fault(framing, nth=1)] if framing else []
    async with ScriptedServer({"a": DATA}, *script) as server:
        got = bytearray()

        async def take(body: Body) -> None:
            async for chunk in body.chunks:
                got.extend(chunk)

        async with transport.open(server.url("a")) as body:
            with pytest.raises(Broken):
                await take(body)
        assert got == DATA[:after]
        async with transport.open(server.url("a"), Point(len(got), body.validator)) as rest:
            assert rest.start == len(got)
            assert got + await read(rest) == DATA


async def test_s3_etags_before_nginx(
    transport: HttpTransport, serve_nginx: Callable[..., Nginx], tmp_path: Path
) -> None:
    """nginx with S3's ETags gives the md5, resumes by it, and is seen to be asked with Range and If-Range."""
    (tmp_path / "a").write_bytes(DATA)
    server = serve_nginx(tmp_path, etags={"a": MD5})
    async with transport.open(server.url("a"), Point(1000, ETAG)) as body:
        assert (body.start, body.size, body.digest, body.validator) == (1000, len(DATA), MD5, ETAG)
        assert await read(body) == DATA[1000:]
    async with transport.open(server.url("a"), Point(1000, '"another"')) as body:
        assert (body.start, await read(body)) == (0, DATA)
    seen = [(access.range, access.if_range, access.status) for access in server.requests(at_least=2)]
    assert seen == [("bytes=1000-", ETAG, 206), ("bytes=1000-", '"another"', 200)]


async def test_a_connection_serves_the_next_object(transport: HttpTransport) -> None:
    """Bodies and errors that were read out leave their connection for the next request."""
    async with ScriptedServer({"a": DATA, "e": b""}) as server:
        for key in ("a", "none", "e", "a"):
            with pytest.raises(NotFound) if key == "none" else nullcontext():
                async with transport.open(server.url(key)) as body:
                    await read(body)
        assert (len(server.requests), server.connections) == (4, 1)


@pytest.mark.parametrize("does", [faults.Close(), faults.Reset()], ids=repr)
async def test_a_fresh_connection_that_is_closed_was_turned_away(transport: HttpTransport, does: Behaviour) -> None:
    """A close before a connection's first answer is push-back, and the request is not repeated behind our back."""
    async with ScriptedServer({"a": DATA}, Fault(does, nth=1)) as server:
        with pytest.raises(Broken) as caught:
            async with transport.open(server.url("a")):
                pytest.fail("there was an answer")
        assert (caught.value.overload, caught.value.answered) == (True, False)
        assert len(server.requests) == 1


@pytest.mark.parametrize("does", [faults.Close(), faults.Reset()], ids=repr)
async def test_a_kept_connection_that_is_closed_is_normal_traffic(transport: HttpTransport, does: Behaviour) -> None:
    """A close before an answer that is not a connection's first is no error: the request goes out once more."""
    async with ScriptedServer({"a": DATA}, Fault(does, nth=2)) as server:
        for _ in range(2):
            async with transport.open(server.url("a")) as body:
                assert await read(body) == DATA
        assert (len(server.requests), server.connections) == (3, 2)


async def test_a_pause_spoils_no_connection() -> None:
    """After an idle time longer than the timeout the kept connection serves on (aiohttp 3.14.0 failed here)."""
    transport = HttpTransport(timeout=0.5)
    try:
        async with ScriptedServer({"a": DATA[:200_000]}) as server:
            for pause in (0.8, 0):
                async with transport.open(server.url("a")) as body:
                    assert await read(body) == DATA[:200_000]
                await asyncio.sleep(pause)  # the idle time is the subject
            assert server.connections == 1
    finally:
        await transport.aclose()


async def test_an_unknown_authority_is_refused(transport: HttpTransport, authority: Authority) -> None:
    """A certificate that nobody vouches for is `Refused`, and no request is sent."""
    async with ScriptedServer({"a": DATA}, tls=authority.server_context()) as server:
        with pytest.raises(Refused):
            async with transport.open(server.url("a")):
                pytest.fail("the certificate was taken")
        assert server.requests == []


async def test_a_session_that_was_passed_in_stays_open() -> None:
    """Somebody's session is used, whatever its settings are, and `aclose` leaves it open."""
    timeout = aiohttp.ClientTimeout(total=0.001)
    async with ScriptedServer({"a": DATA}) as server, aiohttp.ClientSession(timeout=timeout) as session:
        transport = HttpTransport(timeout=5, session=session)
        async with transport.open(server.url("a")) as body:
            assert await read(body) == DATA
        await transport.aclose()
        assert not session.closed
