"""Folders as mirrors: `file://` URLs (RFC 8089), read off the event loop."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final, TypeVar
from urllib.parse import unquote_to_bytes, urlsplit

from ..errors import Broken, Busy, NotFound, Refused, Stale, Stalled, TransferError, Unsafe
from ..protocols import START, Body, Point

_PIECE: Final = 512 * 1024
_THREADS: Final = 32
_NO_FILE: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.ENODEV}
)
_NOT_OURS: Final = frozenset({errno.EACCES, errno.EPERM})
_OUT_OF_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE})

T = TypeVar("T")


class FileTransport:
    """A Transport over the files of this machine.

    Args:
        timeout: seconds after which an open or a read that does not return (a network file system's server is away)
            is given up; its thread closes the file whenever it ends.

    Example:
        >>> async def size(path):
        ...     async with FileTransport().open(path.as_uri()) as body:
        ...         return body.size
    """

    def __init__(self, *, timeout: float = 30.0) -> None:
        self._timeout = timeout
        self._threads: ThreadPoolExecutor | None = None

    def open(self, url: str, at: Point = START) -> _Reading:
        """Read `file:///absolute/path` from `at` on; size and validator are those of the file when it was opened.

        Raises, on entering and from the body's chunks:
            PermanentError: there is no regular file of this name, or the URL is none of a local file.
            TemporaryError: no permission, or the disk fails.
        """
        return _Reading(self, url, at)

    async def aclose(self) -> None:
        """Let the threads go; one that hangs in a dead file system is not waited for."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Start `work` in a thread.

        The loop's default executor has cores + 4 threads and other users: transfers from a slow file system would queue
        behind six of them.
        """
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="roco_async.file")
        return self._threads.submit(work)

    async def result(self, job: Future[T], url: str, operation: str) -> T:
        """Wait for a thread's result, for at most the timeout, and map its errors."""
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.wrap_future(job)
        except OSError as error:
            raise mapped(error, url, operation=operation) from error


class _Reading:
    """One file, from `async with` to the end of the block; the body's chunks too."""

    __slots__ = ("_at", "_descriptor", "_job", "_place", "_transport", "_url", "_version")

    def __init__(self, transport: FileTransport, url: str, at: Point) -> None:
        self._transport = transport
        self._url = url
        self._at = at

    async def __aenter__(self) -> Body:
        path = path_of(self._url)
        opening = self._transport.submit(lambda: _opened(path))
        try:
            self._descriptor, found = await self._transport.result(opening, self._url, "open")
        except BaseException:
            opening.add_done_callback(_close_what_it_opened)
            raise
        self._job: Future[Any] = opening
        self._version = _version(found)
        self._place = self._at.offset if self._at.validator == self._version else 0
        return Body(start=self._place, size=found.st_size, validator=self._version, digest=None, chunks=self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # At once, or when the read that was cancelled has ended: until then its number must not be another file's.
        descriptor = self._descriptor
        self._job.add_done_callback(lambda _: os.close(descriptor))

    def __aiter__(self) -> _Reading:
        return self

    async def __anext__(self) -> bytes:
        descriptor, place = self._descriptor, self._place
        reading = self._transport.submit(lambda: _read(descriptor, place))
        self._job = reading
        chunk, found = await self._transport.result(reading, self._url, "read")
        if chunk:
            self._place += len(chunk)
            return chunk
        if _version(found) != self._version:
            raise Stale("the file changed while it was read", operation="read", url=self._url)
        raise StopAsyncIteration


def path_of(url: str) -> bytes:
    """Return the path that a `file:` URL names, as the system takes it.

    Raises:
        Unsafe: another scheme, another machine's file, no absolute path, or a NUL in it.

    Example:
        >>> path_of("file:///mirror/two%20words.tar.gz")
        b'/mirror/two words.tar.gz'
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise Unsafe(f"no usable URL: {error}", operation="open", url=url) from error
    path = unquote_to_bytes(parts.path + (f"?{parts.query}" if parts.query else ""))
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not path.startswith(b"/") or b"\0" in path:
        raise Unsafe("no file:///absolute/path", operation="open", url=url)
    return path


def _opened(path: bytes) -> tuple[int, os.stat_result]:
    """Open a regular file; anything else is closed again, and no pipe is waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.ENXIO, "not a regular file")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, found


def _close_what_it_opened(opening: Future[tuple[int, os.stat_result]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result()[0])


def _read(descriptor: int, place: int) -> tuple[bytes, os.stat_result]:
    return os.pread(descriptor, _PIECE, place), os.fstat(descriptor)


def _version(found: os.stat_result) -> str:
    return f"{found.st_size}:{found.st_mtime_ns}:{found.st_ino}"


def mapped(error: OSError, url: str, *, operation: str) -> TransferError:
    """Return the TransferError for what the system said of a file.

    None of them is a sign of overload but a lack of descriptors: fewer transfers would not mend a disk.
    """
    text = error.strerror or str(error) or type(error).__name__
    if error.errno in _NO_FILE:
        return NotFound(text, operation=operation, url=url)
    if error.errno in _NOT_OURS:
        return Refused(text, operation=operation, url=url)
    if error.errno in _OUT_OF_DESCRIPTORS:
        return Busy(f"this process has no more descriptors: {text}", operation=operation, url=url)
    if isinstance(error, TimeoutError) and error.errno is None:
        return Stalled("the file system does not answer", operation=operation, url=url, answered=False)
    return Broken(text, operation=operation, url=url, overload=False)
