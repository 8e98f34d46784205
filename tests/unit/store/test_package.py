"""PackageReceiver alone: any cut, any order of faults, and the rule that says when to stop."""

from __future__ import annotations

import asyncio
import errno
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from roco_async.errors import Broken, Busy, Damaged, DiskRefused, NoMember, Stale, TooLarge, Unsafe
from roco_async.protocols import START, Body, Point
from roco_async.records import ImageRecord
from roco_async.store import package as package_module
from roco_async.store.files import Files, Kept
from roco_async.store.package import DECODED_REST, PackageReceiver, Wish
from roco_async.transfer.budget import Budget
from roco_async.transfer.loop import transfer
from tests.packages.stage import MIB, content, noise, package
from tests.servers.packages import packed
from tests.unit.wire import Answer, Thing, Wire

WHOLE: Final = package(1, "a.jpg", "b.jpg", before=2000, after=2000)
URL: Final = "http://mirror/1"


@pytest.fixture
async def files() -> AsyncIterator[Files]:
    made = Files()
    yield made
    await made.aclose()


def wishes(out: Path, *names: str) -> list[Wish]:
    return [Wish(ImageRecord(name, "PMC1", name), str(out / "images" / name)) for name in names]


def body(size: int | None, *, start: int = 0, validator: str | None = '"1"', reconnect: float = 0.0) -> Body:
    async def nothing() -> AsyncIterator[bytes]:
        return
        yield b""

    return Body(start=start, size=size, validator=validator, digest=None, chunks=nothing(), reconnect=reconnect)


async def no_wait(_: float) -> None:
    pass


async def test_byte_by_byte(files: Files, tmp_path: Path) -> None:
    """Chunks of one byte bring what one chunk brings, and the point counts them."""
    receiver = PackageReceiver(files, wishes(tmp_path, "a.jpg", "none.jpg"))
    assert receiver.point == START
    await receiver.begin(body(len(WHOLE)))
    for place in range(len(WHOLE)):
        assert await receiver.feed(WHOLE[place : place + 1])
        assert receiver.point == Point(place + 1, '"1"')
        assert not receiver.satisfied
    await receiver.finish()
    kept, missing = receiver.results
    assert isinstance(kept, Kept)
    assert kept.verified == "crc"
    assert isinstance(missing, NoMember)
    assert (tmp_path / "images" / "a.jpg").read_bytes() == content(1)


async def test_members_get_their_names_together(files: Files, tmp_path: Path) -> None:
    """Until the end no picture has its final name, and after a discard none has ever had one."""
    receiver = PackageReceiver(files, wishes(tmp_path, "a.jpg", "b.jpg", "none.jpg"))
    await receiver.begin(body(len(WHOLE)))
    await receiver.feed(WHOLE[:-10])
    names = [path.name for path in (tmp_path / "images").iterdir()]
    assert len(names) == 2
    assert all(name.startswith(".roco-") for name in names)
    with pytest.raises(Broken):
        await receiver.finish()
    assert receiver.point.offset == len(WHOLE) - 10, "what came is still good"
    await receiver.discard()
    await receiver.discard()
    assert not list((tmp_path / "images").iterdir())


@pytest.mark.parametrize("long_first", [True, False])
async def test_one_of_two_folders_takes_no_name(files: Files, tmp_path: Path, long_first: bool) -> None:
    """Of two images from one member, the one whose folder's name the disk does not take costs the other nothing."""
    good, bad = (
        Wish(ImageRecord(name, "PMC1", "a.jpg"), str(tmp_path / folder / name))
        for name, folder in (("good.jpg", "images"), ("bad.jpg", "x" * 300))
    )
    receiver = PackageReceiver(files, [bad, good] if long_first else [good, bad])
    await receiver.begin(body(len(WHOLE)))
    await receiver.feed(WHOLE)
    await receiver.finish()
    results = dict(zip([bad, good] if long_first else [good, bad], receiver.results, strict=True))
    assert isinstance(results[good], Kept)
    assert isinstance(results[bad], Unsafe)
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["good.jpg"]


async def test_restart_forgets_finished_members(files: Files, tmp_path: Path) -> None:
    """After a restart only the new version's members count, though the old one's were all there."""
    receiver = PackageReceiver(files, wishes(tmp_path, "a.jpg", "b.jpg"))
    await receiver.begin(body(None))
    assert not await receiver.feed(WHOLE)
    assert receiver.satisfied
    await receiver.restart()
    assert not receiver.satisfied
    assert receiver.point == START
    new = packed({"PMC1/b.jpg": content(1, "new")})
    await receiver.begin(body(len(new)))
    await receiver.feed(new)
    await receiver.finish()
    assert isinstance(receiver.results[0], NoMember)
    assert isinstance(receiver.results[1], Kept)
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["b.jpg"]
    await receiver.discard()
    assert (tmp_path / "images" / "b.jpg").read_bytes() == content(1, "new")


async def test_a_part_of_another_size_is_stale(files: Files, tmp_path: Path) -> None:
    """A second answer under the same validator that tells another size is no part of the same package."""
    receiver = PackageReceiver(files, wishes(tmp_path, "a.jpg"))
    await receiver.begin(body(len(WHOLE)))
    await receiver.feed(WHOLE[:100])
    await receiver.begin(body(None, start=100))
    with pytest.raises(Stale):
        await receiver.begin(body(len(WHOLE) + 1, start=100))
    await receiver.discard()


async def test_damage_after_the_last_member_is_no_cut(files: Files, tmp_path: Path) -> None:
    """A wrong CRC leaves a receiver that is not satisfied, at byte 0, with nothing on disk."""
    receiver = PackageReceiver(files, wishes(tmp_path, "a.jpg", "b.jpg"))
    await receiver.begin(body(len(WHOLE)))
    with pytest.raises(Damaged, match="CRC-32"):
        await receiver.feed(WHOLE[:-8] + bytes(8))
    assert not receiver.satisfied
    assert receiver.point == START
    assert not list((tmp_path / "images").iterdir())


class ShortFile(io.FileIO):
    """A file whose disk takes 100 bytes at a time, as a disk does that is about to be full."""

    def write(self, data: Any) -> int:
        return super().write(memoryview(data)[:100])


async def test_a_short_write(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk takes a part of what is written the rest is written after it."""
    monkeypatch.setattr(package_module, "open", lambda path, *_, **__: ShortFile(path, "x"), raising=False)
    receiver = PackageReceiver(files, wishes(tmp_path, "a.jpg"))
    await receiver.begin(body(len(WHOLE)))
    await receiver.feed(WHOLE)
    await receiver.finish()
    assert (tmp_path / "images" / "a.jpg").read_bytes() == content(1)


@pytest.fixture
def no_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the second member be refused for want of a descriptor, once."""
    calls = iter([None, OSError(errno.EMFILE, "Too many open files")])

    def opened(path: str, mode: str, **more: Any) -> Any:
        error = next(calls, None)
        if error is not None:
            raise error
        return open(path, mode, **more)

    monkeypatch.setattr(package_module, "open", opened, raising=False)


@pytest.mark.usefixtures("no_descriptors")
async def test_no_descriptor_left(files: Files, tmp_path: Path) -> None:
    """A fault of this machine in the middle of a chunk begins the package afresh: the parsers cannot go on."""
    wire = Wire({URL: Thing(WHOLE)})
    receiver = PackageReceiver(files, wishes(tmp_path, "a.jpg", "b.jpg"))
    await transfer(URL, receiver, transport=wire, budget=Budget(3, sleep=no_wait))
    assert wire.offsets == [0, 0]
    assert all(isinstance(result, Kept) for result in receiver.results)
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["a.jpg", "b.jpg"]


@pytest.mark.usefixtures("no_descriptors")
async def test_no_descriptor_and_no_try_left(files: Files, tmp_path: Path) -> None:
    """With one try the lack of descriptors is Busy, and the member that was there is gone."""
    receiver = PackageReceiver(files, wishes(tmp_path, "a.jpg", "b.jpg"))
    with pytest.raises(Busy):
        await transfer(URL, receiver, transport=Wire({URL: Thing(WHOLE)}), budget=Budget(1, sleep=no_wait))
    await receiver.discard()
    assert not list((tmp_path / "images").iterdir())


@pytest.mark.parametrize("place", range(0, len(WHOLE), 173))
async def test_cut_anywhere_and_again(place: int, files: Files, tmp_path: Path) -> None:
    """A cut at any byte, and one more behind it, is gone on with at that byte and changes nothing."""
    again = min(len(WHOLE), place + 500)
    wire = Wire({URL: Thing(WHOLE)}, [place, again - place], piece=97)
    receiver = PackageReceiver(files, wishes(tmp_path, "b.jpg", "none.jpg", "a.jpg"))
    await transfer(URL, receiver, transport=wire, budget=Budget(3, sleep=no_wait))
    assert wire.offsets == [0, place, again]
    assert [type(result) for result in receiver.results] == [Kept, NoMember, Kept]
    assert (tmp_path / "images" / "a.jpg").read_bytes() == content(1)
    assert (tmp_path / "images" / "b.jpg").read_bytes() == content(1, "b.jpg")


async def test_another_version_between_two_tries(files: Files, tmp_path: Path) -> None:
    """Wherever the old version was cut, the pictures are the new one's."""
    new = packed({"PMC1/a.jpg": content(1, "new a"), "PMC1/b.jpg": content(1, "new b")})
    for place in range(1, len(WHOLE), 401):
        wire = Wire({URL: Thing(WHOLE)}, [place, Answer(thing=Thing(new, validator='"2"'))])
        receiver = PackageReceiver(files, wishes(tmp_path / str(place), "a.jpg", "b.jpg", "none.jpg"))
        await transfer(URL, receiver, transport=wire, budget=Budget(3, sleep=no_wait))
        found = {path.name: path.read_bytes() for path in (tmp_path / str(place) / "images").iterdir()}
        assert found == {"a.jpg": content(1, "new a"), "b.jpg": content(1, "new b")}


@pytest.mark.parametrize(
    ("rest", "reconnect", "rate", "reads"),
    [
        (DECODED_REST, 0.0, 1.0, True),
        (DECODED_REST + 1, 0.0, 1e9, False),  # a road that needs no new connection, as a file
        (DECODED_REST + 1, 0.1, None, True),
        (9 * MIB, 0.1, None, True),  # no rate is known yet
        (9 * MIB, 0.64, 4.0 * MIB, True),  # 0.13 s of 0.64: it may still grow
        (5 * MIB // 8, 0.64, 1.0 * MIB, True),  # 0.62 s of reading, 0.64 s of connecting
        (3 * MIB // 4, 0.64, 1.0 * MIB, False),
        (MIB, 0.64, 0.1 * MIB, False),  # a thin line: the rest costs more
    ],
)
async def test_the_rule_that_says_when_to_stop(
    rest: int,
    reconnect: float,
    rate: float | None,
    reads: bool,
    files: Files,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rest is read where that takes less time than a fresh connection, or where it is too early to tell."""
    head = packed({"PMC1/a.jpg": content(1), "PMC1/x.pdf": noise(12 * MIB)})[: MIB // 2]
    now = asyncio.get_running_loop().time()
    clock = [now]
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock[0])
    receiver = PackageReceiver(files, wishes(tmp_path, "a.jpg"))
    await receiver.begin(body(len(head) + rest, reconnect=reconnect))
    clock[0] += 0.0 if rate is None else len(head) / rate
    assert await receiver.feed(head) is reads
    assert receiver.satisfied
    if reads and rest > DECODED_REST:
        assert await receiver.feed(bytes(10)), "what is dropped is not decoded"
    await receiver.finish()
    assert isinstance(receiver.results[0], Kept)
    assert receiver.results[0].verified == "length"


@pytest.mark.parametrize(("first", "last", "reads"), [(MIB // 8, MIB, True), (MIB, MIB // 8, False)])
async def test_the_rate_of_late_counts(
    first: int, last: int, reads: bool, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the rest is read depends on how fast bytes come now, not on how slowly the connection began."""
    whole = packed({"PMC1/x.pdf": noise(first), "PMC1/a.jpg": content(1), "PMC1/y.pdf": noise(12 * MIB)})
    now = asyncio.get_running_loop().time()
    clock = [now]
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock[0])
    receiver = PackageReceiver(files, wishes(tmp_path, "a.jpg"))
    await receiver.begin(body(first + last + 3 * MIB, reconnect=0.8))
    for count in (first, last):
        clock[0] += 0.21
        head, whole = whole[:count], whole[count:]
        answer = await receiver.feed(head)
    assert receiver.satisfied
    assert answer is reads
    clock[0] += 1.5
    assert await receiver.feed(bytes(10)) is reads, "a decision to read stays for twice the time that it allows"
    clock[0] += 1000
    assert not await receiver.feed(bytes(10)), "and no longer, where the line has as good as stopped"
    await receiver.discard()


async def test_a_bomb_in_the_rest(files: Files, tmp_path: Path) -> None:
    """A bomb behind the last wanted member ends decoding and no more; where all is wanted it is TooLarge."""
    whole = packed({"PMC1/a.jpg": content(1), "PMC1/zeros": bytes(80 * MIB)}, level=9)
    assert len(whole) < DECODED_REST
    receiver = PackageReceiver(files, wishes(tmp_path, "a.jpg"))
    await receiver.begin(body(len(whole)))
    await receiver.feed(whole)
    await receiver.finish()
    assert isinstance(receiver.results[0], Kept)
    receiver = PackageReceiver(files, wishes(tmp_path, "a.jpg"), whole=True)
    await receiver.begin(body(len(whole)))
    with pytest.raises(TooLarge):
        await receiver.feed(whole)
    await receiver.discard()


async def test_a_disk_that_refuses_one_of_two_copies(files: Files, tmp_path: Path) -> None:
    """A member that two records want, one of them where no folder can be made, ends the run and leaves no copy."""
    (tmp_path / "file").write_bytes(b"")
    record = ImageRecord("a.jpg", "PMC1", "a.jpg")
    both = [Wish(record, str(tmp_path / "images" / "1.jpg")), Wish(record, str(tmp_path / "images" / "2.jpg"))]
    refused = [Wish(record, str(tmp_path / "images" / "1.jpg")), Wish(record, str(tmp_path / "file" / "2.jpg"))]
    for wanted, fails in ((both, False), (refused, True), (refused[::-1], True)):
        receiver = PackageReceiver(files, wanted)
        await receiver.begin(body(len(WHOLE)))
        try:
            await receiver.feed(WHOLE)
            await receiver.finish()
            assert not fails
        except DiskRefused:
            assert fails
        await receiver.discard()
    assert {path.name for path in (tmp_path / "images").iterdir()} <= {"1.jpg", "2.jpg"}
