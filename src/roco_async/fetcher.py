"""Where the parts are joined: a `Fetcher` for other programs, and the `Run` that yields outcomes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from .config import FTP_CONNECTIONS, HTTP_CONNECTIONS, FetchConfig
from .descriptors import SPARE, for_sockets
from .engine import Engine, Finite, Records
from .errors import DiskRefused
from .protocols import Source, Transport
from .records import FetchReport, Outcome, Statistics, Status
from .sources.cloud import CloudSource
from .store.files import Files
from .store.shelf import Shelf
from .transfer.budget import Budget
from .transfer.hosts import Paced
from .transfer.limits import Policy
from .transfer.rate import RateLimit
from .transfer.trials import Trials
from .transport.schemes import Schemes

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger("roco_async")

_READY: Final = 1024
"""Outcomes that wait for the caller before the engine holds back."""

_WAITING_JOBS: Final = 64
"""Jobs beyond the connections: those that wait for another try hold none."""


class Run(AsyncIterator[Outcome]):
    """The outcomes of one run, as they come. One task does the work and begins with the first `anext`.

    Leaving the loop by `break`, an exception or a timeout is silent; the run ends with `aclose()`, with its Fetcher, or
    when it is forgotten.

    Example:
        >>> async def first(fetcher, records):
        ...     run = fetcher.iter_fetch(records)
        ...     try:
        ...         return await anext(run)
        ...     finally:
        ...         await run.aclose()
    """

    def __init__(self, work: _Work) -> None:
        self._work = work

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        """Return the next outcome.

        Raises:
            StopAsyncIteration: all records have theirs.
            DiskRefused: the disk takes no more.
            RuntimeError: the run was cancelled from within, as a timeout round a `yield` of the records does.
        """
        return await self._work.next()

    def drain(self) -> None:
        """Take no new record; what is under way is finished, and the iterator ends by itself."""
        self._work.drain()

    def statistics(self) -> Statistics:
        """Return a snapshot; cheap enough for every tick of a progress bar."""
        return self._work.statistics()

    @property
    def journal(self) -> Path | None:
        """The file that has this run's outcomes, None as long as it has none."""
        return self._work.journal

    async def aclose(self) -> None:
        """Stop and wait until nothing is left: no task, no temporary file, no open transfer. Harmless when repeated."""
        await self._work.aclose()

    def __del__(self) -> None:
        self._work.cancel()


class _Work:
    """What a Run stands for; the Fetcher holds this, so that a forgotten Run can end it."""

    def __init__(self, fetcher: Fetcher, records: Records, *, skipped: bool) -> None:
        config = fetcher.config
        self._records = records
        self._paced = fetcher.paced
        self._shelf = Shelf(config.images_root, fetcher.files, config.keep_packages)
        may_pause = isinstance(records, AsyncIterable) and not isinstance(records, Finite)
        sources = [_source(name, config, fetcher.paced, self._shelf, may_pause=may_pause) for name in config.source]
        jobs = fetcher.connections + min(fetcher.connections, _WAITING_JOBS)
        jobs = int(min(jobs, _allowed(config)))  # each may be at a host of its own
        is_there = None if skipped else self._shelf.has
        self._engine = Engine(
            sources, find=self._shelf.find, outlet=self, jobs=jobs, limit=config.limit, is_there=is_there
        )
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._ready: deque[Outcome] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._began = 0.0
        self._elapsed: float | None = None
        self._fetched = self._skipped = self._failed = self._bytes = 0

    @property
    def journal(self) -> Path | None:
        path = self._shelf.journal_path
        return Path(path) if path else None

    async def next(self) -> Outcome:
        if self._closed:
            raise StopAsyncIteration
        if self._task is None:
            loop = asyncio.get_running_loop()
            self._began = loop.time()
            self._task = loop.create_task(self._carry(), name="roco_async run")
            self._task.add_done_callback(self._ended)
        while not self._ready:
            if self._task.done():
                if not self._closed:
                    self._reap(self._task)
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        outcome = self._ready.popleft()
        if len(self._ready) <= _READY // 2:
            self._room.set()
        return outcome

    @property
    def is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def is_done(self) -> bool:
        return self._task is not None and self._task.done()

    def drain(self) -> None:
        self._engine.drain()

    def cancel(self) -> None:
        if self._task is not None and not self._task.done():
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._task.cancel()

    def statistics(self) -> Statistics:
        elapsed = self._elapsed
        if elapsed is None:
            elapsed = asyncio.get_running_loop().time() - self._began if self._task is not None else 0.0
        return Statistics(
            requested=self._engine.requested,
            fetched=self._fetched,
            skipped=self._skipped + self._engine.passed_over,
            failed=self._failed,
            bytes=self._bytes,
            elapsed=elapsed,
            in_flight=self._paced.in_flight,
            limit=self._paced.limit,
        )

    async def aclose(self) -> None:
        self._closed = True
        self._ready.clear()
        self._room.set()
        self._news.set()
        task = self._task
        if task is None:
            return
        task.cancel()
        if task is asyncio.current_task():
            return  # the records' own iterator has had enough: the run ends where it waits next
        left: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                left = error  # the store must not be taken from under a run that is about to end
        if not task.cancelled():
            task.exception()  # whoever leaves early has no more interest in how it ended
        if left is not None:
            raise left

    async def _carry(self) -> None:
        try:
            await self._shelf.open()
            await self._engine.run(self._records)
        finally:
            self._elapsed = asyncio.get_running_loop().time() - self._began
            await self._shelf.aclose()

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._news.set()

    def emit(self, outcomes: Sequence[Outcome]) -> None:
        self._shelf.record(outcomes)
        for outcome in outcomes:
            if outcome.status is Status.FETCHED:
                self._fetched += 1
                self._bytes += outcome.bytes
            elif outcome.status is Status.SKIPPED:
                self._skipped += 1
            else:
                self._failed += 1
        self._ready.extend(outcomes)
        self._news.set()
        if len(self._ready) >= _READY:
            self._room.clear()

    async def wait_for_room(self) -> None:
        if not self._room.is_set():
            await self._room.wait()

    @staticmethod
    def _reap(task: asyncio.Task[None]) -> None:
        """Raise what ended the work, bare: `except DiskRefused` has to catch it."""
        if task.cancelled():
            raise RuntimeError("the run was cancelled from within: a timeout round a `yield` of its records does that")
        if (error := task.exception()) is not None:
            raise _bare(error)


class Fetcher:
    """Fetches images into a folder; for use inside other asyncio programs.

    It makes no loop, sets no handlers and keeps no global state. Limits and the health of hosts are shared by its runs.

    Args:
        config: how to fetch; `FetchConfig()` if left out.
        session: an aiohttp session to use instead of an own one; it is never closed.

    Example:
        >>> async def fetch_all(records):
        ...     async with Fetcher(FetchConfig(out="figures")) as fetcher:
        ...         async for outcome in fetcher.iter_fetch(records):
        ...             print(outcome.record.id, outcome.status, outcome.path)
    """

    def __init__(self, config: FetchConfig | None = None, *, session: aiohttp.ClientSession | None = None) -> None:
        self.config = config or FetchConfig()
        self._session = session
        self._works: set[_Work] = set()
        self._open = False

    async def __aenter__(self) -> Self:
        self.connections = _within_descriptors(self.config)
        if "packages" in self.config.source:
            await asyncio.to_thread(import_module, ".sources.packages", __package__)
        self.files = Files()
        self.paced = transport_for(self.config, self.connections, self._session)
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        try:
            async with asyncio.TaskGroup() as group:
                for work in self._works:
                    group.create_task(work.aclose())
        finally:
            await self.paced.aclose()
            await self.files.aclose()

    def iter_fetch(self, records: Records, *, skipped: bool = True) -> Run:
        """Fetch records and yield their outcomes as they come, in no particular order.

        Args:
            records: any iterable of `ImageRecord`, an asynchronous or endless one too.
            skipped: whether images that were there already have an outcome too; without, `statistics()` counts them,
                at a fifth of the cost.

        Raises:
            RuntimeError: the Fetcher is not entered.
        """
        if not self._open:
            raise RuntimeError("enter the Fetcher first: async with Fetcher(config) as fetcher")
        self._works = {work for work in self._works if not work.is_done}
        if not any(work.is_running for work in self._works):
            self.paced.forget_ended()
        work = _Work(self, records, skipped=skipped)
        self._works.add(work)
        return Run(work)

    async def fetch(self, records: Records) -> FetchReport:
        """Fetch records and return the account.

        Raises:
            DiskRefused: the disk takes no more.
        """
        report = FetchReport()
        run = self.iter_fetch(records, skipped=False)
        try:
            async for outcome in run:
                report.add(outcome)
        finally:
            await run.aclose()
        report.close(run.statistics())
        return report


def transport_for(config: FetchConfig, connections: int, session: aiohttp.ClientSession | None) -> Paced:
    """Join what carries bytes: the protocols, their hosts' limits and health, and the rate."""

    def policy(scheme: str) -> Policy:
        few = scheme == "ftp" and config.connections is None
        return Trials(min(connections, FTP_CONNECTIONS) if few else connections)

    return Paced(
        Schemes(_transports(config, session)),
        policy=policy,
        timeout=config.timeout,
        outage=config.outage,
        probes=config.attempts,
        rate=RateLimit(config.limit_rate) if config.limit_rate else None,
    )


def _transports(config: FetchConfig, session: aiohttp.ClientSession | None) -> dict[str, Callable[[], Transport]]:
    def web() -> Transport:
        from .transport.http import HttpTransport

        return HttpTransport(timeout=config.timeout, session=session)

    def ftp() -> Transport:
        from .transport.ftp import FtpTransport

        return FtpTransport(timeout=config.timeout)

    def file() -> Transport:
        from .transport.file import FileTransport

        return FileTransport(timeout=config.timeout)

    return {"http": web, "https": web, "ftp": ftp, "file": file}


def _source(name: str, config: FetchConfig, transport: Paced, shelf: Shelf, *, may_pause: bool) -> Source:
    budget = partial(Budget, config.attempts)
    if name == "packages":
        from .sources.packages import IDLE, PackagesSource  # was imported by `__aenter__`, in a thread

        idle = IDLE if may_pause else None
        return PackagesSource(config.packages_url, transport=transport, shelf=shelf, budget=budget, idle=idle)
    return CloudSource(config.cloud_url, transport=transport, shelf=shelf, budget=budget)


def _bare(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        refusals = [inner for inner in error.exceptions if isinstance(inner, DiskRefused)]
        error = (refusals or error.exceptions)[0]
    return error


def _allowed(config: FetchConfig) -> float:
    """Return how many transfers the process's descriptors allow at once, one at least.

    Each takes its socket's, by packages a member's file's, and that of the package where it is kept.
    """
    each = 1 if "packages" not in config.source else 2 if config.keep_packages is None else 3
    sockets = for_sockets()
    return sockets if sockets == math.inf else max(1, sockets // each)


def _within_descriptors(config: FetchConfig) -> int:
    """Return how many connections the process's descriptors allow, and say so where that is fewer."""
    wanted, allowed = config.connections or HTTP_CONNECTIONS, _allowed(config)
    if wanted <= allowed:
        return wanted
    fewer, files = int(allowed), int(for_sockets()) + SPARE
    log.warning("%d connections instead of %d: this process may open %d files (ulimit -n)", fewer, wanted, files)
    return fewer
