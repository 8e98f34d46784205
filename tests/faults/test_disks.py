"""Output folders that refuse: missing, full, read-only, not ours, and not folders."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from roco_async import DiskRefused, FetchConfig, Fetcher, FetchReport, RocoError
from tests.servers.faults import Fault, Trickle
from tests.servers.scripted import ScriptedServer

from .mounts import needs_root, small
from .stage import files_below, picture, record
from .test_hosts import bucket


async def fetch(server: ScriptedServer, out: Path, count: int) -> FetchReport:
    config = FetchConfig(out=out, cloud_url=server.base, attempts=2, timeout=1, connections=8)
    async with Fetcher(config) as fetcher:
        return await fetcher.fetch(map(record, range(1, count + 1)))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a tmpfs of 1 MiB, for a test's time."""
    with small(tmp_path / "disk") as folder:
        yield folder


async def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    """An output folder that is not there is made, with its parents."""
    async with ScriptedServer(bucket(3)) as server:
        report = await fetch(server, tmp_path / "a" / "b" / "c", 3)
    assert report.fetched == 3
    assert len(files_below(tmp_path / "a" / "b" / "c")) == 3


@needs_root
async def test_a_full_disk_ends_the_run(small_disk: Path) -> None:
    """A disk that is full raises DiskRefused with the OSError as its cause, and leaves whole files only."""
    async with ScriptedServer(bucket(300, 20_000)) as server:
        with pytest.raises(DiskRefused) as caught:
            await fetch(server, small_disk, 300)
        asked = len(server.requests)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    left = files_below(small_disk)
    assert 10 < len(left) < 60
    assert asked < 150
    for name in left:
        assert (small_disk / name).read_bytes() == picture(Path(name).stem.removeprefix("IMG_"), 20_000)


@needs_root
async def test_a_disk_with_room_again_goes_on(small_disk: Path) -> None:
    """After room was made the next run fetches the rest and asks for nothing that is there."""
    filler = small_disk / "filler"
    filler.write_bytes(bytes(700_000))
    async with ScriptedServer(bucket(25, 20_000)) as server:
        with pytest.raises(DiskRefused):
            await fetch(server, small_disk, 25)
        there = {name for name in files_below(small_disk) if name.startswith("images/")}
        filler.unlink()
        server.requests.clear()
        report = await fetch(server, small_disk, 25)
        asked = {one.key for one in server.requests}
    assert report.reasons == {}
    assert report.skipped == len(there)
    assert len(asked) == 25 - len(there)
    assert len(files_below(small_disk)) == 25


@needs_root
async def test_a_read_only_disk_ends_the_run(small_disk: Path) -> None:
    """A read-only mount raises DiskRefused."""
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    async with ScriptedServer(bucket(50)) as server:
        with pytest.raises(DiskRefused) as caught:
            await fetch(server, small_disk, 50)
        asked = len(server.requests)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EROFS
    assert asked <= 16


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_that_is_not_ours_ends_the_run(tmp_path: Path) -> None:
    """A folder without the right to write raises DiskRefused."""
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        async with ScriptedServer(bucket(5)) as server:
            with pytest.raises(DiskRefused):
                await fetch(server, tmp_path / "out", 5)
    finally:
        tmp_path.chmod(stat.S_IRWXU)


@needs_root
async def test_proc_is_no_place_for_images() -> None:
    """A file system that takes no folder at all raises DiskRefused before many requests."""
    async with ScriptedServer(bucket(50)) as server:
        with pytest.raises(DiskRefused):
            await fetch(server, Path("/proc/roco"), 50)
        asked = len(server.requests)
    assert asked <= 16


@pytest.mark.parametrize("place", ["out", "out/images", "out/.roco", "out/.roco/journal"])
async def test_a_file_where_a_folder_is_wanted(place: str, tmp_path: Path) -> None:
    """A file in the place of a folder raises one of our errors, and the file stays as it is."""
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"mine")
    async with ScriptedServer(bucket(5)) as server:
        with pytest.raises(RocoError):
            await fetch(server, tmp_path / "out", 5)
    assert file.read_bytes() == b"mine"


async def test_a_folder_where_an_image_is_wanted(tmp_path: Path) -> None:
    """A folder under an image's name is not removed, and the others come or the run says that the disk refuses."""
    (tmp_path / "images" / "IMG_1.jpg" / "kept").mkdir(parents=True)
    async with ScriptedServer(bucket(5)) as server:
        try:
            report = await fetch(server, tmp_path, 5)
        except DiskRefused:
            report = None
    assert (tmp_path / "images" / "IMG_1.jpg" / "kept").is_dir()
    assert report is None or (report.fetched, report.failed) == (4, 1)
    assert not list(tmp_path.rglob("*.part"))


async def test_a_folder_that_vanishes(tmp_path: Path) -> None:
    """A folder that somebody removes in the middle is made again, or ends the run as a disk that refuses: no hang."""
    async with ScriptedServer(bucket(80), Fault(Trickle(500, 0.005))) as server:
        run = asyncio.create_task(fetch(server, tmp_path / "out", 80))
        while sum(one.whole for one in server.requests) < 20:
            await asyncio.sleep(0.005)
        await asyncio.to_thread(shutil.rmtree, tmp_path / "out" / "images", ignore_errors=True)
        try:
            report = await asyncio.wait_for(run, 10)
        except DiskRefused:
            report = None
    left = files_below(tmp_path / "out")
    assert all((tmp_path / "out" / name).stat().st_size == 3000 for name in left)
    assert report is None or (report.requested == 80 and report.failed == 0 and len(left) >= 40)


async def test_a_link_in_the_place_of_an_image_is_not_followed(tmp_path: Path) -> None:
    """A symbolic link under an image's name never lets a byte out of the folder."""
    outside = tmp_path / "outside.txt"
    outside.write_bytes(b"mine")
    images = tmp_path / "out" / "images"
    images.mkdir(parents=True)
    (images / "IMG_1.jpg").symlink_to(outside)
    (images / "IMG_2.jpg").symlink_to(tmp_path / "nowhere.txt")
    async with ScriptedServer(bucket(2)) as server:
        report = await fetch(server, tmp_path / "out", 2)
    assert outside.read_bytes() == b"mine"
    assert not (tmp_path / "nowhere.txt").exists()
    assert report.fetched == 2
    assert [(images / f"IMG_{number}.jpg").is_symlink() for number in (1, 2)] == [False, False]


async def test_a_name_that_is_too_long_for_the_disk(tmp_path: Path) -> None:
    """An id of 300 letters costs that image only, or is bad input; the others come."""
    async with ScriptedServer({**bucket(4), "PMC9.1/a.jpg": picture("9")}) as server:
        config = FetchConfig(out=tmp_path, cloud_url=server.base, attempts=2, timeout=1)
        long = record(9)
        records = [record(1), type(long)("x" * 300, "PMC9", "a.jpg"), record(2), record(3), record(4)]
        async with Fetcher(config) as fetcher:
            report = await fetcher.fetch(records)
    assert (report.fetched, report.failed) == (4, 1)
    assert not list(tmp_path.rglob("*.part"))


async def test_what_somebody_put_there_is_checked(tmp_path: Path) -> None:
    """A good file without a row in the journal is kept unasked; a torn, an empty and an HTML one are fetched again."""
    images = tmp_path / "images"
    images.mkdir()
    good = bucket(4)
    (images / "IMG_1.jpg").write_bytes(good["PMC1.1/a.jpg"])
    (images / "IMG_2.jpg").write_bytes(good["PMC2.1/a.jpg"][:-500])
    (images / "IMG_3.jpg").write_bytes(b"")
    (images / "IMG_4.jpg").write_bytes(b"<!DOCTYPE html><html></html>")
    async with ScriptedServer(good) as server:
        report = await fetch(server, tmp_path, 4)
        asked = sorted(one.key for one in server.requests)
    assert (report.fetched, report.skipped) == (3, 1)
    assert asked == ["PMC2.1/a.jpg", "PMC3.1/a.jpg", "PMC4.1/a.jpg"]
    assert all((images / f"IMG_{n}.jpg").read_bytes() == good[f"PMC{n}.1/a.jpg"] for n in range(1, 5))


@pytest.mark.parametrize(
    "line", ['{"id": "IMG_1", "sta', "\0\0\0\0", "[]", "null", '{"status": 7}', "é" * 10], ids=repr
)
async def test_a_torn_journal_costs_nothing(line: str, tmp_path: Path) -> None:
    """A journal that ends in the middle of a row, or holds nonsense, stops nothing and asks for nothing again."""
    async with ScriptedServer(bucket(5)) as server:
        await fetch(server, tmp_path, 5)
        (journal,) = (tmp_path / ".roco" / "journal").glob("*.jsonl")
        with journal.open("ab") as file:
            file.write(line.encode("latin-1"))
        server.requests.clear()
        report = await fetch(server, tmp_path, 5)
        asked = len(server.requests)
    assert report.skipped == 5
    assert asked == 0
