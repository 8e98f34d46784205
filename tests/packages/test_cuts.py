"""Lines that break: a package goes on at its byte, or starts afresh where it must, and is never two versions."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

import pytest

from roco_async import Outcome
from tests.servers.faults import (
    Cut,
    Fault,
    IgnoreIfRange,
    IgnoreRange,
    Reset,
    Stall,
    Trickle,
    WrongByte,
)
from tests.servers.packages import packed
from tests.servers.scripted import ScriptedServer

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


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_storm(seed: int, keeps: bool, tmp_path: Path) -> None:
    """Cuts, resets, wrong bytes, stalls and ignored ranges, all over sixteen packages: every byte right."""
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
    objects = {path_of(number): package(number, *NAMES, before=40_000, after=40_000) for number in range(16)}
    wanted = [record(number, name) for number in range(16) for name in NAMES]
    async with ScriptedServer(objects, *faults) as server:
        more = {"keep_packages": tmp_path / "kept"} if keeps else {}
        outcomes = await fetch(server.base, tmp_path / "out", wanted, attempts=20, timeout=0.5, **more)
    assert {name: outcome.error for name, outcome in outcomes.items() if outcome.error} == {}
    assert all(is_right(outcomes[one.id], int(one.pmcid[3:]), one.name) for one in wanted)
    if keeps:
        assert all((tmp_path / "kept" / path).read_bytes() == whole for path, whole in objects.items())
