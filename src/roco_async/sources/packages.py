"""Package mirrors: one request an article, whose wanted members stream to disk.

A mirror is named by a URL that takes the place of `ftp://ftp.ncbi.nlm.nih.gov` in the dlinks. Records are grouped by
package in a window: a list that ends is known whole before the first request, one that never ends has to come grouped
by article.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote
from weakref import WeakValueDictionary

from ..errors import Busy, Damaged, NotFound, TemporaryError, TransferError, Unsafe
from ..protocols import Receiver, Transport
from ..records import ImageRecord, Job, Outcome
from ..store.files import Kept
from ..store.package import PackageReceiver
from ..transfer.budget import Budget
from ..transfer.loop import transfer
from .outcomes import outcome_of
from .single import Shelf, fetch_one, own_url

WINDOW: Final = 200_000
"""Records that are held to be grouped."""

IDLE: Final = 0.25
"""Seconds."""

STANDING: Final = 4
"""Times `idle` after which a group that got no record is complete although others still get theirs."""

_SEGMENT = re.compile(r"[^\x00-\x1f\x7f/\\\ud800-\udfff]+")

_BREATH: Final = 1024
"""Records that are read before the loop gets a turn."""


_Result = Kept | TransferError


class PackageShelf(Shelf, Protocol):
    """Where the members of packages go, and the packages themselves if they are kept."""

    @property
    def keeps(self) -> bool: ...

    def package(self, records: Sequence[ImageRecord], *, whole: bool = False) -> PackageReceiver: ...

    def kept_path(self, package_path: str) -> Path: ...

    async def tidy(self, package_path: str) -> None: ...

    async def keeping(self, inner: PackageReceiver, package_path: str) -> Receiver: ...


class PackagesSource:
    """A Source over a mirror of `oa_package`.

    Args:
        base: the mirror's URL: ftp, http, https or file.
        transport: where bytes come from.
        shelf: where members go.
        budget: makes the budget of a package.
        idle: seconds without a new record after which the groups that wait are taken for complete: their crawler may
            wait for outcomes. None where it cannot, as a list cannot: then a slow disk between two records, which are
            looked up before they come here, splits no group.
    """

    name = "packages"

    def __init__(
        self,
        base: str,
        *,
        transport: Transport,
        shelf: PackageShelf,
        budget: Callable[[], Budget],
        idle: float | None = IDLE,
    ) -> None:
        self._base = base.rstrip("/")
        self._transport = transport
        self._shelf = shelf
        self._budget = budget
        self._idle = idle
        self._keeping: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def jobs(self, records: AsyncIterator[ImageRecord]) -> AsyncGenerator[Job, None]:
        groups = _Groups(self._idle)
        reading = asyncio.create_task(groups.read(records))
        try:
            while (job := await groups.next(reading)) is not None:
                yield job
            await reading
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            if not reading.cancelled():
                reading.exception()  # told by the `await` above, or of no more interest

    async def fetch(self, job: Job) -> Sequence[Outcome]:
        record = job.records[0]
        if record.url is not None:
            return [await self._fetch_own(record) for record in job.records]
        good: list[ImageRecord] = []
        outcomes: list[Outcome] = []
        for record in job.records:
            try:
                self._shelf.path(record)
                good.append(record)
            except Unsafe as error:
                outcomes.append(self._outcome(record, error))
        if not good:
            return outcomes
        budget = self._budget()
        url, results = await self._fetch_members(good, budget)
        outcomes += [
            self._outcome(record, result, url=url, attempts=budget.tries)
            for record, result in zip(good, results, strict=True)
        ]
        return outcomes

    async def _fetch_members(self, records: Sequence[ImageRecord], budget: Budget) -> tuple[str | None, list[_Result]]:
        """Fetch members of one package; those that may be had by another request are asked for again."""
        url: str | None = None
        results: dict[int, _Result] = {}
        left = list(range(len(records)))
        try:
            at_mirror = url = self._url(records[0])
            while left:
                url, package = await self._carry(at_mirror, [records[place] for place in left], budget)
                results.update(zip(left, package.results, strict=True))
                failed = {
                    place: error for place in left if (error := _for_now(results[place], records[place], package))
                }
                left = list(failed)
                if failed:
                    await budget.spend(failed[left[0]], gained=0)
        except TransferError as error:
            for place in left:
                results.setdefault(place, error)
        return url, [results[place] for place in range(len(records))]

    async def _carry(self, url: str, records: Sequence[ImageRecord], budget: Budget) -> tuple[str, PackageReceiver]:
        """Feed a package to the receiver of its members; return where it came from, and that."""
        package_path = records[0].package_path
        if not self._shelf.keeps or package_path is None:
            package = self._shelf.package(records)
            await self._feed(url, package, budget)
            return url, package
        async with self._keeping.setdefault(package_path, asyncio.Lock()):  # two jobs must not write one file
            kept = self._shelf.kept_path(package_path).absolute().as_uri()
            with contextlib.suppress(TransferError):  # not kept yet, or spoilt since: then it comes from the mirror
                package = self._shelf.package(records)
                await self._feed(kept, package, Budget(1))
                await self._shelf.tidy(package_path)
                return kept, package
            package = self._shelf.package(records, whole=True)
            await self._feed(url, await self._keeper(package, package_path, budget), budget)
            return url, package

    async def _keeper(self, package: PackageReceiver, package_path: str, budget: Budget) -> Receiver:
        while True:
            try:
                return await self._shelf.keeping(package, package_path)
            except Busy as error:  # no descriptor for the part: others end, and theirs come free
                await budget.spend(error, gained=0)

    async def _feed(self, url: str, receiver: Receiver, budget: Budget) -> None:
        try:
            await transfer(url, receiver, transport=self._transport, budget=budget)
        finally:
            await receiver.discard()

    async def _fetch_own(self, record: ImageRecord) -> Outcome:
        budget = self._budget()
        url: str | None = None
        result: Kept | TransferError
        try:
            url = own_url(record)
            assert url is not None
            path = self._shelf.path(record)
            result = await fetch_one(url, record, path, shelf=self._shelf, transport=self._transport, budget=budget)
        except TransferError as error:
            result = error
        return self._outcome(record, result, url=url, attempts=budget.tries)

    def _outcome(
        self, record: ImageRecord, result: Kept | TransferError, *, url: str | None = None, attempts: int = 0
    ) -> Outcome:
        path = None if isinstance(result, TransferError) else self._shelf.path(record)
        return outcome_of(record, result, path=path, source=self.name, url=url, attempts=attempts)

    def _url(self, record: ImageRecord) -> str:
        path = record.package_path
        if not path:
            raise NotFound(f"the list names no package of {record.pmcid or record.id}", operation="look up")
        parts = path.split("/")
        if any(part in (".", "..") or not _SEGMENT.fullmatch(part) for part in parts):
            raise Unsafe(f"{path!r} is no path of a package", operation="look up")
        return f"{self._base}/{quote(path, safe='/')}"


class _Groups:
    """Records that wait, by package; the package that came first goes first."""

    def __init__(self, idle: float | None) -> None:
        self._idle = idle
        self._waiting: dict[_Key, list[ImageRecord]] = {}
        self._latest: dict[_Key, float] = {}  # when a group got its last record
        self._last = 0.0  # when any did
        self._count = 0
        self._complete = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def read(self, records: AsyncIterator[ImageRecord]) -> None:
        """Take records until there are none, holding back while the window is full."""
        clock = asyncio.get_running_loop().time
        try:
            async for record in records:
                key = _key(record)
                self._waiting.setdefault(key, []).append(record)
                if self._idle is not None:
                    self._latest[key] = self._last = clock()
                self._count += 1
                self._news.set()
                if self._count % _BREATH == 0:
                    await asyncio.sleep(0)
                if self._count >= WINDOW:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._news.set()

    async def next(self, reading: asyncio.Task[None]) -> Job | None:
        """Wait for a complete group; None when all were given, or the records' own iterator failed."""
        while not (self._complete or reading.done() or self._count >= WINDOW or self._has_one_standing()):
            self._news.clear()
            try:
                async with asyncio.timeout(self._idle if self._waiting else None):
                    await self._news.wait()
            except TimeoutError:
                self._complete = len(self._waiting)
        if not self._waiting or (reading.done() and (reading.cancelled() or reading.exception())):
            return None
        key = next(iter(self._waiting))
        records = self._waiting.pop(key)
        self._latest.pop(key, None)
        self._complete = max(0, self._complete - 1)
        self._count -= len(records)
        self._room.set()
        return Job(next(filter(None, key), ""), tuple(records))

    def _has_one_standing(self) -> bool:
        """Whether the group that came first has got nothing for so long, while others did, that it will get no more."""
        if self._idle is None or not self._waiting:
            return False
        return self._last - self._latest[next(iter(self._waiting))] >= STANDING * self._idle


def _for_now(result: _Result, record: ImageRecord, package: PackageReceiver) -> TemporaryError | None:
    """Return a member's error if another request may bring it: the disk was busy, or bytes were wrong on their way."""
    if isinstance(result, Busy):
        return result
    if isinstance(result, Damaged) and record.md5 is not None and not package.is_checked:
        return result
    return None


_Key = tuple[str, str, str]


def _key(record: ImageRecord) -> _Key:
    """What one request serves: a row with a URL is asked for there only, whatever package it names."""
    if record.url is not None:
        return record.url, "", record.id
    path = record.package_path or ""
    return "", path, "" if path else record.id
