"""A Transport without a network: objects in memory, and faults as data."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from roco_async.errors import Broken, NotFound, Stale, TransferError
from roco_async.protocols import START, Body, Point


@dataclass(frozen=True, slots=True)
class Thing:
    """An object. It tells its size, and its md5 where `digest` is given; without a validator it cannot be resumed."""

    data: bytes
    validator: str | None = '"1"'
    digest: str | None = None
    told: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """How one request is answered; as it stands, properly.

    Args:
        cut: bytes of the answer after which it breaks.
        error: raised instead of an answer.
        thing: the object as it now is; it stays so for later requests.
        whole: answer with the whole where a part was asked for.
        part: answer with a part of another version, as look-alikes do that ignore If-Range; our transport says Stale.
        shift: bytes by which the start is wrong, and says so.
        hold: waited for before the first byte.
    """

    cut: int | None = None
    error: TransferError | None = None
    thing: Thing | None = None
    whole: bool = False
    part: bool = False
    shift: int = 0
    hold: asyncio.Event | None = None


Script = Iterable[Answer | int | TransferError | None]
"""Answers in the order of the requests; a number is a cut after so many bytes, None a proper answer."""


class Wire:
    """A Transport over `things`, keeping to what protocols.py asks of one.

    Args:
        things: URL → object; what is not there is `NotFound`.
        script: how the first requests are answered; the rest is answered properly.
        piece: bytes of a chunk.
    """

    def __init__(self, things: Mapping[str, Thing], script: Script = (), *, piece: int = 1 << 16) -> None:
        self.things = dict(things)
        self.script = deque(map(_answer, script))
        self.asked: list[tuple[str, Point]] = []
        self.open_now = 0
        self.most_open = 0
        self.closed = False
        self._piece = piece

    @property
    def urls(self) -> list[str]:
        return [url for url, _ in self.asked]

    @property
    def offsets(self) -> list[int]:
        return [point.offset for _, point in self.asked]

    @asynccontextmanager
    async def open(self, url: str, at: Point = START) -> AsyncIterator[Body]:
        self.asked.append((url, at))
        answer = self.script.popleft() if self.script else Answer()
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            if answer.hold is not None:
                await answer.hold.wait()
            if answer.error is not None:
                raise answer.error
            if answer.thing is not None:
                self.things[url] = answer.thing
            if url not in self.things:
                raise NotFound("404 NoSuchKey", operation="GET", url=url)
            body, chunks = self._body(url, at, answer)
            try:
                yield body
            finally:
                await chunks.aclose()
        finally:
            self.open_now -= 1

    async def aclose(self) -> None:
        self.closed = True

    def _body(self, url: str, at: Point, answer: Answer) -> tuple[Body, AsyncGenerator[bytes, None]]:
        thing = self.things[url]
        same = at.validator is not None and at.validator == thing.validator
        if at.offset and answer.part and not same:
            raise Stale("206 of another version", operation="GET", url=url)
        start = at.offset if same and not answer.whole else 0
        if start > len(thing.data):
            raise Stale("416: shorter than before", operation="GET", url=url)
        start += answer.shift
        chunks = self._chunks(thing.data[start:], answer.cut)
        size = len(thing.data) if thing.told else None
        return Body(start=start, size=size, validator=thing.validator, digest=thing.digest, chunks=chunks), chunks

    async def _chunks(self, data: bytes, cut: int | None) -> AsyncGenerator[bytes, None]:
        end = len(data) if cut is None else min(cut, len(data))
        for place in range(0, end, self._piece):
            yield data[place : min(place + self._piece, end)]
            await asyncio.sleep(0)
        if cut is not None and cut <= len(data):
            raise Broken("the connection ended", operation="GET")


def _answer(item: Answer | int | TransferError | None) -> Answer:
    match item:
        case Answer():
            return item
        case int():
            return Answer(cut=item)
        case TransferError():
            return Answer(error=item)
        case None:
            return Answer()
