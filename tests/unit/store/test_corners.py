"""Where the store is seldom: garbage behind a cut archive, copies that a disk refuses, files that went meanwhile."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import re
import shutil
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from roco_async.errors import Broken, Busy, Damaged, DiskRefused, Unsafe
from roco_async.records import ImageRecord
from roco_async.store import temps
from roco_async.store.files import Bodies, Files, Kept
from roco_async.store.inventory import Inventory, Place
from roco_async.store.package import PackageReceiver, Wish
from roco_async.store.verify import State, Verifier, examine
from tests.packages.stage import content, package
from tests.servers.pictures import tiny_jpeg
from tests.unit.clock import settle

from .test_package import body, wishes

WHOLE = package(1, before=2000)


async def test_garbage_after_a_cut_tar(files: Files, tmp_path: Path) -> None:
    """Garbage behind a gzip whose tar is cut is damage: that the wanted member is lacking is not said of it."""
    cut = gzip.compress(gzip.decompress(WHOLE)[:1500], mtime=0) + b"garbage"
    receiver = PackageReceiver(files, wishes(tmp_path, "a.jpg"))
    await receiver.begin(body(len(cut)))
    with pytest.raises(Damaged):
        await receiver.feed(cut)
    await receiver.discard()


async def test_garbage_after_a_whole_package(files: Files, tmp_path: Path) -> None:
    """A package that is wanted to its end is good with garbage behind it: archive and CRC were whole before that."""
    padded = WHOLE + b"garbage"
    receiver = PackageReceiver(files, wishes(tmp_path, "a.jpg"), whole=True)
    await receiver.begin(body(len(padded)))
    await receiver.feed(padded)
    await receiver.finish()
    (kept,) = receiver.results
    assert isinstance(kept, Kept)
    assert kept.verified == "crc"


async def test_a_second_name_that_the_disk_does_not_take(files: Files, tmp_path: Path) -> None:
    """Of three images of one member, one may have a folder that no disk can make; it alone is UNSAFE."""
    record = ImageRecord("a", "PMC1", "a.jpg")
    folders = [tmp_path / "1", tmp_path / ("long" * 100), tmp_path / "3"]
    receiver = PackageReceiver(files, [Wish(record, str(folder / "a.jpg")) for folder in folders])
    await receiver.begin(body(len(WHOLE)))
    await receiver.feed(WHOLE)
    await receiver.finish()
    assert [type(result) for result in receiver.results] == [Kept, Unsafe, Kept]
    assert all((tmp_path / folder / "a.jpg").read_bytes() == content(1) for folder in "13")
    assert list(tmp_path.rglob("*.part")) == []


async def test_a_copy_that_the_disk_refuses(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full when a member is copied for its second image ends the run, and leaves no temporary file."""

    def full(source: str, target: str) -> None:
        Path(target).touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    receiver = PackageReceiver(files, [*wishes(tmp_path, "a.jpg"), *wishes(tmp_path / "2", "a.jpg")])
    await receiver.begin(body(len(WHOLE)))
    await receiver.feed(WHOLE)
    with pytest.raises(DiskRefused):
        await receiver.finish()
    await receiver.discard()
    assert list(tmp_path.rglob("*.part")) == []


async def test_a_commit_after_the_end(tmp_path: Path) -> None:
    """A store that is closed takes no image any more, and says so."""
    files = Files()
    await files.aclose()
    with pytest.raises(Broken):
        await files.commit(Bodies(path=str(tmp_path / "a.jpg"), name="a.jpg", chunks=[b"x"], size=1))


async def test_a_folder_that_no_disk_can_have(files: Files, tmp_path: Path) -> None:
    """`verify` takes an image whose folder has too long a name for missing, not for an error."""

    async def records() -> AsyncIterator[ImageRecord]:
        yield ImageRecord("a", "PMC1", "a.jpg", folder="long" * 100)

    inventory = Inventory(tmp_path, files)
    await inventory.open()
    (finding,) = [finding async for finding in Verifier(inventory).findings(records())]
    assert finding.state is State.MISSING


def test_a_file_that_went_meanwhile(tmp_path: Path) -> None:
    """A file that was there at the look round and is not there when it is read is missing, not an error."""
    finding = examine(ImageRecord("a", "PMC1", "a.jpg"), Place(str(tmp_path / "a.jpg"), 7, None))
    assert finding.state is State.MISSING


async def test_one_member_on_two_disks(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that is wanted in two folders is copied to the other disk, and nothing is left beside."""
    replace = os.replace

    def on_one_disk(source: str, target: str) -> None:
        if os.path.dirname(source) != os.path.dirname(target):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        replace(source, target)

    monkeypatch.setattr(os, "replace", on_one_disk)
    record = ImageRecord("a", "PMC1", "a.jpg")
    receiver = PackageReceiver(files, [Wish(record, str(tmp_path / folder / "a.jpg")) for folder in "12"])
    await receiver.begin(body(len(WHOLE)))
    await receiver.feed(WHOLE)
    await receiver.finish()
    assert [type(result) for result in receiver.results] == [Kept, Kept]
    assert [sorted(path.name for path in (tmp_path / folder).iterdir()) for folder in "12"] == [["a.jpg"], ["a.jpg"]]


async def test_a_name_that_has_no_bytes(files: Files, tmp_path: Path) -> None:
    """An error that no disk made reaches who waits for the image, and nobody waits for ever."""
    data = tiny_jpeg()
    for _ in range(3):
        with pytest.raises(UnicodeEncodeError):
            await files.commit(Bodies(path=f"{tmp_path}/\ud800.jpg", name="a.jpg", chunks=[data], size=len(data)))


@pytest.mark.parametrize("threads", [0, 1])
async def test_no_more_threads(threads: int, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread does the work of all where the system gives no more; without one each image has failed for now."""

    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    def body(name: str) -> Bodies:
        return Bodies(path=f"{tmp_path}/{name}.jpg", name="a.jpg", chunks=[tiny_jpeg()], size=len(tiny_jpeg()))

    held = threading.Event()
    busy = asyncio.create_task(files.call(held.wait)) if threads else None
    await settle()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        commits = asyncio.gather(*[files.commit(body(str(n))) for n in range(40)], return_exceptions=True)
        await settle()
        held.set()
        kinds = {type(one) for one in await commits}
    if busy is not None:
        assert await busy
    await files.commit(body("last"))
    assert (kinds, len(os.listdir(tmp_path))) == (({Kept}, 41) if threads else ({Busy}, 1))


def test_a_clock_that_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files of a living process stay whatever the clock says, and those of one before it do not."""
    mine = temps.prefix() + "0.part"
    monkeypatch.setattr(time, "time", lambda: 1e6)
    early = temps.prefix() + "0.part"
    other = re.sub("-s[0-9]+-(?=[0-9a-f]+-0.part)", "-s1-", mine)
    for name in (mine, early, other):
        (tmp_path / name).touch()
    assert temps.scan(str(tmp_path)) == {}
    assert {path.name for path in tmp_path.iterdir()} == {mine, early}
    for path in tmp_path.iterdir():
        path.unlink()


def test_temporary_files_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary file of a process that may not be signalled is left alone: it lives."""

    def forbidden(pid: int, number: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    name = temps.prefix().replace(f"-{os.getpid()}-", "-1-") + "0.part"
    (tmp_path / name).touch()
    monkeypatch.setattr(os, "kill", forbidden)
    assert temps.scan(str(tmp_path)) == {}
    assert (tmp_path / name).exists()
    (tmp_path / name).unlink()


def test_a_system_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody tells when a process began, one of that number counts as the one that made a temporary file."""
    monkeypatch.setattr(temps, "_process_start", lambda _: None)
    name = temps.prefix() + "0.part"
    (tmp_path / name).touch()
    (tmp_path / "a.jpg").write_bytes(tiny_jpeg())
    assert set(temps.scan(str(tmp_path))) == {"a.jpg"}
    assert (tmp_path / name).exists()
    (tmp_path / name).unlink()
