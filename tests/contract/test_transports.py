"""The suite of the Transport protocol: what every transport promises, whatever server it speaks to."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from roco_async.errors import NotFound, Stale
from roco_async.protocols import Body, Point
from tests.contract.shelves import MAKERS, Ground, Shelf
from tests.servers.nginx import Nginx
from tests.servers.ports import open_sockets

DATA = bytes(index * 7 % 256 for index in range(400_000))
OTHER = DATA[::-1]
NAMES = ("two words.jpg", "a+b.jpg", "%41.jpg", "é ü.jpg", "a#b.jpg", "a?b.jpg", "a&b=c;d.jpg", "..a.jpg", "~.jpg")

Fill = Callable[[Mapping[str, bytes]], Awaitable[Shelf]]


@pytest.fixture(params=MAKERS)
async def fill(
    request: pytest.FixtureRequest, tmp_path: Path, serve_nginx: Callable[[Path], Nginx]
) -> AsyncIterator[Fill]:
    """Make a shelf with these objects; each test runs once for every maker of shelves."""
    ground = Ground(tmp_path, serve_nginx, moto=lambda: request.getfixturevalue("moto"))
    async with AsyncExitStack() as stack:
        yield lambda objects: stack.enter_async_context(MAKERS[request.param](ground, objects))


async def read(body: Body) -> bytes:
    return b"".join([chunk async for chunk in body.chunks])


async def validator_of(shelf: Shelf, key: str) -> str:
    async with shelf.transport.open(shelf.url(key)) as body:
        await read(body)
    assert body.validator is not None
    return body.validator


async def test_the_whole_object(fill: Fill) -> None:
    """Without a point the body starts at 0, with size, bytes, a strong validator, and the md5 where it is published."""
    shelf = await fill({"a": DATA})
    async with shelf.transport.open(shelf.url("a")) as body:
        assert (body.start, body.size) == (0, len(DATA))
        assert body.validator
        assert not body.validator.startswith("W/")
        assert body.digest == (hashlib.md5(DATA).hexdigest() if shelf.digests else None)
        assert await read(body) == DATA


@pytest.mark.parametrize("offset", [1, 1000, 65_536, 399_999])
async def test_the_rest_from_an_offset(fill: Fill, offset: int) -> None:
    """With the right validator the body starts at the offset and is exactly the rest; the size stays the whole's."""
    shelf = await fill({"a": DATA})
    validator = await validator_of(shelf, "a")
    async with shelf.transport.open(shelf.url("a"), Point(offset, validator)) as body:
        assert (body.start, body.size, body.validator) == (offset, len(DATA), validator)
        assert await read(body) == DATA[offset:]


@pytest.mark.parametrize("other", [OTHER, OTHER[:700]], ids=["as long", "shorter than the offset"])
async def test_a_changed_object_is_never_joined(fill: Fill, other: bytes) -> None:
    """Of another version comes the whole from byte 0, or `Stale` where the server sent a part of it."""
    shelf = await fill({"a": DATA})
    validator = await validator_of(shelf, "a")
    shelf.put("a", other)
    if not shelf.compares:
        with pytest.raises(Stale):
            async with shelf.transport.open(shelf.url("a"), Point(1000, validator)):
                pytest.fail("a part of another version was let through")
        return
    async with shelf.transport.open(shelf.url("a"), Point(1000, validator)) as body:
        assert (body.start, body.size) == (0, len(other))
        assert body.validator != validator
        assert await read(body) == other


async def test_without_a_validator_nothing_is_joined(fill: Fill) -> None:
    """An offset without a validator brings the whole, or `Stale`: nobody knows whether the rest belongs to it."""
    shelf = await fill({"a": DATA})
    try:
        async with shelf.transport.open(shelf.url("a"), Point(1000, None)) as body:
            assert (body.start, await read(body)) == (0, DATA)
    except Stale:
        pass


@pytest.mark.parametrize("point", [Point(), Point(1000, '"0123"')], ids=["from 0", "from 1000"])
async def test_what_is_missing_is_not_found(fill: Fill, point: Point) -> None:
    """A key that is not there is `NotFound`, from any point, and names operation and URL."""
    shelf = await fill({"a": DATA})
    with pytest.raises(NotFound) as caught:
        async with shelf.transport.open(shelf.url("PMC1.1/none.jpg"), point):
            pytest.fail("there is nothing to open")
    assert caught.value.operation
    assert caught.value.url == shelf.url("PMC1.1/none.jpg")
    async with shelf.transport.open(shelf.url("a")) as body:
        assert await read(body) == DATA


@pytest.mark.parametrize("wanted", [0, 1, 70_000, 399_999, 400_000])
async def test_leaving_early_leaves_the_transport_usable(fill: Fill, wanted: int) -> None:
    """A block left at any byte, quietly or by an exception, is closed, and the next transfer is whole."""
    shelf = await fill({"a": DATA})

    async def take(error: Exception | None) -> None:
        got = 0
        async with shelf.transport.open(shelf.url("a")) as body:
            while got < wanted:
                got += len(await anext(body.chunks))
            if error is not None:
                raise error

    await take(None)
    with pytest.raises(RuntimeError, match="the caller's own"):
        await take(RuntimeError("the caller's own"))
    async with shelf.transport.open(shelf.url("a")) as body:
        assert await read(body) == DATA


async def test_a_cancelled_transfer_leaves_the_transport_usable(fill: Fill) -> None:
    """Cancelling inside the block raises CancelledError and nothing else, and the next transfer is whole."""
    shelf = await fill({"a": DATA})
    inside = asyncio.Event()

    async def transfer() -> None:
        async with shelf.transport.open(shelf.url("a")) as body:
            await anext(body.chunks)
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(transfer())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with shelf.transport.open(shelf.url("a")) as body:
        assert await read(body) == DATA


async def test_an_empty_object(fill: Fill) -> None:
    """An object of no bytes is a body of size 0 without a chunk."""
    shelf = await fill({"e": b""})
    async with shelf.transport.open(shelf.url("e")) as body:
        assert (body.start, body.size, await read(body)) == (0, 0, b"")


async def test_an_offset_at_the_end_brings_no_byte(fill: Fill) -> None:
    """Behind the last byte nothing comes: no body, or an empty one from there."""
    shelf = await fill({"a": DATA})
    validator = await validator_of(shelf, "a")
    try:
        async with shelf.transport.open(shelf.url("a"), Point(len(DATA), validator)) as body:
            assert (body.start, await read(body)) == (len(DATA), b"")
    except Stale:
        pass


@pytest.mark.parametrize("name", NAMES)
async def test_names_arrive_as_they_are(fill: Fill, name: str) -> None:
    """Blanks, plus, per cent, non-ASCII, # and ? in a quoted key reach the server unchanged."""
    key = f"PMC1.1/{name}"
    shelf = await fill({key: name.encode(), "PMC1.1/A.jpg": b"decoded twice"})
    async with shelf.transport.open(shelf.url(key)) as body:
        assert await read(body) == name.encode()


async def test_two_hundred_at_once(fill: Fill) -> None:
    """Two hundred bodies are open together, each is its own, and nothing in the transport holds one back."""
    objects = {f"{number}.jpg": bytes([number]) * 5000 for number in range(200)}
    shelf = await fill(objects)
    together = asyncio.Barrier(len(objects))

    async def transfer(key: str) -> bytes:
        async with shelf.transport.open(shelf.url(key)) as body:
            await together.wait()
            return await read(body)

    assert await asyncio.gather(*map(transfer, objects)) == list(objects.values())


async def test_aclose_leaves_no_socket(fill: Fill) -> None:
    """After `aclose` no connection is left, neither an idle one nor one whose body was left early."""
    shelf = await fill({"a": DATA})
    before = open_sockets()
    async with shelf.transport.open(shelf.url("a")) as body:
        await read(body)
    async with shelf.transport.open(shelf.url("a")) as body:
        await anext(body.chunks)
    await shelf.transport.aclose()
    async with asyncio.timeout(5):
        while open_sockets() - before:
            await asyncio.sleep(0)  # a server in this process closes its own ends in a later turn
    await shelf.transport.aclose()
