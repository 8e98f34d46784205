"""A host without a network, the policy that its tests go by, and how a transfer is carried over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from roco_async.errors import Blocked, HostDown, TransferError, Unreachable
from roco_async.protocols import START, Body, Point
from roco_async.transfer.budget import Budget
from roco_async.transfer.hosts import Paced
from roco_async.transfer.limits import Verdict
from roco_async.transfer.rate import RateLimit

URL = "http://host/"


class Fixed:
    """A limit that stays, and takes note of what it is told."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.verdicts: list[Verdict] = []
        self.places: list[int] = []
        self.bytes = 0
        self.returns = 0

    def rest(self, took: float) -> float:
        return 0.0

    def ready_at(self, now: float) -> float:
        return now

    def started(self, now: float) -> None:
        pass

    def moved(self, count: int) -> None:
        self.bytes += count

    def after(self, verdict: Verdict, *, held: int, now: float, began: float, pushed: bool) -> int:
        self.verdicts.append(verdict)
        return self.limit

    def full(self, places: int, *, now: float) -> None:
        self.places.append(places)

    def came_back(self, *, now: float, probes: int, pushed: bool) -> int:
        self.returns += 1
        return self.limit


@dataclass(slots=True)
class Site:
    """A Transport to one host that can be down, that takes its time, and that fails as it is told.

    Args:
        takes: seconds of a transfer.
        thinks: seconds before a URL's answer.
        down: no connection while it is True.
        fails: makes the error of a URL, None for an answer.
        chunks: what a body brings, each with the seconds before it.
    """

    takes: float = 1.0
    thinks: Callable[[str], float] = lambda _: 0.0
    down: bool = False
    fails: Callable[[str], TransferError | None] = lambda _: None
    chunks: Callable[[str], list[tuple[float, bytes]]] | None = None
    opened: list[tuple[float, str]] = field(default_factory=list)
    open_now: int = 0
    most_open: int = 0
    closed: bool = False

    @asynccontextmanager
    async def open(self, url: str, at: Point = START) -> AsyncIterator[Body]:
        self.opened.append((asyncio.get_running_loop().time(), url))
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            await asyncio.sleep(self.thinks(url))
            if self.down:
                raise Unreachable("connection refused", url=url, answered=False)
            if error := self.fails(url):
                raise error
            yield Body(start=0, size=None, validator=None, digest=None, chunks=self._chunks(url))
        finally:
            self.open_now -= 1

    async def aclose(self) -> None:
        self.closed = True

    async def _chunks(self, url: str) -> AsyncIterator[bytes]:
        for seconds, chunk in self.chunks(url) if self.chunks else [(self.takes, b"x")]:
            await asyncio.sleep(seconds)
            if self.down:
                raise Unreachable("connection reset", url=url, answered=False)
            yield chunk


def paced(
    site: Site,
    *,
    policy: Fixed | None = None,
    limit: int = 4,
    timeout: float = 30.0,
    outage: float = 300.0,
    probes: int = 6,
    rate: RateLimit | None = None,
) -> Paced:
    chosen = policy or Fixed(limit)
    return Paced(site, policy=lambda _: chosen, timeout=timeout, outage=outage, probes=probes, rate=rate)


async def read(transport: Paced, url: str) -> bytes:
    """Carry one transfer."""
    async with transport.open(url) as body:
        return b"".join([chunk async for chunk in body.chunks])


async def outcome(transport: Paced, url: str) -> bytes | TransferError:
    try:
        return await read(transport, url)
    except TransferError as error:
        return error


async def stubborn(transport: Paced, url: str, *, attempts: int = 6) -> bytes | TransferError:
    """Try again after each error, as the loop does, without its waits; a host that has ended is not asked again."""
    for _ in range(attempts - 1):
        found = await outcome(transport, url)
        if isinstance(found, bytes | HostDown | Blocked):
            return found
    return await outcome(transport, url)


async def budgeted(transport: Paced, url: str, *, attempts: int) -> bytes | TransferError:
    """Try again as long as the budget of an image lasts, with its waits."""
    budget = Budget(attempts)
    while True:
        try:
            return await read(transport, url)
        except TransferError as error:
            try:
                await budget.spend(error, gained=0)
            except TransferError as last:
                return last
