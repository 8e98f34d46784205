"""Ways to an FTP server: names with several addresses, and ports for data that a firewall keeps closed."""

from __future__ import annotations

import asyncio
import socket
from itertools import repeat
from typing import Any

import pytest

from roco_async.errors import Broken, Busy, NotFound, TransferError
from roco_async.transport import control_connection
from roco_async.transport.control_connection import ControlConnection
from roco_async.transport.data_connection import DataConnection
from roco_async.transport.ftp import FtpTransport
from tests.contract.test_ftp_faults import failure, fetched, transport
from tests.contract.test_transports import DATA
from tests.servers.ports import free_port
from tests.servers.scripted_ftp import Data, ScriptedFtp

__all__ = ["transport"]  # the fixture


def closed_port() -> str:
    return f"229 Entering Extended Passive Mode (|||{free_port()}|)"


def passive(server: ScriptedFtp) -> list[str]:
    return [verb for verb in server.verbs() if verb in ("EPSV", "PASV")]


async def test_an_address_that_is_dead(transport: FtpTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the first address of a name does not answer, the next is tried beside it before the timeout (RFC 8305)."""
    monkeypatch.setattr(control_connection, "_HEAD_START", 0.01)
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def look_up(host: str, port: int, **_: Any) -> Any:
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

    async def to_one_only(sock: socket.socket, address: Any) -> None:
        if address[0] == "127.0.0.2":
            await asyncio.Event().wait()
        await connect(sock, address)

    monkeypatch.setattr(loop, "getaddrinfo", look_up)
    monkeypatch.setattr(loop, "sock_connect", to_one_only)
    async with ScriptedFtp({"a": DATA}) as server:
        assert await fetched(transport, f"ftp://mirror.invalid:{server.port}/a") == DATA


async def test_a_port_of_epsv_that_is_closed(transport: FtpTransport) -> None:
    """PASV is asked for where the port of EPSV cannot be reached, and from then on at once (so does curl)."""
    async with ScriptedFtp({"a": DATA}, script={"EPSV": repeat(closed_port())}) as server:
        for _ in range(3):
            assert await fetched(transport, server.url("a")) == DATA
        assert passive(server) == ["EPSV", "PASV", "PASV", "PASV"]
        assert server.connections == 1


async def test_a_port_of_epsv_that_is_silent(transport: FtpTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port of EPSV that says nothing is as good as closed."""
    connect = ControlConnection.connect_data
    tried = []

    async def silent_at_first(self: ControlConnection, port: int) -> DataConnection:
        tried.append(port)
        if len(tried) == 1:
            raise TimeoutError
        return await connect(self, port)

    monkeypatch.setattr(ControlConnection, "connect_data", silent_at_first)
    async with ScriptedFtp({"a": DATA}) as server:
        assert await fetched(transport, server.url("a")) == DATA
        assert passive(server) == ["EPSV", "PASV"]


async def test_no_port_can_be_reached(transport: FtpTransport) -> None:
    """Where the port of PASV is closed too, each try asks for both, and nothing is remembered."""
    async with ScriptedFtp({"a": DATA}, data=[Data(refused=True)] * 4) as server:
        for _ in range(2):
            error = await failure(transport, server.url("a"))
            assert (type(error), error.operation) == (Broken, "data connection")
        assert await fetched(transport, server.url("a")) == DATA
        assert passive(server) == ["EPSV", "PASV", "EPSV", "PASV", "EPSV"]
        assert server.connections == 1


@pytest.mark.parametrize(
    ("says", "kind", "operation", "connections"),
    [("502 No", Broken, "data connection", 1), ("421 Timeout", Busy, "PASV", 2)],
)
async def test_a_server_that_lacks_pasv(
    transport: FtpTransport, says: str, kind: type[TransferError], operation: str, connections: int
) -> None:
    """A server that does not know PASV had a closed port, and one that leaves at it is busy."""
    script = {"EPSV": [closed_port()], "PASV": [says]}
    async with ScriptedFtp({"a": DATA}, script=script) as server:
        error = await failure(transport, server.url("a"))
        assert (type(error), error.operation) == (kind, operation)
        assert await fetched(transport, server.url("a")) == DATA
        assert passive(server) == ["EPSV", "PASV", "EPSV"]
        assert server.connections == connections


async def test_pasv_has_no_port_of_ipv6(transport: FtpTransport) -> None:
    """PASV is not asked for over IPv6, whose addresses it cannot name (RFC 2428 §1)."""
    async with ScriptedFtp({"a": DATA}, script={"EPSV": [closed_port()]}, host="::1") as server:
        assert isinstance(await failure(transport, server.url("a")), Broken)
        assert await fetched(transport, server.url("a")) == DATA
        assert passive(server) == ["EPSV", "EPSV"]


async def test_nothing_is_left_of_a_way_by_pasv(transport: FtpTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data connection that PASV brought is closed where RETR fails after all."""
    made: list[DataConnection] = []
    closed: list[DataConnection] = []
    connect, close = ControlConnection.connect_past_epsv, DataConnection.close

    async def noted(self: ControlConnection) -> DataConnection | None:
        data = await connect(self)
        made.extend([data] if data is not None else [])
        return data

    def ended(self: DataConnection) -> None:
        closed.append(self)
        close(self)

    monkeypatch.setattr(ControlConnection, "connect_past_epsv", noted)
    monkeypatch.setattr(DataConnection, "close", ended)
    async with ScriptedFtp({"a": DATA}, script={"EPSV": [closed_port()], "RETR": ["550 No such file"]}) as server:
        with pytest.raises(NotFound):
            async with transport.open(server.url("a")):
                pytest.fail("there is no such file")
    assert len(made) == 1
    assert made[0] in closed
