"""The stage of the fault table: one image that suffers, three that must come through beside it.

The sufferer is `PMC1`'s `a.jpg`; `KEY` is where it is asked for first, `LISTED` is its article's listing.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from unittest.mock import patch

from tenacity import wait_random_exponential

from roco_async import FetchConfig, Fetcher, ImageRecord, Outcome, Reason, Status
from tests.servers.faults import Fault
from tests.servers.objects import StoredObject
from tests.servers.pictures import tiny_jpeg
from tests.servers.scripted import Request, ScriptedServer

KEY: Final = "PMC1.1/a.jpg"
SECOND: Final = "PMC1.2/a.jpg"
LISTED: Final = "[?]*prefix=PMC1.*"
Objects = Mapping[str, StoredObject | bytes]


def picture(word: str, size: int = 20_000) -> bytes:
    """Return a whole JPEG of exactly `size` bytes; another word makes it another file."""
    whole = tiny_jpeg(word.encode())
    room, segments = size - len(whole), b""
    while room >= 4:
        length = min(room, 60_000)
        length -= 4 if 0 < room - length < 4 else 0
        segments += b"\xff\xfe" + struct.pack(">H", length - 2) + word.encode()[:1] * (length - 4)
        room -= length
    place = 4 + int.from_bytes(whole[4:6], "big")
    return whole[:place] + segments + whole[place:]


def record(number: int, name: str = "a.jpg", **fields: object) -> ImageRecord:
    """Return the record of an image of article `number`."""
    return ImageRecord(f"IMG_{number}", f"PMC{number}", name, **fields)  # type: ignore[arg-type]


A: Final = picture("a")
B: Final = picture("b")
BESIDE: Final = tuple(record(number) for number in (2, 3, 4))
BESIDE_OBJECTS: Final = {f"PMC{number}.1/a.jpg": picture(f"beside {number}") for number in (2, 3, 4)}


@dataclass(frozen=True)
class Row:
    """One row of the table: what goes wrong, and all that may come of it.

    Args:
        name: the fault in words; the test's id.
        faults: what the server does.
        reason: why the image is missing; several where the contract leaves it open; none where it comes.
        permanent: whether asking again is said to be in vain; None: left open.
        most: requests for the image and its listing that the server may see.
        verified: by what the file was checked; None: by nothing but the picture's own beginning and end.
        expect: the file's content.
        held: what the bucket holds for the article.
        wanted: the record that suffers.
        server: keywords of the ScriptedServer.
        config: fields of FetchConfig beside the table's own.
        resumed: where the second request of the image has to begin; None: it must ask for the whole.
        within: seconds.
    """

    name: str
    faults: tuple[Fault, ...] = ()
    reason: tuple[Reason, ...] = ()
    permanent: bool | None = False
    most: int = 1
    verified: Literal["md5", "crc", "length"] | None = "md5"
    expect: bytes = A
    held: Objects = field(default_factory=lambda: {KEY: A})
    wanted: ImageRecord = field(default_factory=lambda: record(1))
    server: Mapping[str, int | str] = field(default_factory=dict)
    config: Mapping[str, float] = field(default_factory=dict)
    resumed: int | Literal["either"] | None = "either"
    within: float = 5


@dataclass(frozen=True)
class Played:
    """What came of a row."""

    outcome: Outcome
    beside: list[Outcome]
    requests: list[Request]
    seconds: float


def files_below(folder: Path) -> set[str]:
    """Return what lies in an output folder, without the journals."""
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    return {name for name in names if not (name.startswith(".roco/journal/") and name.endswith(".jsonl"))}


@contextmanager
def short_waits() -> Iterator[None]:
    """Wait a tenth as long between two tries of an item as it would; how long that is is held by test_waits.py."""

    def shorter(*, multiplier: float, max: float) -> wait_random_exponential:
        return wait_random_exponential(multiplier=multiplier / 10, max=max / 10)

    with patch("roco_async.transfer.budget.wait_random_exponential", shorter):
        yield


async def play(row: Row, out: Path) -> Played:
    """Fetch the row's image and three beside it from a server that does what the row says."""
    config = {"connections": 8, "attempts": 3, "timeout": 0.4, "outage": 1.0, **row.config}
    options = dict(row.server)
    async with ScriptedServer({**row.held, **BESIDE_OBJECTS}, *row.faults, **options) as server:  # type: ignore[arg-type]
        began = time.monotonic()
        made = FetchConfig(out=out, cloud_url=server.base, **config)  # type: ignore[arg-type]
        with short_waits():
            async with Fetcher(made) as fetcher:
                report = [outcome async for outcome in fetcher.iter_fetch([row.wanted, *BESIDE])]
        seconds = time.monotonic() - began
        beside = {item.id for item in BESIDE}
        (own,) = [outcome for outcome in report if outcome.record.id not in beside]
        theirs = [key for number in (2, 3, 4) for key in (f"PMC{number}.1/", f"prefix=PMC{number}.")]
        requests = [one for one in server.requests if not any(key in one.key for key in theirs)]
    return Played(own, [outcome for outcome in report if outcome is not own], requests, seconds)


async def check(row: Row, out: Path) -> None:
    """Play the row and hold everything that it says against what happened."""
    played = await play(row, out)
    outcome, requests = played.outcome, played.requests
    said = f"{outcome.status} {outcome.reason} {outcome.error}, {[(one.key, one.status) for one in requests]}"
    assert [one.status for one in played.beside] == [Status.FETCHED] * 3, said
    left = {f"images/{item.id}.jpg" for item in BESIDE}
    if row.reason:
        assert outcome.status is Status.FAILED, said
        assert outcome.reason in row.reason, said
        assert outcome.reason is not None
        assert row.permanent is None or outcome.reason.permanent is row.permanent, said
        assert outcome.error, "a failure says why"
        assert outcome.path is None
        assert outcome.verified is None
        assert outcome.bytes == 0
    else:
        assert outcome.status is Status.FETCHED, said
        left.add(f"images/{row.wanted.id}.jpg")
        assert (out / "images" / f"{row.wanted.id}.jpg").read_bytes() == row.expect, said
        assert outcome.path == out / "images" / f"{row.wanted.id}.jpg"
        assert outcome.verified == row.verified, said
        assert outcome.bytes == len(row.expect)
        assert outcome.reason is None
    assert files_below(out) == left
    assert len(requests) <= row.most, said
    assert played.seconds < row.within, f"{played.seconds:.1f} s; {said}"
    if row.resumed != "either":
        second = requests[1].headers.get("range")
        assert second == (None if row.resumed is None else f"bytes={row.resumed}-"), said
