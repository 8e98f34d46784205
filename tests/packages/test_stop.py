"""When decoding stops, when the transfer does, and what the pictures were verified by (design §4.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.servers.faults import CloseDelimited, Fault, Late, Trickle
from tests.servers.scripted import ScriptedServer
from tests.servers.scripted_ftp import ScriptedFtp

from .stage import MIB, fetch, is_right, package, path_of, record, tell

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
