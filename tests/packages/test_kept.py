"""`-k DIR`: packages are kept as a mirror, and what a killed run left is gone on with, or thrown away."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from roco_async import DiskRefused, Fetcher, ImageRecord
from tests.servers.faults import Cut, Etag, Fault, Late, Swap, Trickle, WrongByte
from tests.servers.packages import packed
from tests.servers.scripted import ScriptedServer
from tests.servers.scripted_ftp import Data, ScriptedFtp

from .stage import (
    MIB,
    command,
    content,
    fetch,
    files_below,
    is_right,
    noise,
    package,
    path_of,
    record,
    settings,
    start,
    tell,
    write_split,
)

PATH: Final = path_of(1)
WHOLE: Final = package(1, before=MIB)
NEW: Final = packed({"PMC1/first.pdf": noise(MIB, 77), "PMC1/a.jpg": content(1, "new")})
needs_root: Final = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")


@pytest.fixture
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for packages, beside `tmp_path`: a .part may stay there."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a tmpfs of 1 MiB, for a test's time."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting a tmpfs is not allowed here: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def left_there(kept: Path, part: bytes, validator: object, size: object = len(WHOLE)) -> Path:
    """Leave what a killed run leaves: the first bytes of a package, and the note of their validator."""
    file = kept / PATH
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_name(file.name + ".part").write_bytes(part)
    file.with_name(file.name + ".part.json").write_text(json.dumps({"validator": validator, "size": size}))
    return file


def etag(whole: bytes = WHOLE) -> str:
    return f'"{hashlib.md5(whole).hexdigest()}"'


async def test_the_folder_becomes_a_mirror(kept: Path, tmp_path: Path) -> None:
    """The packages lie in the mirror's tree, byte by byte, and file://DIR serves them with the network gone."""
    objects = {path_of(number): package(number, "a.jpg", "b.jpg", after=2 * MIB) for number in (1, 2, 3)}
    records = [record(number) for number in (1, 2, 3)]
    async with ScriptedServer(objects) as server:
        outcomes = await fetch(server.base, tmp_path / "1", records, keep_packages=kept)
    assert set(tell(outcomes).values()) == {"crc"}, "a package that is kept is read to its end"
    assert files_below(kept) == set(objects)
    assert all((kept / path).read_bytes() == whole for path, whole in objects.items())
    others = [record(number, "b.jpg") for number in (1, 2, 3)]
    outcomes = await fetch(kept.as_uri(), tmp_path / "2", others)
    assert all(is_right(outcomes[f"IMG_{number}_b"], number, "b.jpg") for number in (1, 2, 3))


async def test_what_is_kept_is_asked_of_nobody(kept: Path, tmp_path: Path) -> None:
    """A run whose DIR has a package takes it from there, says so, and asks the network for the others only."""
    objects = {path_of(number): package(number, "a.jpg", "b.jpg") for number in (1, 2)}
    async with ScriptedServer(objects) as server:
        await fetch(server.base, tmp_path, [record(1)], keep_packages=kept)
        server.requests.clear()
        outcomes = await fetch(server.base, tmp_path, [record(1, "b.jpg"), record(2)], keep_packages=kept)
        assert [one.key for one in server.requests] == [path_of(2)]
    assert is_right(outcomes["IMG_1_b"], 1, "b.jpg")
    assert (outcomes["IMG_1_b"].url, outcomes["IMG_1_b"].attempts) == ((kept / path_of(1)).as_uri(), 0)
    assert outcomes["IMG_2_a"].url == server.url(path_of(2))


async def test_the_note_of_a_run_that_was_killed_at_its_end(kept: Path, tmp_path: Path) -> None:
    """A run that was killed when the package just had its name leaves a note; the next run removes it."""
    file = left_there(kept, b"", '"1"')
    file.with_name(file.name + ".part").unlink()
    file.write_bytes(WHOLE)
    async with ScriptedServer({PATH: WHOLE}) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1)], keep_packages=kept)
        assert server.requests == []
    assert is_right(outcomes["IMG_1_a"], 1)
    assert files_below(kept) == {PATH}


async def test_a_kept_package_that_is_spoilt(kept: Path, tmp_path: Path) -> None:
    """A kept package that does not decode is fetched again, and takes its own place."""
    (kept / PATH).parent.mkdir(parents=True)
    (kept / PATH).write_bytes(WHOLE[: MIB // 2])
    async with ScriptedServer({PATH: WHOLE}) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1)], keep_packages=kept)
    assert is_right(outcomes["IMG_1_a"], 1)
    assert (kept / PATH).read_bytes() == WHOLE
    assert files_below(kept) == {PATH}


async def test_a_missing_member_is_no_reason_not_to_keep(kept: Path, tmp_path: Path) -> None:
    """The package is kept though what was wanted of it is not in it."""
    async with ScriptedServer({PATH: WHOLE}) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1, "none.jpg")], keep_packages=kept)
    assert tell(outcomes) == {"IMG_1_none": "NO_MEMBER"}
    assert files_below(kept) == {PATH}


async def killed(server: ScriptedServer, tmp_path: Path, kept: Path) -> int:
    """Kill a run in the middle of the package; return how many bytes it left."""
    write_split(tmp_path / "data", "test/radiology", [("ROCO_1", PATH, "a.jpg")])
    words = ("test/radiology", "--data", tmp_path / "data", "--source", "packages", "-k", kept)
    server.script.add(Fault(Trickle(32_768, 0.02), nth=1))
    process = await start(*words, "--packages-url", server.base)
    part = kept / f"{PATH}.part"
    while not part.exists() or part.stat().st_size < MIB // 3:
        await asyncio.sleep(0.01)  # another process's file: there is no event for it
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    return part.stat().st_size


@pytest.mark.parametrize("replaced", [False, True])
async def test_kill_9_and_again(replaced: bool, kept: Path, tmp_path: Path) -> None:
    """The next run asks for the first byte that is lacking, under the validator; a changed package begins afresh."""
    async with ScriptedServer({PATH: WHOLE}) as server:
        place = await killed(server, tmp_path, kept)
        if replaced:
            server.bucket.put(PATH, NEW)
        words = ("test/radiology", "--data", tmp_path / "data", "--source", "packages", "-k", kept)
        ended = await command(*words, "--packages-url", server.base)
        second = server.requests[1]
        assert (second.headers["range"], second.headers["if-range"]) == (f"bytes={place}-", etag())
        assert second.status == (200 if replaced else 206)
        assert len(server.requests) == 2
    assert ended.code == 0, ended.stderr
    image = tmp_path / "data/test/radiology/images/ROCO_1.jpg"
    assert image.read_bytes() == content(1, "new" if replaced else "a.jpg")
    assert (kept / PATH).read_bytes() == (NEW if replaced else WHOLE)
    assert files_below(kept) == {PATH}


async def test_killed_after_the_last_byte(kept: Path, tmp_path: Path) -> None:
    """Where all bytes are there the last one is asked for, to compare validators, and no other."""
    left_there(kept, WHOLE, etag())
    async with ScriptedServer({PATH: WHOLE}) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1)], keep_packages=kept)
        assert [one.sent for one in server.requests] == [1]
    assert is_right(outcomes["IMG_1_a"], 1)
    assert files_below(kept) == {PATH}


@pytest.mark.parametrize(
    ("part", "note"),
    [
        (WHOLE[:9000], b'{"valid'),
        (WHOLE[:9000], b"[]"),
        (WHOLE[:9000], b"7"),
        (WHOLE[:9000], b"\xff\xfe"),
        (WHOLE[:9000], json.dumps({"validator": None, "size": 5}).encode()),
        (WHOLE[:9000], json.dumps({"validator": etag(), "size": "x"}).encode()),
        (WHOLE[:9000], json.dumps({"validator": etag()}).encode()),
        (WHOLE[:9000], json.dumps({"validator": '"another"', "size": 10}).encode()),
        (WHOLE[:9000], json.dumps({"validator": 'a\r\nb: "c"', "size": 10}).encode()),
        (WHOLE[:9000], None),
        (None, json.dumps({"validator": etag(), "size": 5}).encode()),
        (b"", json.dumps({"validator": etag(), "size": 5}).encode()),
        (WHOLE + b"more", json.dumps({"validator": etag(), "size": len(WHOLE)}).encode()),
        (b"\0" * 9000, json.dumps({"validator": etag(), "size": len(WHOLE)}).encode()),
        (WHOLE[:5000] + b"\0" * 600_000, json.dumps({"validator": etag(), "size": len(WHOLE)}).encode()),
    ],
    ids=lambda said: "nothing" if said is None else f"{len(said)} bytes" if len(said) > 200 else said.decode("latin-1"),
)
async def test_whatever_a_crash_left(part: bytes | None, note: bytes | None, kept: Path, tmp_path: Path) -> None:
    """A torn note, one of another version, a part filled with zeros by a power cut: all end right in one run."""
    file = left_there(kept, part or b"", "")
    if part is None:
        file.with_name(file.name + ".part").unlink()
    file.with_name(file.name + ".part.json").unlink()
    if note is not None:
        file.with_name(file.name + ".part.json").write_bytes(note)
    async with ScriptedServer({PATH: WHOLE}) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1)], keep_packages=kept)
    assert outcomes["IMG_1_a"].error is None
    assert is_right(outcomes["IMG_1_a"], 1)
    assert file.read_bytes() == WHOLE
    assert files_below(kept) == {PATH}


async def test_a_wrong_crc_is_not_kept(kept: Path, tmp_path: Path) -> None:
    """A package whose CRC fails is not kept, in no form, and the next run brings it."""
    async with ScriptedServer({PATH: WHOLE}, Fault(WrongByte(len(WHOLE) - 6), nth=(1, 2, 3))) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1)], keep_packages=kept)
        assert tell(outcomes) == {"IMG_1_a": "DAMAGED"}
        assert files_below(kept) == set()
        assert is_right((await fetch(server.base, tmp_path, [record(1)], keep_packages=kept))["IMG_1_a"], 1)
    assert files_below(kept) == {PATH}


@pytest.mark.parametrize("strong", [True, False])
async def test_a_line_that_stays_broken(strong: bool, kept: Path, tmp_path: Path) -> None:
    """After the last try the next run goes on at the byte; without a strong validator nothing is left to go on with."""
    faults = [Fault(Cut(5 * MIB), nth=1), Fault(Cut(0), nth=range(2, 20))]
    faults += [] if strong else [Fault(Etag('W/"1"'))]
    async with ScriptedServer({PATH: package(1, before=6 * MIB)}, *faults) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1)], keep_packages=kept)
        assert tell(outcomes) == {"IMG_1_a": "BROKEN"}
        left = files_below(kept)
        server.script.clear()
        server.requests.clear()
        outcomes = await fetch(server.base, tmp_path, [record(1)], keep_packages=kept)
        assert server.requests[0].status == (206 if strong else 200)
    assert left == ({f"{PATH}.part", f"{PATH}.part.json"} if strong else set())
    assert is_right(outcomes["IMG_1_a"], 1)
    assert files_below(kept) == {PATH}


async def test_over_ftp(kept: Path, tmp_path: Path) -> None:
    """A run that FTP left in the middle is gone on with by REST, under SIZE and MDTM."""
    big = package(1, before=6 * MIB)
    async with ScriptedFtp({PATH: big}, data=[Data(cut=5 * MIB), *[Data(cut=0)] * 3]) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1)], keep_packages=kept)
        assert tell(outcomes) == {"IMG_1_a": "BROKEN"}
        place = (kept / f"{PATH}.part").stat().st_size
        assert place > MIB
        server.commands.clear()
        outcomes = await fetch(server.base, tmp_path, [record(1)], keep_packages=kept)
        assert [line for _, line in server.commands if line.startswith("REST")] == [f"REST {place}"]
    assert is_right(outcomes["IMG_1_a"], 1)
    assert (kept / PATH).read_bytes() == big
    assert files_below(kept) == {PATH}


async def test_replaced_within_one_run(kept: Path, tmp_path: Path) -> None:
    """A package that changes between two tries is kept in its new version, whole."""
    async with ScriptedServer({PATH: WHOLE}, Fault(Cut(MIB // 2), nth=1), Fault(Swap(NEW), nth=2)) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1)], keep_packages=kept)
    assert is_right(outcomes["IMG_1_a"], 1, "new")
    assert (kept / PATH).read_bytes() == NEW


async def test_two_jobs_of_one_package(kept: Path, tmp_path: Path) -> None:
    """Records of one package that come too late for their group wait for the first job, and ask for nothing."""
    async with ScriptedServer({PATH: package(1, "a.jpg", "b.jpg")}, Fault(Late(0.3))) as server:

        async def records() -> AsyncIterator[ImageRecord]:
            yield record(1)
            while not server.requests:
                await asyncio.sleep(0.01)
            yield record(1, "b.jpg")

        async with Fetcher(settings(server.base, tmp_path, keep_packages=kept)) as fetcher:
            outcomes = {outcome.record.id: outcome async for outcome in fetcher.iter_fetch(records())}
        assert len(server.requests) == 1
    assert is_right(outcomes["IMG_1_a"], 1)
    assert is_right(outcomes["IMG_1_b"], 1, "b.jpg")


@needs_root
async def test_a_full_disk_for_packages(small_disk: Path, tmp_path: Path) -> None:
    """A DIR that is full ends the run with exit code 5."""
    rows = [(f"ROCO_{number}", path_of(number), "a.jpg") for number in range(1, 6)]
    write_split(tmp_path / "data", "test/radiology", rows)
    async with ScriptedServer({path_of(number): package(number, after=400_000) for number in range(1, 6)}) as server:
        ended = await command(
            "test/radiology", "--data", tmp_path / "data", "--source", "packages", "--packages-url", server.base,
            "-k", small_disk,
        )  # fmt: skip
    assert ended.code == 5, ended.stderr
    assert "No space left" in ended.stderr
    assert not list((tmp_path / "data").rglob("*.roco-*.part"))
    for file in tmp_path.rglob("*.part"):
        file.unlink()


@needs_root
async def test_a_full_disk_for_pictures(small_disk: Path) -> None:
    """An out that is full in the middle of a member raises DiskRefused and leaves no torn picture."""
    names = [f"{letter}.jpg" for letter in "abcdefgh"]
    big = packed({f"PMC1/{name}": content(1, name, 199_999) for name in names})
    async with ScriptedServer({PATH: big}) as server:
        with pytest.raises(DiskRefused) as caught:
            await fetch(server.base, small_disk, [record(1, name) for name in names])
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert not list(small_disk.rglob("*.jpg")), "members get their names together"
