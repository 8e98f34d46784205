"""Packages that are made to exhaust: bounded memory, a named error, and the other articles arrive."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import tarfile
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.servers.scripted import ScriptedServer

from .stage import MIB, command, content, fetch, noise, package, path_of, record, tar_gz, tell, write_split

PEAK: Final = 150 * MIB


def bomb(*, first: bytes = b"") -> bytes:
    """Return a tar.gz of 4 MiB whose one further member is 4 GiB of zeros."""
    info = tarfile.TarInfo("PMC1/zeros.pdf")
    info.size = 4 << 30
    head = gzip.decompress(tar_gz(("PMC1/first.jpg", first)))[: 512 + -(-len(first) // 512) * 512] if first else b""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    pieces = [squeeze.compress(head + info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict"))]
    pieces.append(squeeze.flush(zlib.Z_FULL_FLUSH))
    zeros = squeeze.compress(bytes(16 * MIB)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return b"".join(pieces) + zeros * 256 + squeeze.flush()


async def test_a_bomb(tmp_path: Path) -> None:
    """4 GiB of zeros in 4 MiB are TOO_LARGE, in bounded memory, with exit code 3, and the other articles arrive."""
    whole = bomb()
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


async def test_a_bomb_behind_the_last_picture(tmp_path: Path) -> None:
    """A bomb in a rest that nobody needs costs nobody a picture; one that wants more of it is told TOO_LARGE."""
    whole = bomb(first=content(1, "first.jpg"))
    async with ScriptedServer({path_of(1): whole}) as server:
        assert tell(await fetch(server.base, tmp_path / "1", [record(1, "first.jpg")])) == {"IMG_1_first": "length"}
        outcomes = await fetch(server.base, tmp_path / "2", [record(1, "first.jpg"), record(1)])
    assert tell(outcomes) == {"IMG_1_first": "TOO_LARGE", "IMG_1_a": "TOO_LARGE"}
    assert not list((tmp_path / "2").rglob("*.jpg"))
    assert "decoded output" in (outcomes["IMG_1_a"].error or "")


def headers() -> Iterator[tuple[str, bytes, str]]:
    """Hostile extended headers, and the reason that each has to bring."""
    info = tarfile.TarInfo("PMC1/pax")
    info.type, info.size = tarfile.XHDTYPE, 2 << 30
    yield "a pax header of 2 GiB", tar_gz((info, b"")), "TOO_LARGE"
    info = tarfile.TarInfo("PMC1/long")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, MIB + 1
    yield "a long name over 1 MiB", tar_gz((info, b"x" * (MIB + 1))), "TOO_LARGE"
    for name, body in {
        "a length beyond the header": b"99 path=PMC1/a.jpg\n",
        "no length": b"path=PMC1/a.jpg\n",
        "a size that is no number": b"13 size=-1000\n",
        "a size beyond all": b"30 size=9999999999999999999\n"[:28].replace(b"30", b"28"),
    }.items():
        info = tarfile.TarInfo("PMC1/pax")
        info.type, info.size = tarfile.XHDTYPE, len(body)
        yield name, tar_gz((info, body), ("PMC1/a.jpg", content(1))), "DAMAGED"


@pytest.mark.parametrize(("whole", "reason"), [row[1:] for row in headers()], ids=[row[0] for row in headers()])
async def test_hostile_headers(whole: bytes, reason: str, tmp_path: Path) -> None:
    """An extended header over its cap or of no form is that article's failure, with its name, and no other's."""
    async with ScriptedServer({path_of(1): whole, path_of(2): package(2)}) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1), record(2)])
    assert tell(outcomes) == {"IMG_1_a": reason, "IMG_2_a": "crc"}
    assert "untar" in (outcomes["IMG_1_a"].error or "")


@pytest.mark.parametrize(
    "body", [b"", b"<html>no</html>", b"\x1f\x8b", gzip.compress(b""), gzip.compress(b"no tar" * 200)]
)
async def test_what_is_no_package(body: bytes, tmp_path: Path) -> None:
    """Nothing, a page, half a header, an empty gzip stream and one that is no tar are DAMAGED after the attempts."""
    async with ScriptedServer({path_of(1): body, path_of(2): package(2)}) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1), record(2)])
        assert len(server.requests_of(path_of(1))) == 3
    assert tell(outcomes) == {"IMG_1_a": "DAMAGED", "IMG_2_a": "crc"}


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
