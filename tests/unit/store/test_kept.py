"""KeptReceiver alone: what it leaves, takes up, and throws away."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Any, Final
from unittest import mock

import pytest

from roco_async.errors import Broken, Damaged, DiskRefused, TooLarge, TransferError
from roco_async.protocols import START, Point
from roco_async.records import ImageRecord
from roco_async.store.files import Files, Kept
from roco_async.store.kept import KeptReceiver
from roco_async.store.package import PackageReceiver, Wish
from roco_async.transfer.budget import Budget
from roco_async.transfer.loop import transfer
from tests.packages.stage import MIB, content, package
from tests.servers.packages import packed
from tests.unit.store.test_package import body, no_wait
from tests.unit.wire import Script, Thing, Wire

WHOLE: Final = package(1, before=5000, after=5000)
URL: Final = "http://mirror/1"


@pytest.fixture
async def files() -> AsyncIterator[Files]:
    made = Files()
    yield made
    await made.aclose()


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where packages are kept, beside `tmp_path`: a .part may stay there."""
    return tmp_path_factory.mktemp("kept")


async def receiver_of(
    files: Files, out: Path, folder: Path, name: str = "a.jpg"
) -> tuple[KeptReceiver, PackageReceiver]:
    inner = PackageReceiver(files, [Wish(ImageRecord(name, "PMC1", name), str(out / name))], whole=True)
    receiver = KeptReceiver(files, inner, str(folder / "x" / "PMC1.tar.gz"))
    await receiver.look()
    return receiver, inner


def left(folder: Path) -> dict[str, bytes]:
    return {path.name.removeprefix("PMC1.tar.gz"): path.read_bytes() for path in (folder / "x").glob("*")}


async def carried(files: Files, out: Path, folder: Path, thing: Thing, script: Script, tries: int = 1) -> list[int]:
    """Carry a package once; return the bytes at which it was asked for."""
    wire = Wire({URL: thing}, script, piece=1000)
    receiver, _ = await receiver_of(files, out, folder)
    try:
        await transfer(URL, receiver, transport=wire, budget=Budget(tries, sleep=no_wait))
    except TransferError:
        pass
    finally:
        await receiver.discard()
    return wire.offsets


@pytest.mark.parametrize("place", [1, 999, 5000, len(WHOLE) - 1])
async def test_a_run_goes_on_where_another_was_broken(place: int, files: Files, tmp_path: Path, folder: Path) -> None:
    """One run leaves its bytes and their validator, the next asks for what is lacking, and both files are whole."""
    thing = Thing(WHOLE)
    assert await carried(files, tmp_path, folder, thing, [place]) == [0]
    found = left(folder)
    assert found[".part"] == WHOLE[:place]
    assert json.loads(found[".part.json"]) == {"validator": '"1"', "size": len(WHOLE)}
    assert await carried(files, tmp_path, folder, thing, []) == [place]
    assert left(folder) == {"": WHOLE}
    assert (tmp_path / "a.jpg").read_bytes() == content(1)


async def test_the_note_of_what_is_resumed_stands(files: Files, tmp_path: Path, folder: Path) -> None:
    """What is gone on with keeps its note as it is: a kill in the middle of writing it would cost the bytes."""
    await carried(files, tmp_path, folder, Thing(WHOLE), [5000])
    note = folder / "x" / "PMC1.tar.gz.part.json"
    before = note.stat()
    assert await carried(files, tmp_path, folder, Thing(WHOLE), [1000]) == [5000]
    assert (note.stat().st_ino, note.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


async def test_without_a_validator_nothing_is_left(files: Files, tmp_path: Path, folder: Path) -> None:
    """Bytes that no validator ties to a version are of no use to the next run."""
    await carried(files, tmp_path, folder, Thing(WHOLE, validator=None), [5000])
    assert left(folder) == {}


async def test_a_server_that_lost_its_validators(files: Files, tmp_path: Path, folder: Path) -> None:
    """A note of an earlier version does not outlive the bytes that it spoke of."""
    await carried(files, tmp_path, folder, Thing(WHOLE), [5000])
    receiver, _ = await receiver_of(files, tmp_path, folder)
    assert receiver.point == Point(5000, '"1"')
    await receiver.restart()
    (folder / "x" / "PMC1.tar.gz.part.json").write_text('{"validator": "\\"1\\"", "size": 10}')
    await receiver.begin(body(len(WHOLE), validator=None))
    assert set(left(folder)) == {".part"}
    await receiver.discard()
    assert left(folder) == {}


async def test_another_version(files: Files, tmp_path: Path, folder: Path) -> None:
    """A package that changed between two runs is kept in its new version, and its pictures are that one's."""
    await carried(files, tmp_path, folder, Thing(WHOLE), [5000])
    new = packed({"PMC1/a.jpg": content(1, "new")})
    assert await carried(files, tmp_path, folder, Thing(new, validator='"2"'), []) == [5000]
    assert left(folder) == {"": new}
    assert (tmp_path / "a.jpg").read_bytes() == content(1, "new")


async def test_damage_leaves_nothing(files: Files, tmp_path: Path, folder: Path) -> None:
    """A package whose CRC is wrong each time is not kept, nor a part of it, and no picture of it is."""
    spoilt = bytearray(WHOLE)
    spoilt[-6] ^= 1
    assert await carried(files, tmp_path, folder, Thing(bytes(spoilt)), [], tries=2) == [0, 0]
    assert left(folder) == {}
    assert not (tmp_path / "a.jpg").exists()


async def test_a_bomb_leaves_nothing(files: Files, tmp_path: Path, folder: Path) -> None:
    """What is too large today is too large tomorrow: no part of it is left to be gone on with."""
    whole = packed({"PMC1/zeros": bytes(80 * MIB), "PMC1/a.jpg": content(1)}, level=9)
    receiver, _ = await receiver_of(files, tmp_path, folder)
    with pytest.raises(TooLarge):
        await transfer(URL, receiver, transport=Wire({URL: Thing(whole)}), budget=Budget(3, sleep=no_wait))
    await receiver.discard()
    assert left(folder) == {}


async def test_the_package_has_its_name_before_its_pictures(files: Files, tmp_path: Path, folder: Path) -> None:
    """Whoever ends the run between the two loses nothing: the next one takes the pictures from the folder."""
    receiver, inner = await receiver_of(files, tmp_path, folder)
    await receiver.begin(body(len(WHOLE)))
    await receiver.feed(WHOLE)
    seen: list[bool] = []
    finish = inner.finish

    async def watched() -> None:
        seen.append(await asyncio.to_thread(lambda: set(left(folder)) == {""} and not (tmp_path / "a.jpg").exists()))
        await finish()

    inner.finish = watched  # type: ignore[method-assign]
    await receiver.finish()
    await receiver.discard()
    assert seen == [True]
    assert left(folder) == {"": WHOLE}
    assert isinstance(inner.results[0], Kept)


async def test_too_few_bytes(files: Files, tmp_path: Path, folder: Path) -> None:
    """A body that ended before its size is Broken at its byte, and one without a size that lacks its end is Damaged."""
    receiver, _ = await receiver_of(files, tmp_path, folder)
    assert receiver.point == START
    await receiver.begin(body(len(WHOLE)))
    await receiver.feed(WHOLE[:-3])
    with pytest.raises(Broken):
        await receiver.finish()
    assert receiver.point.offset == len(WHOLE) - 3
    await receiver.restart()
    await receiver.begin(body(None))
    await receiver.feed(WHOLE[:-3])
    with pytest.raises(Damaged):
        await receiver.finish()
    await receiver.restart()
    await receiver.discard()
    assert left(folder) == {}


async def test_another_run_has_it_in_hand(files: Files, tmp_path: Path, folder: Path) -> None:
    """Of two that want one package at once the first keeps it, and both have its pictures, whoever ends first."""
    first, _ = await receiver_of(files, tmp_path, folder)
    await first.begin(body(len(WHOLE)))
    await first.feed(WHOLE[:5000])
    assert await carried(files, tmp_path, folder, Thing(WHOLE), [3000], tries=2) == [0, 3000]
    assert (tmp_path / "a.jpg").read_bytes() == content(1)
    assert left(folder)[".part"] == WHOLE[:5000]
    (tmp_path / "a.jpg").unlink()
    await first.feed(WHOLE[5000:])
    await first.finish()
    await first.discard()
    assert left(folder) == {"": WHOLE}
    assert (tmp_path / "a.jpg").read_bytes() == content(1)


async def test_another_run_begins_meanwhile(files: Files, tmp_path: Path, folder: Path) -> None:
    """Who begins later than another that looked when nothing was there yet leaves the keeping to that one."""
    (first, _), (second, _) = [await receiver_of(files, tmp_path, folder, name) for name in ("a.jpg", "a.jpg")]
    await second.begin(body(len(WHOLE)))
    await second.feed(WHOLE[:100])
    await transfer(URL, first, transport=Wire({URL: Thing(WHOLE)}), budget=Budget(1))
    await first.discard()
    assert left(folder)[".part"] == WHOLE[:100]
    await second.discard()
    assert await carried(files, tmp_path, folder, Thing(WHOLE), []) == [100]
    assert left(folder) == {"": WHOLE}


async def test_named_between_open_and_lock(files: Files, tmp_path: Path, folder: Path, monkeypatch: Any) -> None:
    """A part that got its name just as another run opened it is never written to under that name."""
    await carried(files, tmp_path, folder, Thing(WHOLE), [5000])
    part = folder / "x" / "PMC1.tar.gz.part"
    lock = fcntl.flock

    def late(file: IO[bytes], how: int) -> None:
        if part.exists():
            part.rename(folder / "x" / "PMC1.tar.gz")
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    receiver, _ = await receiver_of(files, tmp_path, folder)
    assert receiver.point == START
    monkeypatch.undo()
    await receiver.begin(body(len(WHOLE)))
    assert left(folder)[""] == WHOLE[:5000]
    await receiver.discard()


async def test_a_file_system_without_locks(files: Files, tmp_path: Path, folder: Path, monkeypatch: Any) -> None:
    """There a single run goes on where a killed one was, as anywhere."""

    def none(file: IO[bytes], how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    await carried(files, tmp_path, folder, Thing(WHOLE), [5000])
    assert await carried(files, tmp_path, folder, Thing(WHOLE), []) == [5000]
    assert left(folder) == {"": WHOLE}


async def test_named_as_another_run_begins_anew(files: Files, tmp_path: Path, folder: Path) -> None:
    """Who gives a package its name leaves the note of a run that has begun another part of it meanwhile."""
    first, _ = await receiver_of(files, tmp_path, folder)
    await first.begin(body(len(WHOLE)))
    await first.feed(WHOLE)
    replace, notes = os.replace, folder / "x" / "PMC1.tar.gz.part.json"

    def and_another(source: str, target: str) -> None:
        replace(source, target)
        Path(source).write_bytes(WHOLE[:10])

    with mock.patch.object(os, "replace", and_another):
        await first.finish()
    await first.discard()
    assert notes.exists()


async def test_a_disk_that_refuses_at_the_close(files: Files, tmp_path: Path, folder: Path) -> None:
    """Where a write-back file system tells only at a close that its disk is full, the package gets no name."""
    receiver, _ = await receiver_of(files, tmp_path, folder)
    await receiver.begin(body(len(WHOLE)))
    await receiver.feed(WHOLE)
    close = os.close

    def full(descriptor: int) -> None:
        close(descriptor)
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    with mock.patch.object(os, "close", full), pytest.raises(DiskRefused):
        await receiver.finish()
    assert "" not in left(folder)
    await receiver.discard()


@pytest.mark.parametrize("taken_up", [False, True])
async def test_somebody_removes_the_part(taken_up: bool, files: Files, tmp_path: Path, folder: Path) -> None:
    """A part that a tidy hand removed is fetched again, and one that another run has begun since stays that run's."""
    first, _ = await receiver_of(files, tmp_path, folder)
    await first.begin(body(len(WHOLE)))
    await first.feed(WHOLE)
    (folder / "x" / "PMC1.tar.gz.part").unlink()
    if taken_up:
        second, _ = await receiver_of(files, tmp_path, folder)
        await second.begin(body(len(WHOLE)))
        await second.feed(WHOLE[:100])
    with pytest.raises(Broken, match="removed"):
        await first.finish()
    assert left(folder).get(".part") == (WHOLE[:100] if taken_up else None)
    await transfer(URL, first, transport=Wire({URL: Thing(WHOLE)}), budget=Budget(1))
    await first.discard()
    assert (tmp_path / "a.jpg").read_bytes() == content(1)
    assert left(folder).get("") == (None if taken_up else WHOLE)
    if taken_up:
        await second.discard()


async def test_a_part_of_another_user(files: Files, tmp_path: Path, folder: Path) -> None:
    """A part that this user may not write is left to its owner, and the picture comes all the same."""
    await carried(files, tmp_path, folder, Thing(WHOLE), [5000])
    with mock.patch.object(os, "open", side_effect=PermissionError(errno.EACCES, "Permission denied")):
        receiver, _ = await receiver_of(files, tmp_path, folder)
    await transfer(URL, receiver, transport=Wire({URL: Thing(WHOLE)}), budget=Budget(1))
    await receiver.discard()
    assert left(folder)[".part"] == WHOLE[:5000]
    assert (tmp_path / "a.jpg").read_bytes() == content(1)


async def test_cancelled_as_it_looks(files: Files, tmp_path: Path, folder: Path) -> None:
    """Whoever leaves while the part is being opened leaves it closed, and free for the next."""
    await carried(files, tmp_path, folder, Thing(WHOLE), [5000])
    inner = PackageReceiver(files, [Wish(ImageRecord("a.jpg", "PMC1", "a.jpg"), str(tmp_path / "a.jpg"))], whole=True)
    receiver = KeptReceiver(files, inner, str(folder / "x" / "PMC1.tar.gz"))
    task = asyncio.create_task(receiver.look())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert await carried(files, tmp_path, folder, Thing(WHOLE), []) == [5000]
    assert left(folder) == {"": WHOLE}
