"""Get the annotations once: upstream's tarball, streamed through the archive parsers into the cache, each file checked.

Nothing of a tarball is kept unless every annotation file in it is upstream's, byte for byte. It comes in under a
temporary name and gets its own at the end, so that two programs may do this at once.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING

from platformdirs import user_cache_path

from ..archive.events import Data, Member, MemberEnd, MemberType
from ..archive.gunzip import Gunzip
from ..archive.untar import Untar
from ..errors import AnnotationsUnavailable, DiskRefused, TransferError
from ..protocols import START, Body, Point, Transport
from ..store import temps
from ..transfer.budget import Budget
from ..transfer.loop import transfer
from .upstream import BLOBS, COMMIT, blob_hash

if TYPE_CHECKING:
    from hashlib import _Hash


def cache_folder() -> Path:
    """Return where a fetched copy is kept: the platform's cache folder, by commit."""
    return user_cache_path("roco_async") / "annotations" / COMMIT[:7] / "data"


async def obtain(url: str, *, transport: Transport, budget: Budget) -> Path:
    """Fetch the annotations into the cache and return their root.

    Raises:
        AnnotationsUnavailable: the tarball cannot be had, has a file that is not upstream's, or none of them.
        DiskRefused: the cache cannot be written.

    Example:
        >>> async def root(transport):
        ...     return await obtain("https://mirror.example/roco.tar.gz", transport=transport, budget=Budget(6))
    """
    tarball = TarballReceiver(cache_folder())
    try:
        await transfer(url, tarball, transport=transport, budget=budget)
    except TransferError as error:
        raise AnnotationsUnavailable(
            f"the annotations could not be fetched: {error}\n"
            "Try again later, name another place with --annotations-url, or a folder that has them with --data."
        ) from error
    finally:
        await tarball.discard()
    return tarball.root


class TarballReceiver:
    """A Receiver that ends in a folder of checked annotation files.

    Args:
        root: gets the folders train, validation and test.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._temp = root.with_name(f"{temps.prefix()}0.part")
        self._forget()

    def _forget(self) -> None:
        self._offset = 0
        self._validator: str | None = None
        self._gunzip = Gunzip()
        self._untar = Untar()
        self._file: IO[bytes] | None = None
        self._hash: _Hash | None = None
        self._path = ""
        self._kept: set[str] = set()

    @property
    def point(self) -> Point:
        return Point(self._offset, self._validator) if self._offset else START

    @property
    def satisfied(self) -> bool:
        return False  # every byte is wanted

    async def begin(self, body: Body) -> None:
        await self._off_the_loop(temps.sweep, os.fspath(self._temp.parent))
        self._validator = body.validator

    async def feed(self, chunk: bytes) -> bool:
        await self._off_the_loop(self._take, chunk)
        self._offset += len(chunk)
        return True

    async def finish(self) -> None:
        self._gunzip.finish()
        self._untar.finish()
        if not self._kept:
            raise AnnotationsUnavailable("the tarball has none of ROCO's annotation files")
        await self._off_the_loop(self._name)

    async def restart(self) -> None:
        await self.discard()

    async def discard(self) -> None:
        await self._off_the_loop(self._remove)
        self._forget()

    async def _off_the_loop(self, function: object, *args: object) -> None:
        assert callable(function)
        work = asyncio.ensure_future(asyncio.to_thread(function, *args))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])  # a thread cannot be cancelled, and `discard` must come after it
            raise
        except OSError as error:
            raise DiskRefused(f"the cache {self.root.parent} cannot be written: {error}") from error

    def _take(self, chunk: bytes) -> None:
        for piece in self._gunzip.feed(chunk):
            for event in self._untar.feed(piece):
                match event:
                    case Member():
                        self._begin_member(event)
                    case Data(view):
                        assert self._file is not None
                        assert self._hash is not None
                        self._hash.update(view)
                        self._file.write(view)
                    case MemberEnd():
                        self._end_member()
                    case _:
                        pass

    def _begin_member(self, member: Member) -> None:
        parts = member.name.removeprefix("./").split("/")
        path = "/".join(parts[-4:])
        if member.type is not MemberType.FILE or len(parts) > 5 or path not in BLOBS or path in self._kept:
            self._untar.skip()
            return
        self._path = path
        self._hash = blob_hash(member.size)
        target = self._temp.joinpath(*parts[-3:])
        target.parent.mkdir(parents=True, exist_ok=True)
        self._file = target.open("wb")

    def _end_member(self) -> None:
        assert self._file is not None
        assert self._hash is not None
        self._file.close()
        self._file = None
        got, wanted = self._hash.hexdigest(), BLOBS[self._path]
        if got != wanted:
            raise AnnotationsUnavailable(
                f"the tarball's {self._path} is not upstream's (blob {got}, not {wanted}); nothing of it is kept"
            )
        self._kept.add(self._path)

    def _name(self) -> None:
        """Give the folder its name, or its files to the copy that has it: somebody may be reading that one just now."""
        try:
            os.rename(self._temp, self.root)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            for path in self._kept:
                place = path.partition("/")[2]
                target = self.root / place
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(self._temp / place, target)

    def _remove(self) -> None:
        if self._file is not None:
            self._file.close()
        shutil.rmtree(self._temp, ignore_errors=True)
