"""The stage of the ways to a host: one image of a host that is hard to reach, three of a bucket that is well.

What stands in the way is data: a certificate with a flaw, a handshake that breaks, a proxy, a name, an address.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import aiohttp
import pytest

from roco_async import FetchConfig, Fetcher, Reason, Status
from tests.servers.faults import Fault
from tests.servers.ports import free_port
from tests.servers.proxy import ScriptedProxy
from tests.servers.scripted import ScriptedServer
from tests.servers.tls import make_authority

from .stage import BESIDE, BESIDE_OBJECTS, KEY, A, files_below, record, short_waits

PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Direct:
    """A bucket at an address of this machine."""

    host: str = "127.0.0.1"


@dataclass(frozen=True)
class Nobody:
    """A URL where there is no bucket; `{port}` in it is one where nobody listens."""

    base: str


@dataclass(frozen=True)
class Tls:
    """A bucket over TLS; what is wrong with its certificate, whether its authority is trusted, and its faults."""

    flaw: Mapping[str, Any] = field(default_factory=dict)
    trusted: bool = True
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Handshake:
    """A host that says this to the client's hello, and then ends the connection, or says no more."""

    says: bytes = b""
    then: Literal["close", "reset", "wait"] = "close"


@dataclass(frozen=True)
class Proxied:
    """A bucket that only the proxy knows.

    Args:
        base: how it is called.
        environment: `{proxy}` in it is the proxy's address and port.
        proxy: keywords of the ScriptedProxy.
    """

    base: str = "http://bucket.invalid/"
    environment: Mapping[str, str] = field(default_factory=lambda: {"HTTP_PROXY": "http://{proxy}"})
    proxy: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One row: what stands in the way, and what comes of it.

    Args:
        name: in words; the test's id.
        way: what stands in the way.
        reason: why the image is missing; none where it comes.
        most: requests, or connections where it does not come to that, which the other side may see.
        words: what the account of the failure has to say.
    """

    name: str
    way: Direct | Nobody | Tls | Handshake | Proxied
    reason: tuple[Reason, ...] = ()
    most: int = 1
    words: str = ""


@dataclass(frozen=True)
class _Host:
    base: str
    asked: Callable[[], int]
    session: aiohttp.ClientSession | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@asynccontextmanager
async def _standing(way: object, folder: Path) -> AsyncIterator[_Host]:
    async with AsyncExitStack() as stack:
        match way:
            case Nobody():
                yield _Host(way.base.format(port=free_port()), lambda: 0)
            case Direct():
                server = await stack.enter_async_context(ScriptedServer({KEY: A}, host=way.host))
                yield _Host(server.base, lambda: len(server.requests))
            case Tls():
                yield await _secure(way, stack, folder)
            case Handshake():
                yield await stack.enter_async_context(_breaking(way))
            case Proxied():
                server = await stack.enter_async_context(ScriptedServer({KEY: A}))
                proxy = await stack.enter_async_context(ScriptedProxy(server.port, **way.proxy))
                settings = {name: value.format(proxy=proxy.place) for name, value in way.environment.items()}
                base = way.base.format(port=server.port)
                yield _Host(base, lambda: len(proxy.heads), environment=settings)


async def _secure(way: Tls, stack: AsyncExitStack, folder: Path) -> _Host:
    authority = await asyncio.to_thread(make_authority, folder, **way.flaw)
    server = ScriptedServer({KEY: A}, *way.faults, tls=authority.server_context())
    await stack.enter_async_context(server)
    session = None
    if way.trusted:
        connector = aiohttp.TCPConnector(ssl=authority.client_context())
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
    return _Host(server.base, lambda: len(server.requests), session)


@asynccontextmanager
async def _breaking(way: Handshake) -> AsyncIterator[_Host]:
    seen: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer)
        await reader.read(5)
        writer.write(way.says)
        await writer.drain()
        if way.then == "reset":
            wire = writer.get_extra_info("socket")
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if way.then != "wait":
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        try:
            yield _Host(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/", lambda: len(seen))
        finally:
            for writer in seen:
                writer.transport.abort()


async def check(row: Row, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetch the image whose way is hard, and three beside it, and hold the row against what happened."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    out = folder / "out"
    async with _standing(row.way, folder) as host, ScriptedServer(BESIDE_OBJECTS) as well:
        settings = {"NO_PROXY": "127.0.0.1"} if host.environment else {}
        for name, value in {**settings, **host.environment}.items():
            monkeypatch.setenv(name, value)
        config = FetchConfig(out=out, cloud_url=well.base, attempts=2, timeout=0.3, outage=0.3)
        with short_waits():
            async with asyncio.timeout(4), Fetcher(config, session=host.session) as fetcher:
                wanted = [record(1, url=host.base + KEY), *BESIDE]
                outcomes = {outcome.record.id: outcome async for outcome in fetcher.iter_fetch(wanted)}
        asked = host.asked()
    own = outcomes.pop("IMG_1")
    said = f"{own.status} {own.reason} {own.error}; {asked} times"
    left = {f"images/{item.id}.jpg" for item in BESIDE}
    assert {one.status for one in outcomes.values()} == {Status.FETCHED}, said
    assert len(outcomes) == len(BESIDE)
    assert own.reason in (row.reason or (None,)), said
    assert own.reason is None or not own.reason.permanent
    if own.reason is None:
        left.add("images/IMG_1.jpg")
        assert own.path is not None
        assert own.path.read_bytes() == A
    assert row.words in (own.error or ""), said
    assert "s3cret" not in said, "a password is shown"
    assert files_below(out) == left
    assert asked <= row.most, said
