"""Sessions that were passed in: what they may be set to, and that they may be closed at any time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from roco_async import FetchConfig, Fetcher, Reason
from roco_async.errors import Broken, NotFound, Refused
from roco_async.protocols import Body
from roco_async.transport import sessions
from roco_async.transport.http import HttpTransport
from tests.contract.test_transports import DATA, read
from tests.faults.stage import record
from tests.servers.faults import Cut, Fault, Stall
from tests.servers.scripted import ScriptedServer

IS_CLOSED = "the session that was passed in is closed"


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_LOOK", 0.01)


async def test_a_session_that_raises_for_status() -> None:
    """A 404 is `NotFound` also with a session that makes an exception of it."""
    async with ScriptedServer({}) as server, aiohttp.ClientSession(raise_for_status=True) as session:
        transport = HttpTransport(timeout=5, session=session)
        with pytest.raises(NotFound):
            async with transport.open(server.url("a")):
                pytest.fail("there is none")
        await transport.aclose()


async def test_used_again_after_the_end() -> None:
    """A transport that was closed goes on with the session that was passed in, and makes none of its own."""
    async with ScriptedServer({"a": DATA}) as server, aiohttp.ClientSession(headers={"X-Mine": "yes"}) as session:
        transport = HttpTransport(timeout=5, session=session)
        for _ in range(2):
            async with transport.open(server.url("a")) as body:
                assert await read(body) == DATA
            await transport.aclose()
    assert [request.headers.get("x-mine") for request in server.requests] == ["yes", "yes"]


async def test_closed_while_a_body_is_read() -> None:
    """Who waits for bytes when the session is closed hears of it, after what had come; so does who asks next."""
    async with ScriptedServer({"a": DATA}, Fault(Stall(1000))) as server:
        session = aiohttp.ClientSession()
        transport = HttpTransport(timeout=30, session=session)
        async with asyncio.timeout(10), transport.open(server.url("a")) as body:
            got = await anext(body.chunks)
            rest = asyncio.create_task(read(body))
            await asyncio.sleep(0)  # it waits now
            await session.close()
            with pytest.raises(Refused, match=IS_CLOSED):
                await rest
        assert got == DATA[:1000]
        with pytest.raises(Refused, match=IS_CLOSED):
            async with transport.open(server.url("a")):
                pytest.fail("the session is closed")
        await transport.aclose()


async def test_closed_between_two_reads() -> None:
    """Who asks for more bytes after the session was closed hears of it at once."""
    async with ScriptedServer({"a": DATA}, Fault(Stall(1000))) as server:
        session = aiohttp.ClientSession()
        transport = HttpTransport(timeout=30, session=session)
        async with transport.open(server.url("a")) as body:
            await anext(body.chunks)
            await session.close()
            with pytest.raises(Refused, match=IS_CLOSED):
                await read(body)
        await transport.aclose()


async def test_closed_while_an_answer_is_waited_for() -> None:
    """A request that has no answer yet when the session is closed is no news about the host."""
    async with ScriptedServer({"a": DATA}, Fault(Stall(0))) as server:
        session = aiohttp.ClientSession()
        transport = HttpTransport(timeout=30, session=session)

        async def one() -> None:
            async with transport.open(server.url("a")):
                pytest.fail("there was an answer")

        task = asyncio.create_task(one())
        async with asyncio.timeout(10):
            while not server.requests:
                await asyncio.sleep(0)
            await session.close()
            with pytest.raises(Refused, match=IS_CLOSED) as caught:
                await task
        assert (caught.value.answered, caught.value.overload) == (True, False)
        await transport.aclose()


async def test_a_session_that_lives() -> None:
    """Looking after bodies harms none of them: they are read, cut and left as before, and nothing is left behind."""

    async def take(body: Body) -> bytes:
        await asyncio.sleep(0.05)  # some looks
        return await read(body)

    script = Fault(Cut(1000), on="b")
    async with ScriptedServer({"a": DATA, "b": DATA}, script) as server, aiohttp.ClientSession() as session:
        transport = HttpTransport(timeout=5, session=session)
        async with transport.open(server.url("a")) as one, transport.open(server.url("b")) as two:
            assert await take(one) == DATA
            with pytest.raises(Broken):
                await take(two)
        async with transport.open(server.url("a")) as body:
            await anext(body.chunks)
        await transport.aclose()


async def test_a_session_that_is_detached() -> None:
    """A body whose connection lives on, though its session gave its connector away, is read to its end."""
    async with ScriptedServer({"a": DATA}, Fault(Stall(1000, 0.1))) as server:
        session = aiohttp.ClientSession()
        connector = session.connector
        assert connector is not None
        transport = HttpTransport(timeout=5, session=session)
        async with transport.open(server.url("a")) as body:
            session.detach()
            assert await read(body) == DATA
        await transport.aclose()
        await connector.close()


async def test_a_run_whose_session_is_closed(tmp_path: Path) -> None:
    """A run ends soon after its session was closed, and its images say why they are missing."""
    async with ScriptedServer({f"PMC{number}.1/a.jpg": DATA for number in range(1, 61)}, Fault(Stall(1000))) as server:
        session = aiohttp.ClientSession()
        async with (
            asyncio.timeout(20),
            Fetcher(FetchConfig(out=tmp_path, cloud_url=server.base), session=session) as fetcher,
        ):
            run = asyncio.create_task(fetcher.fetch([record(number) for number in range(1, 61)]))
            while len(server.requests) < 4:
                await asyncio.sleep(0)
            await session.close()
            report = await run
    assert report.failed == 60
    assert {outcome.reason for outcome in report.failures} <= {Reason.REFUSED, Reason.BLOCKED}
    assert all(IS_CLOSED in (outcome.error or "") for outcome in report.failures)


async def test_closed_in_its_own_middleware() -> None:
    """A session that is closed while a middleware of its own waits is closed for us too, whatever aiohttp asserts."""

    async def late(req: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        await session.close()
        return await handler(req)

    async with ScriptedServer({"a": DATA}) as server:
        session = aiohttp.ClientSession(middlewares=[late])
        transport = HttpTransport(timeout=5, session=session)
        with pytest.raises(Refused, match=IS_CLOSED):
            async with transport.open(server.url("a")):
                pytest.fail("the session is closed")
        await transport.aclose()
