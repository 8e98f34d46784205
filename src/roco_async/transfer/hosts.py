"""A Transport round a Transport: every transfer waits for a slot of its host, and its end is news about that host.

Three things meet here and nowhere else: the limiter (how many at once), the watch (is the host there), and the meter
(bytes as they arrive: rate limit, and transfers that only trickle).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

from ..errors import Busy, Stalled, TemporaryError, TransferError, redacted
from ..protocols import START, Body, Point, Transport
from .health import Health, State, Try
from .limits import Limiter, Policy, Verdict
from .overtaken import Overtaken
from .rate import RateLimit
from .watchdog import Watchdog

log = logging.getLogger("roco_async")

SLOWEST: Final = 1000.0
"""Bytes a second under which a transfer trickles."""

_REMEMBERED: Final = 4096
"""URLs that failed, and stand at the head of the queue when they come again."""


class Host:
    """One host: its slots, its health, and who waits for its probe."""

    def __init__(self, name: str, policy: Policy, health: Health) -> None:
        self._name = name
        self.limiter = Limiter(policy)
        self.health = health
        self.overtaken = Overtaken(health, self.limiter)
        self.received = 0
        self._failed: set[str] = set()
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._probing = False
        self._timer: asyncio.TimerHandle | None = None

    async def admit(self, url: str) -> Try:
        """Wait until a transfer may begin.

        Raises:
            TemporaryError: the host's work has ended.
        """
        loop = asyncio.get_running_loop()
        while True:
            if self.health.state is State.ENDED:
                raise self.health.ending(url)
            if self.health.state is State.AWAY:
                if await self._my_turn_to_probe():
                    return self.health.began(url, loop.time(), is_probe=True)
                continue
            tried_before = url in self._failed
            began = await self.limiter.acquire(first=tried_before)
            if tried_before:
                self._failed.discard(url)
            if self.health.state is State.UP:
                return self.health.began(url, began)
            self.limiter.give_back()

    def answered(self, a_try: Try) -> None:
        self.overtaken.answered(a_try)
        if self.health.answered(a_try):
            self.limiter.policy.came_back(
                now=asyncio.get_running_loop().time(), probes=self.health.lone_probes, pushed=self.health.pushed
            )
            self._probing = False
            log.warning("%s answers again", self._name)
            self._wake_all()

    def ended(self, a_try: Try, error: BaseException | None) -> None:
        """Take note of how a transfer ended; the error's grace is set here."""
        now = asyncio.get_running_loop().time()
        state = self.health.state
        self.health.over(a_try)
        others = self.limiter.held - (0 if a_try.is_probe else 1)
        if error is None:
            self.health.succeeded()
            self.overtaken.succeeded(a_try, now)
        elif isinstance(error, TemporaryError):
            if len(self._failed) >= _REMEMBERED:
                self._failed.clear()  # those given up for good never come again: it must not grow with the list
            self._failed.add(a_try.url)
            self.health.failed(error, a_try, now, limit=self.limiter.limit, others=others)
        if a_try.is_probe:
            self._probing = False
        elif state is not State.UP or a_try.made_room or not (error is None or isinstance(error, TransferError)):
            self.limiter.give_back()  # cancelled, the host is away, or too many were: no news about the load
        else:
            overload = isinstance(error, TemporaryError) and error.overload
            verdict = Verdict.DROPPED if overload else Verdict.SUCCESS if error is None else Verdict.IGNORE
            began = now if a_try.was_left else a_try.began  # there are too many now, whenever it began
            self.limiter.release(verdict, began=began, pushed=isinstance(error, Busy))
        if state is State.UP and self.health.state is State.AWAY:
            log.warning("%s does not answer (%s); one probe asks, the others wait", self._name, error)
        if self.health.state is State.ENDED:
            if state is not State.ENDED:
                log.warning("%s is asked for nothing more: %s", self._name, self.health.ending("").message)
            self._wake_all()
            self.limiter.dismiss()  # a slow pace would let them hear of it one by one
        elif self.health.state is State.AWAY:
            self._call_probe(now)

    async def _my_turn_to_probe(self) -> bool:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(turn)
        self._call_probe(loop.time())
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self._probing = False
                self._call_probe(loop.time())
            raise

    def _call_probe(self, now: float) -> None:
        if not self._probing and self._timer is None and self._waiting:
            self._timer = asyncio.get_running_loop().call_at(max(now, self.health.next_probe), self._send_probe)

    def _send_probe(self) -> None:
        self._timer = None
        if self.health.state is not State.AWAY or self._probing:
            return
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                self._probing = True
                turn.set_result(True)
                return

    def _wake_all(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(False)
        self.limiter.wake()


def _is_an_answer(error: BaseException) -> bool:
    """Whether the host is there and turned nobody away."""
    if isinstance(error, TemporaryError):
        return error.answered and not error.overload
    return isinstance(error, TransferError)


class Paced:
    """A Transport that keeps to each host's limit and waits for a host that is away.

    Args:
        inner: where the bytes come from.
        policy: makes the limit's policy for a new host, by its scheme.
        timeout: seconds; a transfer under 1 KB/s over twice this long, while others move, is broken off.
        outage: seconds that a host which had answered is waited for.
        probes: how often a host that never answered is asked.
        rate: a ceiling on bytes a second over all hosts.
    """

    def __init__(
        self,
        inner: Transport,
        *,
        policy: Callable[[str], Policy],
        timeout: float,
        outage: float,
        probes: int,
        rate: RateLimit | None = None,
    ) -> None:
        self.inner = inner
        self.rate = rate
        self.window = 2 * timeout
        self._policy = policy
        self._outage = outage
        self._probes = probes
        self.watchdog = Watchdog(2 * timeout)
        self._hosts: dict[str, Host] = {}

    def open(self, url: str, at: Point = START) -> _Admission:
        return _Admission(self, self.host_of(url), url, at)

    async def aclose(self) -> None:
        await self.inner.aclose()

    def host_of(self, url: str) -> Host:
        end = url.find("/", url.find("//") + 2)
        key = url[:end]
        if end < 0 or "?" in key or "#" in key:  # nothing stands between the host and the query
            parts = urlsplit(url)
            key = f"{parts.scheme}://{parts.netloc}"
        host = self._hosts.get(key)
        if host is None:
            health = Health(outage=self._outage, probes=self._probes)
            host = self._hosts[key] = Host(redacted(key), self._policy(url.partition(":")[0].lower()), health)
        return host

    def forget_ended(self) -> None:
        """Give every host whose work has ended another chance, as a new run does."""
        self._hosts = {key: host for key, host in self._hosts.items() if host.health.state is not State.ENDED}

    @property
    def in_flight(self) -> int:
        """Transfers under way."""
        return sum(host.limiter.held for host in self._hosts.values())

    @property
    def limit(self) -> int:
        """Transfers allowed at once, over all hosts."""
        return sum(host.limiter.limit for host in self._hosts.values())


class _Admission:
    """One transfer's stay: admitted, opened, metered, and let go with a verdict."""

    __slots__ = ("_at", "_exchange", "_host", "_paced", "_try", "_url")

    def __init__(self, paced: Paced, host: Host, url: str, at: Point) -> None:
        self._paced = paced
        self._host = host
        self._url = url
        self._at = at

    async def __aenter__(self) -> Body:
        self._try = await self._host.admit(self._url)
        self._paced.watchdog.began(self, self._url)
        try:
            self._exchange: AbstractAsyncContextManager[Body] = self._paced.inner.open(self._url, self._at)
            body = await self._answer()
        except BaseException as error:
            if _is_an_answer(error):
                self._host.answered(self._try)
                self._host.overtaken.kept()
            self._paced.watchdog.ended(self)
            self._host.ended(self._try, error)
            raise
        self._host.answered(self._try)
        body.chunks = _Metered(body.chunks, self._host, self._paced, self._url)
        return body

    async def _answer(self) -> Body:
        overtaken = self._host.overtaken
        try:
            async with overtaken.watched(self._try):
                return await self._exchange.__aenter__()
        except TimeoutError as error:
            message = f"no answer, and others were given {self._host.health.answers - self._try.answers} meanwhile"
            raise Stalled(message, operation="GET", url=self._url, answered=False) from error
        finally:
            overtaken.over(self._try)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._exchange.__aexit__(kind, error, trace)
        finally:
            self._paced.watchdog.ended(self)
            self._host.ended(self._try, error)


class _Metered:
    """The body's bytes, counted as they arrive."""

    __slots__ = ("_chunks", "_host", "_mine", "_paced", "_theirs", "_url", "_window_ends")

    def __init__(self, chunks: AsyncIterator[bytes], host: Host, paced: Paced, url: str) -> None:
        self._chunks = chunks
        self._host = host
        self._paced = paced
        self._url = url
        self._open_window(asyncio.get_running_loop().time())

    def __aiter__(self) -> _Metered:
        return self

    async def __anext__(self) -> bytes:
        chunk = await anext(self._chunks)
        count = len(chunk)
        host = self._host
        self._mine += count
        host.received += count
        host.limiter.policy.moved(count)
        self._paced.watchdog.moved()
        if self._paced.rate is not None:
            await self._paced.rate.pay(count)
        now = asyncio.get_running_loop().time()
        if now >= self._window_ends:
            if self._trickles():
                raise Stalled(
                    f"under 1 KB/s for {self._paced.window:g} s while others moved", operation="GET", url=self._url
                )
            self._open_window(now)
        return chunk

    def _open_window(self, now: float) -> None:
        self._window_ends = now + self._paced.window
        self._mine = 0
        self._theirs = self._host.received

    def _trickles(self) -> bool:
        """Whether this transfer starves though the line does not: on a thin line all starve, and none is broken off."""
        enough = SLOWEST * self._paced.window
        others = max(1, self._host.limiter.held - 1)
        theirs = self._host.received - self._theirs - self._mine
        return self._mine < enough <= theirs / others
