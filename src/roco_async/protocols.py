"""The five words that the house is built on. Read this page first.

A Transport yields bytes from a point. A Receiver can be fed from a point. One loop (`transfer/loop.py`) carries them
across, as often as it takes. A Source knows which bytes are an image's. Retry lives in the loop: above Transport, below
Source. Everything that can fail for one image is a `TransferError`, and at a Source's door it becomes an `Outcome`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from .records import ImageRecord, Job, Outcome


@dataclass(frozen=True, slots=True)
class Point:
    """Where a transfer stands: bytes taken so far, and the strong validator they belong to (RFC 9110 §8.8.1)."""

    offset: int = 0
    validator: str | None = None


START = Point()

ROUND_TRIPS: Final = 8
"""What a fresh connection costs, until its window has grown (slow start)."""


@dataclass(slots=True, kw_only=True)
class Body:
    """What a server really answered.

    Args:
        start: the first byte's place in the object; may be 0 although a later byte was asked for.
        size: of the whole object in bytes; None where it was not declared.
        validator: None if weak or absent: such a body cannot be resumed.
        digest: md5 in hex where the server publishes it (the ETag of a single-part S3 object).
        chunks: the bytes; raises `TransferError`s only.
        reconnect: seconds that a fresh connection costs, which leaving this body early makes necessary; 0 where it
            makes none necessary.
    """

    start: int
    size: int | None
    validator: str | None
    digest: str | None
    chunks: AsyncIterator[bytes]
    reconnect: float = 0.0


class Transport(Protocol):
    """Where bytes come from. Raises only `TransferError`s; a transfer ends with its block, at any byte."""

    def open(self, url: str, at: Point = START) -> AbstractAsyncContextManager[Body]: ...

    async def aclose(self) -> None: ...


class Receiver(Protocol):
    """What can be fed from byte `point.offset`; the point moves only when the bytes are in."""

    @property
    def point(self) -> Point: ...

    @property
    def satisfied(self) -> bool:
        """Whether it has all it wants: a cut in what is still coming is no failure."""

    async def begin(self, body: Body) -> None:
        """Take note of what is coming, once an attempt. Raises `Stale` if it is another version than before."""

    async def feed(self, chunk: bytes) -> bool:
        """Take the bytes; False when nothing more is wanted."""

    async def finish(self) -> None:
        """Check and commit. Raises `Broken` if bytes are lacking (the point stays), `Damaged` if they are wrong."""

    async def restart(self) -> None:
        """Forget all, finished parts too, and go back to byte 0."""

    async def discard(self) -> None:
        """Give up; nothing is left behind. Harmless after `finish`."""


class Source(Protocol):
    """Which bytes are an image's. Never raises for one image: what came of it is an `Outcome`."""

    name: str

    def jobs(self, records: AsyncIterator[ImageRecord]) -> AsyncGenerator[Job, None]:
        """Group records lazily into jobs; no I/O of its own."""

    async def fetch(self, job: Job) -> Sequence[Outcome]:
        """Fetch a job: one outcome a record."""
