"""Connections: which idle ones are given up for new ones, and when; names that move to another address."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import pytest

from roco_async.descriptors import SPARE
from roco_async.errors import Busy, Unreachable
from roco_async.transport.connections import Connections
from roco_async.transport.http import HttpTransport
from tests.servers.ports import free_port
from tests.servers.proxy import ScriptedProxy
from tests.servers.scripted import ScriptedServer

IMAGE = bytes(1_000_000)  # more than fits into one read, so that its connection is in use for a while


@contextmanager
def soft_limit(descriptors: int) -> Iterator[None]:
    """Let this process open no descriptor of that number or above."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Let this process have none left but those that it closes itself."""
    highest = max(map(int, os.listdir("/proc/self/fd")))
    with ExitStack() as stack:
        stack.enter_context(soft_limit(highest + 1))
        while True:
            try:
                stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        yield


async def get(transport: HttpTransport, server: ScriptedServer, at_once: int = 1) -> None:
    async def one() -> None:
        async with transport.open(server.url("a")) as body:
            assert b"".join([chunk async for chunk in body.chunks]) == IMAGE

    await asyncio.gather(*(one() for _ in range(at_once)))


def connections(server: ScriptedServer) -> list[int]:
    return [request.connection for request in server.requests]


@pytest.fixture
async def servers() -> AsyncIterator[list[ScriptedServer]]:
    """Three hosts."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(ScriptedServer({"a": IMAGE})) for _ in range(3)]


@asynccontextmanager
async def room_for(sockets: int) -> AsyncIterator[HttpTransport]:
    """Give a transport made in a process that may have so many sockets and the spare descriptors."""
    with soft_limit(sockets + SPARE):
        connector = Connections(ttl_dns_cache=300, keepalive_timeout=60)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield HttpTransport(timeout=5, session=session)


async def test_the_longest_idle_makes_room(servers: list[ScriptedServer]) -> None:
    """With room for two, each new connection takes the place of the one of another host that is idle for longest."""
    first, second, third = servers
    async with room_for(2) as transport:
        for server in (first, second, first, third, first, second):
            await get(transport, server)
    assert [connections(server) for server in servers] == [[1, 1, 1], [1, 2], [1]]


async def test_a_kept_one_costs_no_other(servers: list[ScriptedServer]) -> None:
    """With room for two, two hosts in turn go on with one connection each: only a new one needs room."""
    async with room_for(2) as transport:
        for server in servers[:2] * 3:
            await get(transport, server)
    assert [connections(server) for server in servers] == [[1, 1, 1], [1, 1, 1], []]


async def test_a_host_keeps_its_own(servers: list[ScriptedServer]) -> None:
    """A host that has all the connections there is room for goes on with them, and may be given more."""
    async with room_for(2) as transport:
        await get(transport, servers[0], at_once=3)
        await get(transport, servers[0], at_once=3)
    assert sorted(connections(servers[0])) == [1, 1, 2, 2, 3, 3]


async def test_those_in_use_are_left_alone(servers: list[ScriptedServer]) -> None:
    """A connection that is being read from is never the one that makes room."""
    first, second, _ = servers
    async with room_for(1) as transport, transport.open(first.url("a")) as body:
        await get(transport, second)
        assert b"".join([chunk async for chunk in body.chunks]) == IMAGE


async def test_no_descriptor_left_but_those_of_idle_ones(servers: list[ScriptedServer]) -> None:
    """Where there is room by the limit but no descriptor, the idle connections are closed and the host is reached."""
    first, second, _ = servers
    async with room_for(1000) as transport:
        await get(transport, first, at_once=6)
        with no_descriptors():
            await get(transport, second)
        await get(transport, first)
    assert connections(first)[6:] == [7]


async def test_no_descriptor_and_no_idle_one(servers: list[ScriptedServer]) -> None:
    """Without an idle connection a lack of descriptors is Busy, and passes with the lack."""
    async with room_for(1000) as transport:
        with no_descriptors(), pytest.raises(Busy, match="no more descriptors"):
            await get(transport, servers[0])
        await get(transport, servers[0])


async def test_another_failure_closes_nothing(servers: list[ScriptedServer]) -> None:
    """A host that refuses a connection costs no other its idle ones."""
    async with room_for(1000) as transport:
        await get(transport, servers[0])
        with pytest.raises(Unreachable):
            async with transport.open(f"http://127.0.0.1:{free_port()}/a"):
                pass
        await get(transport, servers[0])
    assert connections(servers[0]) == [1, 1]


@pytest.mark.parametrize("proxy", [None, "proxy.invalid"])
async def test_a_name_that_moves(proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that cannot be reached is not remembered: the next request looks the name up again, a proxy's too."""
    loop = asyncio.get_running_loop()
    places: list[int] = []
    for variable in ("http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    if proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy}:3128")

    async def look_up(host: str, port: int, **_: Any) -> Any:
        assert host == (proxy or "bucket.invalid")
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", places.pop(0)))]

    monkeypatch.setattr(loop, "getaddrinfo", look_up)
    transport = HttpTransport(timeout=5)
    async with ScriptedServer({"a": IMAGE}) as server, ScriptedProxy(server.port) as way:
        places += [free_port(), int(way.place.partition(":")[2]) if proxy else server.port]
        with pytest.raises(Unreachable):
            async with transport.open("http://bucket.invalid/a"):
                pytest.fail("nobody is there")
        for _ in range(2):  # the second time by what is remembered
            async with transport.open("http://bucket.invalid/a") as body:
                assert b"".join([chunk async for chunk in body.chunks]) == IMAGE
        assert places == []
        await transport.aclose()
