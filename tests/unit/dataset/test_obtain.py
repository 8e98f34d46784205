"""The annotations got once: streamed from a tarball, each file checked, nothing kept of a wrong one."""

from __future__ import annotations

import asyncio
import hashlib
import io
import shutil
import tarfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from roco_async.dataset import obtain as module
from roco_async.dataset.obtain import TarballReceiver, cache_folder, obtain
from roco_async.dataset.upstream import BLOBS, COMMIT, blob_hash
from roco_async.errors import AnnotationsUnavailable, Busy, DiskRefused
from roco_async.protocols import Body
from roco_async.transfer.budget import Budget
from tests.unit.wire import Answer, Script, Thing, Wire

URL = "https://mirror/roco.tar.gz"
FILES = {
    f"data/{split}/{group}/{name}.txt": f"{split} {group} {name}\n".encode() * 2000
    for split in ("train", "test")
    for group in ("radiology", "non-radiology")
    for name in ("dlinks", "captions")
}


def blob(content: bytes) -> str:
    digest = blob_hash(len(content))
    digest.update(content)
    return digest.hexdigest()


def tarball(
    files: Mapping[str, bytes], *, top: str = "roco-dataset-a1f0ad6/", links: Mapping[str, str] | None = None
) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(top + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(top + name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return file.getvalue()


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, and the files above for upstream's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "BLOBS", {name: blob(content) for name, content in FILES.items()})
    return tmp_path


async def at_once(seconds: float) -> None:
    pass


async def get(content: bytes, script: Script = (), *, validator: str | None = '"1"') -> Wire:
    wire = Wire({URL: Thing(content, validator)}, script, piece=700)
    assert await obtain(URL, transport=wire, budget=Budget(6, sleep=at_once)) == cache_folder()
    return wire


def kept(cache: Path) -> dict[str, bytes]:
    """Every file of the cache, by its path below the folder of the commit."""
    place = cache / "roco_async" / "annotations" / COMMIT[:7]
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in cache.rglob("*") if path.is_file()}


async def test_the_annotation_files_and_no_others(cache: Path) -> None:
    """What is upstream's lies below the cache folder, by commit; README, scripts and temporary files do not."""
    more = {"README.md": b"x", "scripts/fetch.py": b"x", "data/train/radiology/notes.txt": b"x"}
    await get(tarball(FILES | more))
    assert kept(cache) == FILES
    assert cache_folder() == cache / "roco_async" / "annotations" / "a1f0ad6" / "data"


async def test_a_part_of_them_is_kept_too(cache: Path) -> None:
    """A tarball that lacks a group is kept: it matters only to whoever needs that group."""
    some = dict(list(FILES.items())[:2])
    await get(tarball(some))
    assert kept(cache) == some


async def test_a_copy_that_is_being_read(cache: Path) -> None:
    """A second copy completes the first and never takes it away: whoever has it open, or looks, finds it there."""
    some = dict(list(FILES.items())[:2])
    await get(tarball(some))
    place = cache_folder() / next(iter(some)).removeprefix("data/")
    there = (place.parent.stat().st_ino, cache_folder().stat().st_ino)
    place.write_bytes(b"spoilt")
    await get(tarball(FILES))
    assert kept(cache) == FILES
    assert (place.parent.stat().st_ino, cache_folder().stat().st_ino) == there


@pytest.mark.parametrize("breaks", [[0], [1], [300, 0, 500], [400, 900]])
async def test_it_goes_on_at_its_byte(cache: Path, breaks: list[int]) -> None:
    """A cut tarball goes on at its byte, in the middle of a member too."""
    wire = await get(tarball(FILES), breaks)
    assert kept(cache) == FILES
    assert wire.offsets == [0, *[sum(breaks[: place + 1]) for place in range(len(breaks))]]


async def test_it_begins_afresh(cache: Path) -> None:
    """A changed tarball, and one without a validator, begins afresh: two versions are never joined."""
    old = tarball(FILES | {"README.md": b"other bytes before" * 99})
    await get(old, [500, Answer(thing=Thing(tarball(FILES), '"2"'))])
    assert kept(cache) == FILES
    wire = await get(tarball(FILES), [500], validator=None)
    assert (kept(cache), wire.offsets) == (FILES, [0, 0])


@pytest.mark.parametrize("wrong", FILES)
async def test_a_file_that_is_not_upstreams(cache: Path, wrong: str) -> None:
    """One wrong byte in one file refuses the whole tarball at once, names the file, and keeps nothing."""
    with pytest.raises(AnnotationsUnavailable, match=wrong):
        await get(tarball(FILES | {wrong: FILES[wrong][:-1] + b"x"}))
    assert kept(cache) == {}


@pytest.mark.parametrize("files", [{}, {"README.md": b"x"}, {"data/train/radiology/other.txt": b"x"}])
async def test_none_of_them(cache: Path, files: dict[str, bytes]) -> None:
    """A tarball without any annotation file is refused."""
    with pytest.raises(AnnotationsUnavailable, match="none"):
        await get(tarball(files))
    assert kept(cache) == {}


@pytest.mark.parametrize("content", [b"", b"<html>Log in</html>", tarball(FILES)[:-20], tarball(FILES)[:9]])
async def test_no_tarball(cache: Path, content: bytes) -> None:
    """What is no gzip, or ends too early, is tried again, then given up with words that help, and nothing is kept."""
    wire = Wire({URL: Thing(content)})
    with pytest.raises(AnnotationsUnavailable, match="--annotations-url"):
        await obtain(URL, transport=wire, budget=Budget(3, sleep=at_once))
    assert (len(wire.asked), kept(cache)) == (3, {})


@pytest.mark.parametrize(("script", "asked"), [([], 1), ([Busy("503")] * 9, 6)])
async def test_a_server_that_has_it_not(cache: Path, script: Script, asked: int) -> None:
    """404 ends it at once, and a busy server after `attempts` tries."""
    wire = Wire({}, script)
    with pytest.raises(AnnotationsUnavailable):
        await obtain(URL, transport=wire, budget=Budget(6, sleep=at_once))
    assert (len(wire.asked), kept(cache)) == (asked, {})


async def test_hostile_members(cache: Path) -> None:
    """Members that would lead out, links under an annotation file's name, and deeper ones are passed over."""
    name = "data/train/radiology/dlinks.txt"
    evil = {f"../../../{name}": b"x", f"a/b/c/{name}": b"x", f"../{name}": b"y"}
    rest = {other: content for other, content in FILES.items() if other != name}
    await get(tarball(rest | evil, links={name: "/etc/passwd"}))
    assert kept(cache) == rest


async def test_a_member_that_comes_twice(cache: Path) -> None:
    """Of two members with one name the first counts."""
    name = next(iter(FILES))
    await get(tarball(FILES | {f"./{name}": b"x"}, top="./"))
    assert kept(cache) == FILES


async def test_two_at_once(cache: Path) -> None:
    """Two programs that do this at the same moment both get it, whoever is faster."""
    content = tarball(FILES)
    for _ in range(5):
        receivers = [TarballReceiver(cache_folder()) for _ in range(8)]
        for receiver in receivers:
            await receiver.begin(Body(start=0, size=None, validator=None, digest=None, chunks=_nothing()))
            await receiver.feed(content)
        await asyncio.gather(*[receiver.finish() for receiver in receivers])
        await asyncio.gather(*[receiver.discard() for receiver in receivers])
        assert kept(cache) == FILES


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def test_cancelled_in_the_middle(cache: Path) -> None:
    """Cancelled at any turn it leaves nothing in the cache, or all where the folder just got its name."""
    content = tarball(FILES)
    for turns in range(1, 60, 6):
        task = asyncio.create_task(get(content))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert turns > 1 or task.cancelled()
        assert kept(cache) in ({}, FILES)
        shutil.rmtree(cache / "roco_async", ignore_errors=True)


async def test_a_cache_that_cannot_be_written(cache: Path) -> None:
    """A cache that is no folder is DiskRefused."""
    (cache / "roco_async").write_bytes(b"")
    with pytest.raises(DiskRefused, match="cache"):
        await get(tarball(FILES))


def test_upstreams_own_ids() -> None:
    """All 36 annotation files have an id of git's, and the id of a blob is git's own."""
    assert len(BLOBS) == 36
    assert all(len(digest) == 40 for digest in BLOBS.values())
    assert blob(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert hashlib.sha1(b"blob 0\0").hexdigest() == blob(b"")
