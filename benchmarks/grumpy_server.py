"""A network and a server with rules of their own, on the loopback: asyncio's bare transports, one process.

    python -m benchmarks.grumpy_server RULES

`RULES` is what `Rules.text()` gives. Prints its ports, one line, and serves until its standard input ends; then it
prints what it saw, as JSON. The clock of
an outage or a change begins with the first request. A round trip is waited here, half of it before the server decides
and half after, so a handshake costs what it costs on a line. The line itself is packets that take turns.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final
from zlib import crc32

from .grumpy_rules import Rules

SIZES: Final = (6_000, 11_000, 16_000, 20_000, 25_000, 42_000)
"""Bytes of the pictures, 20 kB on average; which one a path gets depends on nothing but the path."""

_TICK: Final = 0.004
_RANGE = re.compile(rb"\r\nrange: *bytes=(\d+)-", re.IGNORECASE)
_WORDS: Final = {200: "OK", 206: "Partial Content", 421: "Misdirected", 429: "Too Many", 503: "Slow Down"}


@dataclass
class Seen:
    """What the server saw.

    Args:
        refused: requests and connections that were turned away, by chance too, and those that the outage met.
        peak: connections open at once.
    """

    refused: int = 0
    peak: int = 0


def picture(path: bytes) -> bytes:
    """Return the file at a path."""
    size = SIZES[crc32(path) % len(SIZES)]
    return _PICTURES[size]


def _drawn(size: int) -> bytes:
    return b"\xff\xd8\xff" + random.Random(size).randbytes(size - 5) + b"\xff\xd9"


_PICTURES: Final = {size: _drawn(size) for size in SIZES}
_DIGESTS: Final = {size: hashlib.md5(data).hexdigest() for size, data in _PICTURES.items()}


class Line:
    """What all bodies share: a packet of each in turn, as many as its rate allows."""

    def __init__(self, rules: Rules, clock: Callable[[], float]) -> None:
        self._steps = rules.line
        self._knee = rules.knee
        self._slope = rules.slope
        self._clock = clock
        self._turns: deque[Peer] = deque()
        self._credit = 0.0
        self._at = 0.0
        self._ticking = False

    def carry(self, peer: Peer) -> None:
        """Carry a connection's `unsent` bytes; `sent` is called when they are out."""
        if not self._steps:
            peer.write(len(peer.unsent))
            return
        self._turns.append(peer)
        if not self._ticking:
            self._ticking, self._credit, self._at = True, 0.0, self._clock()
            asyncio.get_running_loop().call_later(_TICK, self._tick)

    def _tick(self) -> None:
        now = self._clock()
        rate = next(rate for at, rate in reversed(self._steps) if now >= at)
        packet = int(min(8192.0, max(1460.0, rate / 500)))
        flows = len(self._turns)
        if self._knee and flows > self._knee:
            rate *= (self._knee / flows) ** self._slope
        self._credit += rate * (now - self._at)
        self._at = now
        while self._turns and self._credit >= min(packet, len(self._turns[0].unsent)):
            peer = self._turns.popleft()
            size = min(packet, len(peer.unsent))
            self._credit -= size
            if size and peer.write(size):
                self._turns.append(peer)
        self._ticking = bool(self._turns)
        if self._ticking:
            asyncio.get_running_loop().call_later(_TICK, self._tick)


class Peer(asyncio.Protocol):
    """One connection: at most one request is under way on it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._came = b""
        self.unsent = memoryview(b"")
        self.fresh = True
        self.asked = False  # whether it counts with the requests that are served
        self.seated = False
        self.alive = True
        self.breaks_at = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.opened(self)

    def data_received(self, data: bytes) -> None:
        self._came += data
        if not self._came.endswith(b"\r\n\r\n"):
            return
        head, self._came = self._came, b""
        found = _RANGE.search(head)
        self._server.asked(self, head.split(b" ", 2)[1], int(found[1]) if found else 0)

    def connection_lost(self, error: Exception | None) -> None:
        self.alive = False
        self.unsent = memoryview(b"")
        self._server.left(self)

    def reset(self) -> None:
        """End the connection by RST."""
        if self.alive and (wire := self.transport.get_extra_info("socket")) is not None:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()

    def answer(self, status: int, headers: str, body: bytes) -> None:
        self.unsent = memoryview(
            f"HTTP/1.1 {status} {_WORDS[status]}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body
        )

    def write(self, size: int) -> bool:
        """Send the next bytes; False when none are left."""
        if not self.alive or self.transport.is_closing():
            return False
        size = min(size, len(self.unsent) - self.breaks_at)
        self.transport.write(bytes(self.unsent[:size]))
        self.unsent = self.unsent[size:]
        if len(self.unsent) <= self.breaks_at:
            self._server.sent(self)
            return False
        return True


class Server:
    """One port's rules."""

    def __init__(self, rules: Rules, line: Line, clock: Callable[[], float], seen: Seen) -> None:
        self._rules = rules
        self._line = line
        self._clock = clock
        self._seen = seen
        self._chance = random.Random(1)
        self._peers: set[Peer] = set()
        self._active = 0
        self._busy = 0
        self._backlog: deque[tuple[Peer, bytes, int]] = deque()
        self._outside: deque[tuple[Peer, bytes, int]] = deque()  # requests of connections that have no seat
        self._tokens, self._tokens_at = rules.bucket, 0.0

    @property
    def _is_down(self) -> bool:
        begin, seconds = self._rules.outage
        return begin <= self._clock() < begin + seconds

    def cut(self) -> None:
        """Begin an outage."""
        for peer in list(self._peers):
            self._seen.refused += peer.asked
            peer.reset()

    def opened(self, peer: Peer) -> None:
        rules = self._rules
        if self._is_down:
            self._seen.refused += 1
            peer.reset()
        elif rules.seats and not rules.newcomers and self._taken() >= rules.seats:
            if rules.unseated == "closed":
                self._seen.refused += 1
                asyncio.get_running_loop().call_later(rules.latency, peer.transport.close)
        else:
            peer.seated = not rules.newcomers
        self._peers.add(peer)
        self._seen.peak = max(self._seen.peak, len(self._peers))

    def left(self, peer: Peer) -> None:
        self._peers.discard(peer)
        self._over(peer)
        while self._outside and self._taken() < self._rules.seats:
            peer, path, start = self._outside.popleft()
            if peer.alive:
                peer.seated = True
                self._arrive(peer, path, start)

    def asked(self, peer: Peer, path: bytes, start: int) -> None:
        self._clock()
        trips = 0.5 + (self._rules.handshake if peer.fresh else 0.0)
        peer.fresh = False
        self._later(trips * self._rules.latency, self._arrive, peer, path, start)

    def sent(self, peer: Peer) -> None:
        self._over(peer)
        if peer.breaks_at or self._rules.hangs_up:
            peer.transport.close()

    def _taken(self) -> int:
        return sum(peer.seated for peer in self._peers)

    def _over(self, peer: Peer) -> None:
        self._active -= peer.asked
        peer.asked = False

    def _later(self, seconds: float, what: Callable[..., None], peer: Peer, *arguments: object) -> None:
        """Call after the time if the connection is still there."""

        def call() -> None:
            if peer.alive:
                what(peer, *arguments)

        if seconds:
            asyncio.get_running_loop().call_later(seconds, call)
        else:
            call()

    def _arrive(self, peer: Peer, path: bytes, start: int) -> None:
        if self._rules.unseated == "waits" and not peer.seated:
            self._outside.append((peer, path, start))
            return
        refusal = self._refusal(peer)
        rules = self._rules
        if refusal:
            self._seen.refused += 1
            self._later(rules.latency / 2, self._turn_away, peer, refusal)
            return
        self._active += 1
        peer.asked = True
        if rules.workers and self._busy >= rules.workers:
            self._backlog.append((peer, path, start))
        else:
            self._work(peer, path, start)

    def _refusal(self, peer: Peer) -> str:
        rules = self._rules
        if rules.seats and not peer.seated:
            if not rules.newcomers:
                return rules.unseated
            if self._taken() >= rules.seats:
                return rules.refuse
            peer.seated = True
        if rules.above and self._active >= rules.above:
            return rules.refuse
        if rules.rate and self._is_over_rate():
            return rules.refuse
        return "503" if self._chance.random() < rules.fate else ""

    def _is_over_rate(self) -> bool:
        now, rules = self._clock(), self._rules
        self._tokens = min(rules.bucket, self._tokens + (now - self._tokens_at) * rules.rate)
        self._tokens_at = now
        if self._tokens < 1:
            return True
        self._tokens -= 1
        return False

    def _turn_away(self, peer: Peer, how: str) -> None:
        if how == "reset":
            peer.reset()
        elif how == "closed":
            peer.transport.close()
        else:
            wait = f"Retry-After: {self._rules.retry_after}\r\n" if self._rules.retry_after else ""
            peer.breaks_at = 0
            peer.answer(int(how), wait + ("Connection: close\r\n" if how == "421" else ""), b"")
            peer.write(len(peer.unsent))
            if how == "421":
                peer.transport.close()

    def _work(self, peer: Peer, path: bytes, start: int) -> None:
        rules = self._rules
        if rules.workers:
            self._busy += 1
            asyncio.get_running_loop().call_later(rules.think, self._worked)
        think = rules.think + (rules.slow_time if self._chance.random() < rules.slow else 0.0)
        self._later(think + rules.latency / 2, self._begin_body, peer, path, start)

    def _worked(self) -> None:
        self._busy -= 1
        while self._backlog and self._busy < self._rules.workers:
            peer, path, start = self._backlog.popleft()
            if peer.alive:
                self._work(peer, path, start)

    def _begin_body(self, peer: Peer, path: bytes, start: int) -> None:
        data = picture(path)
        headers = f'ETag: "{_DIGESTS[len(data)]}"\r\nContent-Type: image/jpeg\r\n'
        if start:
            headers += f"Content-Range: bytes {start}-{len(data) - 1}/{len(data)}\r\n"
        peer.answer(206 if start else 200, headers, data[start:])
        breaks = self._chance.random() < self._rules.breaks
        peer.breaks_at = self._chance.randrange(1, len(data) - start) if breaks else 0
        self._line.carry(peer)


async def serve(rules: Rules) -> Seen:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    began: list[float] = []

    def clock() -> float:
        if not began:
            began.append(loop.time())
            if rules.outage[1]:
                for server in servers:
                    loop.call_later(rules.outage[0], server.cut)
        return loop.time() - began[0]

    seen = Seen()
    line = Line(rules, clock)
    servers = [Server(rules, line, clock, seen) for _ in range(rules.hosts)]
    listening = [await loop.create_server(lambda s=server: Peer(s), "127.0.0.1", 0, backlog=1024) for server in servers]  # type: ignore[misc]
    print(*(one.sockets[0].getsockname()[1] for one in listening), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for one in listening:
        one.close()
    return seen


def main() -> None:
    print(json.dumps(asdict(asyncio.run(serve(Rules.parse(sys.argv[1]))))))


if __name__ == "__main__":
    main()
