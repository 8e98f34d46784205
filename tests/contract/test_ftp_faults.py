"""What only FTP can do wrong: each code at each command, commands that are missing, data connections that fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import repeat

import pytest

import roco_async.transport.ftp as ftp
from roco_async.errors import (
    Broken,
    Busy,
    NotFound,
    Refused,
    ServerError,
    Stale,
    Stalled,
    TransferError,
    Unreachable,
    Unsafe,
)
from roco_async.protocols import START, Point
from roco_async.transport.ftp import FtpTransport
from tests.contract.test_transports import DATA, OTHER, read
from tests.servers.ftp_faults import Said
from tests.servers.ports import free_port
from tests.servers.scripted_ftp import Data, ScriptedFtp, Silence


@pytest.fixture
async def transport() -> AsyncIterator[FtpTransport]:
    """A transport with a short timeout; closed after the test."""
    made = FtpTransport(timeout=0.5)
    yield made
    await made.aclose()


async def fetched(transport: FtpTransport, url: str, at: Point = START) -> bytes:
    async with transport.open(url, at) as body:
        return await read(body)


async def failure(transport: FtpTransport, url: str, at: Point = START) -> TransferError:
    with pytest.raises(TransferError) as caught:
        await fetched(transport, url, at)
    return caught.value


REPLIES = [
    ("greeting", "421 There are too many connections from your internet address.", Busy),
    ("greeting", "530 Sorry, the maximum number of clients (3) from your host are already connected.", Busy),
    ("greeting", "500 OOPS: cannot fork", ServerError),
    ("greeting", "HTTP/1.1 400 Bad Request", Broken),
    ("greeting", Silence.CLOSED, Broken),
    ("greeting", Silence.NEVER, Stalled),
    ("USER", "530 This server allows logged users only.", Refused),
    ("USER", "530 Too many users logged in for this account.", Busy),
    ("USER", "332 Need account for login.", Refused),
    ("PASS", "530 Login incorrect.", Refused),
    ("PASS", "530 Sorry, the maximum number of allowed clients (10) already connected", Busy),
    ("PASS", "331 And the password?", Refused),
    ("PASS", "332 And the account?", Refused),
    ("PASS", "421 Service not available", Busy),
    ("PASS", Silence.NEVER, Stalled),
    ("TYPE", "504 Not that one", Refused),
    ("SIZE", "421 Timeout.", Busy),
    ("SIZE", "530 Please login with USER and PASS.", Refused),
    ("SIZE", Silence.NEVER, Stalled),
    ("MDTM", Silence.CLOSED, Broken),
    ("EPSV", "425 Cannot open passive connection", Broken),
    ("EPSV", "229 Entering Extended Passive Mode", Broken),
    ("EPSV", "229 Entering Extended Passive Mode (|||70000|)", Broken),
    ("RETR", "550 Failed to open file.", NotFound),
    ("RETR", "551 Page type unknown", NotFound),
    ("RETR", "553 File name not allowed", NotFound),
    ("RETR", "425 Failed to establish connection.", Broken),
    ("RETR", "426 Connection closed", Broken),
    ("RETR", "450 File busy", Broken),
    ("RETR", "451 Local error in processing", ServerError),
    ("RETR", "452 Insufficient storage", ServerError),
    ("RETR", "500 Unknown command.", Refused),
    ("RETR", "502 Not implemented", Refused),
    ("RETR", "530 Please login", Refused),
    ("RETR", "421 Service not available, closing control connection.", Busy),
    ("RETR", "299 Whatever", Broken),
    ("RETR", Silence.CLOSED, Broken),
    ("RETR", Silence.NEVER, Stalled),
    ("end", "426 Failure writing network stream.", Broken),
    ("end", "451 Read error", ServerError),
    ("end", "550 Input/output error", Broken),
    ("end", "421 Data timeout. Reconnect. Sorry.", Busy),
]


@pytest.mark.parametrize(("verb", "reply", "expected"), REPLIES)
async def test_each_reply_has_its_error(
    transport: FtpTransport, verb: str, reply: str | Silence, expected: type[TransferError]
) -> None:
    """A reply in place of the right one becomes its error, shows URL and operation, and the next try is whole."""
    async with ScriptedFtp({"a": DATA}, script={verb: [reply]}) as server:
        error = await failure(transport, server.url("a"))
        assert type(error) is expected
        assert error.url == server.url("a")
        assert error.operation
        if isinstance(reply, str):
            assert reply[4:30] in str(error) or "no port" in str(error) or "no FTP" in str(error)
        assert await fetched(transport, server.url("a")) == DATA


@pytest.mark.parametrize("reply", [Silence.NEVER, Silence.CLOSED])
async def test_a_greeting_that_does_not_come_is_no_answer(transport: FtpTransport, reply: Silence) -> None:
    """A host that accepts and says nothing, or hangs up, has not answered; one that fell silent later has."""
    async with ScriptedFtp({"a": DATA}, script={"greeting": [reply], "RETR": [Silence.NEVER]}) as server:
        first = await failure(transport, server.url("a"))
        second = await failure(transport, server.url("a"))
        assert isinstance(first, Broken | Stalled)
        assert isinstance(second, Stalled)
        assert (first.answered, second.answered) == (False, True)


async def test_nobody_there(transport: FtpTransport) -> None:
    """A closed port and a host without an address are `Unreachable`, and no answer."""
    for url in (f"ftp://127.0.0.1:{free_port()}/a", "ftp://no-such-host.invalid/a"):
        error = await failure(transport, url)
        assert isinstance(error, Unreachable)
        assert not error.answered


@pytest.mark.parametrize("reply", ["500 what?", "502 no", "522 no such protocol", "550 Permission denied."])
async def test_epsv_is_tried_once_a_host(transport: FtpTransport, reply: str) -> None:
    """After any 5xx to EPSV the same connection goes on by PASV, and no later one asks again."""
    async with ScriptedFtp({"a": DATA}, script={"EPSV": repeat(reply)}, pasv_address="10.1.2.3") as server:
        for _ in range(3):
            assert await fetched(transport, server.url("a")) == DATA
        await server.hang_up()
        assert await fetched(transport, server.url("a")) == DATA
        assert server.connections == 2
        assert (server.verbs().count("EPSV"), server.verbs().count("PASV")) == (1, 4)


async def test_no_passive_mode_at_all(transport: FtpTransport) -> None:
    """A server that knows neither EPSV nor PASV refuses."""
    async with ScriptedFtp({"a": DATA}, lacks=("EPSV", "PASV")) as server:
        assert isinstance(await failure(transport, server.url("a")), Refused)


@pytest.mark.parametrize("lacks", [("SIZE",), ("MDTM",), ("SIZE", "MDTM")])
async def test_without_size_or_mdtm_nothing_is_joined(transport: FtpTransport, lacks: tuple[str, ...]) -> None:
    """Where one of the two is missing there is no validator, and a later try begins at 0."""
    async with ScriptedFtp({"a": DATA}, lacks=lacks) as server:
        async with transport.open(server.url("a"), Point(1000, "400000:20240101000000")) as body:
            assert (body.start, body.validator) == (0, None)
            assert body.size == (None if "SIZE" in lacks else len(DATA))
            assert await read(body) == DATA
        assert "REST" not in server.verbs()


@pytest.mark.parametrize("reply", ["502 no", "504 no", "501 no", "550 no"])
async def test_a_server_without_rest_begins_at_0(transport: FtpTransport, reply: str) -> None:
    """Where REST is refused the whole file comes, with its validator."""
    async with ScriptedFtp({"a": DATA}, script={"REST": repeat(reply)}) as server:
        async with transport.open(server.url("a")) as body:
            await anext(body.chunks)
        async with transport.open(server.url("a"), Point(1000, body.validator)) as again:
            assert (again.start, again.validator) == (0, body.validator)
            assert await read(again) == DATA


async def test_a_rest_without_effect_is_found_out(transport: FtpTransport) -> None:
    """A server that accepts REST and sends the whole is `Stale` at the first byte over the announced size."""
    async with ScriptedFtp({"a": DATA}, script={"REST": ["350 yes, yes"]}) as server:
        async with transport.open(server.url("a")) as body:
            await read(body)
        with pytest.raises(Stale):
            await fetched(transport, server.url("a"), Point(1000, body.validator))
        assert await fetched(transport, server.url("a")) == DATA


async def test_a_file_replaced_between_mdtm_and_retr_is_found_out(transport: FtpTransport) -> None:
    """Of a resumed file the version is asked for once more at its end: two versions are not joined by a race."""

    class Replaces(ScriptedFtp):
        def instead(self, verb: str, path: str) -> Said | None:
            if verb == "REST":
                self.put("a", OTHER)
            return super().instead(verb, path)

    async with Replaces({"a": DATA}) as server:
        async with transport.open(server.url("a")) as body:
            await read(body)
        with pytest.raises(Stale, match="changed while"):
            await fetched(transport, server.url("a"), Point(1000, body.validator))
        assert await fetched(transport, server.url("a")) == OTHER


@pytest.mark.parametrize("silently", [False, True], ids=["426", "no reply"])
@pytest.mark.parametrize("place", [0, 1, 65_536, 200_000, 399_999])
@pytest.mark.parametrize("way", ["cut", "reset"])
async def test_a_cut_loses_no_byte(
    transport: FtpTransport, monkeypatch: pytest.MonkeyPatch, way: str, place: int, *, silently: bool
) -> None:
    """What was sent before the data connection broke is given, then `Broken`; REST brings exactly the rest."""
    monkeypatch.setattr(ftp, "_PATIENCE", 0.2)
    fault = Data(cut=place, silently=silently) if way == "cut" else Data(reset=place, silently=silently)
    async with ScriptedFtp({"a": DATA}, data=[fault]) as server:
        got, validator = b"", None

        async def first() -> None:
            nonlocal got, validator
            async with transport.open(server.url("a")) as body:
                validator = body.validator
                async for chunk in body.chunks:
                    got += chunk

        with pytest.raises(Broken):
            await first()
        assert got == DATA[:place]
        async with transport.open(server.url("a"), Point(place, validator)) as rest:
            assert rest.start == place
            assert got + await read(rest) == DATA
        assert server.sent == len(DATA)


async def test_a_cut_without_a_size_is_told_by_the_reply_only(transport: FtpTransport) -> None:
    """Without SIZE a 426 is `Broken`, and so is an end after which no reply comes: nobody knows that it is whole."""
    async with ScriptedFtp({"a": DATA}, lacks=["SIZE"], data=[Data(cut=10), Data(cut=10, silently=True)]) as server:
        assert isinstance(await failure(transport, server.url("a")), Broken)
        assert isinstance(await failure(transport, server.url("a")), Stalled)
        assert await fetched(transport, server.url("a")) == DATA


@pytest.mark.parametrize("place", [0, 100_000])
async def test_a_stall_is_broken_off(transport: FtpTransport, place: int) -> None:
    """No byte for the timeout is `Stalled`, of a host that had answered; the connection is not used again."""
    async with ScriptedFtp({"a": DATA}, data=[Data(stall=place)]) as server:
        error = await failure(transport, server.url("a"))
        assert isinstance(error, Stalled)
        assert error.answered
        assert await fetched(transport, server.url("a")) == DATA
        assert server.connections == 2


async def test_a_refused_data_connection(transport: FtpTransport) -> None:
    """A data port where nobody listens is `Broken` and a sign of overload, not a host that is away."""
    async with ScriptedFtp({"a": DATA}, data=[Data(refused=True)] * 2) as server:
        error = await failure(transport, server.url("a"))
        assert isinstance(error, Broken)
        assert (error.overload, error.answered) == (True, True)
        assert await fetched(transport, server.url("a")) == DATA
        assert server.connections == 1


async def test_no_rest_is_left_for_another_file(transport: FtpTransport) -> None:
    """A resumed try that gets no data connection leaves no REST behind: the connection's next file begins at byte 0."""
    async with ScriptedFtp({"a": DATA, "b": OTHER}, data=[Data(), *[Data(refused=True)] * 2]) as server:
        async with transport.open(server.url("a")) as body:
            await read(body)
        with pytest.raises(Broken):
            await fetched(transport, server.url("a"), Point(1000, body.validator))
        assert await fetched(transport, server.url("b")) == OTHER
        assert server.connections == 1


@pytest.mark.parametrize(
    "url",
    [
        "ftp://{place}/a%0D%0ADELE%20a",
        "ftp://{place}/a%0a",
        "ftp://{place}/a%00",
        "ftp://me%0d%0aDELE%20a:p@{place}/a",
        "ftp://me:p%0aDELE%20a@{place}/a",
        "ftps://{place}/a",
    ],
)
async def test_no_command_is_smuggled_in(transport: FtpTransport, url: str) -> None:
    """A line break or NUL in path, user or password, and ftps, is `Unsafe` before there is any connection."""
    async with ScriptedFtp({"a": DATA}) as server:
        error = await failure(transport, url.format(place=f"127.0.0.1:{server.port}"))
        assert isinstance(error, Unsafe)
        assert server.connections == 0


async def test_replies_in_any_encoding(transport: FtpTransport) -> None:
    """A banner in Latin-1, of many lines, some of which begin with digits, is a banner; a flood of lines is not."""
    banner = "220-Gr\xfc\xdfe\r\n220-\r\n123 users\r\n 220 not yet\r\n220 ready"
    flood = "220-\r\n" + "more\r\n" * 2000 + "220 ready"

    class Latin(ScriptedFtp):
        def __init__(self) -> None:
            super().__init__({"a": DATA}, script={"greeting": [banner, flood]})

    async with Latin() as server:
        assert await fetched(transport, server.url("a")) == DATA
        await server.hang_up()
        assert "over 1000 lines" in str(await failure(transport, server.url("a")))
