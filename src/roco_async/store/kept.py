"""`-k DIR`: a Receiver round the package's own that keeps the tar.gz too, so that `file://DIR` becomes a mirror.

A killed run goes on at its byte: `<name>.part` has the bytes, `<name>.part.json` the validator that they belong to. The
package gets its name when it was read to its end and its CRC was good.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import IO, Final

from ..errors import Broken, PermanentError
from ..protocols import START, Body, Point
from .files import Files
from .package import PackageReceiver

_PIECE: Final = 256 << 10


class KeptReceiver:
    """A Receiver of a package and of its wanted members.

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

    async def look(self) -> None:
        """Take up what a run that was killed left here."""
        self._offset, self._validator = await self._files.call(self._left)

    @property
    def point(self) -> Point:
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
        if self._size is not None and self._offset < self._size:
            raise Broken(f"{self._offset} of {self._size} bytes came", operation="keep", overload=False)
        self._inner.check()
        await self._files.call(self._name)
        self._keeps = True
        await self._inner.finish()  # last: if it does not come to that, the next run takes the members from here

    async def restart(self) -> None:
        await self._inner.restart()
        await self._files.call(self._remove)
        self._offset, self._validator = 0, None

    async def discard(self) -> None:
        """Leave what can be gone on with; the members' own files go."""
        await self._inner.discard()
        await self._files.call(self._close)
        if not self._keeps and self._validator is None:
            await self._files.call(self._remove)

    def _left(self) -> tuple[int, str | None]:
        try:
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
        if self._file is None:
            self._file = open(self._part, "r+b" if self._offset else "w+b", buffering=0)  # noqa: SIM115 - open between chunks
        self._file.truncate(self._offset)
        self._file.seek(self._offset)
        if self._offset:
            return  # the note stands: written anew, it would be lost with a kill in the middle of that
        if self._validator is not None:
            with open(self._note, "w", encoding="utf-8") as note:
                json.dump({"validator": self._validator, "size": self._size}, note)
        else:
            _unlink(self._note)

    def _read(self, offset: int) -> bytes:
        assert self._file is not None
        return os.pread(self._file.fileno(), min(_PIECE, self._offset - offset), offset)

    def _write(self, chunk: bytes) -> None:
        assert self._file is not None
        view = memoryview(chunk)
        while view:
            view = view[self._file.write(view) :]

    def _name(self) -> None:
        self._close()
        os.replace(self._part, self._path)
        _unlink(self._note)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _remove(self) -> None:
        self._close()
        for path in (self._note, self._part):
            _unlink(path)


def forget_note(path: str) -> None:
    """Remove what is noted of a package that is kept, if the folder lets us; blocks."""
    with contextlib.suppress(OSError):
        os.unlink(path + ".part.json")


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
