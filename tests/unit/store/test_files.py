"""The disk: temporary name, check, final name; what is wrong with the bytes, and what with the disk."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from roco_async.errors import Busy, Damaged, DiskRefused, Reason, TransferError, Unsafe
from roco_async.records import Verified
from roco_async.store import temps
from roco_async.store.files import Bodies, Files, Kept, check_found, refused
from roco_async.store.temps import scan
from tests.servers.pictures import tiny_jpeg, tiny_png

PICTURE = tiny_jpeg()
MD5 = hashlib.md5(PICTURE).hexdigest()


def body(path: Path, content: bytes = PICTURE, *, cut: int | None = None, **fields: Any) -> Bodies:
    chunks = [content[:cut], content[cut:]] if cut else [content] if content else []
    return Bodies(path=str(path), name="fig1.jpg", chunks=chunks, size=len(content), **fields)


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.exists() else []


class TestCommit:
    @pytest.mark.parametrize(
        ("fields", "verified"),
        [
            ({"digest": MD5}, "md5"),
            ({"digest": MD5, "declared": len(PICTURE)}, "md5"),
            ({"declared": len(PICTURE)}, "length"),
            ({}, None),
        ],
    )
    async def test_a_good_picture(
        self, files: Files, tmp_path: Path, fields: dict[str, Any], verified: Verified | None
    ) -> None:
        """A good picture gets its name in a folder that is made for it, and `verified` says by what it was checked."""
        path = tmp_path / "a" / "b" / "x.jpg"
        assert await files.commit(body(path, **fields)) == Kept(len(PICTURE), MD5, verified)
        assert (path.read_bytes(), names(path.parent)) == (PICTURE, ["x.jpg"])

    @pytest.mark.parametrize("cut", [1, 2, len(PICTURE) - 1])
    async def test_in_any_chunks(self, files: Files, tmp_path: Path, cut: int) -> None:
        """Its beginning and end are looked at across chunks."""
        await files.commit(body(tmp_path / "x.jpg", cut=cut))
        assert (tmp_path / "x.jpg").read_bytes() == PICTURE

    @pytest.mark.parametrize(
        ("content", "digest"),
        [
            (b"", None),
            (b"", hashlib.md5(b"").hexdigest()),
            (PICTURE[:-1], None),
            (b"hello", None),
            (PICTURE, "0" * 32),
            (b"<!DOCTYPE html>", None),
            (b"<!DOCTYPE html>", hashlib.md5(b"<!DOCTYPE html>").hexdigest()),
            (b"<?xml version='1.0'?><Error/>", hashlib.md5(b"<?xml version='1.0'?><Error/>").hexdigest()),
        ],
    )
    async def test_a_damaged_one(self, files: Files, tmp_path: Path, content: bytes, digest: str | None) -> None:
        """Empty, cut, wrong or a page, its own md5 or not: Damaged, and the file that was there stays alone."""
        path = tmp_path / "x.jpg"
        path.write_bytes(b"what was there")
        with pytest.raises(Damaged) as raised:
            await files.commit(body(path, content, digest=digest))
        assert raised.value.reason is Reason.DAMAGED
        assert (path.read_bytes(), names(tmp_path)) == (b"what was there", ["x.jpg"])

    async def test_a_known_digest_is_enough(self, files: Files, tmp_path: Path) -> None:
        """Bytes that fit a published md5 are kept, although they do not look like a picture."""
        digest = hashlib.md5(b"odd").hexdigest()
        assert (await files.commit(body(tmp_path / "x.jpg", b"odd", digest=digest))).verified == "md5"

    async def test_not_of_the_declared_length(self, files: Files, tmp_path: Path) -> None:
        """A picture of another length than declared is Damaged."""
        with pytest.raises(Damaged):
            await files.commit(body(tmp_path / "x.jpg", declared=len(PICTURE) + 1))
        assert names(tmp_path) == []

    async def test_over_a_file_that_is_there(self, files: Files, tmp_path: Path) -> None:
        """A good picture takes the place of an older file."""
        path = tmp_path / "x.jpg"
        path.write_bytes(b"old")
        await files.commit(body(path))
        assert path.read_bytes() == PICTURE

    async def test_a_link_under_the_final_name_is_replaced(self, files: Files, tmp_path: Path) -> None:
        """A symbolic link under the final name is replaced, and what it points at is not written to."""
        (tmp_path / "victim").write_bytes(b"mine")
        (tmp_path / "x.jpg").symlink_to(tmp_path / "victim")
        await files.commit(body(tmp_path / "x.jpg"))
        assert (tmp_path / "victim").read_bytes() == b"mine"
        assert not (tmp_path / "x.jpg").is_symlink()

    async def test_what_stands_under_the_temporary_name(self, tmp_path: Path) -> None:
        """A link or file that somebody put under the temporary name is neither followed nor taken."""

        class Guessed(Files):
            def temp_name(self, folder: str) -> str:
                return os.path.join(folder, "guessed")

        files = Guessed()
        (tmp_path / "victim").write_bytes(b"mine")
        (tmp_path / "guessed").symlink_to(tmp_path / "victim")
        with pytest.raises(DiskRefused):
            await files.commit(body(tmp_path / "x.jpg"))
        (tmp_path / "guessed").write_bytes(b"somebody's")
        with pytest.raises(DiskRefused):
            await files.commit(body(tmp_path / "x.jpg"))
        assert (tmp_path / "victim").read_bytes() == b"mine"
        await files.aclose()

    async def test_many_at_once(self, files: Files, tmp_path: Path) -> None:
        """Three hundred at once, every seventh damaged, end each with its own result."""
        contents = [PICTURE if number % 7 else b"no" for number in range(300)]
        commits = [files.commit(body(tmp_path / f"{number}.jpg", one)) for number, one in enumerate(contents)]
        results = await asyncio.gather(*commits, return_exceptions=True)
        assert [isinstance(result, Kept) for result in results] == [number % 7 > 0 for number in range(300)]
        assert len(names(tmp_path)) == sum(number % 7 > 0 for number in range(300))

    async def test_what_is_queued_is_bounded_in_bytes(self, files: Files, tmp_path: Path) -> None:
        """Once 64 MiB wait for the disk there is no room, and there is again when they are written."""
        large = PICTURE + bytes(1000)
        declared = [
            Bodies(path=str(tmp_path / f"{n}.jpg"), name="a.jpg", chunks=[large], size=8 << 20) for n in range(8)
        ]
        commits = [asyncio.create_task(files.commit(one)) for one in declared]
        await asyncio.sleep(0)
        waiting = asyncio.create_task(files.wait_for_room())
        await asyncio.sleep(0)
        assert not waiting.done()
        await asyncio.gather(*commits, return_exceptions=True)
        await waiting

    async def test_cancelled_before_its_turn(self, tmp_path: Path) -> None:
        """A commit cancelled while it waits for a thread writes nothing, and the others are written."""
        files, gate = Files(), threading.Event()
        blockers = [asyncio.create_task(files.call(gate.wait)) for _ in range(6)]
        await asyncio.sleep(0)
        tasks = [asyncio.create_task(files.commit(body(tmp_path / f"{number}.jpg"))) for number in range(40)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*blockers, *tasks, return_exceptions=True)
        await files.aclose()
        assert names(tmp_path) == sorted(f"{number}.jpg" for number in range(1, 40, 2))

    async def test_cancelled_anywhere(self, tmp_path: Path) -> None:
        """Cancelled at any moment a commit leaves the whole file or none, and no temporary one."""
        files = Files()
        tasks = [asyncio.create_task(files.commit(body(tmp_path / f"{number}.jpg"))) for number in range(200)]
        for task in tasks:
            await asyncio.sleep(0.0001)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await files.aclose()
        assert all(name.endswith(".jpg") for name in names(tmp_path))
        assert all((tmp_path / name).read_bytes() == PICTURE for name in names(tmp_path))

    async def test_closed_with_some_waiting(self, tmp_path: Path) -> None:
        """Closing gives up what waits for a thread, ends what is under way, and leaves nothing half."""
        files = Files()
        tasks = [asyncio.create_task(files.commit(body(tmp_path / f"{number}.jpg"))) for number in range(500)]
        await asyncio.sleep(0)
        await files.aclose()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert any(isinstance(result, asyncio.CancelledError) for result in results)
        kept = sum(isinstance(result, Kept) for result in results)
        assert len(names(tmp_path)) == kept
        assert all((tmp_path / name).read_bytes() == PICTURE for name in names(tmp_path))


class TestCall:
    async def test_it_is_run_off_the_loop(self, files: Files) -> None:
        """A function is run in one of the store's own threads, with its arguments."""
        assert (await files.call(lambda: threading.current_thread().name)).startswith("roco_async")
        assert await files.call(divmod, 7, 2) == (3, 1)

    async def test_an_oserror_is_the_disks(self, files: Files, tmp_path: Path) -> None:
        """An OSError in it is a refusing disk, with the error as cause."""
        with pytest.raises(DiskRefused) as raised:
            await files.call(os.listdir, str(tmp_path / "none"))
        assert isinstance(raised.value.__cause__, FileNotFoundError)

    async def test_cancelled_it_waits_for_its_thread(self, files: Files) -> None:
        """However often it is cancelled, the call ends after its thread: only then can one clean up."""
        gate, begun, ended = threading.Event(), threading.Event(), False

        def work() -> None:
            nonlocal ended
            begun.set()
            gate.wait()
            ended = True

        task = asyncio.create_task(files.call(work))
        while not begun.is_set():
            await asyncio.sleep(0)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended


class TestScan:
    @staticmethod
    def temp(pid: int, when: float, *, host: str | None = None, number: int = 0) -> str:
        return f".roco-{temps.host() if host is None else host}-{pid}-{int(when)}-abcdef-{number}.part"

    def test_it_tells_sizes(self, tmp_path: Path) -> None:
        """Files have their sizes; folders, dangling links and a folder that is not there have none."""
        (tmp_path / "a.jpg").write_bytes(b"123")
        (tmp_path / "empty.jpg").touch()
        (tmp_path / "folder.jpg").mkdir()
        (tmp_path / "dangling.jpg").symlink_to("none")
        assert scan(str(tmp_path)) == {"a.jpg": 3, "empty.jpg": 0}
        assert scan(str(tmp_path / "none")) == {}

    def test_a_dead_process_leaves_nothing(self, tmp_path: Path) -> None:
        """What a process that has ended left is removed, and what a living one of now has is not."""
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as alive:
            now = time.time()
            for pid in (dead.pid, alive.pid, os.getpid()):
                (tmp_path / self.temp(pid, now)).write_bytes(b"x")
            assert scan(str(tmp_path)) == {}
            assert names(tmp_path) == sorted(self.temp(pid, now) for pid in (alive.pid, os.getpid()))
            alive.communicate(b"\n")
        (tmp_path / self.temp(os.getpid(), now)).unlink()

    def test_a_later_process_with_the_same_number_does_not_count(self, tmp_path: Path) -> None:
        """A name from before the living process of its number began is of a dead one."""
        (tmp_path / self.temp(os.getpid(), time.time() - 30 * 86_400)).write_bytes(b"x")
        scan(str(tmp_path))
        assert names(tmp_path) == []

    def test_of_other_hosts_a_day_later(self, tmp_path: Path) -> None:
        """What another host left is removed a day after its last change, and not before, dead here or not."""
        for number, age in enumerate((60, 86_000, 86_500)):
            path = tmp_path / self.temp(1, time.time() - age, host="other-host", number=number)
            path.write_bytes(b"x")
            os.utime(path, (time.time() - age,) * 2)
        scan(str(tmp_path))
        assert sorted(name[-6] for name in names(tmp_path)) == ["0", "1"]
        for name in names(tmp_path):
            (tmp_path / name).unlink()

    def test_other_names_are_left_alone(self, tmp_path: Path) -> None:
        """Only names of this very form are temporary ones."""
        others = [".roco-x.part", "a.part", ".roco-h-1-2-zz-3.part", ".roco-h-1-2-ab-3.part.jpg", ".roco"]
        for name in others:
            (tmp_path / name).write_bytes(b"x")
        assert sorted(scan(str(tmp_path))) == sorted(others) == names(tmp_path)
        (tmp_path / "a.part").unlink()
        for name in names(tmp_path):
            (tmp_path / name).unlink()

    async def test_its_own_temporary_names_are_of_this_form(self, files: Files, tmp_path: Path) -> None:
        """The names that Files gives are never twice the same, and are those that `scan` knows."""
        given = [files.temp_name(str(tmp_path)) for _ in range(100)]
        assert len(set(given)) == 100
        (tmp_path / os.path.basename(given[0])).write_bytes(b"x")
        assert await files.call(scan, str(tmp_path)) == {}
        assert names(tmp_path) == [os.path.basename(given[0])]
        os.unlink(given[0])


class TestRefusals:
    @pytest.mark.parametrize(
        ("number", "kind"),
        [
            (errno.ENOSPC, DiskRefused), (errno.EDQUOT, DiskRefused), (errno.EROFS, DiskRefused),
            (errno.EACCES, DiskRefused), (errno.EIO, DiskRefused), (errno.ENOTDIR, DiskRefused),
            (errno.ENAMETOOLONG, Unsafe), (errno.EILSEQ, Unsafe), (errno.EMFILE, Busy), (errno.ENFILE, Busy),
        ],
    )  # fmt: skip
    def test_what_an_oserror_means(self, number: int, kind: type[Exception]) -> None:
        """A bad name is that image's, a lack of descriptors passes, and everything else ends the run."""
        assert type(refused(OSError(number, os.strerror(number)))) is kind

    async def test_a_full_disk(self, files: Files, mount_tmpfs: Callable[[str], Path]) -> None:
        """ENOSPC in the middle of a file is DiskRefused and leaves no temporary file."""
        disk = mount_tmpfs("size=64k")
        large = PICTURE[:-2] + bytes(1 << 20) + PICTURE[-2:]
        with pytest.raises(DiskRefused) as raised:
            await files.commit(body(disk / "x.jpg", large))
        assert isinstance(raised.value.__cause__, OSError)
        assert raised.value.__cause__.errno == errno.ENOSPC
        assert names(disk) == []

    async def test_a_read_only_disk(self, files: Files, mount_tmpfs: Callable[[str], Path]) -> None:
        """EROFS is DiskRefused."""
        disk = mount_tmpfs("ro")
        with pytest.raises(DiskRefused):
            await files.commit(body(disk / "x.jpg"))
        with pytest.raises(DiskRefused):
            await files.commit(body(disk / "folder" / "x.jpg"))

    @pytest.mark.skipif(os.getuid() == 0, reason="nothing is forbidden to root")
    async def test_a_folder_that_is_not_ours(self, files: Files, tmp_path: Path) -> None:
        """EACCES is DiskRefused."""
        tmp_path.chmod(0o500)
        with pytest.raises(DiskRefused):
            await files.commit(body(tmp_path / "x.jpg"))

    async def test_a_file_where_a_folder_should_be(self, files: Files, tmp_path: Path) -> None:
        """A folder that is a file is DiskRefused."""
        (tmp_path / "a").write_bytes(b"")
        with pytest.raises(DiskRefused):
            await files.commit(body(tmp_path / "a" / "x.jpg"))

    async def test_too_long_a_name(self, files: Files, tmp_path: Path) -> None:
        """ENAMETOOLONG is that image's Unsafe, and its neighbours in the batch are kept."""
        commits = [files.commit(body(tmp_path / f"{stem}.jpg")) for stem in ("a", "x" * 300, "b")]
        first, second, third = await asyncio.gather(*commits, return_exceptions=True)
        assert isinstance(second, Unsafe)
        assert isinstance(first, Kept)
        assert isinstance(third, Kept)
        assert names(tmp_path) == ["a.jpg", "b.jpg"]

    async def test_no_more_descriptors(self, files: Files, tmp_path: Path) -> None:
        """EMFILE is Busy, a temporary failure of this image, and the next is kept when there are some again."""
        await files.commit(body(tmp_path / "first.jpg"))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(TransferError) as raised:
                await files.commit(body(tmp_path / "x.jpg"))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert type(raised.value) is Busy
        assert isinstance(await files.commit(body(tmp_path / "x.jpg")), Kept)


class TestCheckFound:
    @pytest.mark.parametrize(
        ("content", "digest", "good"),
        [
            (PICTURE, None, True),
            (PICTURE, MD5, True),
            (PICTURE, MD5.upper(), True),
            (PICTURE, "0" * 32, False),
            (PICTURE[:-1], None, False),
            (b"<html>", None, False),
            (b"<html>", hashlib.md5(b"<html>").hexdigest(), False),
            (b"", None, False),
            (PICTURE[:30] + bytes(3 << 20) + PICTURE[30:], None, True),
            (tiny_png(), None, True),
        ],
    )
    def test_a_file_that_was_there(self, tmp_path: Path, content: bytes, digest: str | None, good: bool) -> None:
        """It is read whole and judged as a picture that comes is: by digest, else by its beginning and end."""
        path = tmp_path / "x.jpg"
        path.write_bytes(content)
        found = check_found(str(path), "fig1.jpg", digest)
        assert (found.size, found.md5) == (len(content), hashlib.md5(content).hexdigest())
        assert (found.fault is None) is good
