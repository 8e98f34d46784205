"""The Receiver of one image: gathered in memory up to 8 MiB, else in a temporary file; checked and named at the end."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING, Final

from ..errors import Broken, Damaged, Stale, TooLarge, TransferError
from ..protocols import START, Body, Point
from .files import Bodies, Files, Kept

if TYPE_CHECKING:
    from hashlib import _Hash

GATHERED: Final = 8 << 20
LARGEST: Final = 256 << 20


class ImageReceiver:
    """A Receiver that ends in a file.

    Args:
        files: the disk.
        path: final name.
        name: original file name.
        md5: what a list or a listing says of it; goes before the answer's own digest.
        size: likewise, in bytes.
    """

    __slots__ = (
        "_chunks", "_declared", "_digest", "_files", "_held", "_md5", "_name", "_offset", "_size", "_spill",
        "_spilled", "_validator", "kept", "path",
    )  # fmt: skip

    def __init__(self, files: Files, path: str, name: str, *, md5: str | None = None, size: int | None = None) -> None:
        self._files = files
        self.path = path
        self._name = name
        self._md5 = md5.lower() if md5 else None
        self._size = size
        self._spill: str | None = None
        self.kept: Kept | None = None
        self._forget()

    def _forget(self) -> None:
        self._chunks: list[bytes] = []
        self._held = 0
        self._offset = 0
        self._validator: str | None = None
        self._digest: str | None = None
        self._declared: int | None = None
        self._spilled: _Hash | None = None

    @property
    def point(self) -> Point:
        return Point(self._offset, self._validator) if self._offset else START

    @property
    def satisfied(self) -> bool:
        return False  # every byte is wanted

    async def begin(self, body: Body) -> None:
        if self._offset and body.size is not None and self._declared not in (None, body.size):
            raise Stale(f"{body.size} bytes where {self._declared} were announced before", operation="check")
        if body.size is not None and body.size > LARGEST:
            raise TooLarge(f"{body.size} bytes; the cap is {LARGEST}", operation="check")
        if not self._offset:
            self._validator = body.validator
            self._digest = body.digest
        self._declared = body.size if body.size is not None else self._declared

    async def feed(self, chunk: bytes) -> bool:
        await self._files.wait_for_room()
        if self._offset + len(chunk) > LARGEST:
            raise TooLarge(f"over {LARGEST} bytes", operation="check")
        self._chunks.append(chunk)
        self._held += len(chunk)
        self._offset += len(chunk)
        if self._held > GATHERED:
            await self._write_out()
        return True

    async def finish(self) -> None:
        declared = self._size if self._size is not None else self._declared
        if declared is not None and self._offset < declared:
            if self._declared is not None and self._offset >= self._declared:
                raise Damaged(f"{self._offset} bytes where the list says {declared}", operation="check")
            raise Broken(f"{self._offset} of {declared} bytes came", operation="check", overload=False)
        if declared is not None and self._offset > declared:
            raise Damaged(f"{self._offset} bytes where {declared} were announced", operation="check")
        body = Bodies(
            path=self.path,
            name=self._name,
            chunks=self._chunks,
            size=self._offset,
            declared=declared,
            digest=self._md5 or self._digest,
        )
        if self._spilled is not None:
            await self._write_out()
            body.chunks, body.temp, body.md5 = [], self._spill, self._spilled.hexdigest()
        try:
            self.kept = await self._files.commit(body)
        except TransferError:
            await self.discard()  # the temporary file went with the commit
            raise
        self._spill = None
        self._forget()

    async def restart(self) -> None:
        await self.discard()

    async def discard(self) -> None:
        self._forget()
        if self._spill is not None:
            spill, self._spill = self._spill, None
            await self._files.call(_unlink, spill)

    async def _write_out(self) -> None:
        """Append what is gathered to the temporary file, in one hop."""
        if self._spilled is None:
            self._spilled = hashlib.md5(usedforsecurity=False)
        is_new = self._spill is None
        if self._spill is None:
            self._spill = self._files.temp_name(os.path.dirname(self.path))
        chunks, self._chunks, self._held = self._chunks, [], 0
        try:
            await self._files.call(_append, self._files, self._spill, chunks, self._spilled, is_new=is_new)
        except TransferError:
            await self.discard()  # how much of the chunks is in the file is unknown: back to byte 0
            raise


def _append(files: Files, path: str, chunks: list[bytes], md5: _Hash, *, is_new: bool) -> None:
    if is_new:
        files.make_folder(os.path.dirname(path))
    try:
        opened = open(path, "xb" if is_new else "r+b", buffering=0)  # noqa: SIM115 - closed below
    except FileNotFoundError as error:
        if is_new:
            raise
        raise Damaged(
            "somebody removed the temporary file", operation="store"
        ) from error  # another would lack its head
    with opened as file:
        file.seek(0, os.SEEK_END)
        for chunk in chunks:
            md5.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[file.write(view) :]


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
