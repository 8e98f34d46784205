"""When decoding stops, when the transfer does, and what the pictures were verified by (design §4.4)."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Final

import pytest

from tests.servers.faults import CloseDelimited, Fault, Late, Trickle, WrongByte
from tests.servers.packages import packed
from tests.servers.scripted import ScriptedServer
from tests.servers.scripted_ftp import ScriptedFtp

from .stage import MIB, content, fetch, is_right, noise, package, path_of, record, tar_gz, tell

ONE: Final = {"connections": 1}


async def test_a_large_rest_on_a_slow_line_is_not_read(tmp_path: Path) -> None:
    """With the picture out and 6 MiB left on a slow line the connection is closed, and the next one is another."""
    objects = {path_of(number): package(number, after=6 * MIB) for number in (1, 2)}
    async with ScriptedServer(objects, Fault(Trickle(32_768, 0.01))) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1), record(2)], **ONE)
        assert all(one.sent < 3 * MIB for one in server.requests)
        assert server.connections == 2
    assert tell(outcomes) == {"IMG_1_a": "length", "IMG_2_a": "length"}
    assert is_right(outcomes["IMG_1_a"], 1)


async def test_a_rest_that_is_cheap_is_read_and_the_connection_kept(tmp_path: Path) -> None:
    """600 KiB left, less than eight round trips of this line move, are read and dropped: one connection for all."""
    objects = {path_of(number): package(number, after=600 << 10) for number in (1, 2, 3)}
    async with ScriptedServer(objects, Fault(Late(0.1))) as server:
        outcomes = await fetch(server.base, tmp_path, [record(number) for number in (1, 2, 3)], **ONE)
        assert all(one.whole for one in server.requests)
        assert server.connections == 1
    assert set(tell(outcomes).values()) == {"length"}, "dropped is not decoded"


async def test_a_small_rest_is_decoded(tmp_path: Path) -> None:
    """Under 256 KiB are left: they are decoded, so that the CRC tells, and the connection is kept."""
    objects = {path_of(number): package(number, after=200 << 10) for number in (1, 2)}
    async with ScriptedServer(objects) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1), record(2)], **ONE)
        assert server.connections == 1
    assert tell(outcomes) == {"IMG_1_a": "crc", "IMG_2_a": "crc"}


async def test_a_body_without_a_length_is_left(tmp_path: Path) -> None:
    """Where nobody says how much is left the transfer ends with the last wanted picture."""
    async with ScriptedServer({path_of(1): package(1, after=20 * MIB)}, Fault(CloseDelimited())) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1)])
        assert len(server.requests) == 1
        assert server.requests[0].sent < 20 * MIB or not server.requests[0].whole
    assert tell(outcomes) == {"IMG_1_a": "length"}


async def test_over_ftp_the_data_connection_is_closed(tmp_path: Path) -> None:
    """FTP sends no rest that nobody needs, and the control connection serves the next package."""
    files = {path_of(number): package(number, after=12 * MIB) for number in (1, 2)}
    async with ScriptedFtp(files) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1), record(2)], **ONE)
        assert server.connections == 1
        assert server.verbs().count("RETR") == 2
    assert tell(outcomes) == {"IMG_1_a": "length", "IMG_2_a": "length"}


async def test_a_missing_member_is_looked_for_to_the_end(tmp_path: Path) -> None:
    """NO_MEMBER is said of a package that was decoded to its end, of that picture only, in one request."""
    async with ScriptedServer({path_of(1): package(1, "a.jpg", "b.jpg", after=3 * MIB)}) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1, name) for name in ("a.jpg", "none.jpg", "b.jpg")])
        assert len(server.requests) == 1
        assert server.requests[0].whole
    assert tell(outcomes) == {"IMG_1_a": "crc", "IMG_1_none": "NO_MEMBER", "IMG_1_b": "crc"}


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
async def test_a_flipped_byte_in_the_middle(place: float, tmp_path: Path) -> None:
    """Damage before the last picture is DAMAGED after the attempts, says where it lies, and spares other articles."""
    whole = packed(
        {"PMC1/x.txt": b"abc" * MIB, "PMC1/y.bin": noise(MIB), "PMC1/z.txt": b"def" * MIB, "PMC1/a.jpg": content(1)},
        level=6,
    )
    objects = {path_of(1): whole, path_of(2): package(2)}
    async with ScriptedServer(objects, Fault(WrongByte(int(len(whole) * place)), on=path_of(1))) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1), record(1, "none.jpg"), record(2)])
        assert len(server.requests_of(path_of(1))) == 3
    assert tell(outcomes) == {"IMG_1_a": "DAMAGED", "IMG_1_none": "DAMAGED", "IMG_2_a": "crc"}
    assert "gunzip: " in (outcomes["IMG_1_a"].error or "") or "untar: " in (outcomes["IMG_1_a"].error or "")
    assert " of the gzip stream)" in (outcomes["IMG_1_a"].error or "") or " of the tar stream)" in (
        outcomes["IMG_1_a"].error or ""
    )


@pytest.mark.parametrize("back", [8, 5, 4, 1])
@pytest.mark.parametrize("after", [0, 100 << 10])
async def test_a_flipped_byte_in_the_trailer(back: int, after: int, tmp_path: Path) -> None:
    """With all pictures out a CRC or length that was read and is wrong counts: DAMAGED, and nothing is kept."""
    whole = package(1, after=after)
    async with ScriptedServer({path_of(1): whole}, Fault(WrongByte(len(whole) - back))) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1)])
        assert len(server.requests) == 3
    assert tell(outcomes) == {"IMG_1_a": "DAMAGED"}
    said = "CRC-32 of the data" if back > 4 else "length of the data"
    assert said in (outcomes["IMG_1_a"].error or "")
    assert not list(tmp_path.rglob("*.jpg"))


async def test_a_flipped_byte_that_the_second_answer_lacks(tmp_path: Path) -> None:
    """Damage on the way costs one more request, from the first byte on."""
    whole = package(1)
    async with ScriptedServer({path_of(1): whole}, Fault(WrongByte(len(whole) - 6), nth=1)) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1)])
        assert [one.headers.get("range") for one in server.requests] == [None, None]
    assert tell(outcomes) == {"IMG_1_a": "crc"}
    assert is_right(outcomes["IMG_1_a"], 1)


@pytest.mark.parametrize("told", [True, False], ids=["Content-Length", "no length"])
async def test_a_truncated_package(told: bool, tmp_path: Path) -> None:
    """A gzip stream that ends too early is DAMAGED, also one that only lacks its trailer where a length was told."""
    whole = package(1, "a.jpg", "b.jpg", before=300_000)
    objects = {path_of(1): whole[:-15_000], path_of(2): package(2)[:-4]}
    faults = [] if told else [Fault(CloseDelimited())]
    async with ScriptedServer(objects, *faults) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1), record(1, "b.jpg"), record(2)])
        assert len(server.requests_of(path_of(1))) == 3
    assert tell(outcomes) == {"IMG_1_a": "DAMAGED", "IMG_1_b": "DAMAGED", "IMG_2_a": "DAMAGED" if told else "length"}
    assert "end of the stream" in (outcomes["IMG_1_b"].error or "")


@pytest.mark.parametrize("garbage", [b"\0" * 5000, b"<html>" * 9000, b"\0<html>"], ids=["zeros", "page", "both"])
async def test_garbage_after_a_whole_package(garbage: bytes, tmp_path: Path) -> None:
    """What stands after a whole gzip stream is nobody's affair: pictures are kept as checked, and a lack is a lack."""
    objects = {path_of(number): package(number) + garbage for number in (1, 2)}
    async with ScriptedServer(objects) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1), record(1, "none.jpg"), record(2)])
        assert len(server.requests) == 2
    assert tell(outcomes) == {"IMG_1_a": "crc", "IMG_1_none": "NO_MEMBER", "IMG_2_a": "crc"}


async def test_garbage_after_an_archive_without_its_end(tmp_path: Path) -> None:
    """A tar that stops where a header could begin is whole, with garbage behind its gzip stream too."""
    tar = gzip.decompress(tar_gz(("PMC1/a.jpg", content(1))))
    whole = gzip.compress(tar[: 512 + -(-len(content(1)) // 512) * 512], mtime=0)
    async with ScriptedServer({path_of(1): whole + b"<html>"}) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1), record(1, "none.jpg")])
    assert tell(outcomes) == {"IMG_1_a": "crc", "IMG_1_none": "NO_MEMBER"}


async def test_a_stream_of_several_gzip_members(tmp_path: Path) -> None:
    """Members back to back are one stream, and a picture may lie across their seam."""
    tar = gzip.decompress(package(1, "a.jpg", "b.jpg", before=70_000))
    whole = b"".join(gzip.compress(tar[place : place + 9_999], mtime=0) for place in range(0, len(tar), 9_999))
    async with ScriptedServer({path_of(1): whole}) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1), record(1, "b.jpg"), record(1, "none.jpg")])
    assert tell(outcomes) == {"IMG_1_a": "crc", "IMG_1_b": "crc", "IMG_1_none": "NO_MEMBER"}
    assert is_right(outcomes["IMG_1_b"], 1, "b.jpg")
