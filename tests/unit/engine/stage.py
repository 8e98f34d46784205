"""Sources, an outlet and records for an engine: no network, no disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence

from roco_async.engine import Engine
from roco_async.errors import Reason
from roco_async.records import ImageRecord, Job, Outcome, Status

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
