"""Records in, outcomes out: passes over the sources, bounded jobs, one queue a run. Knows protocols only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeVar

from .protocols import Source
from .records import ImageRecord, Job, Outcome, Status

Records = Iterable[ImageRecord] | AsyncIterable[ImageRecord]
T = TypeVar("T")


class Finite(AsyncIterator[ImageRecord]):
    """Records that come in batches and are known to end: a pause between two of them means nothing.

    Args:
        batches: where they come from.
    """

    def __init__(self, batches: AsyncIterator[Sequence[ImageRecord]]) -> None:
        self.batches = batches
        self._flat = self._one_by_one()

    def __aiter__(self) -> AsyncIterator[ImageRecord]:
        return self._flat

    async def __anext__(self) -> ImageRecord:
        return await anext(self._flat)

    async def _one_by_one(self) -> AsyncGenerator[ImageRecord, None]:
        async for batch in self.batches:
            for record in batch:
                yield record


Find = Callable[[ImageRecord], Awaitable[Outcome | None]]

_BREATH: Final = 256
"""Records that need no request before the loop gets a turn."""


class Outlet(Protocol):
    """Where outcomes go."""

    def emit(self, outcomes: Sequence[Outcome]) -> None:
        """Take outcomes, whatever their number."""

    async def wait_for_room(self) -> None:
        """Wait while nobody fetches them."""


class Engine:
    """What a run does, without knowing how bytes travel or where they go.

    Args:
        sources: asked in this order; what one has lost for good is given to the next, in a second pass.
        find: tells of an image that needs no request.
        outlet: takes the outcomes.
        jobs: under way at once; waiting ones hold no connection, so this is more than the connections.
        limit: take so many records and no more.
        is_there: tells at once of nearly all images that are there; with it these are counted, and have no outcome.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        find: Find,
        outlet: Outlet,
        jobs: int,
        limit: int | None = None,
        is_there: Callable[[ImageRecord], bool] | None = None,
    ) -> None:
        self._sources = sources
        self._find = find
        self._limit = limit
        self._is_there = is_there
        self._outlet = outlet
        self._places = asyncio.Semaphore(jobs)
        self._draining = False
        self._reader: asyncio.Task[Any] | None = None  # as long as it waits for a record
        self._ends_wait = False  # by a cancellation of ours
        self._taken = 0
        self._waiting = 0
        """Taken records that the first source has made no job of, as it groups them."""
        self.passed_over = 0
        """Images that were there and had no outcome, of the requested ones."""

    @property
    def requested(self) -> int:
        """Records taken; once drained, without those that still waited for their job and are never asked for."""
        return self._taken - self._waiting if self._draining else self._taken

    def drain(self) -> None:
        """Take no new record; what is under way is finished. The records' own iterator may call it, too."""
        if not self._draining and self._reader is not None:
            # not at once: the reader itself may be running, and would meet its cancellation only after the record
            self._reader.get_loop().call_soon(self._end_wait)
        self._draining = True

    def _end_wait(self) -> None:
        if self._reader is not None:
            self._ends_wait = True
            self._reader.cancel()

    async def run(self, records: Records) -> None:
        """Carry every record to its outcome.

        Raises:
            ExceptionGroup: the disk refused, or the records' own iterator failed.
        """
        lost: list[Outcome] = []
        for place, source in enumerate(self._sources):
            is_last = place == len(self._sources) - 1
            a_pass = _Pass(source, before=_by_record(lost), lost=None if is_last else [])
            again = [outcome.record for outcome in lost]
            async with aclosing(each(again) if place else self._wanted(records)) as wanted:
                await self._run_pass(a_pass, wanted)
            for left in a_pass.before.values():
                self._outlet.emit(left)  # a drained run gave them to no further source
            lost = a_pass.lost or []
        self._outlet.emit(lost)

    async def _run_pass(self, a_pass: _Pass, wanted: AsyncIterator[ImageRecord]) -> None:
        async with asyncio.TaskGroup() as group, aclosing(a_pass.source.jobs(wanted)) as jobs:
            async for job in jobs:
                if a_pass.source is self._sources[0]:
                    self._waiting -= len(job.records)
                await self._places.acquire()
                group.create_task(self._work(a_pass, job))
                if self._draining:
                    break

    async def _work(self, a_pass: _Pass, job: Job) -> None:
        try:
            self._outlet.emit(a_pass.settled(await a_pass.source.fetch(job)))
            await self._outlet.wait_for_room()
        finally:
            self._places.release()

    async def _wanted(self, records: Records) -> AsyncGenerator[ImageRecord, None]:
        """The records that are not there; the others' outcomes are emitted on the way."""
        is_there = self._is_there
        async with aclosing(self._batches(records)) as batches:
            async for batch in batches:
                for record in batch:
                    if self._draining or self._taken == self._limit:
                        return
                    self._taken += 1
                    if is_there is not None and is_there(record):
                        self.passed_over += 1
                    elif (outcome := await self._find(record)) is None:
                        self._waiting += 1
                        yield record
                        continue
                    elif is_there is not None and outcome.status is Status.SKIPPED:
                        self.passed_over += 1
                    else:
                        self._outlet.emit((outcome,))
                    if self._taken % _BREATH == 0:
                        await asyncio.sleep(0)
                        await self._outlet.wait_for_room()
                if self._taken == self._limit:
                    return  # and wait for no further record

    async def _batches(self, records: Records) -> AsyncGenerator[Sequence[ImageRecord], None]:
        """The records as they come: one by one, as none may wait for the next, unless they were read in batches."""
        if isinstance(records, Finite):
            async with aclosing(self._until_drained(records.batches)) as batches:
                async for batch in batches:
                    yield batch
        elif isinstance(records, AsyncIterable):
            async with aclosing(self._until_drained(aiter(records))) as taken:
                async for record in taken:
                    yield (record,)
        else:
            for record in records:
                yield (record,)

    async def _until_drained(self, iterator: AsyncIterator[T]) -> AsyncGenerator[T, None]:
        reader = asyncio.current_task()
        while not self._draining:
            self._reader = reader
            try:
                taken = await anext(iterator)
            except StopAsyncIteration:
                return
            except asyncio.CancelledError:
                if self._ends_wait and reader is not None and not reader.uncancel():
                    return  # it was `drain` that ended the wait, and nobody else
                raise
            finally:
                self._reader = None
            yield taken


async def each(records: Iterable[ImageRecord]) -> AsyncGenerator[ImageRecord, None]:
    """Yield the records of a plain iterable asynchronously."""
    for record in records:
        yield record


@dataclass(slots=True)
class _Pass:
    """One source's turn.

    Args:
        source: whose.
        before: what the source before had lost for good; an entry goes when this source has its say.
        lost: takes what this one has lost for good; None where no other source is left to ask.
    """

    source: Source
    before: dict[ImageRecord, list[Outcome]]
    lost: list[Outcome] | None

    def settled(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Keep back what the next source is to be asked for; of the others, tell what both sources had to say."""
        if not self.before and self.lost is None:
            return outcomes
        settled: list[Outcome] = []
        for outcome in outcomes:
            earlier = self.before.get(outcome.record)
            told = _joined(earlier.pop(), outcome) if earlier else outcome
            if self.lost is not None and _is_lost(told) and told.record.url is None:  # its URL is asked only once
                self.lost.append(told)
            else:
                settled.append(told)
        return settled


def _is_lost(outcome: Outcome) -> bool:
    return outcome.reason is not None and outcome.reason.permanent


def _by_record(outcomes: Iterable[Outcome]) -> dict[ImageRecord, list[Outcome]]:
    """Group outcomes by record: a list may have a row twice."""
    grouped: dict[ImageRecord, list[Outcome]] = {}
    for outcome in outcomes:
        grouped.setdefault(outcome.record, []).append(outcome)
    return grouped


def _joined(earlier: Outcome, later: Outcome) -> Outcome:
    """The later outcome, with the requests of both and, if it failed too, the words of both."""
    attempts = earlier.attempts + later.attempts
    if later.status is not Status.FAILED:
        return replace(later, attempts=attempts)
    return replace(later, attempts=attempts, error=f"{earlier.source}: {earlier.error}; {later.source}: {later.error}")
