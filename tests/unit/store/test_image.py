"""The receiver of one image: gathered in memory, spilled over 8 MiB, resumed, begun afresh, given up."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from roco_async.errors import Broken, Busy, Damaged, DiskRefused, Stale, TooLarge
from roco_async.protocols import START, Body, Point
from roco_async.store import image
from roco_async.store.files import Files
from roco_async.store.image import GATHERED, LARGEST, ImageReceiver
from roco_async.transfer.budget import Budget
from roco_async.transfer.loop import transfer
from tests.servers.pictures import tiny_jpeg
from tests.unit.wire import Answer, Thing, Wire

PICTURE = tiny_jpeg()
MIB = 1 << 20
LARGE = PICTURE[:20] + bytes(9 * MIB) + PICTURE[20:]
URL = "http://h/a"


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


async def nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def body(content: bytes, *, start: int = 0, validator: str | None = '"1"', **fields: Any) -> Body:
    told = {"size": len(content), "digest": None} | fields
    return Body(start=start, validator=validator, chunks=nothing(), **told)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def into(files: Files, tmp_path: Path) -> ImageReceiver:
    return ImageReceiver(files, str(tmp_path / "images" / "x.jpg"), "fig1.jpg")


async def feed(into: ImageReceiver, content: bytes, *, step: int = MIB) -> None:
    for place in range(0, len(content), step):
        assert await into.feed(content[place : place + step])


async def at_once(seconds: float) -> None:
    pass


async def carry(into: ImageReceiver, wire: Wire, attempts: int = 6) -> None:
    await transfer(URL, into, transport=wire, budget=Budget(attempts, sleep=at_once))


@pytest.mark.parametrize("content", [PICTURE, LARGE])
async def test_whole(into: ImageReceiver, tmp_path: Path, content: bytes) -> None:
    """A small and a large picture end as one file each, with size, md5 and by what it was verified."""
    await into.begin(body(content, digest=md5(content)))
    await feed(into, content)
    await into.finish()
    assert Path(into.path).read_bytes() == content
    assert into.kept is not None
    assert (into.kept.size, into.kept.md5, into.kept.verified) == (len(content), md5(content), "md5")
    assert names(tmp_path) == ["x.jpg"]


async def test_nothing_is_on_disk_up_to_8_mib(into: ImageReceiver, tmp_path: Path) -> None:
    """Up to 8 MiB are gathered in memory; the next byte sends them to a temporary file in the image's own folder."""
    await into.begin(body(LARGE))
    await feed(into, LARGE[:GATHERED])
    assert names(tmp_path) == []
    await into.feed(b"x")
    (temp,) = names(tmp_path)
    assert (tmp_path / "images" / temp).stat().st_size == GATHERED + 1
    await into.discard()


@pytest.mark.parametrize("content", [PICTURE, LARGE])
async def test_the_point(into: ImageReceiver, content: bytes) -> None:
    """The point is START at first and after a restart, and between them behind the last byte."""
    await into.begin(body(content))
    assert into.point == START
    await feed(into, content)
    assert into.point == Point(len(content), '"1"')
    await into.restart()
    assert into.point == START


@pytest.mark.parametrize("breaks", [[1], [len(PICTURE) - 1, 0], [len(PICTURE)]])
async def test_a_small_one_is_resumed(into: ImageReceiver, breaks: list[int]) -> None:
    """A small picture that is cut goes on at its byte."""
    wire = Wire({URL: Thing(PICTURE)}, breaks)
    await carry(into, wire)
    assert Path(into.path).read_bytes() == PICTURE
    assert all(wire.offsets[1:])


@pytest.mark.parametrize("digest", [None, md5(LARGE)])
async def test_a_large_one_is_resumed(into: ImageReceiver, tmp_path: Path, digest: str | None) -> None:
    """A picture that was spilled goes on at its byte, before and behind the spill, and its md5 goes along."""
    wire = Wire({URL: Thing(LARGE, digest=digest)}, [3 * MIB, 5 * MIB + 7, 1000, 0], piece=MIB)
    await carry(into, wire)
    assert Path(into.path).read_bytes() == LARGE
    assert wire.offsets == [0, 3 * MIB, 8 * MIB + 7, 8 * MIB + 1007, 8 * MIB + 1007]
    assert into.kept is not None
    assert into.kept.md5 == md5(LARGE)
    assert names(tmp_path) == ["x.jpg"]


@pytest.mark.parametrize("new", [PICTURE, LARGE[::-1] + PICTURE])
async def test_a_spilled_one_begins_afresh(into: ImageReceiver, tmp_path: Path, new: bytes) -> None:
    """A changed object takes the place of what was spilled of the old one, whole."""
    thing = Thing(new, '"2"', md5(new))
    await carry(into, Wire({URL: Thing(LARGE)}, [8 * MIB + 9, Answer(thing=thing)], piece=MIB))
    assert Path(into.path).read_bytes() == new
    assert names(tmp_path) == ["x.jpg"]


@pytest.mark.parametrize("content", [PICTURE, LARGE])
async def test_damaged_then_good(into: ImageReceiver, tmp_path: Path, content: bytes) -> None:
    """A picture with a wrong digest leaves nothing, and the next try brings it whole."""
    bad = Thing(content[:-3] + b"xyz", digest=md5(content))
    wire = Wire({URL: bad}, [None, Answer(thing=Thing(content, digest=md5(content)))], piece=MIB)
    await carry(into, wire)
    assert Path(into.path).read_bytes() == content
    assert (wire.offsets, names(tmp_path)) == ([0, 0], ["x.jpg"])


@pytest.mark.parametrize("size", [1, GATHERED + 1, 9 * MIB])
async def test_discarded(into: ImageReceiver, tmp_path: Path, size: int) -> None:
    """Giving up, once and again, leaves no file."""
    await into.begin(body(LARGE))
    await feed(into, LARGE[:size])
    await into.discard()
    await into.discard()
    assert names(tmp_path) == []


@pytest.mark.parametrize("content", [PICTURE, LARGE])
async def test_discarded_after_its_end(into: ImageReceiver, tmp_path: Path, content: bytes) -> None:
    """Giving up after `finish` harms nothing."""
    await carry(into, Wire({URL: Thing(content)}))
    await into.discard()
    assert names(tmp_path) == ["x.jpg"]


class TestLengths:
    @pytest.mark.parametrize("content", [PICTURE, LARGE])
    async def test_short(self, into: ImageReceiver, content: bytes) -> None:
        """Fewer bytes than declared are Broken and the point stays, so that the rest can be asked for."""
        await into.begin(body(content))
        await feed(into, content[:-1])
        with pytest.raises(Broken) as raised:
            await into.finish()
        assert not raised.value.overload
        assert into.point.offset == len(content) - 1
        await feed(into, content[-1:])
        await into.finish()
        assert Path(into.path).read_bytes() == content

    async def test_long(self, into: ImageReceiver) -> None:
        """More bytes than declared are Damaged."""
        await into.begin(body(PICTURE, size=len(PICTURE) - 1))
        await feed(into, PICTURE)
        with pytest.raises(Damaged):
            await into.finish()

    async def test_the_list_knows_better(self, files: Files, tmp_path: Path) -> None:
        """A size of the list goes before the server's: whole by the server and short by the list is Damaged."""
        into = ImageReceiver(files, str(tmp_path / "x.jpg"), "fig1.jpg", size=len(PICTURE) + 1)
        await into.begin(body(PICTURE))
        await feed(into, PICTURE)
        with pytest.raises(Damaged, match="list"):
            await into.finish()

    async def test_the_lists_md5_goes_first(self, files: Files, tmp_path: Path) -> None:
        """An md5 of the list, in either case, goes before the server's digest."""
        for digest, good in ((md5(PICTURE).upper(), True), ("0" * 32, False)):
            into = ImageReceiver(files, str(tmp_path / "x.jpg"), "fig1.jpg", md5=digest)
            await into.begin(body(PICTURE, digest="0" * 32 if good else md5(PICTURE)))
            await feed(into, PICTURE)
            if good:
                await into.finish()
            else:
                with pytest.raises(Damaged):
                    await into.finish()

    async def test_another_size_is_another_version(self, into: ImageReceiver) -> None:
        """A part of an object of another size is Stale."""
        await into.begin(body(PICTURE))
        await into.feed(PICTURE[:9])
        with pytest.raises(Stale):
            await into.begin(body(PICTURE, start=9, size=len(PICTURE) + 1))

    async def test_an_undeclared_length(self, into: ImageReceiver) -> None:
        """Without length and digest the picture's own ends decide, and `verified` is None."""
        await into.begin(body(PICTURE, size=None))
        await feed(into, PICTURE)
        await into.finish()
        assert into.kept is not None
        assert into.kept.verified is None


class TestTooLarge:
    async def test_declared(self, into: ImageReceiver) -> None:
        """A declared size over 256 MiB is TooLarge before a byte is taken; 256 MiB are none too many."""
        await into.begin(body(b"", size=LARGEST))
        with pytest.raises(TooLarge):
            await into.begin(body(b"", size=LARGEST + 1))

    async def test_undeclared(self, into: ImageReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A body that goes on beyond the cap is TooLarge there, spilled or not, and nothing of it stays."""
        assert LARGEST == 256 * MIB
        monkeypatch.setattr(image, "LARGEST", 12 * MIB)
        await into.begin(body(b"", size=None))
        await feed(into, bytes(12 * MIB))
        with pytest.raises(TooLarge):
            await into.feed(b"x")
        await into.discard()
        assert names(tmp_path) == []


class TestInterrupted:
    async def test_cancelled_in_the_middle_of_a_spill(self, files: Files, tmp_path: Path) -> None:
        """Cancelled while a thread writes the spill, and given up then, it leaves no file whenever the thread ends."""
        for turns in range(12):
            into = ImageReceiver(files, str(tmp_path / str(turns) / "x.jpg"), "fig1.jpg")
            await into.begin(body(LARGE))
            task = asyncio.create_task(feed(into, LARGE, step=len(LARGE)))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await into.discard()
        assert names(tmp_path) == []

    @pytest.mark.parametrize("content", [PICTURE, LARGE])
    async def test_cancelled_while_it_is_committed(self, tmp_path: Path, content: bytes) -> None:
        """Cancelled at any turn of the commit and given up, it leaves the whole file or none."""
        files = Files()
        for turns in range(12):
            into = ImageReceiver(files, str(tmp_path / str(turns) / "x.jpg"), "fig1.jpg")
            await into.begin(body(content))
            await feed(into, content)
            task = asyncio.create_task(into.finish())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await into.discard()
        await files.aclose()
        assert set(names(tmp_path)) <= {"x.jpg"}
        assert all(path.read_bytes() == content for path in tmp_path.rglob("*.jpg"))

    @pytest.mark.parametrize("digest", [None, md5(LARGE)])
    async def test_no_descriptor_for_the_spill(self, into: ImageReceiver, tmp_path: Path, digest: str | None) -> None:
        """Chunks that could not be written are not passed over: the image begins afresh, and comes whole."""
        await into.begin(body(LARGE, digest=digest))
        await feed(into, LARGE[:GATHERED])
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(Busy):
                await into.feed(LARGE[GATHERED : GATHERED + 99])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert into.point == START
        await carry(into, Wire({URL: Thing(LARGE, digest=digest)}))
        assert Path(into.path).read_bytes() == LARGE
        assert names(tmp_path) == ["x.jpg"]

    async def test_a_disk_that_fills_up(self, files: Files, mount_tmpfs: Callable[[str], Path]) -> None:
        """A spill that meets a full disk is DiskRefused, and giving up empties the disk again."""
        disk = mount_tmpfs("size=4m")
        into = ImageReceiver(files, str(disk / "x.jpg"), "fig1.jpg")
        await into.begin(body(LARGE))
        with pytest.raises(DiskRefused):
            await feed(into, LARGE, step=len(LARGE))
        await into.discard()
        assert os.listdir(disk) == []
