"""The receiver of small things that are read."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from roco_async.errors import Broken, Stale, TooLarge
from roco_async.protocols import START, Body, Point
from roco_async.store.memory import MemoryReceiver


async def nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def body(size: int | None = None, validator: str | None = '"1"', start: int = 0) -> Body:
    return Body(start=start, size=size, validator=validator, digest=None, chunks=nothing())


def receiver(most: int = 10) -> MemoryReceiver[bytes]:
    return MemoryReceiver(most, too_much=TooLarge("over"), read=lambda content: content)


async def test_what_is_fed_is_read() -> None:
    """The value is made of all bytes that came."""
    into = receiver()
    await into.begin(body(4))
    assert await into.feed(b"ab")
    assert await into.feed(b"cd")
    await into.finish()
    assert (into.value, into.taken) == (b"abcd", 4)


async def test_the_point_moves_with_the_bytes() -> None:
    """It stands at START without a byte, and behind the last one with the body's validator."""
    into = receiver()
    assert into.point == START
    await into.begin(body(4))
    assert into.point == START
    await into.feed(b"ab")
    assert into.point == Point(2, '"1"')
    await into.restart()
    assert into.point == START


@pytest.mark.parametrize("pieces", [[b"x" * 11], [b"x" * 10, b"y"]])
async def test_too_much(pieces: list[bytes]) -> None:
    """A byte over the cap is the error that was given, and is not taken."""
    into = receiver()
    await into.begin(body())
    for piece in pieces[:-1]:
        await into.feed(piece)
    with pytest.raises(TooLarge, match="over"):
        await into.feed(pieces[-1])
    assert into.taken == 11 - len(pieces[-1])


async def test_short() -> None:
    """Fewer bytes than declared are Broken, and the point stays."""
    into = receiver()
    await into.begin(body(4))
    await into.feed(b"ab")
    with pytest.raises(Broken):
        await into.finish()
    assert into.point == Point(2, '"1"')


async def test_another_size_is_another_version() -> None:
    """A part of an object that has another size than before is Stale."""
    into = receiver()
    await into.begin(body(4))
    await into.feed(b"ab")
    with pytest.raises(Stale):
        await into.begin(body(5, start=2))


async def test_discarded() -> None:
    """Giving up leaves no byte, once and again."""
    into = receiver()
    await into.begin(body(4))
    await into.feed(b"ab")
    await into.discard()
    await into.discard()
    assert into.taken == 0
