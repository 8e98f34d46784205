"""FtpTransport before vsftpd, pyftpdlib and the scripted server: the suite of transports as it stands, and reuse.

What only FTP can do wrong, code by code, is in test_ftp_faults.py.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path

import aioftp
import pytest

from roco_async.errors import Busy, NotFound, Refused
from roco_async.protocols import Point
from roco_async.transport.ftp import FtpTransport
from tests.contract import test_transports as suite
from tests.contract.shelves import Shelf
from tests.contract.test_transports import DATA, OTHER, Fill, read
from tests.servers.ftp_servers import Pyftpdlib, Vsftpd, quiet_aioftp
from tests.servers.scripted_ftp import ScriptedFtp

# Every test of the suite runs here too, with this module's `fill`; what is added to it comes along.
globals().update({name: test for name, test in vars(suite).items() if name.startswith("test_")})


def putter(folder: Path) -> Callable[[str, bytes], None]:
    seconds = count(1_700_000_000)

    def put(key: str, data: bytes) -> None:
        file = folder / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        moment = next(seconds)  # MDTM tells seconds: two versions of one second and one size would look the same
        os.utime(file, (moment, moment))

    return put


@asynccontextmanager
async def vsftpd(work: Path, objects: Mapping[str, bytes]) -> AsyncIterator[Shelf]:
    put = putter(work / "files")
    for key, data in objects.items():
        put(key, data)
    with Vsftpd(work / "files", work / "vsftpd") as server:
        async with closing(FtpTransport(timeout=10)) as transport:
            yield Shelf(transport, server.url, put, digests=False, compares=True)


@asynccontextmanager
async def pyftpdlib(work: Path, objects: Mapping[str, bytes]) -> AsyncIterator[Shelf]:
    put = putter(work / "files")
    for key, data in objects.items():
        put(key, data)
    with Pyftpdlib(work / "files") as server:
        async with closing(FtpTransport(timeout=10)) as transport:
            yield Shelf(transport, server.url, put, digests=False, compares=True)


@asynccontextmanager
async def scripted(work: Path, objects: Mapping[str, bytes]) -> AsyncIterator[Shelf]:
    async with ScriptedFtp(objects) as server, closing(FtpTransport(timeout=10)) as transport:
        yield Shelf(transport, server.url, server.put, digests=False, compares=True)


@asynccontextmanager
async def closing(transport: FtpTransport) -> AsyncIterator[FtpTransport]:
    try:
        yield transport
    finally:
        await transport.aclose()


MAKERS = {"vsftpd": vsftpd, "pyftpdlib": pyftpdlib, "scripted": scripted}


@pytest.fixture(params=MAKERS)
async def fill(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Fill]:
    """Make a shelf with these objects behind one FTP server after the other."""
    async with AsyncExitStack() as stack:
        yield lambda objects: stack.enter_async_context(MAKERS[request.param](tmp_path, objects))


@pytest.mark.parametrize("fill", ["pyftpdlib", "scripted"], indirect=True)
async def test_two_hundred_at_once(fill: Fill) -> None:
    """Two hundred bodies at once, but not of vsftpd: it listens with a backlog of 32, too few for such a burst."""
    await suite.test_two_hundred_at_once(fill)


async def test_forty_at_once_then_forty_by_the_same_connections(tmp_path: Path) -> None:
    """Forty open transfers need forty control connections, and the next forty no other (counted by vsftpd)."""
    put = putter(tmp_path / "files")
    bodies = [bytes([number]) * 50_000 for number in range(40)]
    for number, data in enumerate(bodies):
        put(f"{number}", data)
    with Vsftpd(tmp_path / "files", tmp_path / "vsftpd") as server:
        urls = [server.url(f"{number}") for number in range(40)]
        async with closing(FtpTransport(timeout=10)) as transport:
            async with AsyncExitStack() as stack:
                opened = [await stack.enter_async_context(transport.open(url)) for url in urls]
                assert [await read(body) for body in opened] == bodies

            async def transfer(url: str) -> bytes:
                async with transport.open(url) as body:
                    return await read(body)

            assert await asyncio.gather(*map(transfer, urls)) == bodies
        assert server.connections() == 40
        commands = server.commands()
    assert [commands.count(word) for word in ("USER anonymous", "TYPE I", "EPSV")] == [40, 40, 80]


@pytest.mark.parametrize("server", ["vsftpd", "pyftpdlib"])
async def test_files_in_a_row_need_one_connection(tmp_path: Path, server: str) -> None:
    """Twenty files one after the other, two of them missing and two left early, go over one control connection."""
    put = putter(tmp_path / "files")
    for number in range(20):
        put(f"{number}", DATA)
    made = Vsftpd(tmp_path / "files", tmp_path / "vsftpd") if server == "vsftpd" else Pyftpdlib(tmp_path / "files")
    with made:
        async with closing(FtpTransport(timeout=10)) as transport:
            for number in range(20):
                if number in (3, 11):
                    with pytest.raises(NotFound):
                        async with transport.open(made.url("none")):
                            pytest.fail("there is nothing to open")
                async with transport.open(made.url(str(number))) as body:
                    if number in (5, 6):
                        await anext(body.chunks)
                    else:
                        assert await read(body) == DATA
        assert (made.connections() if isinstance(made, Vsftpd) else made.connections) == 1


async def test_the_limit_of_vsftpd_is_a_push_back(tmp_path: Path) -> None:
    """A fourth connection to a vsftpd that allows three is `Busy`, and the three go on."""
    putter(tmp_path / "files")("a", DATA)
    with Vsftpd(tmp_path / "files", tmp_path / "vsftpd", extra="max_clients=3") as server:
        async with closing(FtpTransport(timeout=10)) as transport, AsyncExitStack() as stack:
            bodies = [await stack.enter_async_context(transport.open(server.url("a"))) for _ in range(3)]
            with pytest.raises(Busy, match="421") as caught:
                async with transport.open(server.url("a")):
                    pytest.fail("there is no room for a fourth")
            assert (caught.value.overload, caught.value.answered) == (True, True)
            assert [await read(body) for body in bodies] == [DATA] * 3


async def test_the_limit_of_pyftpdlib_is_a_push_back(tmp_path: Path) -> None:
    """The same of pyftpdlib, whose 421 has other words."""
    putter(tmp_path / "files")("a", DATA)
    with Pyftpdlib(tmp_path / "files", most=3) as server:
        async with closing(FtpTransport(timeout=10)) as transport, AsyncExitStack() as stack:
            first = await stack.enter_async_context(transport.open(server.url("a")))
            with pytest.raises(Busy, match="421"):
                await asyncio.gather(*(stack.enter_async_context(transport.open(server.url("a"))) for _ in range(4)))
            assert await read(first) == DATA


async def test_a_user_with_a_password(tmp_path: Path) -> None:
    """User and password come from the URL, percent-decoded, and no error shows the password."""
    putter(tmp_path / "files")("a", DATA)
    with Pyftpdlib(tmp_path / "files", user="me@home", password="p/w:ü") as server:
        async with closing(FtpTransport(timeout=10)) as transport:
            async with transport.open(server.url("a", "me%40home:p%2Fw%3A%C3%BC@")) as body:
                assert await read(body) == DATA
            with pytest.raises(Refused) as caught:
                async with transport.open(server.url("a", "me%40home:wrong-word@")):
                    pytest.fail("the password is wrong")
            assert caught.value.operation == "PASS"
            assert "wrong-word" not in f"{caught.value} {caught.value.url} {caught.value.__cause__}"


async def test_a_wrong_address_in_a_reply_to_pasv(tmp_path: Path) -> None:
    """A server behind address translation, which names a private address, is asked at its own."""
    putter(tmp_path / "files")("a", DATA)
    with Pyftpdlib(tmp_path / "files", masquerade="10.255.255.1") as server:
        async with closing(FtpTransport(timeout=3)) as transport, transport.open(server.url("a")) as body:
            assert await read(body) == DATA


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_aioftps_own_server(tmp_path: Path, host: str) -> None:
    """A server without SIZE and MDTM gives whole files, from any point, that no later part can be joined to."""
    putter(tmp_path)("pub/two words é.tar.gz", DATA)
    with quiet_aioftp():
        server = aioftp.Server([aioftp.User(base_path=tmp_path)])
        await server.start(host, 0)
        place = f"[{host}]" if ":" in host else host
        url = f"ftp://{place}:{server.server_port}/pub/two%20words%20%C3%A9.tar.gz"
        try:
            async with closing(FtpTransport(timeout=5)) as transport:
                for point in (Point(), Point(1000, "400000:20240101000000"), Point(1000)):
                    async with transport.open(url, point) as body:
                        assert (body.start, body.size, body.validator) == (0, None, None)
                        assert await read(body) == DATA
                with pytest.raises(NotFound):
                    async with transport.open(url + "x"):
                        pytest.fail("there is nothing to open")
        finally:
            await server.close()


async def test_ipv6() -> None:
    """Over IPv6 the data connection goes to the peer of the control connection, by EPSV."""
    async with ScriptedFtp({"a": DATA}, host="::1") as server, closing(FtpTransport(timeout=5)) as transport:
        async with transport.open(server.url("a")) as body:
            assert await read(body) == DATA
        assert "EPSV" in server.verbs()


async def test_another_version_of_the_same_size(tmp_path: Path) -> None:
    """vsftpd's MDTM alone tells a file apart that was replaced by one of its size."""
    put = putter(tmp_path / "files")
    put("a", DATA)
    with Vsftpd(tmp_path / "files", tmp_path / "vsftpd") as server:
        async with closing(FtpTransport(timeout=5)) as transport:
            async with transport.open(server.url("a")) as body:
                await anext(body.chunks)
            put("a", OTHER)
            async with transport.open(server.url("a"), Point(1000, body.validator)) as other:
                assert (other.start, await read(other)) == (0, OTHER)
