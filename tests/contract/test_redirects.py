"""Redirects: whose failure it is when they lead to another host, and what that host is not told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from roco_async import FetchConfig, Fetcher, Reason
from roco_async.errors import Broken, Busy, NotFound, Refused, ServerError, Stalled, TemporaryError, Unreachable
from roco_async.transport.http import HttpTransport
from roco_async.transport.redirects import Way
from tests.contract.test_transports import DATA, read
from tests.faults.stage import picture, record, short_waits
from tests.servers.faults import Behaviour, Fault, Header, Late, Reset, redirect, status
from tests.servers.ports import free_port
from tests.servers.scripted import ScriptedServer

CREDENTIALS = {"Authorization": "Bearer s3cret", "Cookie": "session=s3cret", "Proxy-Authorization": "Basic s3cret"}


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    """An HttpTransport that is closed after the test."""
    made = HttpTransport(timeout=0.3)
    yield made
    await made.aclose()


async def failure(transport: HttpTransport, url: str) -> TemporaryError:
    with pytest.raises(TemporaryError) as caught:
        async with transport.open(url):
            pytest.fail("there was an answer")
    return caught.value


@pytest.mark.parametrize(
    ("does", "kind"),
    [
        (status(500), ServerError),
        (status(408), Stalled),
        (Late(), Stalled),
        (status(503), Busy),
        (Reset(), Broken),
        (status(403), Refused),
    ],
    ids=repr,
)
async def test_a_failure_after_a_redirect_is_not_the_first_hosts(
    transport: HttpTransport, does: Behaviour, kind: type[TemporaryError]
) -> None:
    """The first host has answered, and it is said that another one failed."""
    async with (
        ScriptedServer({"a": DATA}, Fault(does)) as other,
        ScriptedServer({}, Fault(redirect(other.url("a")))) as server,
    ):
        error = await failure(transport, server.url("a"))
    assert (type(error), error.answered, error.elsewhere) == (kind, True, True)


async def test_a_redirect_to_nobody(transport: HttpTransport) -> None:
    """A host that cannot be reached after a redirect is `Unreachable`, and the first host is not away."""
    async with ScriptedServer({}, Fault(redirect(f"http://127.0.0.1:{free_port()}/a"))) as server:
        error = await failure(transport, server.url("a"))
    assert (type(error), error.answered, error.elsewhere) == (Unreachable, True, True)


async def test_a_redirect_within_the_host(transport: HttpTransport) -> None:
    """What fails after a redirect to another path of the same host is that host's failure as ever."""
    async with ScriptedServer({}, Fault(redirect("/b"), on="a"), Fault(status(500), on="b")) as server:
        error = await failure(transport, server.url("a"))
    assert (type(error), error.elsewhere) == (ServerError, False)


@pytest.mark.parametrize(
    ("first", "location", "crossed", "is_first_hosts"),
    [
        ("http://host/a", "/b", False, True),
        ("http://host/a", "//host:80/b", False, True),
        ("http://host/a", "https://host/a", True, True),
        ("http://host:8080/a", "https://host/a", True, False),
        ("http://host/a", "https://host:8443/a", True, False),
        ("http://host/a", "http://host:81/a", True, False),
        ("http://host/a", "https://other/a", True, False),
    ],
)
def test_which_host_is_another(first: str, location: str, crossed: bool, is_first_hosts: bool) -> None:
    """Another name or port is another host; http to https on the usual ports is the same one, but another origin."""
    way = Way(first)
    way.go_on(location)
    error = Unreachable("x", answered=False)
    way.clear(error)
    assert (way.crossed, error.elsewhere) == (crossed, not is_first_hosts)


async def test_redirects_to_a_dead_host_end_no_run(tmp_path: Path) -> None:
    """The first images of a list are redirected to a dead host: they are missing, and all others come."""
    objects = {f"PMC{number}.1/a.jpg": picture(str(number)) for number in range(1, 31)}
    dead = redirect(f"http://127.0.0.1:{free_port()}/a.jpg")
    lost = {f"IMG_{number}" for number in range(1, 13)}
    faults = [Fault(dead, on=f"PMC{number}.1/a.jpg") for number in range(1, 13)]
    async with ScriptedServer(objects, *faults) as server:
        with short_waits():
            async with Fetcher(FetchConfig(out=tmp_path, attempts=2, outage=20)) as fetcher:
                records = [record(number, url=server.url(f"PMC{number}.1/a.jpg")) for number in range(1, 31)]
                report = await fetcher.fetch(records)
    assert {outcome.record.id for outcome in report.failures} == lost
    assert {outcome.reason for outcome in report.failures} == {Reason.UNREACHABLE}
    assert min(outcome.attempts for outcome in report.failures) == 2


async def test_an_outage_of_the_host_that_all_are_redirected_to(tmp_path: Path) -> None:
    """A mirror that sends all its clients to a store which is down for a while loses no image."""
    objects = {f"PMC{number}.1/a.jpg": picture(str(number)) for number in range(1, 31)}
    config = FetchConfig(out=tmp_path, attempts=2, outage=20)
    async with ScriptedServer(objects) as store, Fetcher(config) as fetcher:
        faults = [Fault(redirect(store.url(key)), on=key) for key in objects]
        await store.pause()
        async with ScriptedServer({}, *faults) as mirror:
            with short_waits():
                records = [record(number, url=mirror.url(key)) for number, key in enumerate(objects)]
                run = asyncio.create_task(fetcher.fetch(records))
                while len(mirror.requests) < 12:
                    await asyncio.sleep(0.01)
                await store.resume()
                report = await run
    assert (report.fetched, report.reasons) == (30, {})


async def test_credentials_stay_with_their_host() -> None:
    """What a session sends by default goes to the host that was asked and to its own redirects, to no other host."""
    async with ScriptedServer({"a": DATA}) as other:
        script = (Fault(redirect("/b"), on="a"), Fault(redirect(other.url("a")), on="b"))
        async with ScriptedServer({}, *script) as server, aiohttp.ClientSession(headers=CREDENTIALS) as session:
            transport = HttpTransport(timeout=5, session=session)
            async with transport.open(server.url("a")) as body:
                assert await read(body) == DATA
            await transport.aclose()
    assert ["authorization" in request.headers for request in server.requests] == [True, True]
    assert not {name.lower() for name in CREDENTIALS} & set(other.requests[0].headers)


async def test_a_session_keeps_the_rest() -> None:
    """Another host is sent the session's other headers and the jar's cookies for it, by the session's middlewares."""
    passed = []

    async def look(req: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        passed.append(str(req.url))
        return await handler(req)

    headers = {"X-Project": "mine", "Cookie": "session=s3cret"}
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        ScriptedServer({"a": DATA}, Fault(Header("Set-Cookie", "taste=plain"))) as other,
        ScriptedServer({}, Fault(redirect(other.url("a")))) as server,
        aiohttp.ClientSession(headers=headers, cookie_jar=jar, middlewares=[look]) as session,
    ):
        transport = HttpTransport(timeout=5, session=session)
        for _ in range(2):
            async with transport.open(server.url("a")) as body:
                await read(body)
        await transport.aclose()
    first, second = (request.headers for request in other.requests)
    assert (first["x-project"], first.get("cookie"), second["cookie"]) == ("mine", None, "taste=plain")
    assert passed == [server.url("a"), other.url("a")] * 2


async def test_a_host_beyond_ascii(transport: HttpTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """An internationalised name is looked up and sent as DNS has it (RFC 5891), in a URL and in a redirect."""
    asked: list[str] = []
    loop = asyncio.get_running_loop()
    look_up = loop.getaddrinfo

    async def here(host: str, port: int, **how: Any) -> Any:
        asked.append(host)
        return await look_up("127.0.0.1", port, **how)

    monkeypatch.setattr(loop, "getaddrinfo", here)
    async with ScriptedServer({"a": DATA}) as server:
        place = f"http://bücher.example:{server.port}"
        server.script.add(Fault(redirect(f"http://例え.jp:{server.port}/a"), on="b"))
        for key in "ab":
            async with transport.open(f"{place}/{key}") as body:
                assert await read(body) == DATA
    assert asked == ["xn--bcher-kva.example", "xn--r8jz45g.jp"]
    hosts = [request.headers["host"].partition(":")[0] for request in server.requests]
    assert hosts == ["xn--bcher-kva.example", "xn--bcher-kva.example", "xn--r8jz45g.jp"]


async def test_no_usable_host(transport: HttpTransport) -> None:
    """A name that has no form in DNS is refused, in a URL and in a redirect."""
    async with ScriptedServer({}, Fault(redirect("http://é..x/a"))) as server:
        for url in ("http://é..x/a", server.url("a")):
            assert isinstance(await failure(transport, url), Refused)


async def test_a_404_after_a_redirect(transport: HttpTransport) -> None:
    """That the other host has no such object is as true as if the first had said so."""
    async with ScriptedServer({}) as other, ScriptedServer({}, Fault(redirect(other.url("none")))) as server:
        with pytest.raises(NotFound):
            async with transport.open(server.url("a")):
                pytest.fail("there was an answer")
