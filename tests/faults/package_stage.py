"""The stage of the package roads: one article that suffers, three that must come through beside it.

A row says what goes wrong, on which roads, and all that may come of it; it is played on each of its roads: HTTP and FTP
by scripted servers, a folder by real files. The sufferer is article 1, whose package is at `PATH`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal
from unittest.mock import patch

import pytest

import roco_async.transport.ftp as ftp
from roco_async import FetchConfig, Fetcher, ImageRecord, Outcome, Reason, Status
from roco_async.protocols import START, Point
from roco_async.transport.file import FileTransport
from tests.packages.stage import content, files_below, noise, package, path_of, record
from tests.servers.faults import Answer, Fault
from tests.servers.ftp_faults import FtpFault, Said
from tests.servers.packages import packed
from tests.servers.ports import free_port
from tests.servers.scripted import ScriptedServer
from tests.servers.scripted_ftp import ScriptedFtp

from .folder_faults import Happening, happening
from .stage import short_waits

PATH: Final = path_of(1)
BESIDE: Final = (2, 3, 4)
FILLER: Final = 20_000
PICTURE: Final = 3000


def whole(
    version: str = "", *, before: int = FILLER, after: int = FILLER, seed: int = 0, first: str = "a.jpg"
) -> bytes:
    """Return a package of two pictures, each between bytes that deflate can only store; about 61 kB."""
    return packed(
        {
            "PMC1/first.pdf": noise(before, seed),
            f"PMC1/{first}": content(1, version + first, PICTURE),
            "PMC1/middle.pdf": noise(FILLER, seed + 1),
            "PMC1/b.jpg": content(1, version + "b.jpg", PICTURE),
            "PMC1/last.pdf": noise(after, seed + 2),
        }
    )


OURS: Final = f"*{PATH}"
WHOLE: Final = whole()
NEW: Final = whole("new ", seed=7)
LONG: Final = whole(after=3 << 20)
"""A package whose rest is not decoded once the pictures are out."""
BIG: Final = whole(before=3 << 19)
"""A package whose pictures lie behind 1.5 MiB."""
EARLY: Final = 10_000
"""A byte before the first picture."""
MIDDLE: Final = 30_000
"""A byte between the two pictures."""
LATE: Final = 55_000
"""A byte after the last picture."""


@dataclass(frozen=True)
class Http:
    """The road over HTTP: what the server does wrong, its host, and what it has beside.

    `{port}` in a Location is the server's own.
    """

    faults: tuple[Fault, ...] = ()
    beside: Mapping[str, bytes] = field(default_factory=dict)
    host: str = "127.0.0.1"
    name = "http"


@dataclass(frozen=True)
class Ftp:
    """The road over FTP: what the server does wrong, and its keywords."""

    faults: tuple[FtpFault, ...] = ()
    server: Mapping[str, Any] = field(default_factory=dict)
    name = "ftp"


@dataclass(frozen=True)
class Folder:
    """The road over a folder: what happens to the sufferer's file."""

    happens: tuple[Happening, ...] = ()
    name = "folder"


@dataclass(frozen=True)
class Nobody:
    """A port where nobody listens."""

    name: Literal["http", "ftp"]


Verified = Literal["md5", "crc", "length"]
LENGTH: Final[tuple[Verified, ...]] = ("length",)
EITHER: Final[tuple[Verified, ...]] = ("crc", "length")

Road = Http | Ftp | Folder | Nobody
EVERYWHERE: Final = (Http(), Ftp(), Folder())


@dataclass(frozen=True)
class Row:
    """One row of the table: what goes wrong, and all that may come of it.

    Args:
        name: the fault in words; with the road it is the test's id.
        on: the roads, with what goes wrong there.
        package: what the mirror holds for the article; None: nothing.
        reason: why the pictures are missing; several where the contract leaves it open; none where they come.
        permanent: whether asking again is said to be in vain; None: left open.
        most: times that the server may be asked for the package, or for the step that fails.
        verified: by what the pictures were checked; several where it depends on how the bytes arrive.
        lost: wanted names that are missing though the others come, and why.
        version: whose pictures come, those of `WHOLE` or of `NEW`.
        wanted: what is wanted of the package.
        resumed: where the second request has to begin; None: it must ask for the whole.
        words: what the account of the failure has to say.
        for_all: the fault is the host's, so that those beside suffer the same.
        config: fields of FetchConfig beside the table's own.
        within: seconds.
    """

    name: str
    on: tuple[Road, ...] = EVERYWHERE
    package: bytes | None = WHOLE
    reason: tuple[Reason, ...] = ()
    permanent: bool | None = False
    most: int = 1
    verified: tuple[Verified, ...] = ("crc",)
    lost: Mapping[str, Reason] = field(default_factory=dict)
    version: str = ""
    wanted: tuple[ImageRecord, ...] = (record(1, "a.jpg"), record(1, "b.jpg"))
    resumed: int | Literal["either"] | None = "either"
    words: str = ""
    for_all: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    within: float = 5


@dataclass
class Played:
    """What came of a row. `starts` tells each request's first byte, None where it asked for the whole."""

    outcomes: list[Outcome] = field(default_factory=list)
    starts: list[int | None] = field(default_factory=list)
    asked: int = 0
    seconds: float = 0.0


def wants(*names: str, **fields: object) -> tuple[ImageRecord, ...]:
    return tuple(record(1, name, **fields) for name in names)


def cases(rows: Iterable[Row]) -> list[Any]:
    """Return the parameters of a test: each row on each of its roads."""
    return [pytest.param(row, road, id=f"{road.name}: {row.name}") for row in rows for road in row.on]


def _objects(row: Row) -> dict[str, bytes]:
    own = {} if row.package is None else {PATH: row.package}
    return own | {path_of(number): package(number, before=8000) for number in BESIDE}


@asynccontextmanager
async def _http(row: Row, road: Http, played: Played) -> AsyncIterator[str]:
    async with ScriptedServer({**_objects(row), **road.beside}, host=road.host) as server:
        server.script.add(*(_at_home(fault, server.port) for fault in road.faults))
        yield server.base
        own = [one for one in server.requests if one.key not in {path_of(number) for number in BESIDE}]
        ranges = [one.headers.get("range") for one in own]
        played.starts = [int(span[6:-1]) if span else None for span in ranges]
        played.asked = len(own)


def _at_home(fault: Fault, port: int) -> Fault:
    if not isinstance(fault.does, Answer):
        return fault
    headers = tuple((name, value.replace("{port}", str(port))) for name, value in fault.does.headers)
    return replace(fault, does=replace(fault.does, headers=headers))


@asynccontextmanager
async def _ftp(row: Row, road: Ftp, played: Played) -> AsyncIterator[str]:
    steps = {fault.verb for fault in road.faults if isinstance(fault, Said)}
    busy, rests = dict[int, str](), dict[int, int]()
    async with ScriptedFtp(_objects(row), faults=road.faults, **road.server) as server:
        with patch.object(ftp, "_PATIENCE", 0.2):
            yield server.base
        asked = dict.fromkeys(steps, 0)
        for connection, line in server.commands:
            verb, _, argument = line.partition(" ")
            if verb in ("SIZE", "MDTM", "RETR"):
                busy[connection] = argument
            own = busy.get(connection, PATH) == PATH
            if verb == "RETR" and own:
                played.starts.append(rests.pop(connection, None))
            elif verb == "REST":
                rests[connection] = int(argument)
            if verb in asked and (own or row.for_all):
                asked[verb] += 1
        if steps & {"greeting", "USER", "PASS", "TYPE"}:
            asked["greeting"] = server.connections
        played.asked = max(len(played.starts), *asked.values(), 0)


@asynccontextmanager
async def _folder(row: Row, road: Folder, played: Played, mirror: Path) -> AsyncIterator[str]:
    for path, data in _objects(row).items():
        (mirror / path).parent.mkdir(parents=True)
        (mirror / path).write_bytes(data)
    real = FileTransport.open

    def opened(self: FileTransport, url: str, at: Point = START) -> Any:
        if url.endswith(PATH):
            played.starts.append(at.offset or None)
            played.asked += 1
        return real(self, url, at)

    with happening(mirror / PATH, road.happens), patch.object(FileTransport, "open", opened):
        yield mirror.as_uri()


def _mirror(row: Row, road: Road, played: Played, folder: Path) -> contextlib.AbstractAsyncContextManager[str]:
    match road:
        case Http():
            return _http(row, road, played)
        case Ftp():
            return _ftp(row, road, played)
        case Folder():
            return _folder(row, road, played, folder)
        case Nobody():
            return contextlib.nullcontext(f"{road.name}://127.0.0.1:{free_port()}")


async def play(row: Row, road: Road, folder: Path) -> Played:
    """Fetch the row's pictures, and three of others beside them, from a mirror that does what the row says."""
    played = Played()
    config = {"connections": 8, "attempts": 2, "timeout": 0.4, "outage": 0.5, "source": "packages", **row.config}
    async with _mirror(row, road, played, folder / "mirror") as base:
        began = time.monotonic()
        made = FetchConfig(out=folder / "out", packages_url=base, **config)
        with short_waits():
            async with Fetcher(made) as fetcher:
                run = fetcher.iter_fetch([*row.wanted, *map(record, BESIDE)])
                played.outcomes = [outcome async for outcome in run]
        played.seconds = time.monotonic() - began
    return played


async def check(row: Row, road: Road, folder: Path) -> None:
    """Play the row and hold everything that it says against what happened."""
    played = await play(row, road, folder)
    told = ", ".join(f"{one.record.id}: {one.reason or one.verified} {one.error or ''}" for one in played.outcomes)
    said = f"{told}; asked {played.asked} times, from {played.starts}, {played.seconds:.2f} s"
    beside = [one for one in played.outcomes if one.record.pmcid != "PMC1"]
    own = {one.record: one for one in played.outcomes if one.record.pmcid == "PMC1"}
    assert len(beside) == len(BESIDE), said
    assert set(own) == set(row.wanted), said
    left = set()
    for outcome in beside:
        if row.for_all:
            assert outcome.reason in row.reason, said
        else:
            assert outcome.path is not None, said
            assert outcome.path.read_bytes() == content(int(outcome.record.pmcid[3:]))
            left.add(f"images/{outcome.record.id}.jpg")
    for one, outcome in own.items():
        reasons = (row.lost[one.name],) if one.name in row.lost else row.reason
        if reasons:
            _hold_failure(outcome, reasons, row.permanent if reasons == row.reason else None, said)
        else:
            assert outcome.status is Status.FETCHED, said
            assert outcome.path == folder / "out" / "images" / f"{one.id}.jpg"
            assert outcome.path.read_bytes() == content(1, row.version + one.name, PICTURE), said
            assert outcome.verified in row.verified, said
            assert outcome.bytes == PICTURE
            left.add(f"images/{one.id}.jpg")
    assert files_below(folder / "out") == left, said
    errors = " ".join(outcome.error or "" for outcome in own.values())
    assert row.words in errors, said
    assert played.asked <= row.most, said
    assert played.seconds < row.within, said
    if row.resumed != "either":
        assert played.starts[1] == row.resumed, said


def _hold_failure(outcome: Outcome, reasons: tuple[Reason, ...], permanent: bool | None, said: str) -> None:
    assert outcome.status is Status.FAILED, said
    assert outcome.reason in reasons, said
    assert outcome.reason is not None
    assert permanent is None or outcome.reason.permanent is permanent, said
    assert outcome.error, "a failure says why"
    assert (outcome.path, outcome.verified, outcome.bytes) == (None, None, 0)
