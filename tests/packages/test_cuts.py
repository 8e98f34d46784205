"""Lines that break: a package goes on at its byte, or starts afresh where it must, and is never two versions."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

import pytest

from roco_async import Outcome
from tests.servers.faults import (
    CloseDelimited,
    Cut,
    Etag,
    Fault,
    IgnoreIfRange,
    IgnoreRange,
    PartAs200,
    Reset,
    Stall,
    Swap,
    Trickle,
    WrongByte,
)
from tests.servers.packages import packed
from tests.servers.scripted import Request, ScriptedServer
from tests.servers.scripted_ftp import Data, ScriptedFtp

from .stage import MIB, content, fetch, is_right, noise, package, path_of, record

NAMES: Final = ("a.jpg", "b.jpg", "c.jpg")
PATH: Final = path_of(1)
RECORDS: Final = [record(1, name) for name in NAMES]


def spread(version: str = "", size: int = MIB) -> bytes:
    """Return a package of three pictures at its beginning, in its middle, and at its end."""
    return packed(
        {
            "PMC1/a.jpg": content(1, version + "a.jpg"),
            "PMC1/x.pdf": noise(size // 2, len(version)),
            "PMC1/b.jpg": content(1, version + "b.jpg"),
            "PMC1/y.pdf": noise(size // 2, len(version) + 1),
            "PMC1/c.jpg": content(1, version + "c.jpg"),
        }
    )


WHOLE: Final = spread()


def assert_right(outcomes: dict[str, Outcome], version: str = "") -> None:
    for name in NAMES:
        outcome = outcomes[f"IMG_1_{name[0]}"]
        assert outcome.error is None
        assert is_right(outcome, 1, version + name)


def starts(requests: list[Request]) -> list[str | None]:
    return [one.headers.get("range") for one in requests]


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("tenth", range(1, 10))
async def test_cut_at_each_tenth(tenth: int, reset: bool, tmp_path: Path) -> None:
    """A package of 20 MB goes on where it was cut, under its ETag: what is sent is under 1.05 times the package."""
    big = spread(size=20 * MIB)
    place = len(big) * tenth // 10
    async with ScriptedServer({PATH: big}, Fault(Cut(place, reset=reset), nth=1)) as server:
        outcomes = await fetch(server.base, tmp_path, RECORDS)
        assert [one.status for one in server.requests] == [200, 206]
        assert server.requests[1].headers["if-range"] == f'"{server.bucket.get(PATH).md5}"'  # type: ignore[union-attr]
        ratio = sum(one.sent for one in server.requests) / len(big)
        assert ratio <= 1.05, ratio
    assert_right(outcomes)
    assert outcomes["IMG_1_a"].attempts == 2
    assert outcomes["IMG_1_c"].verified == "crc"


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
async def test_no_byte_is_sent_twice(reset: bool, tmp_path: Path) -> None:
    """The second request begins at the very byte of the cut."""
    place = len(WHOLE) // 2
    async with ScriptedServer({PATH: WHOLE}, Fault(Cut(place, reset=reset), nth=1)) as server:
        assert_right(await fetch(server.base, tmp_path, RECORDS))
        assert starts(server.requests) == [None, f"bytes={place}-"]


@pytest.mark.parametrize("place", [1, 9, 10, 11, 600, len(WHOLE) - 9, len(WHOLE) - 1])
async def test_cut_at_a_sore_point(place: int, tmp_path: Path) -> None:
    """In the gzip header, in a tar header, in the trailer: the parsers wait there for the next byte."""
    async with ScriptedServer({PATH: WHOLE}, Fault(Cut(place), nth=1)) as server:
        outcomes = await fetch(server.base, tmp_path, [*RECORDS, record(1, "none.jpg")])
        assert [one.status for one in server.requests] == [200, 206]
    assert_right(outcomes)


async def test_two_cuts(tmp_path: Path) -> None:
    """A second cut, in the answer to the first one's Range, is gone on with like the first."""
    async with ScriptedServer(
        {PATH: WHOLE}, Fault(Cut(400_000), nth=1), Fault(Cut(400_000, reset=True), nth=2)
    ) as server:
        outcomes = await fetch(server.base, tmp_path, RECORDS)
        assert [one.status for one in server.requests] == [200, 206, 206]
    assert_right(outcomes)


@pytest.mark.parametrize(
    "does", [IgnoreRange(), Etag('W/"{md5}"'), PartAs200(), CloseDelimited()], ids=lambda does: type(does).__name__
)
async def test_a_server_that_cannot_go_on(does: object, tmp_path: Path) -> None:
    """Without ranges, a strong validator, or an answer that can be joined, all begins afresh and ends right."""
    faults = [Fault(Cut(len(WHOLE) // 2), nth=1), Fault(does)]  # type: ignore[arg-type]
    async with ScriptedServer({PATH: WHOLE}, *faults) as server:
        outcomes = await fetch(server.base, tmp_path, RECORDS)
        assert server.requests[-1].sent == len(WHOLE) or isinstance(does, CloseDelimited)
    assert_right(outcomes)


@pytest.mark.parametrize("does", [None, IgnoreIfRange()], ids=["honours If-Range", "ignores it"])
@pytest.mark.parametrize("after", [len(WHOLE) // 4, len(WHOLE) * 3 // 4])
async def test_replaced_in_between(does: object, after: int, tmp_path: Path) -> None:
    """A package that changed between two attempts gives its new pictures only, those that were out already too."""
    faults = [Fault(Cut(after), nth=1), Fault(Swap(spread("new ")), nth=2)]
    faults += [Fault(does)] if does else []  # type: ignore[arg-type]
    async with ScriptedServer({PATH: WHOLE}, *faults) as server:
        outcomes = await fetch(server.base, tmp_path, RECORDS)
        assert len(server.requests) == 2 if does is None else 3
    assert_right(outcomes, "new ")


async def test_replaced_and_then_without_a_picture(tmp_path: Path) -> None:
    """Where the new package lacks a picture that the old one had brought, that picture is missing."""
    new = packed({"PMC1/b.jpg": content(1, "new b.jpg"), "PMC1/c.jpg": content(1, "new c.jpg")})
    async with ScriptedServer({PATH: WHOLE}, Fault(Cut(MIB // 4), nth=1), Fault(Swap(new), nth=2)) as server:
        outcomes = await fetch(server.base, tmp_path, RECORDS)
    assert str(outcomes["IMG_1_a"].reason) == "NO_MEMBER"
    assert is_right(outcomes["IMG_1_b"], 1, "new b.jpg")
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["IMG_1_b.jpg", "IMG_1_c.jpg"]


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
async def test_a_cut_in_a_rest_that_nobody_needs(reset: bool, tmp_path: Path) -> None:
    """After the last wanted picture a cut is no failure: one request, and the picture is there."""
    async with ScriptedServer({PATH: WHOLE}, Fault(Cut(len(WHOLE) - 60_000, reset=reset))) as server:
        outcomes = await fetch(server.base, tmp_path, RECORDS[:2])
        assert len(server.requests) == 1
    assert {name: outcome.verified for name, outcome in outcomes.items()} == {"IMG_1_a": "length", "IMG_1_b": "length"}
    assert is_right(outcomes["IMG_1_b"], 1, "b.jpg")


async def test_cut_for_ever(tmp_path: Path) -> None:
    """A package whose answers all end at once is BROKEN after the attempts, temporary, and leaves nothing."""
    async with ScriptedServer({PATH: WHOLE}, Fault(Cut(0))) as server:
        outcomes = await fetch(server.base, tmp_path, RECORDS)
        assert 3 <= len(server.requests) <= 6
    assert {str(one.reason) for one in outcomes.values()} == {"BROKEN"}
    assert not list(tmp_path.rglob("*.jpg"))


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_storm(seed: int, keeps: bool, tmp_path: Path) -> None:
    """Cuts, resets, wrong bytes, stalls and ignored ranges, all over thirty packages: every byte right."""
    dice = random.Random(seed)
    faults = [
        Fault(Cut(dice.randrange(1, 60_000), reset=True), every=3),
        Fault(Cut(dice.randrange(1, 60_000)), every=4),
        Fault(Reset(), every=11),
        Fault(Stall(dice.randrange(60_000)), nth=1, on="*[37].tar.gz"),
        Fault(WrongByte(dice.randrange(20_000)), every=6),
        Fault(IgnoreRange(), every=5),
        Fault(IgnoreIfRange(), every=2),
        Fault(Trickle(9000, 0.001), every=9),
    ]
    objects = {path_of(number): package(number, *NAMES, before=40_000, after=40_000) for number in range(30)}
    wanted = [record(number, name) for number in range(30) for name in NAMES]
    async with ScriptedServer(objects, *faults) as server:
        more = {"keep_packages": tmp_path / "kept"} if keeps else {}
        outcomes = await fetch(server.base, tmp_path / "out", wanted, attempts=20, timeout=0.5, **more)
    assert {name: outcome.error for name, outcome in outcomes.items() if outcome.error} == {}
    assert all(is_right(outcomes[one.id], int(one.pmcid[3:]), one.name) for one in wanted)
    if keeps:
        assert all((tmp_path / "kept" / path).read_bytes() == whole for path, whole in objects.items())


@pytest.mark.parametrize("tenth", range(1, 10, 2))
@pytest.mark.parametrize("reset", [False, True], ids=["cut", "reset"])
async def test_cut_over_ftp(tenth: int, reset: bool, tmp_path: Path) -> None:
    """REST begins at the byte of the cut, and nothing is sent twice."""
    place = len(WHOLE) * tenth // 10
    fault = Data(reset=place) if reset else Data(cut=place)
    async with ScriptedFtp({PATH: WHOLE}, data=[fault]) as server:
        outcomes = await fetch(server.base, tmp_path, RECORDS)
        rests = [line for _, line in server.commands if line.startswith("REST")]
        assert server.verbs().count("RETR") == 2
        if not reset:  # what a reset takes away of the last window is asked for again
            assert rests == [f"REST {place}"]
            assert server.sent <= 1.05 * len(WHOLE)
    assert_right(outcomes)


async def test_replaced_in_between_over_ftp(tmp_path: Path) -> None:
    """A file with another MDTM begins afresh, without REST, and gives its new pictures only."""
    async with ScriptedFtp({PATH: WHOLE}, data=[Data(cut=len(WHOLE) // 2)]) as server:
        answered = server.next_data

        def replaced() -> Data:
            data = answered()
            if data.cut is None:
                return data
            server.put(PATH, spread("new "))
            return data

        server.next_data = replaced  # type: ignore[method-assign]
        outcomes = await fetch(server.base, tmp_path, RECORDS)
        assert "REST" not in server.verbs()
    assert_right(outcomes, "new ")
