"""`-k DIR`: a Receiver round the package's own that keeps the tar.gz too, so that `file://DIR` becomes a mirror.

A killed run goes on at its byte: `<name>.part` has the bytes, `<name>.part.json` the validator that they belong to. The
package gets its name when it was read to its end and its CRC was good.

Several processes may share DIR: who writes a `.part` holds a lock on it (flock(2)) until it has its name or is gone,
and whoever finds it locked leaves the keeping to that one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from typing import IO, Final

from ..errors import Broken, PermanentError
from ..protocols import START, Body, Point
from .files import Files
from .package import PackageReceiver

_PIECE: Final = 256 << 10


class KeptReceiver:
    """A Receiver of a package and of its wanted members; of the members alone while another run writes the package.

    Args:
        files: the disk.
        inner: takes the members.
        path: the package's final name.
    """

    def __init__(self, files: Files, inner: PackageReceiver, path: str) -> None:
        self._files = files
        self._inner = inner
        self._path = path
        self._part = path + ".part"
        self._note = path + ".part.json"
        self._file: IO[bytes] | None = None
        self._offset = 0
        self._size: int | None = None
        self._validator: str | None = None
        self._keeps = False
        self._is_anothers = False

    async def look(self) -> None:
        """Take up what a run that was killed left here."""
        try:
            self._offset, self._validator = await self._files.call(self._left)
        except BaseException:
            await self._files.call(self._close)
            raise

    @property
    def point(self) -> Point:
        if self._is_anothers:
            return self._inner.point
        return Point(self._offset, self._validator) if self._offset else START

    @property
    def satisfied(self) -> bool:
        return False  # the package is wanted to its last byte

    async def begin(self, body: Body) -> None:
        self._size, self._validator = body.size, body.validator
        await self._inner.begin(body)
        await self._files.call(self._open)
        while self._inner.point.offset < self._offset:
            piece = await self._files.call(self._read, self._inner.point.offset)
            if not piece:
                raise Broken(f"{self._part} is shorter than it was", operation="keep")
            await self._pass_on(piece)

    async def feed(self, chunk: bytes) -> bool:
        if self._is_anothers:
            return await self._inner.feed(chunk)
        await self._files.call(self._write, chunk)
        self._offset += len(chunk)
        await self._pass_on(chunk)
        return True

    async def _pass_on(self, chunk: bytes) -> None:
        try:
            await self._inner.feed(chunk)
        except PermanentError:
            await self.restart()  # a bomb: the next run is not to find it here
            raise

    async def finish(self) -> None:
        if self._is_anothers:
            await self._inner.finish()
            return
        if self._size is not None and self._offset < self._size:
            raise Broken(f"{self._offset} of {self._size} bytes came", operation="keep", overload=False)
        self._inner.check()
        if not await self._files.call(self._name):
            await self.restart()
            raise Broken(f"somebody removed {self._part}", operation="keep", overload=False)
        self._keeps = True
        await self._inner.finish()  # last: if it does not come to that, the next run takes the members from here

    async def restart(self) -> None:
        await self._inner.restart()
        await self._files.call(self._remove)
        self._offset, self._validator = 0, None

    async def discard(self) -> None:
        """Leave what can be gone on with; the members' own files go."""
        await self._inner.discard()
        has_use = self._keeps or self._validator is not None
        await self._files.call(self._close if has_use else self._remove)

    def _left(self) -> tuple[int, str | None]:
        try:
            if not self._claimed(os.O_RDWR):
                return 0, None
            with open(self._note, encoding="utf-8") as note:
                told = json.load(note)
            validator, size = told["validator"], told["size"]
            there = os.path.getsize(self._part)
            # where all of it is there, its last byte is asked for, so that the validators are compared
            usable = there if size is None else min(there, size - 1)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return 0, None
        if usable <= 0 or not isinstance(validator, str) or not validator.isprintable():
            return 0, None
        return usable, validator

    def _open(self) -> None:
        self._files.make_folder(os.path.dirname(self._path))
        if not self._claimed(os.O_RDWR | os.O_CREAT):
            return
        assert self._file is not None
        self._file.truncate(self._offset)
        self._file.seek(self._offset)
        if self._offset:
            return  # the note stands: written anew, it would be lost with a kill in the middle of that
        if self._validator is not None:
            with open(self._note, "w", encoding="utf-8") as note:
                json.dump({"validator": self._validator, "size": self._size}, note)
        else:
            _unlink(self._note)

    def _claimed(self, flags: int) -> bool:
        """Open the part for this run alone; False where another one has it."""
        if self._file is None and not self._is_anothers:
            self._file = _locked(self._part, flags)
            self._is_anothers = self._file is None
        return not self._is_anothers

    def _read(self, offset: int) -> bytes:
        assert self._file is not None
        return os.pread(self._file.fileno(), min(_PIECE, self._offset - offset), offset)

    def _write(self, chunk: bytes) -> None:
        assert self._file is not None
        view = memoryview(chunk)
        while view:
            view = view[self._file.write(view) :]

    # the lock goes last, so that nobody takes up what is just being named or removed

    def _name(self) -> bool:
        """Give the part its final name; False where it is there no more, or is another run's."""
        assert self._file is not None
        os.close(os.dup(self._file.fileno()))  # a network file system says only here that its disk was full
        if not _is_at(self._file, self._part):
            return False
        os.replace(self._part, self._path)
        forget_note(self._path)
        self._close()
        return True

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _remove(self) -> None:
        if self._file is not None and _is_at(self._file, self._part):
            for path in (self._note, self._part):
                _unlink(path)
        self._close()


def _locked(path: str, flags: int) -> IO[bytes] | None:
    """Open a file under a lock that ends when it is closed; None where it is somebody else's."""
    while True:
        with contextlib.ExitStack() as stack:
            try:
                descriptor = os.open(path, flags, 0o666)
            except PermissionError:
                if not os.path.exists(path):
                    raise
                return None  # another user's
            file = stack.enter_context(open(descriptor, "r+b", buffering=0))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            except OSError:
                pass  # a file system without locks: there each process needs a DIR of its own
            if _is_at(file, path):  # else it was given its name just now
                stack.pop_all()
                return file


def _is_at(file: IO[bytes], path: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    return False


def forget_note(path: str) -> None:
    """Remove what is noted of a package that is kept, if the folder lets us; blocks.

    A note with a part beside it is another run's, which fetches the package anew.
    """
    with contextlib.suppress(OSError):
        if not os.path.exists(path + ".part"):
            os.unlink(path + ".part.json")


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
