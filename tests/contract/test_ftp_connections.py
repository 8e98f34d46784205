"""Control connections of FtpTransport: when one is used again, when it is dropped, and what a cancel leaves of it."""

from __future__ import annotations

import asyncio

import pytest

import roco_async.transport.ftp as ftp
from roco_async.errors import Broken, Busy, Refused
from roco_async.protocols import Point
from roco_async.transport.ftp import FtpTransport
from tests.contract.test_ftp_faults import failure, fetched, transport
from tests.contract.test_transports import DATA, read
from tests.servers.scripted_ftp import ScriptedFtp, Silence

__all__ = ["transport"]  # the fixture


async def test_a_last_reply_that_never_comes_is_not_waited_for(
    transport: FtpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose bytes are all there is whole without the 226, after a short wait, and the connection is dropped."""
    monkeypatch.setattr(ftp, "_PATIENCE", 0.1)
    async with ScriptedFtp({"a": DATA}, script={"end": [Silence.NEVER, Silence.CLOSED]}) as server:
        for connections in (1, 2, 3):
            assert await fetched(transport, server.url("a")) == DATA
            assert server.connections == connections


@pytest.mark.parametrize("end", [None, "226 Transfer complete.\r\n226 Closing data connection."])
async def test_early_leaving_keeps_the_connection(transport: FtpTransport, end: str | None) -> None:
    """After the reply to a transfer that was left the connection serves the next, or is replaced if out of step."""
    big = DATA * 20
    async with ScriptedFtp({"a": big}, script={"end": [end]}) as server:
        async with transport.open(server.url("a")) as body:
            await anext(body.chunks)
        assert await fetched(transport, server.url("a")) == big
        assert server.connections == (1 if end is None else 2)


async def test_early_leaving_waits_shortly(transport: FtpTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that never comes after the leave (performance.md §5) costs a short wait and the connection."""
    monkeypatch.setattr(ftp, "_PATIENCE", 0.1)
    async with ScriptedFtp({"a": DATA * 20}, script={"end": [Silence.NEVER]}) as server:
        async with asyncio.timeout(0.45):
            async with transport.open(server.url("a")) as body:
                await anext(body.chunks)
        assert await fetched(transport, server.url("a")) == DATA * 20
        assert server.connections == 2


@pytest.mark.parametrize("idle", [0.05, None], ids=["by idleness", "by a restart"])
async def test_an_idle_connection_that_was_closed_is_replaced_silently(
    transport: FtpTransport, idle: float | None
) -> None:
    """A connection that the server closed while nobody used it costs no failure, only a fresh one."""
    async with ScriptedFtp({"a": DATA}, idle=idle) as server:
        assert await fetched(transport, server.url("a")) == DATA
        await (asyncio.sleep(0.2) if idle else server.hang_up())
        assert await fetched(transport, server.url("a")) == DATA
        assert server.connections == 2


async def test_an_idle_connection_that_says_421_is_replaced_silently(transport: FtpTransport) -> None:
    """`421 Timeout.` in answer to the first command of a used connection is no push-back; of a fresh one it is."""
    async with ScriptedFtp({"a": DATA}, script={"SIZE": [None, "421 Timeout.", "421 Timeout."]}) as server:
        assert await fetched(transport, server.url("a")) == DATA
        assert isinstance(await failure(transport, server.url("a")), Busy)
        assert server.connections == 2


async def test_idle_connections_are_closed_after_a_while(
    transport: FtpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that nobody takes up again are closed, each in its time."""
    monkeypatch.setattr(ftp, "_IDLE", 0.05)
    async with ScriptedFtp({"a": DATA}) as server:
        async with transport.open(server.url("a")):
            assert await fetched(transport, server.url("a")) == DATA
        assert server.now == 2
        async with asyncio.timeout(2):
            while server.now:
                await asyncio.sleep(0.01)
        assert await fetched(transport, server.url("a")) == DATA


async def test_no_more_connections_than_transfers(transport: FtpTransport) -> None:
    """Sixty transfers, three at a time, make three connections to a server that allows no more."""
    async with ScriptedFtp({str(number): DATA for number in range(60)}, most=3) as server:
        slots = asyncio.Semaphore(3)

        async def one(number: int) -> bytes:
            async with slots:
                return await fetched(transport, server.url(str(number)))

        assert await asyncio.gather(*map(one, range(60))) == [DATA] * 60
        assert (server.connections, server.refused) == (3, 0)


async def test_accounts_do_not_share_connections(transport: FtpTransport) -> None:
    """A connection of one user never serves another, nor the same user with another password."""
    async with ScriptedFtp({"a": DATA}) as server:
        for account in ("me:one@", "you:one@", "me:two@", "", "me:one@"):
            assert await fetched(transport, server.url("a").replace("ftp://", f"ftp://{account}")) == DATA
        assert server.connections == 4
        logins = [line for _, line in server.commands if line.startswith(("USER", "PASS"))]
        assert logins[:2] == ["USER me", "PASS one"]
        assert logins[6:] == ["USER anonymous", "PASS roco_async@"]


@pytest.mark.parametrize("verb", ["greeting", "USER", "PASS", "TYPE", "SIZE", "MDTM", "EPSV", "REST", "RETR"])
async def test_cancelled_at_each_command(verb: str) -> None:
    """Cancelled while a reply is waited for, a transfer raises CancelledError only, and its connection is closed."""
    transport = FtpTransport(timeout=30)
    async with ScriptedFtp({"a": DATA}, script={verb: [Silence.NEVER]}) as server:
        at = Point(1000, f"{len(DATA)}:20240101000000")
        task = asyncio.create_task(fetched(transport, server.url("a"), at))
        async with asyncio.timeout(5):
            while verb not in server.verbs() and not (verb == "greeting" and server.connections):
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await fetched(transport, server.url("a"), at) == DATA[1000:]
        assert server.connections == 2
    await transport.aclose()


async def test_cancelled_while_leaving() -> None:
    """A cancel while the reply to an early leave is waited for is not swallowed, and closes the connection."""
    transport = FtpTransport(timeout=30)
    async with ScriptedFtp({"a": DATA * 20}, script={"end": [Silence.NEVER]}) as server:
        left = asyncio.Event()

        async def leave() -> None:
            async with transport.open(server.url("a")) as body:
                await anext(body.chunks)
                left.set()

        task = asyncio.create_task(leave())
        await left.wait()
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await fetched(transport, server.url("a")) == DATA * 20
        assert server.connections == 2
    await transport.aclose()


async def test_a_connection_without_a_login_is_not_kept(transport: FtpTransport) -> None:
    """After a refused login the connection is closed: one that nobody could use is given to nobody."""
    async with ScriptedFtp({"a": DATA}, password="right") as server:
        for _ in range(2):
            error = await failure(transport, server.url("a").replace("ftp://", "ftp://me:wrong@"))
            assert (type(error), error.operation) == (Refused, "PASS")
        assert await fetched(transport, server.url("a").replace("ftp://", "ftp://me:right@")) == DATA
        assert server.connections == 3


async def test_a_refusal_of_a_file_keeps_the_connection(transport: FtpTransport) -> None:
    """A reply that is about the file, to whatever command on a used connection, is no reason for a fresh one."""
    async with ScriptedFtp({"a": DATA}, script={"SIZE": [None, "450 File busy"], "RETR": [None, "450 too"]}) as server:
        assert await fetched(transport, server.url("a")) == DATA
        for operation in ("SIZE", "RETR"):
            error = await failure(transport, server.url("a"))
            assert (type(error), error.operation) == (Broken, operation)
        assert await fetched(transport, server.url("a")) == DATA
        assert server.connections == 1


async def test_a_slow_reader_makes_the_server_wait(transport: FtpTransport) -> None:
    """What nobody reads is left with the server: a large file under a slow reader does not gather in memory."""
    big = DATA * 100
    async with ScriptedFtp({"a": big}) as server:
        async with transport.open(server.url("a")) as body:
            first = await anext(body.chunks)
            await asyncio.sleep(0.2)
            assert server.sent < len(big) // 2
            assert first + await read(body) == big
            assert await anext(body.chunks, None) is None
        assert server.connections == 1


async def test_a_push_back_in_answer_to_rest(transport: FtpTransport) -> None:
    """Only a REST that is not known begins at 0; a server that leaves at it is `Busy`."""
    async with ScriptedFtp({"a": DATA}, script={"REST": ["421 Service not available"]}) as server:
        async with transport.open(server.url("a")) as body:
            assert await read(body) == DATA
        error = await failure(transport, server.url("a"), Point(1000, body.validator))
        assert (type(error), error.operation) == (Busy, "REST")
        assert await fetched(transport, server.url("a"), Point(1000, body.validator)) == DATA[1000:]
