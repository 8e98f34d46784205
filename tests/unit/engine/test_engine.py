"""The engine over fake sources: passes, places, draining, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence

import pytest

from roco_async.engine import Engine, Finite, Records
from roco_async.errors import DiskRefused, Reason
from roco_async.records import ImageRecord, Job, Outcome, Status
from tests.unit.clock import settle

Verdict = Callable[[ImageRecord], Reason | None]


def records(count: int) -> list[ImageRecord]:
    return [ImageRecord(str(number), f"PMC{number}", "a.jpg") for number in range(count)]


class Shop:
    """A Source whose word on a record is a function; `gate` holds it, `size` is how many records a job has."""

    def __init__(self, name: str, verdict: Verdict = lambda _: None, *, size: int = 1, open: bool = True) -> None:
        self.name = name
        self.gate = asyncio.Event()
        self.asked: list[ImageRecord] = []
        self.busy = 0
        self.busiest = 0
        self._verdict = verdict
        self._size = size
        if open:
            self.gate.set()

    async def jobs(self, records: AsyncIterator[ImageRecord]) -> AsyncGenerator[Job, None]:
        group: list[ImageRecord] = []
        async for record in records:
            group.append(record)
            if len(group) == self._size:
                yield Job(record.id, tuple(group))
                group.clear()
        if group:
            yield Job(group[0].id, tuple(group))

    async def fetch(self, job: Job) -> Sequence[Outcome]:
        self.asked += job.records
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            return [self._outcome(record) for record in job.records]
        finally:
            self.busy -= 1

    def _outcome(self, record: ImageRecord) -> Outcome:
        reason = self._verdict(record)
        status = Status.FAILED if reason else Status.FETCHED
        error = f"no {record.id}" if reason else None
        return Outcome(record=record, status=status, reason=reason, error=error, source=self.name, attempts=1)


class Basket(list[Outcome]):
    """An Outlet that keeps everything, and that has room as long as `room` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.room = asyncio.Event()
        self.room.set()

    def emit(self, outcomes: Sequence[Outcome]) -> None:
        self += outcomes

    async def wait_for_room(self) -> None:
        await self.room.wait()


async def nowhere(record: ImageRecord) -> Outcome | None:
    return None


def engine(
    *sources: Shop,
    outlet: Basket,
    jobs: int = 4,
    find: Callable[[ImageRecord], Awaitable[Outcome | None]] = nowhere,
    is_there: Callable[[ImageRecord], bool] | None = None,
) -> Engine:
    return Engine(sources, find=find, outlet=outlet, jobs=jobs, is_there=is_there)


async def endless() -> AsyncGenerator[ImageRecord, None]:
    number = 0
    while True:
        yield ImageRecord(str(number), "PMC1", "a.jpg")
        number += 1
        await asyncio.sleep(0)


async def waiting() -> AsyncGenerator[ImageRecord, None]:
    for record in records(3):
        yield record
    await asyncio.Event().wait()


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


class TestBatches:
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


class TestDrain:
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
