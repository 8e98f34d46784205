"""Names that differ by case only, and names that a file system does not take, on a real one: exFAT."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from roco_async import DiskRefused, FetchConfig, Fetcher, FetchReport, ImageRecord, Reason
from tests.packages import stage as packages
from tests.servers.objects import StoredObject
from tests.servers.scripted import ScriptedServer

from .mounts import caseless, needs_root
from .stage import picture

pytestmark = needs_root

TWINS = [
    ImageRecord("IMG_a", "PMC1", "a.jpg"),
    ImageRecord("img_A", "PMC2", "a.jpg"),
    ImageRecord("b", "PMC3", "a.jpg"),
]
BUCKET = {f"PMC{number}.1/a.jpg": picture(str(number), 3000) for number in range(1, 5)}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with caseless(tmp_path / "disk") as folder:
        yield folder


async def fetch(server: ScriptedServer, out: Path, records: list[ImageRecord], **more: object) -> FetchReport:
    server.requests.clear()
    config = FetchConfig(out=out, cloud_url=server.base, attempts=2, timeout=1, **more)  # type: ignore[arg-type]
    async with Fetcher(config) as fetcher:
        return await fetcher.fetch(records)


def holds(out: Path, **numbers: int) -> bool:
    """Say whether the images folder has just these files, each of its article."""
    whole = {f"{name}.jpg": BUCKET[f"PMC{number}.1/a.jpg"] for name, number in numbers.items()}
    return {path.name: path.read_bytes() for path in (out / "images").iterdir()} == whole


async def test_the_file_system_does_not_tell_names_apart(disk: Path) -> None:
    """What these tests stand on: two names that differ by case are one file."""
    (disk / "a").write_bytes(b"1")
    (disk / "A").write_bytes(b"2")
    assert (os.listdir(disk), (disk / "a").read_bytes()) == (["a"], b"2")


async def test_the_second_of_two_twins_is_refused(disk: Path) -> None:
    """The first of the list comes, the second is UNSAFE with both names and unasked; so it stays in any order."""
    async with ScriptedServer(BUCKET) as server:
        report = await fetch(server, disk, TWINS)
        assert (report.fetched, report.reasons) == (2, {"UNSAFE": 1})
        (lost,) = report.failures
        assert (lost.record.id, lost.reason, lost.attempts) == ("img_A", Reason.UNSAFE, 0)
        assert "images/img_A.jpg for images/IMG_a.jpg" in str(lost.error)
        assert sorted(one.key for one in server.requests) == ["PMC1.1/a.jpg", "PMC3.1/a.jpg"]
        assert holds(disk, IMG_a=1, b=3)
        for order in (TWINS, TWINS[::-1]):
            report = await fetch(server, disk, order)
            assert (report.skipped, report.reasons, server.requests) == (2, {"UNSAFE": 1}, [])
            assert holds(disk, IMG_a=1, b=3)


async def test_twins_in_twin_folders(disk: Path) -> None:
    """Folders that differ by case are one folder, and their images are twins."""
    records = [ImageRecord("x", "PMC1", "a.jpg", "images"), ImageRecord("x", "PMC2", "a.jpg", "IMAGES")]
    async with ScriptedServer(BUCKET) as server:
        report = await fetch(server, disk, records)
    assert (report.fetched, report.reasons) == (1, {"UNSAFE": 1})
    assert holds(disk, x=1)


async def test_the_same_image_twice_is_no_twin(disk: Path) -> None:
    """A record that stands in the list twice is itself."""
    async with ScriptedServer(BUCKET) as server:
        report = await fetch(server, disk, [TWINS[0]] * 3)
    assert (report.requested, report.failed) == (3, 0)
    assert holds(disk, IMG_a=1)


async def test_twins_of_a_package(disk: Path) -> None:
    """On the package road the second twin is refused as well, and its neighbours come."""
    wanted = [packages.record(1), packages.record(1, "b.jpg"), packages.record(2)]
    twin = ImageRecord(wanted[0].id.lower(), "PMC1", "b.jpg", package_path=packages.path_of(1))
    held = {packages.path_of(number): StoredObject(packages.package(number, "a.jpg", "b.jpg")) for number in (1, 2)}
    async with ScriptedServer(held) as server:
        outcomes = await packages.fetch(server.base, disk, [*wanted, twin])
    assert packages.tell(outcomes) == {**{record.id: "crc" for record in wanted}, twin.id: "UNSAFE"}
    assert packages.is_right(outcomes[wanted[0].id], 1)


async def test_a_folder_that_was_not_asked_before(disk: Path) -> None:
    """An output folder that has files of its own is asked by one of them; what another tool put there is replaced."""
    (disk / "images").mkdir()
    (disk / "images" / "img_A.jpg").write_bytes(b"<html>")
    async with ScriptedServer(BUCKET) as server:
        report = await fetch(server, disk, TWINS)
        assert (report.fetched, report.reasons) == (2, {"UNSAFE": 1})
        report = await fetch(server, disk, TWINS)
        assert (report.skipped, server.requests) == (2, [])
    assert (disk / "images" / "IMG_a.jpg").read_bytes() == BUCKET["PMC1.1/a.jpg"]


@pytest.mark.parametrize("id", ["c:d", "what?", "a*b", 'q"q', "<x>", "a|b"])
async def test_a_name_that_this_file_system_does_not_take(id: str, disk: Path) -> None:
    """An id with a character that exFAT has no place for costs that image only, for good; the next run goes on."""
    records = [TWINS[0], ImageRecord(id, "PMC4", "a.jpg"), TWINS[2]]
    async with ScriptedServer(BUCKET) as server:
        report = await fetch(server, disk, records)
        assert (report.fetched, report.reasons) == (2, {"UNSAFE": 1})
        assert f"{id}.jpg" in str(report.failures[0].error)
        assert (await fetch(server, disk, records)).skipped == 2
    assert holds(disk, IMG_a=1, b=3)


async def test_a_full_one(disk: Path) -> None:
    """A full exFAT ends the run as any disk does."""
    (disk / "filler").write_bytes(bytes((os.statvfs(disk).f_bavail - 12) * os.statvfs(disk).f_frsize))
    async with ScriptedServer({f"PMC{n}.1/a.jpg": picture(str(n), 9000) for n in range(40)}) as server:
        with pytest.raises(DiskRefused):
            await fetch(server, disk, [ImageRecord(f"x{n}", f"PMC{n}", "a.jpg") for n in range(40)])
    assert all(path.stat().st_size == 9000 for path in (disk / "images").iterdir())
