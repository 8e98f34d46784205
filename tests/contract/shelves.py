"""Where the objects of the Transport suite lie: one maker a server, under one name each.

A new transport brings a maker to `MAKERS` and passes test_transports.py as it stands. A `Shelf` says what its *server*
does differently, never what a transport may.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from roco_async.protocols import Transport
from roco_async.transport.http import HttpTransport
from tests.servers.faults import Fault, IgnoreIfRange
from tests.servers.nginx import Nginx
from tests.servers.s3 import MotoServer
from tests.servers.scripted import ScriptedServer


@dataclass(frozen=True)
class Shelf:
    """Objects behind a Transport.

    Args:
        transport: what is under test.
        url: the URL of a key.
        put: store under a key; a changed object gets another validator.
        digests: whether the server publishes the md5.
        compares: whether it compares the validator itself, and answers with the whole of a changed object.
    """

    transport: Transport
    url: Callable[[str], str]
    put: Callable[[str, bytes], object]
    digests: bool
    compares: bool


@dataclass(frozen=True)
class Ground:
    """What the servers are made from; moto is started when it is first asked for."""

    folder: Path
    serve_nginx: Callable[[Path], Nginx]
    moto: Callable[[], MotoServer]


@asynccontextmanager
async def http(
    url: Callable[[str], str], put: Callable[[str, bytes], object], *, digests: bool, compares: bool
) -> AsyncIterator[Shelf]:
    """Put HttpTransport before a server."""
    transport = HttpTransport(timeout=10)
    try:
        yield Shelf(transport, url, put, digests, compares)
    finally:
        await transport.aclose()


@asynccontextmanager
async def nginx(ground: Ground, objects: Mapping[str, bytes]) -> AsyncIterator[Shelf]:
    seconds = count(1_700_000_000)

    def put(key: str, data: bytes) -> None:
        file = ground.folder / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        # nginx's ETag is made of second and size: two versions of one second and one size would share it
        moment = next(seconds)
        os.utime(file, (moment, moment))

    for key, data in objects.items():
        put(key, data)
    server = ground.serve_nginx(ground.folder)
    async with http(server.url, put, digests=False, compares=True) as shelf:
        yield shelf


@asynccontextmanager
async def moto(ground: Ground, objects: Mapping[str, bytes]) -> AsyncIterator[Shelf]:
    bucket = ground.moto().bucket(objects)
    async with http(bucket.url, bucket.put, digests=True, compares=False) as shelf:
        yield shelf


@asynccontextmanager
async def scripted(ground: Ground, objects: Mapping[str, bytes]) -> AsyncIterator[Shelf]:
    async with (
        ScriptedServer(objects) as server,
        http(server.url, server.bucket.put, digests=True, compares=True) as shelf,
    ):
        yield shelf


@asynccontextmanager
async def scripted_as_moto(ground: Ground, objects: Mapping[str, bytes]) -> AsyncIterator[Shelf]:
    async with (
        ScriptedServer(objects, Fault(IgnoreIfRange()), base_path="/a/bucket/") as server,
        http(server.url, server.bucket.put, digests=True, compares=False) as shelf,
    ):
        yield shelf


MAKERS: Final[dict[str, Callable[[Ground, Mapping[str, bytes]], AbstractAsyncContextManager[Shelf]]]] = {
    "http-nginx": nginx,
    "http-moto": moto,
    "http-scripted": scripted,
    "http-scripted-as-moto": scripted_as_moto,
}
