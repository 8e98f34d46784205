"""What a drained run finishes, what it leaves, and what is no drain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

import pytest

from roco_async.engine import Finite
from roco_async.errors import Reason
from roco_async.records import ImageRecord, Job
from tests.unit.clock import settle

from .stage import Basket, Shop, endless, engine, records, waiting


class TestDrain:
    async def test_drained_within_a_batch(self) -> None:
        """Of a batch that was read, no record is taken any more after `drain()`."""
        basket = Basket()

        async def batches() -> AsyncGenerator[Sequence[ImageRecord], None]:
            yield records(1000)
            yield records(1000)

        running = engine(Shop("a"), outlet=basket, jobs=2)
        task = asyncio.create_task(running.run(Finite(batches())))
        while not basket:
            await asyncio.sleep(0)
        running.drain()
        await task
        assert 0 < len(basket) == running.requested < 1000

    async def test_endless_records_that_come(self) -> None:
        """Draining ends an endless stream, and each record that was taken has its outcome."""
        shop, basket = Shop("a"), Basket()
        running = engine(shop, outlet=basket)
        task = asyncio.create_task(running.run(endless()))
        await settle(50)
        running.drain()
        await task
        assert len(basket) == running.requested == len(shop.asked) > 3

    async def test_records_that_do_not_come(self) -> None:
        """Draining ends the wait for a record that never comes."""
        basket = Basket()
        running = engine(Shop("a"), outlet=basket)
        task = asyncio.create_task(running.run(waiting()))
        await settle(50)
        assert not task.done()
        running.drain()
        await task
        assert len(basket) == 3

    async def test_what_is_under_way_is_finished(self) -> None:
        """Jobs that are under way go on to their end, and no new one begins."""
        shop, basket = Shop("a", open=False), Basket()
        running = engine(shop, outlet=basket, jobs=3)
        task = asyncio.create_task(running.run(records(100)))
        await settle(50)
        running.drain()
        await settle(50)
        assert not task.done()
        shop.gate.set()
        await task
        assert len(basket) == running.requested <= 4

    async def test_before_it_begins(self) -> None:
        """Drained before it runs, it takes nothing."""
        basket = Basket()
        running = engine(Shop("a"), outlet=basket)
        running.drain()
        await running.run(endless())
        await running.run(records(3))
        assert (list(basket), running.requested) == ([], 0)

    @pytest.mark.parametrize("waits", [False, True])
    async def test_by_the_records_themselves(self, waits: bool) -> None:
        """An iterator that drains its own run ends it, with an outcome for all it gave before; it may wait then."""
        shop, basket = Shop("a", open=False), Basket()
        running = engine(shop, outlet=basket, jobs=9)

        async def until_the_sixth() -> AsyncGenerator[ImageRecord, None]:
            for record in records(10):
                if record.id == "5":
                    running.drain()
                    shop.gate.set()
                    if waits:
                        await asyncio.Event().wait()
                yield record

        await running.run(until_the_sixth())
        assert sorted(outcome.record.id for outcome in basket) == list("01234")
        assert running.requested == 5

    async def test_records_that_were_only_grouped(self) -> None:
        """Records that a source has read ahead, and that no job was begun for, do not count as requested."""

        class Ahead(Shop):
            async def jobs(self, records: AsyncIterator[ImageRecord]) -> AsyncGenerator[Job, None]:
                for record in [record async for record in records]:
                    yield Job(record.id, (record,))

        shop, basket = Ahead("a", lambda _: Reason.NOT_FOUND, open=False), Basket()
        running = engine(shop, Shop("b"), outlet=basket, jobs=3)
        task = asyncio.create_task(running.run(records(100)))
        await settle(50)
        assert running.requested == 100
        running.drain()
        assert running.requested == 4
        shop.gate.set()
        await task
        assert len(basket) == running.requested == 4

    async def test_between_two_sources(self) -> None:
        """What the first has lost, and a drained run gives to no second, has the first one's outcome."""
        first, second, basket = Shop("a", lambda _: Reason.NOT_FOUND, open=False), Shop("b"), Basket()
        running = engine(first, second, outlet=basket, jobs=9)
        task = asyncio.create_task(running.run(records(5)))
        await settle(50)
        running.drain()
        first.gate.set()
        await task
        assert len(second.asked) <= 1
        assert len(basket) == running.requested
        assert len({outcome.record for outcome in basket}) == len(basket)

    @pytest.mark.parametrize("first", ["drain", "cancel"])
    async def test_cancelled_in_the_same_moment(self, first: str) -> None:
        """A cancellation beside a drain, in either order, ends the run at once: the one is not taken for the other."""
        running = engine(Shop("a", open=False), outlet=Basket())
        task = asyncio.create_task(running.run(waiting()))
        await settle()
        steps: list[Callable[[], object]] = [running.drain, task.cancel]
        for step in steps if first == "drain" else reversed(steps):
            step()
        await settle()
        assert task.cancelled()

    async def test_cancelled_and_drained_by_the_records_themselves(self) -> None:
        """An iterator that drains its run as it is cancelled takes nothing from the cancellation."""

        async def draining() -> AsyncGenerator[ImageRecord, None]:
            try:
                async for record in waiting():
                    yield record
            finally:
                running.drain()

        running = engine(Shop("a", open=False), outlet=Basket())
        task = asyncio.create_task(running.run(draining()))
        await settle()
        task.cancel()
        await settle()
        assert task.cancelled()
