"""The disk, by aiofiles: temporary name → check → `os.replace`, many images in one hop to a thread.

An image costs 45 to 55 µs for each single aiofiles call and four to six calls; so whatever bodies are ready are
committed by one job (`commit`), at most 32 a job and two jobs at once: md5 of one overlaps with writing of another.

Rules for editing this file:

1. A file under its final name is whole and checked. Nothing is ever opened for writing under a final name.
2. A thread cannot be cancelled: what it may leave behind is cleaned up after it has ended, not after the await.
3. One file's wrong bytes are that file's result; a disk that refuses ends the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import itertools
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeVar

from aiofiles.os import wrap

from ..errors import Broken, Busy, Damaged, DiskRefused, TransferError, Unsafe
from ..records import Verified
from . import naming, pictures, temps

_BATCH: Final = 32
_JOBS: Final = 2
_THREADS: Final = 6
_QUEUED_BYTES: Final = 64 << 20
_READ_STEP: Final = 1 << 20

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(slots=True)
class Bodies:
    """One image on its way to disk: its bytes, or the temporary file that already has them.

    Args:
        path: final name.
        name: original file name; its suffix tells what the picture should begin with.
        chunks: the bytes, where they were gathered in memory.
        temp: the file that has them otherwise, with `md5` made as it was written; it is gone after the commit.
        crc: whether the CRC of the gzip stream that they came from was checked.
        size: bytes that came; never under `declared`.
        declared: bytes that were announced, None where nothing was.
        digest: the md5 that was published, None where none was.
    """

    path: str
    name: str
    chunks: list[bytes]
    size: int
    declared: int | None = None
    digest: str | None = None
    temp: str | None = None
    md5: str | None = None
    crc: bool = False

    @property
    def verified(self) -> Verified | None:
        """By what the bytes are checked."""
        if self.digest is not None:
            return "md5"
        return "crc" if self.crc else "length" if self.declared is not None else None


@dataclass(frozen=True, slots=True)
class Kept:
    """What a committed image is like."""

    size: int
    md5: str
    verified: Verified | None


@dataclass(frozen=True, slots=True)
class Found:
    """What an image that was there already is like, or what is wrong with it."""

    size: int
    md5: str
    fault: str | None


class _Threads(ThreadPoolExecutor):
    """As many threads as the system gives, where that is one at least: what is to be done waits for those."""

    def _adjust_thread_count(self) -> None:
        try:
            super()._adjust_thread_count()  # it has no public place to say that fewer will do
        except RuntimeError:
            if not self._threads:
                raise


class Files:
    """The disk as the receivers see it.

    Example:
        >>> async def keep(files, path, body):
        ...     return await files.commit(Bodies(path=path, name="fig1.jpg", chunks=[body], size=len(body)))
    """

    def __init__(self) -> None:
        self._executor = _Threads(_THREADS, thread_name_prefix="roco_async")
        self._queue: deque[tuple[Bodies, asyncio.Future[Kept]]] = deque()
        self._queued = 0
        self._jobs: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._room.set()
        self._temp_prefix = temps.prefix()
        self._numbers = itertools.count()
        self._made: set[str] = set()
        self._closing = False

    async def commit(self, body: Bodies) -> Kept:
        """Check an image and give it its final name.

        Raises:
            Damaged: the bytes are not the ones that were announced, or no picture.
            Unsafe: the file system takes no such name.
            DiskRefused: it takes nothing more.
        """
        if self._closing:
            raise Broken("given up: the store is closed", operation="store")
        kept: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        self._queue.append((body, kept))
        self._queued += body.size
        if self._queued >= _QUEUED_BYTES:
            self._room.clear()
        self._start_jobs()
        return await kept

    async def wait_for_room(self) -> None:
        """Wait while the disk is behind: the queue before it is bounded in bytes."""
        if not self._room.is_set():
            await self._room.wait()

    async def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a blocking function in a thread of this store's own, one hop.

        Raises:
            DiskRefused: it raised an OSError.
        """
        run: Any = wrap(function)
        work: asyncio.Future[R] = asyncio.ensure_future(run(*args, executor=self._executor, **kwargs))
        try:
            return await finished(work)
        except OSError as error:
            raise refused(error) from error

    def temp_name(self, folder: str) -> str:
        """A name beside the final one that no other process, and no other call, gives."""
        return os.path.join(folder, f"{self._temp_prefix}{next(self._numbers)}.part")

    def make_folder(self, folder: str) -> None:
        """Make a folder once; blocks."""
        if folder not in self._made:
            os.makedirs(folder, exist_ok=True)
            self._made.add(folder)

    def forget_folders(self) -> None:
        """Let each folder be made again that a run needs: between two runs somebody may have taken it away."""
        self._made.clear()

    async def aclose(self) -> None:
        """Wait for the threads that are under way; images that wait for one are given up."""
        self._closing = True
        for _, kept in self._queue:
            kept.cancel()
        self._queue.clear()
        self._room.set()
        while self._jobs:
            await asyncio.wait(self._jobs)
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _start_jobs(self) -> None:
        while self._queue and len(self._jobs) < _JOBS and not self._closing:
            batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            job = asyncio.get_running_loop().create_task(self._run_job(batch))
            self._jobs.add(job)

    async def _run_job(self, batch: list[tuple[Bodies, asyncio.Future[Kept]]]) -> None:
        try:
            run: Any = wrap(self._commit_all)
            results: list[Kept | Exception] = await run(batch, executor=self._executor)
        except RuntimeError as error:
            results = [Busy(f"no thread to write with: {error}", operation="store")] * len(batch)
        finally:
            self._jobs.discard(asyncio.current_task())
            self._queued -= sum(body.size for body, _ in batch)
            if self._queued < _QUEUED_BYTES:
                self._room.set()
            self._start_jobs()
        for (_, kept), result in zip(batch, results, strict=True):
            if kept.done():
                continue
            if isinstance(result, Kept):
                kept.set_result(result)
            else:
                kept.set_exception(result)

    def _commit_all(self, batch: Sequence[tuple[Bodies, asyncio.Future[Kept]]]) -> list[Kept | Exception]:
        results: list[Kept | Exception] = []
        for body, kept in batch:
            try:
                if self._closing or kept.done():
                    raise Broken("given up", operation="store")
                results.append(self.commit_now(body))
            except Exception as error:  # whatever it is, this image's own waiter must hear of it
                results.append(error)
        return results

    def commit_now(self, body: Bodies) -> Kept | TransferError:
        """Check an image and give it its final name; blocks. What is wrong with its bytes is the result.

        Raises:
            DiskRefused: the disk refused.
        """
        try:
            return self._commit(body)
        except TransferError as error:
            return error
        except OSError as error:
            refusal = refused(error, body.path)
            if isinstance(refusal, DiskRefused):
                raise refusal from error
            return refusal

    def _commit(self, body: Bodies) -> Kept:
        md5 = body.md5 or _md5(body.chunks)
        folder = os.path.dirname(body.path)
        temp = body.temp or self.temp_name(folder)
        try:
            _check(body, md5)
            self.make_folder(folder)
            if body.temp is None:
                _write_new(temp, body.chunks)
            naming.give_name(temp, body.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temp)
            raise
        return Kept(body.size, md5, body.verified)


async def finished(work: asyncio.Future[R]) -> R:
    """Wait for what cannot be left half done, however often this task is cancelled meanwhile.

    After a cancellation its result is of no interest, and the cancellation goes on.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([work])
        if not work.cancelled():
            work.exception()
        raise


def _md5(chunks: Sequence[bytes]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _check(body: Bodies, md5: str) -> None:
    head, tail = _ends(body)
    if not body.size:
        raise Damaged("an empty body", operation="check")
    if pictures.is_page(head, body.name):
        raise Damaged(f"a page of HTML or XML, no picture: {head[:60]!r}", operation="check")
    if body.digest is not None:
        if md5 != body.digest:
            raise Damaged(f"md5 {md5} where {body.digest} was announced ({body.size} bytes)", operation="check")
        return
    if body.declared is not None and body.size != body.declared:
        raise Damaged(f"{body.size} bytes where {body.declared} were announced", operation="check")
    if body.crc:
        return
    fault = pictures.fault(head, tail, body.size, body.name)
    if fault:
        raise Damaged(fault, operation="check")


def _ends(body: Bodies) -> tuple[bytes, bytes]:
    if body.temp is not None:
        try:
            opened = open(body.temp, "rb")  # noqa: SIM115 - closed below
        except FileNotFoundError as error:
            raise Damaged("somebody removed the temporary file", operation="store") from error
        with opened as file:
            held = os.fstat(file.fileno()).st_size
            if held != body.size:  # the md5 was made of what came, not of what is there
                raise Damaged(f"the temporary file has {held} bytes of {body.size}", operation="store")
            head = file.read(pictures.HEAD)
            file.seek(max(0, body.size - pictures.HEAD))
            return head, file.read()
    if not body.chunks:
        return b"", b""
    head, tail = body.chunks[0], body.chunks[-1]
    if len(body.chunks) > 1 and min(len(head), len(tail)) < pictures.HEAD:
        head = tail = b"".join(body.chunks)
    return head[: pictures.HEAD], tail[-pictures.HEAD :]


def _write_new(path: str, chunks: Sequence[bytes]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        for chunk in chunks:
            written = os.write(descriptor, chunk)
            while written < len(chunk):
                written += os.write(descriptor, memoryview(chunk)[written:])
    finally:
        os.close(descriptor)


def refused(error: OSError, place: str = "") -> DiskRefused | TransferError:
    """Return what an OSError of the disk means: for one name, or for the run."""
    if error.errno in (errno.ENAMETOOLONG, errno.EILSEQ):
        return Unsafe(f"the file system takes no such name: {error.strerror}", operation="store")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return Busy("this process has no more descriptors", operation="store")
    refusal = DiskRefused(f"the disk refused{f' {place}' if place else ''}: {error}")
    refusal.__cause__ = error
    return refusal


def check_found(path: str, name: str, digest: str | None) -> Found:
    """Read a file that was there already; blocks. Its md5, and what is wrong with it."""
    md5 = hashlib.md5(usedforsecurity=False)
    size = 0
    head = tail = b""
    with open(path, "rb") as file:
        while chunk := file.read(_READ_STEP):
            md5.update(chunk)
            size += len(chunk)
            head = head or chunk[: pictures.HEAD]
            tail = (tail + chunk)[-pictures.HEAD :]
    got = md5.hexdigest()
    if pictures.is_page(head, name):
        return Found(size, got, "a page of HTML or XML")
    if digest is not None:
        return Found(size, got, None if got == digest.lower() else f"md5 {got} where {digest} is wanted")
    return Found(size, got, pictures.fault(head, tail, size, name))
