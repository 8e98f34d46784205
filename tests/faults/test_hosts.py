"""Hosts that push back, go away, block, or were never there."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from roco_async import FetchConfig, Fetcher, FetchReport, Outcome, Reason, Status
from tests.servers.faults import Close, Fault, Late, Reset, Trickle, redirect, status
from tests.servers.ports import free_port
from tests.servers.scripted import ScriptedServer
from tests.servers.tls import Authority

from .stage import files_below, picture, record, short_waits


def bucket(count: int, size: int = 3000) -> dict[str, bytes]:
    return {f"PMC{number}.1/a.jpg": picture(str(number), size) for number in range(1, count + 1)}


async def fetch(base: str, out: Path, count: int, **config: float) -> FetchReport:
    settings = {"attempts": 3, "timeout": 1.0, "outage": 5.0, **config}
    async with Fetcher(FetchConfig(out=out, cloud_url=base, **settings)) as fetcher:  # type: ignore[arg-type]
        return await fetcher.fetch(map(record, range(1, count + 1)))


def all_there(out: Path, count: int) -> bool:
    names = {f"images/IMG_{number}.jpg" for number in range(1, count + 1)}
    whole = bucket(count)
    return files_below(out) == names and all(
        (out / f"images/IMG_{number}.jpg").read_bytes() == whole[f"PMC{number}.1/a.jpg"]
        for number in range(1, count + 1)
    )


@pytest.mark.parametrize(
    "bound",
    [
        {"max_requests": 1},
        {"max_requests": 4},
        {"max_connections": 1},
        {"max_connections": 4},
    ],
    ids=str,
)
async def test_nobody_has_to_find_the_right_number(bound: dict[str, int], tmp_path: Path) -> None:
    """A server that takes a few at once gets all images out to a client that was told no number, in few requests."""
    async with ScriptedServer(bucket(40), Fault(Trickle(1500, 0.002)), **bound) as server:  # type: ignore[arg-type]
        with short_waits():
            report = await fetch(server.base, tmp_path, 40, attempts=3)
        requests, refused = len(server.requests), server.refused
    assert report.reasons == {}
    assert all_there(tmp_path, 40)
    assert requests + refused < 4 * 40


@pytest.mark.parametrize("does", [status(503), status(429), Reset(), Close(), Late()], ids=str)
async def test_random_push_back_loses_nothing(does: Fault, tmp_path: Path) -> None:
    """A server where each seventh request fails gives all images, with fewer than half as many requests again."""
    async with ScriptedServer(bucket(70), Fault(does, every=7)) as server:  # type: ignore[arg-type]
        report = await fetch(server.base, tmp_path, 70, timeout=0.3)
        requests = len(server.requests)
    assert report.reasons == {}
    assert all_there(tmp_path, 70)
    assert requests < 70 * 1.5


async def test_an_outage_is_waited_out(tmp_path: Path) -> None:
    """A second without the server, in the middle of a run, costs no image and no attempt."""
    async with ScriptedServer(bucket(60), Fault(Trickle(500, 0.02))) as server:
        run = asyncio.create_task(fetch(server.base, tmp_path, 60, attempts=2, connections=4))
        while sum(one.whole for one in server.requests) < 10:
            await asyncio.sleep(0.005)
        await server.pause()
        await asyncio.sleep(1)
        assert not run.done()
        back = time.monotonic()
        await server.resume()
        report = await run
        waited = min(one.at for one in server.requests if one.at > back) - back
    assert report.reasons == {}
    assert all_there(tmp_path, 60)
    assert waited < 1


async def test_one_probe_asks_while_the_host_is_busy_for_all(tmp_path: Path) -> None:
    """While every request is turned away for a second, few are made, and afterwards all images come."""
    async with ScriptedServer(bucket(60), Fault(Trickle(500, 0.01))) as server:
        run = asyncio.create_task(fetch(server.base, tmp_path, 60, attempts=2, connections=8))
        while sum(one.whole for one in server.requests) < 10:
            await asyncio.sleep(0.005)
        server.script.add(Fault(status(503)))
        began = len(server.requests)
        await asyncio.sleep(1)
        asked = len(server.requests) - began
        assert not run.done()
        server.script.clear()
        report = await run
    assert report.reasons == {}
    assert all_there(tmp_path, 60)
    assert asked < 30


async def test_an_outage_that_is_too_long_ends_the_work_of_the_host(tmp_path: Path) -> None:
    """After `outage` seconds all that is left fails at once as HOST_DOWN, which is temporary."""
    async with ScriptedServer(bucket(400), Fault(Trickle(500, 0.02))) as server:
        run = asyncio.create_task(fetch(server.base, tmp_path, 400, outage=1, connections=4))
        while sum(one.whole for one in server.requests) < 10:
            await asyncio.sleep(0.005)
        await server.pause()
        began = time.monotonic()
        report = await run
        seconds = time.monotonic() - began
    assert 0.9 < seconds < 3
    assert report.reasons.keys() == {"HOST_DOWN"}
    assert report.fetched + report.failed == report.requested == 400
    assert 10 <= report.fetched < 30
    assert not report.only_permanent_losses
    assert len(files_below(tmp_path)) == report.fetched


async def test_an_outage_of_no_seconds_is_not_waited_for(tmp_path: Path) -> None:
    """With `outage=0` a host that went away is given up without waiting."""
    async with ScriptedServer(bucket(100), Fault(Trickle(500, 0.02))) as server:
        run = asyncio.create_task(fetch(server.base, tmp_path, 100, outage=0, connections=4))
        while sum(one.whole for one in server.requests) < 10:
            await asyncio.sleep(0.005)
        await server.pause()
        began = time.monotonic()
        report = await run
    assert time.monotonic() - began < 2
    assert report.failed > 0
    assert report.fetched + report.failed == 100


async def test_a_second_outage_is_waited_out_too(tmp_path: Path) -> None:
    """Two outages, each shorter than `outage` and together longer, cost nothing."""
    async with ScriptedServer(bucket(80), Fault(Trickle(500, 0.02))) as server:
        run = asyncio.create_task(fetch(server.base, tmp_path, 80, attempts=2, connections=4, outage=1.4))
        for mark in (10, 40):
            while sum(one.whole for one in server.requests) < mark:
                await asyncio.sleep(0.005)
            await server.pause()
            await asyncio.sleep(0.8)
            await server.resume()
        report = await run
    assert report.reasons == {}
    assert all_there(tmp_path, 80)


@asynccontextmanager
async def slammed_doors(words: bytes = b"") -> AsyncIterator[tuple[str, list[float]]]:
    """Accept every connection, say these words, and reset or close it; note when."""
    seen: list[float] = []

    def slam(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(time.monotonic())
        if words:
            writer.write(words)
            writer.close()
            return
        wire = writer.get_extra_info("socket")
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    server = await asyncio.start_server(slam, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", seen


@pytest.mark.parametrize("attempts", [1, 4])
async def test_a_host_that_was_never_there_is_probed_and_no_more(attempts: int, tmp_path: Path) -> None:
    """Refused connections: 8,000 images fail within seconds, all with a reason, after `attempts` probes."""
    began = time.monotonic()
    report = await fetch(f"http://127.0.0.1:{free_port()}/", tmp_path, 8000, attempts=attempts)
    assert time.monotonic() - began < 10
    assert report.failed == 8000
    assert report.reasons.keys() <= {"UNREACHABLE", "HOST_DOWN"}
    assert not report.only_permanent_losses
    assert max(outcome.attempts for outcome in report.failures) <= attempts


async def test_a_host_that_slams_every_door_sees_few_connections(tmp_path: Path) -> None:
    """A host that resets each connection and never answered sees far fewer than the 2,000 images."""
    async with slammed_doors() as (base, seen):
        report = await fetch(base, tmp_path, 2000)
    assert report.failed == 2000
    assert not report.only_permanent_losses
    assert len(seen) <= 100


@pytest.mark.parametrize(
    "words",
    [
        b"220 ftp.example ready\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"\0" * 99,
    ],
    ids=["FTP", "no status", "version 9.9", "TLS alert", "zeros"],
)
async def test_a_host_that_speaks_no_http(words: bytes, tmp_path: Path) -> None:
    """A host that answers in another language fails temporarily, soon, and is not asked by all 500 images."""
    async with slammed_doors(words) as (base, seen):
        began = time.monotonic()
        report = await fetch(base, tmp_path, 500)
    assert time.monotonic() - began < 10
    assert report.failed == 500
    assert not report.only_permanent_losses
    assert len(seen) <= 150


async def test_a_name_that_does_not_resolve_ends_soon(tmp_path: Path) -> None:
    """No such host: all images fail within seconds, temporarily."""
    began = time.monotonic()
    report = await fetch("http://nowhere.invalid/", tmp_path, 1000)
    assert time.monotonic() - began < 10
    assert report.failed == 1000
    assert not report.only_permanent_losses
    assert report.reasons.keys() <= {"UNREACHABLE", "HOST_DOWN"}


@pytest.mark.parametrize("code", [401, 403, 407])
async def test_a_host_that_refuses_everything_is_blocked(code: int, tmp_path: Path) -> None:
    """Twenty refusals in a row end the host's work: 400 images, few requests, the reason said."""
    async with ScriptedServer(bucket(400), Fault(status(code))) as server:
        report = await fetch(server.base, tmp_path, 400)
        asked = len(server.requests)
    assert report.failed == 400
    assert report.reasons.keys() <= {"REFUSED", "BLOCKED"}
    assert report.reasons["BLOCKED"] > 300
    assert not report.only_permanent_losses
    assert 20 <= asked <= 60


async def test_refusals_between_successes_block_nothing(tmp_path: Path) -> None:
    """Every other article is refused: those fail after two tries at most, and all others come."""
    faults = [Fault(status(403), on=f"PMC*{digit}.1/*") for digit in (1, 3, 5, 7, 9)]
    async with ScriptedServer(bucket(120), *faults) as server:
        report = await fetch(server.base, tmp_path, 120, connections=2)
        tries = Counter(one.key for one in server.requests)
    assert report.fetched == 60
    assert report.reasons == {"REFUSED": 60}
    assert max(tries.values()) == 2


async def test_a_host_that_is_blocked_for_one_run_is_asked_by_the_next(tmp_path: Path) -> None:
    """A Fetcher's next run gives a host that was blocked or down another chance."""
    async with ScriptedServer(bucket(60), Fault(status(403))) as server:
        config = FetchConfig(out=tmp_path, cloud_url=server.base, attempts=2)
        async with Fetcher(config) as fetcher:
            first = await fetcher.fetch(map(record, range(1, 61)))
            server.script.clear()
            second = await fetcher.fetch(map(record, range(1, 61)))
    assert first.reasons["BLOCKED"] > 0
    assert second.fetched == 60


async def test_a_redirect_to_another_host_is_followed(tmp_path: Path) -> None:
    """A mirror that sends its client to another host over HTTP gives all images, each verified there."""
    async with ScriptedServer(bucket(10)) as there:
        away = [Fault(redirect(f"{there.base}PMC{number}.1/a.jpg"), on=f"PMC{number}.*") for number in range(1, 11)]
        async with ScriptedServer({}, *away) as here:
            report = await fetch(here.base, tmp_path, 10)
    assert report.reasons == {}
    assert all_there(tmp_path, 10)


async def test_a_certificate_that_nobody_knows_is_tried_twice(authority: Authority, tmp_path: Path) -> None:
    """A certificate of an unknown authority is REFUSED after two tries at most, and no request is read."""
    async with ScriptedServer(bucket(3), tls=authority.server_context()) as server:
        report = await fetch(server.base, tmp_path, 3, attempts=6)
    assert report.reasons == {"REFUSED": 3}
    assert {outcome.attempts for outcome in report.failures} <= {1, 2}
    assert server.requests == []


async def test_two_hosts_are_judged_apart(tmp_path: Path) -> None:
    """One host is down and one is well: the images of the well one all come, and fast."""
    dead = f"http://127.0.0.1:{free_port()}/x.jpg"
    async with ScriptedServer(bucket(40)) as server:
        records = [record(number, url=dead if number % 2 else None) for number in range(1, 41)]
        config = FetchConfig(out=tmp_path, cloud_url=server.base, attempts=2, timeout=1)
        outcomes: list[Outcome] = []
        async with Fetcher(config) as fetcher:
            async for outcome in fetcher.iter_fetch(records):
                outcomes.append(outcome)  # noqa: PERF401 - the order of arrival is not what is tested
    came = Counter((outcome.status, outcome.record.url is None) for outcome in outcomes)
    assert came == {(Status.FETCHED, True): 20, (Status.FAILED, False): 20}
    assert {outcome.reason for outcome in outcomes} <= {None, Reason.UNREACHABLE, Reason.HOST_DOWN}
