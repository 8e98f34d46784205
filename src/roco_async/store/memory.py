"""The Receiver of small things that are read, not kept: a page of a listing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from ..errors import Broken, Stale, TransferError
from ..protocols import START, Body, Point

T = TypeVar("T")


class MemoryReceiver(Generic[T]):
    """A Receiver that ends in a value.

    Args:
        most: bytes it takes.
        too_much: the error it raises for more.
        read: makes the value of the whole; what it raises sends the transfer round again.
    """

    def __init__(self, most: int, *, too_much: TransferError, read: Callable[[bytes], T]) -> None:
        self._most = most
        self._too_much = too_much
        self._read = read
        self._size: int | None = None
        self._validator: str | None = None
        self._bytes = bytearray()
        self._value: T | None = None

    @property
    def value(self) -> T:
        assert self._value is not None, "not finished"
        return self._value

    @property
    def taken(self) -> int:
        """Bytes that came."""
        return len(self._bytes)

    @property
    def point(self) -> Point:
        return Point(len(self._bytes), self._validator) if self._bytes else START

    @property
    def satisfied(self) -> bool:
        return False  # every byte is wanted

    async def begin(self, body: Body) -> None:
        if self._bytes and self._size not in (None, body.size):
            raise Stale("another size than before", operation="check")
        self._size, self._validator = body.size, body.validator

    async def feed(self, chunk: bytes) -> bool:
        if len(self._bytes) + len(chunk) > self._most:
            raise self._too_much
        self._bytes += chunk
        return True

    async def finish(self) -> None:
        if self._size is not None and len(self._bytes) < self._size:
            raise Broken(f"{len(self._bytes)} of {self._size} bytes came", operation="check", overload=False)
        self._value = self._read(bytes(self._bytes))

    async def restart(self) -> None:
        self._bytes.clear()

    async def discard(self) -> None:
        self._bytes.clear()
