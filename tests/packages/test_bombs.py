"""Packages that are made to exhaust: bounded memory, and the other articles arrive. Small ones are in tests/faults."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import tarfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.servers.scripted import ScriptedServer

from .stage import MIB, bomb, command, content, noise, package, path_of, write_split

PEAK: Final = 150 * MIB


async def test_a_bomb(tmp_path: Path) -> None:
    """4 GiB of zeros in 4 MiB are TOO_LARGE, in bounded memory, with exit code 3, and the other articles arrive."""
    info = tarfile.TarInfo("PMC1/zeros.pdf")
    info.size = 4 << 30
    whole = bomb(4 << 30, info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict"))
    assert 3 * MIB < len(whole) < 6 * MIB
    rows = [("ROCO_1", path_of(1), "a.jpg"), *((f"ROCO_{number}", path_of(number), "a.jpg") for number in range(2, 8))]
    write_split(tmp_path / "data", "test/radiology", rows)
    objects = {path_of(1): whole} | {path_of(number): package(number) for number in range(2, 8)}
    async with ScriptedServer(objects) as server:
        ended = await command(
            "test/radiology", "--data", tmp_path / "data", "--source", "packages", "--packages-url", server.base,
            "--json", "-k", tmp_path / "kept",
        )  # fmt: skip
        assert len(server.requests_of(path_of(1))) == 1
    told = json.loads(ended.stdout)
    assert (ended.code, told["fetched"], told["reasons"]) == (3, 6, {"TOO_LARGE": 1})
    assert 0 < ended.peak < PEAK, ended.peak
    assert not list((tmp_path / "kept").rglob(f"{Path(path_of(1)).name}*")), "the next run is not to find it"


def huge(blocks: int) -> Iterator[bytes]:
    """Yield a package of `blocks` MiB of noise, made as it goes out, with the wanted member at its end."""
    member = tarfile.TarInfo("PMC1/film.avi")
    member.size = blocks * MIB
    yield gzip.compress(member.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict"), 0, mtime=0)
    block = gzip.compress(noise(MIB), 0, mtime=0)
    for _ in range(blocks):
        yield block
    yield package(1)


@asynccontextmanager
async def streaming(blocks: int) -> AsyncIterator[tuple[str, list[int]]]:
    """Serve that package at every path; yields the base URL and a list of the bytes that each answer had."""
    size = sum(len(piece) for piece in huge(1)) + (blocks - 1) * len(gzip.compress(noise(MIB), 0, mtime=0))
    sent: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                f'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n'.encode()
            )
            sent.append(0)
            for piece in huge(blocks):
                writer.write(piece)
                await writer.drain()
                sent[-1] += len(piece)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", sent


async def test_five_hundred_megabytes_in_constant_memory(tmp_path: Path) -> None:
    """A package of 500 MB whose wanted member is the last goes through in under 150 MB of memory."""
    write_split(tmp_path / "data", "test/radiology", [("ROCO_1", path_of(1), "a.jpg")])
    async with streaming(480) as (base, sent):
        ended = await command(
            "test/radiology", "--data", tmp_path / "data", "--source", "packages", "--packages-url", base
        )
    assert ended.code == 0, ended.stderr
    assert sum(sent) > 500_000_000
    assert (tmp_path / "data/test/radiology/images/ROCO_1.jpg").read_bytes() == content(1)
    assert 0 < ended.peak < PEAK, ended.peak
