"""The one loop over a fake transport: where it goes on, where it begins afresh, and that it ends."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roco_async.errors import (
    BadListing,
    Broken,
    Busy,
    Damaged,
    DiskRefused,
    NotFound,
    Refused,
    Stale,
    TooLarge,
    TransferError,
)
from roco_async.protocols import START, Body, Point
from roco_async.store.memory import MemoryReceiver
from roco_async.transfer.budget import Budget
from roco_async.transfer.loop import transfer
from tests.unit.wire import Answer, Script, Thing, Wire

URL = "http://host/a"
MIB = 1 << 20


async def at_once(seconds: float) -> None:
    pass


def memory(most: int = 64 * MIB) -> MemoryReceiver[bytes]:
    return MemoryReceiver(most, too_much=TooLarge("over the cap"), read=lambda content: content)


class Checked(MemoryReceiver[bytes]):
    """What came, held against the digest of the version that it began with."""

    def __init__(self) -> None:
        super().__init__(64 * MIB, too_much=TooLarge("over the cap"), read=self._check)
        self._digest: str | None = None
        self.restarts = 0

    async def begin(self, body: Body) -> None:
        await super().begin(body)
        if not self.taken:
            self._digest = body.digest

    async def restart(self) -> None:
        self.restarts += 1
        await super().restart()

    def _check(self, content: bytes) -> bytes:
        if self._digest not in (None, md5(content)):
            raise Damaged("another digest", operation="check")
        return content


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


async def carry(wire: Wire, into: MemoryReceiver[bytes], *, attempts: int = 6) -> Budget:
    budget = Budget(attempts, sleep=at_once)
    await transfer(URL, into, transport=wire, budget=budget)
    return budget


async def test_one_try() -> None:
    """A whole answer is one request, from byte 0."""
    wire, into = Wire({URL: Thing(b"picture")}), memory()
    budget = await carry(wire, into)
    assert (into.value, wire.asked, budget.tries) == (b"picture", [(URL, START)], 1)


@pytest.mark.parametrize(
    ("breaks", "offsets"),
    [
        ([2, 0, 5], [0, 2, 2, 7]),
        ([0, 0, 0], [0, 0, 0, 0]),
        ([9], [0, 9]),
        ([10], [0, 10]),
        ([1] * 5, [0, 1, 2, 3, 4, 5]),
    ],
)
async def test_it_goes_on_at_its_byte(breaks: list[int], offsets: list[int]) -> None:
    """Each reopening asks for exactly the byte that is lacking, with the validator of what came, and none twice."""
    wire, into = Wire({URL: Thing(b"0123456789", '"v"')}, breaks), memory()
    await carry(wire, into)
    assert into.value == b"0123456789"
    assert wire.offsets == offsets
    assert all(point == START or point.validator == '"v"' for _, point in wire.asked)


async def test_without_a_validator_it_begins_afresh() -> None:
    """Parts without a strong validator are never joined: every try asks from byte 0."""
    wire, into = Wire({URL: Thing(b"0123456789", None)}, [2, 0, 5]), Checked()
    await carry(wire, into)
    assert (into.value, wire.offsets) == (b"0123456789", [0, 0, 0, 0])
    assert into.restarts == 2


@pytest.mark.parametrize("how", [Answer(thing=Thing(b"ABCDEFGHIJ", '"2"')), Answer(thing=Thing(b"XY", None))])
async def test_a_whole_answer_of_a_new_version_takes_the_place_of_the_old(how: Answer) -> None:
    """200 where a part was asked for feeds the receiver from byte 0, in the same request."""
    wire, into = Wire({URL: Thing(b"0123456789")}, [4, how]), Checked()
    await carry(wire, into)
    assert how.thing is not None
    assert (into.value, wire.offsets, into.restarts) == (how.thing.data, [0, 4], 1)


async def test_the_whole_of_the_same_version_is_taken_too() -> None:
    """A server without ranges answers with the whole, which is not appended to the part."""
    wire, into = Wire({URL: Thing(b"0123456789")}, [4, Answer(whole=True)]), memory()
    await carry(wire, into)
    assert (into.value, wire.offsets) == (b"0123456789", [0, 4])


async def test_a_stale_part_sends_it_back_to_byte_0() -> None:
    """A part of another version is Stale: the next request asks for the whole."""
    changed = Answer(thing=Thing(b"ABCDEFGHIJKL", '"2"'), part=True)
    wire, into = Wire({URL: Thing(b"0123456789")}, [4, changed]), Checked()
    await carry(wire, into)
    assert (into.value, wire.offsets) == (b"ABCDEFGHIJKL", [0, 4, 0])


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("script", [[Answer(shift=3)], [4, Answer(shift=2)], [4, Answer(shift=-2)]])
async def test_a_body_that_begins_elsewhere_is_not_taken(script: list[Answer | int], told: bool) -> None:
    """A body whose start is neither the byte that was asked for nor 0 is no one's: the item begins afresh."""
    wire, into = Wire({URL: Thing(b"0123456789", told=told)}, script), memory()
    await carry(wire, into)
    assert into.value == b"0123456789"
    assert wire.offsets[-1] == 0


async def test_damaged_then_good() -> None:
    """Bytes with a wrong digest are thrown away and asked for from byte 0, although they can be resumed."""
    good = Thing(b"0123456789", '"1"', md5(b"0123456789"))
    bad = Thing(b"0123x56789", '"1"', good.digest)
    wire, into = Wire({URL: bad}, [None, Answer(thing=good)]), Checked()
    await carry(wire, into)
    assert (into.value, wire.offsets) == (good.data, [0, 0])


async def test_always_damaged_ends() -> None:
    """An object that never fits its digest is asked for `attempts` times and then is Damaged."""
    wire = Wire({URL: Thing(b"0123456789", '"1"', "0" * 32)})
    with pytest.raises(Damaged):
        await carry(wire, Checked(), attempts=4)
    assert len(wire.asked) == 4


async def test_a_bad_listing_is_asked_for_afresh() -> None:
    """What cannot be read as a listing is worth nothing, its bytes neither."""
    answers = iter([BadListing("HTML"), None])

    def read(content: bytes) -> bytes:
        if error := next(answers):
            raise error
        return content

    wire = Wire({URL: Thing(b"<listing>")})
    into = MemoryReceiver(99, too_much=TooLarge("over"), read=read)
    await transfer(URL, into, transport=wire, budget=Budget(6, sleep=at_once))
    assert (into.value, wire.offsets) == (b"<listing>", [0, 0])


@pytest.mark.parametrize("validator", [None, '"1"'])
async def test_a_large_object_that_is_always_cut_ends(validator: str | None) -> None:
    """5 MiB cut after 3 MiB each time end: with a validator whole, without one with an error after few tries.

    Only ground beyond the farthest point counts as new, or an object without validator would be fetched for ever.
    """
    data = bytes(5 * MIB)
    wire, into = Wire({URL: Thing(data, validator)}, [3 * MIB] * 99), memory()
    if validator:
        await carry(wire, into)
        assert (into.value, wire.offsets) == (data, [0, 3 * MIB])
    else:
        with pytest.raises(Broken):
            await carry(wire, into)
        assert len(wire.asked) == 1 + 6


async def test_ground_that_was_reached_before_is_not_new() -> None:
    """Without a validator, getting as far as once before after a worse try is no progress: it ends."""
    wire = Wire({URL: Thing(bytes(5 * MIB), None)}, [3 * MIB, 1] * 50)
    with pytest.raises(Broken):
        await carry(wire, memory())
    assert len(wire.asked) == 1 + 6


async def test_progress_lets_a_bad_line_go_on() -> None:
    """A line that breaks every MiB brings a large object whole, with more tries than `attempts`."""
    wire, into = Wire({URL: Thing(bytes(9 * MIB))}, [MIB] * 99), memory()
    budget = await carry(wire, into, attempts=2)
    assert (len(into.value), budget.tries) == (9 * MIB, 10)


@pytest.mark.parametrize("error", [NotFound("404"), TooLarge("cap")])
async def test_a_permanent_error_is_not_hammered(error: TransferError) -> None:
    """A permanent error, at the opening or in the middle, is raised after one request."""
    wire = Wire({URL: Thing(b"0123456789")}, [error])
    with pytest.raises(type(error)):
        await carry(wire, memory())
    assert len(wire.asked) == 1


async def test_too_much_ends_the_transfer() -> None:
    """A receiver's cap ends the transfer with the cap's own error, and the block is left."""
    wire = Wire({URL: Thing(bytes(MIB))})
    with pytest.raises(TooLarge):
        await carry(wire, memory(1000))
    assert (len(wire.asked), wire.open_now) == (1, 0)


async def test_errors_at_the_opening_are_retried() -> None:
    """Temporary errors before the first byte lose none of the bytes that are there."""
    script: Script = [3, Busy("503"), Refused("403"), Broken("reset")]
    wire, into = Wire({URL: Thing(b"0123456789")}, script), memory()
    await carry(wire, into)
    assert (into.value, wire.offsets) == (b"0123456789", [0, 3, 3, 3, 3])


async def test_a_short_body_goes_on() -> None:
    """A body that ends properly before its declared size is resumed where it ended (a connection that just closes)."""

    class Short(Wire):
        @asynccontextmanager
        async def open(self, url: str, at: Point = START) -> AsyncIterator[Body]:
            async with super().open(url, at) as body:
                body.chunks = _first(body.chunks, 4)
                yield body

    async def _first(chunks: AsyncIterator[bytes], count: int) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            yield chunk[:count]
            return

    wire, into = Short({URL: Thing(b"0123456789")}), memory()
    await carry(wire, into)
    assert (into.value, wire.offsets) == (b"0123456789", [0, 4, 8])


async def test_what_is_no_transfer_error_comes_through() -> None:
    """A disk that refuses in the middle is not retried."""

    class Full(MemoryReceiver[bytes]):
        async def feed(self, chunk: bytes) -> bool:
            raise DiskRefused("full")

    wire = Wire({URL: Thing(b"0123456789")})
    with pytest.raises(DiskRefused):
        await carry(wire, Full(99, too_much=TooLarge("over"), read=bytes))
    assert (len(wire.asked), wire.open_now) == (1, 0)


async def test_a_receiver_that_has_enough_leaves_the_block() -> None:
    """`feed` returning False ends the reading, and `finish` follows."""

    class Enough(MemoryReceiver[bytes]):
        async def feed(self, chunk: bytes) -> bool:
            await super().feed(chunk)
            return self.taken < 4

        async def finish(self) -> None:
            self._value = bytes(self._bytes)

    wire = Wire({URL: Thing(b"0123456789", told=False)}, piece=2)
    into = Enough(99, too_much=TooLarge("over"), read=bytes)
    await carry(wire, into)
    assert (into.value, wire.open_now) == (b"0123", 0)


async def test_cancelled_in_the_middle() -> None:
    """A cancelled transfer leaves the transport's block and asks for nothing more."""
    wire = Wire({URL: Thing(b"0123456789")}, [Answer(hold=asyncio.Event())])
    task = asyncio.create_task(carry(wire, memory()))
    while not wire.open_now:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (len(wire.asked), wire.open_now) == (1, 0)


SIZE = 40
cuts = st.one_of(st.integers(0, SIZE), st.none())
things = st.builds(
    lambda letter, size, strong: Thing(
        letter * size, f'"{letter!r}{size}"' if strong else None, md5(letter * size) if strong else None
    ),
    st.sampled_from([b"a", b"b", b"c"]),
    st.integers(1, SIZE),
    st.booleans(),
)
answers = st.builds(
    Answer,
    cut=cuts,
    error=st.sampled_from([None, None, None, Broken("reset"), Busy("503"), Stale("206 of another")]),
    thing=st.one_of(st.none(), st.none(), things),
    whole=st.booleans(),
    part=st.booleans(),
)


@given(first=things, script=st.lists(answers, max_size=12), piece=st.integers(1, 16))
def test_two_versions_are_never_joined(first: Thing, script: list[Answer], piece: int) -> None:
    """Whatever breaks and changes, the receiver ends with exactly one version's bytes, or with an error."""
    wire, into = Wire({URL: first}, script, piece=piece), memory()
    versions = {first.data} | {answer.thing.data for answer in script if answer.thing}
    try:
        asyncio.run(carry(wire, into))
    except TransferError:
        assert len(wire.asked) >= 6
    else:
        assert into.value in versions
    assert len(wire.asked) <= 12 + 1
    assert wire.open_now == 0


@given(breaks=st.lists(st.integers(0, SIZE), max_size=5), strong=st.booleans(), piece=st.integers(1, SIZE))
def test_any_cuts_of_one_version(breaks: list[int], strong: bool, piece: int) -> None:
    """Fewer cuts than attempts always end with the whole object, and with a validator no byte comes twice."""
    data = bytes(range(SIZE))
    wire, into = Wire({URL: Thing(data, '"v"' if strong else None)}, breaks, piece=piece), memory()
    asyncio.run(carry(wire, into))
    assert into.value == data
    if strong:
        assert wire.offsets == sorted(wire.offsets)
    else:
        assert set(wire.offsets) == {0}
