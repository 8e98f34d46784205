"""Every way to stall, all at the same time, under one deadline: nothing hangs, and nothing is left.

What creeps instead of stalling, byte by byte, is never silent: it has a test of its own.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp
import pytest

import roco_async.transport.file as file_module
from roco_async import AnnotationsUnavailable, FetchConfig, Fetcher, ImageRecord, Status
from roco_async.splits import open_annotations
from tests.packages.stage import package, path_of
from tests.servers.faults import Answer, Fault, Stall, redirect
from tests.servers.scripted import ScriptedServer
from tests.servers.scripted_ftp import Data, ScriptedFtp, Silence
from tests.servers.tls import Authority

from .stage import KEY, LISTED, A, record
from .stall_stage import DEADLINE, Case, Mute, Play, case, ftp, mute, nobody_accepts, scripted, told, unfit

HEAD: Final = b"HTTP/1.1 200 OK\r\n"
MOVED: Final = b"HTTP/1.1 302 Found\r\nLocation: /b.jpg\r\nContent-Length: 9999\r\n\r\n"
CHUNKED: Final = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


async def not_accepted(out: Path) -> str:
    with nobody_accepts(backlog_is_full=False) as port:
        return await told(f"http://127.0.0.1:{port}/", out)


async def not_connected(out: Path) -> str:
    with nobody_accepts(backlog_is_full=True) as port:
        return await told(f"http://127.0.0.1:{port}/", out)


async def ftp_not_connected(out: Path) -> str:
    with nobody_accepts(backlog_is_full=True) as port:
        return await told(f"ftp://127.0.0.1:{port}/", out, source="packages")


def ftp_data_not_connected(*by: str) -> Play:
    async def play(out: Path) -> str:
        with nobody_accepts(backlog_is_full=True) as port:
            said = {
                "EPSV": [f"229 Entering Extended Passive Mode (|||{port}|)"] * 9,
                "PASV": [f"227 Entering Passive Mode (127,0,0,1,{port // 256},{port % 256})"] * 9,
            }
            script = {verb: said[verb] for verb in by}
            async with ScriptedFtp({path_of(1): package(1)}, script=script) as server:
                return await told(server.base, out, source="packages")

    return play


async def redirected_to_nobody(out: Path) -> str:
    async with Mute() as end, ScriptedServer({}, Fault(redirect(end.base + "a.jpg"))) as server:
        return await told(server.base, out)


async def redirected_slowly(out: Path) -> str:
    moved = Answer(302, (("Location", "/b.jpg"),), b"It is not here.")
    async with ScriptedServer({"b.jpg": A}, Fault(moved, on=KEY), Fault(Stall(4), on=KEY)) as server:
        return await told(server.base, out)


async def tls_handshake(out: Path) -> str:
    async with Mute(hears=False) as server:
        return await told(f"https://{server.place}/", out)


def over_tls(authority: Authority, words: bytes) -> Play:
    async def play(out: Path) -> str:
        connector = aiohttp.TCPConnector(ssl=authority.client_context())
        async with Mute(words, tls=authority) as server, aiohttp.ClientSession(connector=connector) as session:
            return await told(server.base, out, session=session)

    return play


async def proxied(out: Path) -> str:
    async with Mute() as proxy, aiohttp.ClientSession(proxy=proxy.base) as session:
        return await told("https://127.0.0.1:1/", out, session=session)


async def ftp_banner(out: Path) -> str:
    async with Mute(b"220-Welcome\r\n", creeps=b"220-and welcome\r\n", hears=False) as server:
        return await told(f"ftp://{server.place}/", out, source="packages")


async def pipe_as_package(out: Path) -> str:
    mirror = out.with_name(f"{out.name}-mirror")
    (mirror / path_of(1)).parent.mkdir(parents=True)
    os.mkfifo(mirror / path_of(1))
    return await told(mirror.as_uri(), out, source="packages")


async def pipe_as_image(out: Path) -> str:
    (out / "images").mkdir(parents=True)
    os.mkfifo(out / "images" / "IMG_1.jpg")
    async with ScriptedServer({KEY: A}) as server:
        return await told(server.base, out)


async def no_record(out: Path) -> str:
    """Records that never come: `aclose` and `drain` end the run."""
    asked = asyncio.Event()

    async def never() -> AsyncIterator[ImageRecord]:
        asked.set()
        await asyncio.Event().wait()
        yield record(1)

    async with Fetcher(FetchConfig(out=out, cloud_url="http://127.0.0.1:1/", timeout=0.4)) as fetcher:
        for end in ("drain", "aclose"):
            asked.clear()
            run = fetcher.iter_fetch(never())
            first = asyncio.ensure_future(anext(run, None))
            await asked.wait()
            if end == "drain":
                run.drain()
                assert await first is None
            await run.aclose()
            assert await first is None
    return "ended"


async def nobody_iterates(out: Path) -> str:
    """Outcomes that nobody takes: the engine holds back, and `aclose` ends it."""
    objects = {f"PMC{number}.1/a.jpg": A for number in range(1, 4)}
    endless = (record(1 + number % 3, folder=f"f{number}") for number in range(10**9))
    async with ScriptedServer(objects) as server:
        config = FetchConfig(out=out, cloud_url=server.base, timeout=0.4, connections=4)
        async with Fetcher(config) as fetcher:
            run = fetcher.iter_fetch(endless)
            assert (await anext(run)).status is Status.FETCHED
            before = -1
            while before < (before := run.statistics().fetched):
                await asyncio.sleep(0.3)
            await run.aclose()
    return "ended"


def annotations_stall(words: bytes) -> Play:
    async def play(out: Path) -> str:
        async with Mute(words) as server:
            config = FetchConfig(out=out, annotations_url=f"{server.base}roco.tar.gz", attempts=2, timeout=0.4)
            try:
                await open_annotations(["test/radiology"], config)
            except AnnotationsUnavailable:
                return "unavailable"
        return "there"

    return play


STALLED: Final = ("STALLED",)
NO_HOST: Final = ("UNREACHABLE", "HOST_DOWN")
CASES: Final = (
    case("connection not answered", not_connected, *NO_HOST),
    case("connection not accepted", not_accepted, *STALLED, *NO_HOST),
    case("accepted, and no more", mute(hears=False), *STALLED),
    case("TLS handshake", tls_handshake, *NO_HOST),
    case("after the request", mute(), *STALLED),
    case("in the status line", mute(b"HTTP/1.1 20"), *STALLED),
    case("in a header", mute(HEAD + b"Content-Le"), *STALLED),
    case("before the head's end", mute(HEAD + b"Content-Length: 9\r\n"), *STALLED),
    case("body, byte 0", scripted(Fault(Stall(0))), *STALLED),
    case("body, byte 1", scripted(Fault(Stall(1))), *STALLED),
    case("body, in its middle", scripted(Fault(Stall(len(A) // 2))), "FETCHED"),
    case("body, last byte", scripted(Fault(Stall(len(A) - 1))), "FETCHED"),
    case("before a chunk", mute(CHUNKED), *STALLED),
    case("in a chunk's header", mute(CHUNKED + b"20"), *STALLED),
    case("in a chunk", mute(CHUNKED + b"20\r\nabc"), *STALLED),
    case("before the last chunk", mute(CHUNKED + b"3\r\nabc\r\n"), *STALLED),
    case("body without a length", mute(HEAD + b"\r\nabc"), *STALLED),
    case("listing", scripted(Fault(Stall(0), on=LISTED), held=False), *STALLED),
    case("in a listing", scripted(Fault(Stall(100), on=LISTED), held=False), *STALLED),
    case("redirect's body", redirected_slowly, "FETCHED"),
    case("redirect's target", redirected_to_nobody, *STALLED),
    case("body of a 500", mute(b"HTTP/1.1 500 Error\r\nContent-Length: 9\r\n\r\n"), "SERVER_ERROR"),
    case("body of a 403", mute(b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\n"), "REFUSED"),
    *(
        case(f"FTP {verb}", ftp(script={verb: [Silence.NEVER] * 9}), *STALLED)
        for verb in ("greeting", "USER", "PASS", "TYPE", "SIZE", "MDTM", "EPSV", "RETR")
    ),
    case("FTP not connected", ftp_not_connected, *NO_HOST),
    case("FTP data not connected", ftp_data_not_connected("EPSV", "PASV"), *STALLED, "BROKEN"),
    case("FTP data not connected by EPSV", ftp_data_not_connected("EPSV"), "FETCHED"),
    case("FTP data, byte 0", ftp(data=[Data(stall=0)] * 9), *STALLED),
    case("FTP data, byte 1", ftp(data=[Data(stall=1)] * 9), *STALLED),
    case("FTP data, in its middle", ftp(data=[Data(stall=10_000)] * 9), "FETCHED"),
    case("FTP end", ftp(script={"end": [Silence.NEVER] * 9}), "FETCHED"),
    case("a pipe as a package", pipe_as_package, "NOT_FOUND"),
    case("a pipe as an image", pipe_as_image, "FETCHED"),
    case("records that never come", no_record, "ended"),
    case("outcomes that nobody takes", nobody_iterates, "ended"),
    case("annotations", annotations_stall(b""), "unavailable"),
    case("annotations' body", annotations_stall(HEAD + b"Content-Length: 900\r\n\r\n\x1f\x8b"), "unavailable"),
)

WITHOUT_END: Final = (
    case("silent after an interim answer", mute(b"HTTP/1.1 102 Processing\r\n\r\n"), *STALLED),
    case("interim answers", mute(creeps=b"HTTP/1.1 102 Processing\r\n\r\n"), *STALLED),
    case("a status line that creeps", mute(b"HTTP/1.1 200 ", creeps=b"O"), *STALLED),
    case("a header that creeps", mute(HEAD + b"Server: ", creeps=b"n"), *STALLED),
    case("header after header", mute(HEAD, creeps=b"Link: </a.css>\r\n"), *STALLED),
    case("the body of a 500", mute(b"HTTP/1.1 500 Error\r\nContent-Length: 9999\r\n\r\n", creeps=b"a"), *STALLED),
    case("the body of a redirect", mute(MOVED, creeps=b"a"), *STALLED),
    case("a proxy that never lets through", proxied, *STALLED, *NO_HOST),
    case("FTP greeting, line after line", ftp_banner, *STALLED),
)


def _disk(monkeypatch: pytest.MonkeyPatch, back: threading.Event) -> list[Case]:
    """Return the stalls of a folder whose file system does not answer until `back` is set."""
    opened, read = file_module._opened, file_module._read

    def opens(path: bytes) -> tuple[int, os.stat_result]:
        if b"hangs-at-open" in path:
            back.wait(DEADLINE)
        return opened(path)

    def reads(descriptor: int, place: int) -> tuple[bytes, os.stat_result]:
        if "hangs-at-read" in os.readlink(f"/proc/self/fd/{descriptor}"):
            back.wait(DEADLINE)
        return read(descriptor, place)

    monkeypatch.setattr(file_module, "_opened", opens)
    monkeypatch.setattr(file_module, "_read", reads)

    def play(word: str) -> Play:
        async def from_it(out: Path) -> str:
            mirror = out.with_name(word)
            (mirror / path_of(1)).parent.mkdir(parents=True)
            (mirror / path_of(1)).write_bytes(package(1))
            return await told(mirror.as_uri(), out, source="packages")

        return from_it

    return [case(word, play(word), *STALLED) for word in ("hangs-at-open", "hangs-at-read")]


async def test_all_stalls_at_once(tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stalls, wherever, ends with a fitting reason; no task, socket, thread's file or temporary one stays."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    back = threading.Event()
    cases = [*CASES, *_disk(monkeypatch, back)]
    cases.append(case("over TLS", over_tls(authority, b""), *STALLED))
    cases.append(case("body over TLS", over_tls(authority, HEAD + b"Content-Length: 9\r\n\r\na"), *STALLED))
    try:
        assert await unfit(cases, tmp_path) == {}
    finally:
        back.set()


async def test_what_never_ends_before_a_body(tmp_path: Path) -> None:
    """What comes before a body has an end, though bytes keep coming: heads that creep, bodies of errors, proxies."""
    assert await unfit(WITHOUT_END, tmp_path) == {}
