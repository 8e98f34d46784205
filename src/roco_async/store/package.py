"""The Receiver of a tar.gz package: the wanted members go to disk as they come, the package itself is never stored.

Rules for editing this file:

1. Members get their names together, in `finish`: never is one of them from another version than its neighbour.
2. `restart` forgets finished members with the rest.
3. The first complete member of a name counts: the last one is known only at the end, and decoding stops when the last
   wanted one is out.
4. That a member is lacking is said for good, so it is said only of a stream that was decoded to its end.
5. A fault in the middle of a chunk leaves the parsers there, too: go back to byte 0, whatever the fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from ..archive.events import ArchiveEnd, Data, Member, MemberEnd, MemberType
from ..archive.faults import OutputTooLarge, TrailingGarbage, Truncated
from ..archive.gunzip import Gunzip
from ..archive.untar import Untar
from ..errors import Broken, DiskRefused, NoMember, Stale, TooLarge, TransferError, Unsafe
from ..protocols import ROUND_TRIPS, START, Body, Point
from ..records import ImageRecord
from .files import Bodies, Files, Kept, refused
from .image import LARGEST

if TYPE_CHECKING:
    from hashlib import _Hash

DECODED_REST: Final = 256 << 10
"""Bytes left of a package that are decoded all the same, so that the CRC is checked."""

_TELLING: Final = 1 / 2
"""Of a reconnection's cost, after which the rate tells: until then a connection that begins slowly has not grown."""

_MEASURABLE: Final = 0.05
"""Seconds under which no rate is measured."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One wanted member: whose it is, and its final name."""

    record: ImageRecord
    path: str


@dataclass(slots=True)
class _Out:
    """A member that is on its way to disk, or there."""

    temp: str
    size: int
    md5: _Hash


class _Pace:
    """How fast a body comes of late: a connection that begins slowly moves far less in its mean than it does by now.

    Args:
        now: seconds of the loop's clock.
        offset: bytes that had come by then.
        reconnect: seconds that a fresh connection costs.
    """

    __slots__ = ("_before", "_last", "_round_trip", "_tells_at")

    def __init__(self, now: float, offset: int, reconnect: float) -> None:
        self._before = self._last = (now, offset)
        self._round_trip = reconnect / ROUND_TRIPS
        self._tells_at = now + max(reconnect * _TELLING, _MEASURABLE)

    def note(self, now: float, offset: int) -> None:
        """Take note of where the body is."""
        if now - self._last[0] >= self._round_trip:
            self._before, self._last = self._last, (now, offset)

    def rate(self, now: float, offset: int) -> float | None:
        """Bytes a second over the last one or two round trips; None where it is too early to tell."""
        then, there = self._before
        return (offset - there) / (now - then) if now > self._tells_at else None


class PackageReceiver:
    """A Receiver that ends in the files of the wanted members.

    Args:
        files: the disk.
        wishes: the wanted members; several may want the same.
        whole: decode to the end whatever is wanted, so that the CRC is checked.

    Example:
        >>> async def carry(package, receiver, transport, budget):
        ...     await transfer(package, receiver, transport=transport, budget=budget)
        ...     return receiver.results
    """

    def __init__(self, files: Files, wishes: Sequence[Wish], *, whole: bool = False) -> None:
        self._files = files
        self._wishes = wishes
        self._whole = whole
        self._current: _Out | None = None
        self._file: IO[bytes] | None = None
        self._out: dict[str, _Out] = {}
        self.results: list[Kept | TransferError] = []
        self.is_checked = False
        """Whether the results are of a package whose CRC was good: another request would bring the same."""
        self._forget()

    def _forget(self) -> None:
        self._offset = 0
        self._size: int | None = None
        self._validator: str | None = None
        self._gunzip = Gunzip()
        self._untar = Untar()
        self._name = ""
        self._missing = {wish.record.name for wish in self._wishes}
        self._turned_down: dict[str, TransferError] = {}
        self._decoding = True
        self._over = False
        self._padded = False
        self._drops_until = 0.0
        self._reconnect = 0.0
        self._pace = _Pace(0.0, 0, 0.0)

    @property
    def point(self) -> Point:
        return Point(self._offset, self._validator) if self._offset else START

    @property
    def satisfied(self) -> bool:
        return not self._wants_all

    async def begin(self, body: Body) -> None:
        if not self._offset:
            self._size, self._validator = body.size, body.validator
        elif body.size is not None and self._size not in (None, body.size):
            raise Stale(f"{body.size} bytes where {self._size} were announced before", operation="check")
        self._reconnect = body.reconnect
        self._pace = _Pace(asyncio.get_running_loop().time(), self._offset, body.reconnect)

    async def feed(self, chunk: bytes) -> bool:
        if self._decoding:
            try:
                await self._files.call(self._decode, chunk)
            except TransferError:
                await self.discard()  # with the point at 0 it is no cut in a rest that nobody needs
                raise
        self._offset += len(chunk)
        self._pace.note(asyncio.get_running_loop().time(), self._offset)
        return self._wants_all or self._reads_on()

    def check(self) -> None:
        """Say whether what came is whole: `finish` would commit it.

        Raises:
            Broken: bytes are lacking.
            Damaged: they are wrong.
        """
        at_end = self._size is None or self._offset >= self._size
        if self._wants_all:
            if not at_end:
                raise Broken(f"{self._offset} of {self._size} bytes came", operation="check", overload=False)
            self._end_decoding()
        elif self._decoding and at_end and self._size is not None:
            self._end_decoding()

    async def finish(self) -> None:
        self.check()
        self.results = await self._files.call(self._commit)
        self._forget()

    async def restart(self) -> None:
        await self.discard()

    async def discard(self) -> None:
        if self._out or self._current:
            await self._files.call(self._remove)
        self._forget()

    @property
    def _wants_all(self) -> bool:
        return self._whole or (bool(self._missing) and self._decoding)

    def _reads_on(self) -> bool:
        """Whether the rest of the body is read although nothing of it is wanted (design §4.4).

        A fresh connection begins slowly; so the rest is dropped, not the connection, where it takes less time. So it is
        as long as nobody can tell. A decision to read stays for twice the time that it allows, whatever the line does.
        """
        now = asyncio.get_running_loop().time()
        if now < self._drops_until:
            return True
        rest = None if self._size is None else self._size - self._offset
        if rest is None:
            return False
        if self._decoding and rest <= DECODED_REST:
            return True
        self._decoding = False
        if not self._reconnect:
            return False
        rate = self._pace.rate(now, self._offset)
        if rate is None:
            return True
        if rest > rate * self._reconnect:
            return False
        self._drops_until = now + 2 * self._reconnect
        return True

    def _end_decoding(self) -> None:
        if self._decoding:
            self._gunzip.finish()
            if self._missing:
                self._untar.finish()

    def _decode(self, chunk: bytes) -> None:
        try:
            self._decode_all(chunk)
        except TrailingGarbage:
            if not self._is_over():
                raise
            self._padded = True  # the archive and its CRC were whole before it: what follows is nobody's affair
            self._decoding = False
        except OutputTooLarge:
            if self._wants_all:
                raise
            self._decoding = False  # a bomb in a rest that nobody needs

    def _is_over(self) -> bool:
        if self._over or not self._missing:
            return True
        try:
            self._untar.finish()
        except Truncated:
            return False
        return True

    def _decode_all(self, chunk: bytes) -> None:
        for piece in self._gunzip.feed(chunk):
            if self._missing:  # else only its CRC is of interest
                self._take(piece)

    def _take(self, piece: bytes) -> None:
        for event in self._untar.feed(piece):
            match event:
                case Member():
                    self._begin_member(event)
                case Data(view):
                    self._write(view)
                case MemberEnd():
                    self._end_member()
                case ArchiveEnd():
                    self._over = True
            if not self._missing:
                return

    def _write(self, view: memoryview) -> None:
        assert self._file is not None
        assert self._current is not None
        self._current.md5.update(view)
        while view:  # a disk that is about to be full takes a part
            view = view[self._file.write(view) :]

    def _begin_member(self, member: Member) -> None:
        name = self._wanted_name(member)
        if name is None:
            self._untar.skip()
            return
        turned_down: Unsafe | None = None
        for folder in dict.fromkeys(os.path.dirname(wish.path) for wish in self._wishes if wish.record.name == name):
            temp = self._files.temp_name(folder)
            try:
                self._files.make_folder(folder)
                self._file = open(temp, "xb", buffering=0)  # noqa: SIM115 - it stays open between two chunks
            except OSError as error:
                refusal = refused(error)
                if not isinstance(refusal, Unsafe):
                    raise
                turned_down = refusal  # a folder's name that the disk does not take: another's is as good
                continue
            self._name = name
            self._current = _Out(temp, member.size, hashlib.md5(usedforsecurity=False))
            return
        assert turned_down is not None
        self._turn_down(name, turned_down)
        self._untar.skip()

    def _wanted_name(self, member: Member) -> str | None:
        """The name, if it is `[./]<top>/<name>`, wanted, and a file that a picture can be."""
        parts = member.name.removeprefix("./").split("/")
        if len(parts) != 2 or parts[0] in ("", ".", "..") or parts[1] not in self._missing:
            return None
        name = parts[1]
        if member.type is not MemberType.FILE:
            self._turned_down[name] = NoMember(f"{name} is no file but a {member.type}", operation="untar")
            return None
        if member.size > LARGEST:
            message = f"{name} has {member.size} bytes; the cap is {LARGEST}"
            self._turn_down(name, TooLarge(message, operation="untar"))
            return None
        return name

    def _turn_down(self, name: str, error: TransferError) -> None:
        self._turned_down[name] = error
        self._missing.discard(name)

    def _end_member(self) -> None:
        assert self._current is not None
        self._close()
        self._out[self._name] = self._current
        self._current = None
        self._missing.discard(self._name)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _remove(self) -> None:
        self._close()
        outs = [*self._out.values(), *([self._current] if self._current else [])]
        self._out, self._current = {}, None
        for out in outs:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(out.temp)

    def _commit(self) -> list[Kept | TransferError]:
        left = {name: sum(wish.record.name == name for wish in self._wishes) for name in self._out}
        results: list[Kept | TransferError] = []
        for wish in self._wishes:
            name = wish.record.name
            out = self._out.get(name)
            if out is None:
                missing = NoMember(f"the package has no member {name}", operation="untar")
                results.append(self._turned_down.get(name, missing))
                continue
            left[name] -= 1
            results.append(self._commit_one(wish, out, is_last=not left[name]))
        self.is_checked = self._is_checked
        self._remove()
        return results

    def _commit_one(self, wish: Wish, out: _Out, *, is_last: bool) -> Kept | TransferError:
        temp = out.temp
        is_elsewhere = os.path.dirname(wish.path) != os.path.dirname(temp)  # perhaps on another disk
        if is_elsewhere or not is_last:
            temp = self._files.temp_name(os.path.dirname(wish.path))
            try:
                self._files.make_folder(os.path.dirname(wish.path))
                shutil.copyfile(out.temp, temp)
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.unlink(temp)
                refusal = refused(error)
                if isinstance(refusal, DiskRefused):
                    raise refusal from error
                return refusal
        body = Bodies(
            path=wish.path,
            name=wish.record.name,
            chunks=[],
            size=out.size,
            declared=wish.record.size if wish.record.size is not None else out.size,
            digest=wish.record.md5.lower() if wish.record.md5 else None,
            temp=temp,
            md5=out.md5.hexdigest(),
            crc=self._is_checked,
        )
        return self._files.commit_now(body)

    @property
    def _is_checked(self) -> bool:
        return self._gunzip.checked or self._padded
