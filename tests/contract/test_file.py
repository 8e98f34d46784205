"""FileTransport: the suite of transports as it stands, and what a disk can do wrong."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from unittest.mock import patch

import pytest

from roco_async.errors import Broken, Busy, NotFound, Refused, Stale, Stalled, TemporaryError, TransferError, Unsafe
from roco_async.protocols import Point
from roco_async.transport.file import FileTransport
from tests.contract import test_transports as suite
from tests.contract.shelves import Shelf
from tests.contract.test_transports import DATA, OTHER, Fill, read

# Every test of the suite runs here too, with this module's `fill`; what is added to it comes along.
globals().update({name: test for name, test in vars(suite).items() if name.startswith("test_")})


@asynccontextmanager
async def shelf_in(folder: Path) -> AsyncIterator[Shelf]:
    def put(key: str, data: bytes) -> None:
        place = folder / key
        place.parent.mkdir(parents=True, exist_ok=True)
        place.with_name("new").write_bytes(data)
        os.replace(place.with_name("new"), place)

    transport = FileTransport()
    try:
        yield Shelf(transport, lambda key: (folder / key).as_uri(), put, digests=False, compares=True)
    finally:
        await transport.aclose()


@pytest.fixture
async def fill(tmp_path: Path) -> AsyncIterator[Fill]:
    """Make a folder with these objects."""
    async with AsyncExitStack() as stack:

        async def made(objects: object) -> Shelf:
            shelf = await stack.enter_async_context(shelf_in(tmp_path))
            assert isinstance(objects, dict)
            for key, data in objects.items():
                shelf.put(key, data)
            return shelf

        yield made


@pytest.fixture
async def transport() -> AsyncIterator[FileTransport]:
    """A FileTransport that is closed after the test."""
    made = FileTransport(timeout=0.5)
    yield made
    await made.aclose()


def descriptors_of(path: Path) -> int:
    """Return how many of this process's descriptors are this file."""
    found = 0
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found += os.readlink(f"/proc/self/fd/{number}") == str(path)
    return found


async def failure(transport: FileTransport, url: str) -> TransferError:
    with pytest.raises(TransferError) as caught:
        async with transport.open(url) as body:
            await read(body)
    return caught.value


async def test_what_is_no_regular_file_is_not_found(transport: FileTransport, tmp_path: Path) -> None:
    """A folder, a pipe that nobody writes to, a device, a loop of links, a name too long: `NotFound`, at once."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "plain").write_bytes(b"")
    for path in (tmp_path, *map(tmp_path.joinpath, ("pipe", "loop", "x" * 300, "plain/x")), Path("/dev/zero")):
        assert isinstance(await failure(transport, path.as_uri()), NotFound), path


@pytest.mark.parametrize(
    ("number", "expected", "overload"),
    [
        (errno.EACCES, Refused, False),
        (errno.EPERM, Refused, False),
        (errno.EIO, Broken, False),
        (errno.ESTALE, Broken, False),
        (errno.ETIMEDOUT, Broken, False),
        (errno.EMFILE, Busy, True),
        (errno.ENFILE, Busy, True),
    ],
)
async def test_each_fault_of_a_disk_has_its_error(
    transport: FileTransport, tmp_path: Path, number: int, expected: type[TransferError], *, overload: bool
) -> None:
    """What the system says to open or read becomes its error, with URL and operation."""
    url = (tmp_path / "a").as_uri()
    (tmp_path / "a").write_bytes(DATA)
    for function, operation in (("open", "open"), ("pread", "read")):
        with patch.object(os, function, side_effect=OSError(number, os.strerror(number))):
            error = await failure(transport, url)
        assert isinstance(error, TemporaryError)
        assert (type(error), error.overload, error.operation, error.url) == (expected, overload, operation, url)
    assert descriptors_of(tmp_path / "a") == 0


@pytest.mark.parametrize(
    "change", [lambda place: place.write_bytes(OTHER[:1000]), lambda place: os.utime(place)], ids=["cut", "touched"]
)
async def test_a_file_that_changes_under_the_reader_is_stale(
    transport: FileTransport, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    """A file that is written to while it is read is `Stale` at its end."""
    place = tmp_path / "a"
    place.write_bytes(DATA)
    os.utime(place, (1_700_000_000, 1_700_000_000))
    async with transport.open(place.as_uri()) as body:
        await anext(body.chunks)
        change(place)
        with pytest.raises(Stale):
            await read(body)


async def test_a_replaced_file_is_read_on_as_it_was(transport: FileTransport, tmp_path: Path) -> None:
    """A file that another one replaced by name stays what it was for the transfer that has it open."""
    (tmp_path / "a").write_bytes(DATA)
    (tmp_path / "b").write_bytes(OTHER)
    async with transport.open((tmp_path / "a").as_uri()) as body:
        first = await anext(body.chunks)
        os.replace(tmp_path / "b", tmp_path / "a")
        assert first + await read(body) == DATA


@pytest.mark.parametrize("function", ["open", "pread"])
async def test_a_cancelled_read_closes_its_file_when_the_thread_has_ended(
    transport: FileTransport, tmp_path: Path, function: str
) -> None:
    """Until the thread has ended, the descriptor's number is not free for another file; then it is."""
    place = tmp_path / "a"
    place.write_bytes(DATA)
    began, may_end = threading.Event(), threading.Event()
    real = getattr(os, function)

    def slow(*arguments: object) -> object:
        result = real(*arguments)
        began.set()
        assert may_end.wait(10)
        return result

    async def transfer() -> None:
        async with transport.open(place.as_uri()) as body:
            await read(body)

    with patch.object(os, function, slow):
        task = asyncio.create_task(transfer())
        await asyncio.to_thread(began.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert descriptors_of(place) == 1
        may_end.set()
        async with asyncio.timeout(5):
            while descriptors_of(place):
                await asyncio.sleep(0.01)


async def test_a_file_system_that_hangs_is_given_up(tmp_path: Path) -> None:
    """A read that does not return is `Stalled` after the timeout, of a disk that gave no answer."""
    (tmp_path / "a").write_bytes(DATA)
    may_end = threading.Event()
    transport = FileTransport(timeout=0.05)
    with patch.object(os, "pread", lambda *_: may_end.wait(10)):
        error = await failure(transport, (tmp_path / "a").as_uri())
        assert isinstance(error, Stalled)
        assert not error.answered
        may_end.set()
    await transport.aclose()


@pytest.mark.parametrize("url", ["file://elsewhere/a", "file:a", "http:///a", "file:///a%00b", "file://[a/b"])
async def test_what_is_no_local_path_is_unsafe(transport: FileTransport, url: str) -> None:
    """Another machine's file, a relative path, another scheme, and a NUL are refused for good."""
    assert isinstance(await failure(transport, url), Unsafe)


async def test_localhost_is_this_machine(transport: FileTransport, tmp_path: Path) -> None:
    """`file://localhost/path` is the same file (RFC 8089), and a name need not be UTF-8."""
    place = os.fsencode(tmp_path) + b"/caf\xe9"
    with open(place, "wb") as output:
        output.write(DATA)
    async with transport.open(f"file://localhost{tmp_path}/caf%E9") as body:
        assert await read(body) == DATA


async def test_the_offset_needs_the_same_file(transport: FileTransport, tmp_path: Path) -> None:
    """A copy of the same bytes, the same size and the same time is another file, and begins at 0."""
    (tmp_path / "a").write_bytes(DATA)
    async with transport.open((tmp_path / "a").as_uri()) as body:
        await anext(body.chunks)
    (tmp_path / "b").write_bytes(DATA)
    times = (tmp_path / "a").stat()
    os.utime(tmp_path / "b", ns=(times.st_atime_ns, times.st_mtime_ns))
    async with transport.open((tmp_path / "b").as_uri(), Point(1000, body.validator)) as other:
        assert (other.start, await read(other)) == (0, DATA)
