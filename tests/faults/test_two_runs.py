"""Two runs into one folder, at the same time, and a check beside them: both end, and every file is right."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from roco_async import FetchConfig, Fetcher, FetchReport, ImageRecord, VerifyReport, verify_split
from tests.cancel.stage import write_annotations
from tests.cli.program import Done, Program, calm, served, wait_until
from tests.packages.stage import content, package, path_of
from tests.servers.faults import Cut, Fault, Trickle
from tests.servers.scripted import ScriptedServer, in_thread

from .stage import files_below

COUNT = 24
NAMES = ("a.jpg", "b.jpg", "c.jpg")
SLOW = Fault(Trickle(4000, 0.004))


def both_roads() -> dict[str, bytes]:
    """Return a bucket that is a mirror too: the same pictures in packages, and each alone."""
    packages = {path_of(number): package(number, *NAMES, before=3000, after=3000) for number in range(1, COUNT + 1)}
    images = {f"PMC{n}.1/{name}": content(n, name) for n in range(1, COUNT + 1) for name in NAMES}
    return {**packages, **images}


def records() -> list[ImageRecord]:
    return [
        ImageRecord(f"IMG_{number}_{name[0]}", f"PMC{number}", name, package_path=path_of(number))
        for number in range(1, COUNT + 1)
        for name in NAMES
    ]


WHOLE = {f"images/IMG_{n}_{name[0]}.jpg": content(n, name) for n in range(1, COUNT + 1) for name in NAMES}


def there(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in files_below(out)}


async def fetch(
    server: ScriptedServer, out: Path, wanted: list[ImageRecord], *sources: str, keep: Path | None = None
) -> FetchReport:
    urls: dict[str, Any] = {"cloud_url": server.base, "packages_url": server.base}
    config = FetchConfig(out=out, source=sources, keep_packages=keep, connections=4, timeout=2, outage=2, **urls)
    async with Fetcher(config) as fetcher:
        return await fetcher.fetch(wanted)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("packages",), ("packages",)),
        (("cloud",), ("packages",)),
        (("cloud", "packages"), ("packages", "cloud")),
    ],
    ids=str,
)
async def test_two_runs_at_once(one: tuple[str, ...], other: tuple[str, ...], tmp_path: Path) -> None:
    """Two runs by packages, or one by each road: both bring all, nothing is torn, and a third asks for nothing."""
    async with ScriptedServer(both_roads(), SLOW) as server:
        first, second = await asyncio.gather(
            fetch(server, tmp_path, records(), *one), fetch(server, tmp_path, records()[::-1], *other)
        )
        asked = Counter(request.key for request in server.requests)
        server.requests.clear()
        third = await fetch(server, tmp_path, records(), *one)
        assert server.requests == []
    assert (first.reasons, second.reasons) == ({}, {})
    assert max(asked.values()) == 2 or one != other, "they were not at it at the same time"
    assert third.skipped == len(WHOLE)
    assert there(tmp_path) == WHOLE


async def test_two_runs_keep_packages_in_one_folder(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two runs with one DIR for the packages: all pictures and packages are there and whole, and no part is left."""
    kept = tmp_path_factory.mktemp("kept")
    async with ScriptedServer(both_roads(), SLOW, Fault(Cut(3500), nth=1)) as server:
        runs = [fetch(server, tmp_path / name, records(), "packages", keep=kept) for name in ("one", "other")]
        reports = await asyncio.gather(*runs)
        asked = Counter(request.key for request in server.requests)
    assert max(asked.values()) > 2, "they were not at it at the same time"
    assert [report.reasons for report in reports] == [{}, {}]
    assert there(tmp_path / "one") == there(tmp_path / "other") == WHOLE
    assert there(kept) == {key: body for key, body in both_roads().items() if key.endswith(".tar.gz")}


@pytest.fixture
def program(tmp_path: Path) -> Iterator[tuple[Program, ScriptedServer]]:
    """The command line, 60 images, and a bucket that takes its time."""
    write_annotations(tmp_path / "notes", 60)
    (tmp_path / "home").mkdir()
    pictures = {f"PMC{number}.1/a.jpg": content(number) for number in range(1, 61)}
    server = ScriptedServer(pictures, Fault(Trickle(2000, 0.02)))
    with in_thread(server):
        yield Program(tmp_path, server.base), server


def test_two_processes_and_a_check_beside_them(program: tuple[Program, ScriptedServer]) -> None:
    """Two fetches and, as long as they run, one `verify` after another: no check finds damage, all is there at last."""
    command, server = program
    line = "test/radiology --data notes --out out --json --no-progress"
    fetches = [command.start(f"{line} -n 2"), command.start(f"{line} -n 3")]
    wait_until(lambda: served(server) >= 10)
    checks: list[Done] = []
    while any(process.poll() is None for process in fetches):
        checks.append(calm(command.run(f"verify {line}", ())))
    done = [calm(command.wait(process)) for process in fetches]
    assert [one.code for one in done] == [0, 0]
    assert [one.json["failed"] for one in done] == [0, 0]
    assert checks, "no check ran beside them"
    assert any(check.json["missing"] for check in checks), "the checks came too late"
    assert [check.json["damaged"] for check in checks] == [0] * len(checks)
    last = calm(command.run(f"verify {line}", ()))
    assert (last.code, last.json["verified"], last.json["unknown"]) == (0, 60, 0)
    out = command.folder / "out"
    assert there(out) == {f"test/radiology/images/ROCO_{n:05}.jpg": content(n) for n in range(1, 61)}


async def test_a_check_beside_a_fetch_by_packages(tmp_path: Path) -> None:
    """`verify_split` beside a run by packages finds what is there whole, and nothing damaged."""
    write_annotations(tmp_path / "notes", COUNT)
    folder = "test/radiology/images"
    wanted = [
        ImageRecord(f"ROCO_{n:05}", f"PMC{n}", "a.jpg", folder, package_path=path_of(n)) for n in range(1, COUNT + 1)
    ]
    held = {path_of(number): package(number, before=20_000, after=3000) for number in range(1, COUNT + 1)}
    checks: list[VerifyReport] = []
    async with ScriptedServer(held, SLOW) as server:
        run = asyncio.create_task(fetch(server, tmp_path / "out", wanted, "packages"))
        while not run.done():
            checks.append(await verify_split("test", group="radiology", data=tmp_path / "notes", out=tmp_path / "out"))
        report = await run
    assert report.fetched == COUNT
    assert any(check.missing for check in checks), "the checks came too late"
    assert all(check.damaged == [] and check.unknown == [] for check in checks)
    assert there(tmp_path / "out") == {f"{folder}/ROCO_{n:05}.jpg": content(n) for n in range(1, COUNT + 1)}
