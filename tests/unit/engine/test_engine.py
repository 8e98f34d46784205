"""The engine over fake sources: passes, places, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence

import pytest

from roco_async.engine import Records
from roco_async.errors import DiskRefused, Reason
from roco_async.records import ImageRecord, Outcome, Status
from tests.unit.clock import settle

from .stage import Basket, Shop, engine, records, waiting


class TestPasses:
    @pytest.mark.parametrize("size", [1, 7])
    async def test_every_record_has_its_outcome(self, size: int) -> None:
        """Each record has one outcome, however a source groups them."""
        basket = Basket()
        await engine(Shop("a", size=size), outlet=basket).run(records(50))
        assert sorted(int(outcome.record.id) for outcome in basket) == list(range(50))

    async def test_what_is_lost_goes_to_the_second(self) -> None:
        """Permanent losses of the first source, and nothing else, are asked of the second afterwards."""
        verdicts = {0: Reason.NOT_FOUND, 1: Reason.BUSY, 2: Reason.NO_MEDIA}
        first, second, basket = Shop("a", lambda record: verdicts.get(int(record.id))), Shop("b"), Basket()
        await engine(first, second, outlet=basket).run(records(5))
        assert [record.id for record in second.asked] == ["0", "2"]
        assert {outcome.record.id: (outcome.source, outcome.status) for outcome in basket} == {
            "0": ("b", Status.FETCHED), "1": ("a", Status.FAILED), "2": ("b", Status.FETCHED),
            "3": ("a", Status.FETCHED), "4": ("a", Status.FETCHED),
        }  # fmt: skip

    async def test_the_words_of_both(self) -> None:
        """An image that both have lost has one outcome: the second's reason, the words and the requests of both."""
        basket = Basket()
        shops = Shop("a", lambda _: Reason.NOT_FOUND), Shop("b", lambda _: Reason.NO_MEMBER)
        await engine(*shops, outlet=basket).run(records(1))
        (outcome,) = basket
        assert (outcome.reason, outcome.attempts) == (Reason.NO_MEMBER, 2)
        assert outcome.error == "a: no 0; b: no 0"

    async def test_the_last_source_keeps_its_losses(self) -> None:
        """With one source a permanent loss is an outcome at once."""
        basket = Basket()
        await engine(Shop("a", lambda _: Reason.NOT_FOUND), outlet=basket).run(records(3))
        assert [outcome.reason for outcome in basket] == [Reason.NOT_FOUND] * 3

    async def test_a_record_that_comes_twice(self) -> None:
        """A record that a list has twice has two outcomes, from the second source too."""
        basket = Basket()
        twice = engine(Shop("a", lambda _: Reason.NOT_FOUND), Shop("b"), outlet=basket)
        await twice.run(records(1) * 2)
        assert len(basket) == twice.requested == 2


class TestPlaces:
    async def test_no_more_jobs_than_places(self) -> None:
        """A thousand jobs with five places are under way five at a time."""
        shop, basket = Shop("a"), Basket()
        await engine(shop, outlet=basket, jobs=5).run(records(1000))
        assert (shop.busiest, len(basket)) == (5, 1000)

    async def test_records_are_taken_lazily(self) -> None:
        """With all places taken only one more record is read."""
        taken = 0

        def counted() -> Iterator[ImageRecord]:
            nonlocal taken
            for record in records(1000):
                taken += 1
                yield record

        shop = Shop("a", open=False)
        task = asyncio.create_task(engine(shop, outlet=Basket(), jobs=5).run(counted()))
        await settle(100)
        assert (shop.busy, taken) == (5, 6)
        task.cancel()
        await asyncio.wait([task])

    async def test_nobody_fetches_the_outcomes(self) -> None:
        """Where there is no room the jobs keep their places, and no further record is read."""
        shop, basket = Shop("a"), Basket()
        basket.room.clear()
        task = asyncio.create_task(engine(shop, outlet=basket, jobs=5).run(records(1000)))
        await settle(100)
        assert len(shop.asked) == len(basket) == 5
        basket.room.set()
        await task
        assert len(basket) == 1000

    async def test_images_that_are_there_wait_too(self) -> None:
        """Images that need no request are bounded as well, and leave the loop to others meanwhile."""
        basket = Basket()
        basket.room.clear()

        async def there(record: ImageRecord) -> Outcome | None:
            return Outcome(record=record, status=Status.SKIPPED)

        shop = Shop("a")
        task = asyncio.create_task(engine(shop, outlet=basket, find=there).run(records(5000)))
        await settle(100)
        assert len(basket) < 1000
        basket.room.set()
        await task
        assert (len(basket), shop.asked) == (5000, [])


class TestIsThere:
    async def test_counted_without_an_outcome(self) -> None:
        """What is there, by a look or a closer one, is counted and has no outcome; what is not is fetched."""
        shop, basket, looked = Shop("a"), Basket(), []

        async def find(record: ImageRecord) -> Outcome | None:
            looked.append(record.id)
            return Outcome(record=record, status=Status.SKIPPED) if int(record.id) % 4 == 1 else None

        running = engine(shop, outlet=basket, find=find, is_there=lambda record: int(record.id) % 2 == 0)
        await running.run(records(600))
        assert looked == [str(number) for number in range(1, 600, 2)]
        assert sorted(int(outcome.record.id) for outcome in basket) == list(range(3, 600, 4))
        assert (running.requested, running.passed_over) == (600, 450)

    async def test_the_loop_gets_its_turns(self) -> None:
        """However many images are there, the loop's other tasks get a turn every few hundred."""
        running = engine(Shop("a"), outlet=Basket(), is_there=lambda _: True)
        task = asyncio.create_task(running.run(records(5000)))
        await settle(3)
        assert 0 < running.passed_over < 2000
        await task
        assert running.passed_over == running.requested == 5000


class TestEnds:
    @pytest.mark.parametrize("is_async", [True, False])
    async def test_the_records_iterator_fails(self, is_async: bool) -> None:
        """An exception of the records' own iterator ends the run, and all jobs with it."""

        def failing() -> Iterator[ImageRecord]:
            yield from records(2)
            raise ZeroDivisionError

        async def failing_later() -> AsyncGenerator[ImageRecord, None]:
            for record in failing():
                yield record

        shop = Shop("a", open=False)
        given: Records = failing_later() if is_async else failing()
        with pytest.raises(ExceptionGroup) as raised:
            await engine(shop, outlet=Basket()).run(given)
        assert raised.group_contains(ZeroDivisionError)
        assert shop.busy == 0

    async def test_a_timeout_of_the_records_own(self) -> None:
        """A TimeoutError that the records raise is no drain: it ends the run."""

        async def late() -> AsyncGenerator[ImageRecord, None]:
            yield records(1)[0]
            raise TimeoutError("the records' own")

        with pytest.raises(ExceptionGroup) as raised:
            await engine(Shop("a"), outlet=Basket()).run(late())
        assert raised.group_contains(TimeoutError, match="own")

    async def test_a_disk_that_refuses(self) -> None:
        """An error of `find` or of the outlet ends the run."""

        async def refuse(record: ImageRecord) -> Outcome | None:
            raise DiskRefused("full")

        class Full(Basket):
            def emit(self, outcomes: Sequence[Outcome]) -> None:
                if outcomes:
                    raise DiskRefused("full")

        for broken in (engine(Shop("a"), outlet=Basket(), find=refuse), engine(Shop("a"), outlet=Full())):
            with pytest.raises(ExceptionGroup) as raised:
                await broken.run(records(3))
            assert raised.group_contains(DiskRefused)

    @pytest.mark.parametrize("given", [waiting, lambda: records(100)])
    async def test_cancelled(self, given: Callable[[], Records]) -> None:
        """Cancelled, it ends with its jobs."""
        shop = Shop("a", open=False)
        task = asyncio.create_task(engine(shop, outlet=Basket()).run(given()))
        await settle(50)
        assert shop.busy
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert shop.busy == 0
