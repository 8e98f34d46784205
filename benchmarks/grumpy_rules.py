"""Networks and servers with rules of their own, as data; grumpy_server.py is what behaves so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a network and a server do, as data.

    Args:
        latency: seconds of a round trip; each answer takes one.
        handshake: round trips more that the first answer of a connection takes.
        line: steps (seconds, bytes a second) of what the line carries; none is no bound.
        knee: bodies on the line above which it carries less: times (knee / bodies) ** `slope`.
        refuse: how a request that is one too many is turned away: `503`, `reset`, `429`; "" is not at all.
        above: requests at once that are served.
        newcomers: whether it is connections without a seat, of `above`, that are turned away.
        seats: connections at once; a further one is turned away as `unseated` says, `closed` or `421`, or `waits` for a
            seat, its request unread.
        rate: requests a second that are served, in bursts of `bucket`.
        retry_after: seconds that a refusal asks for.
        workers: requests worked on at once, `think` seconds each; others queue.
        slow: share of answers that take `slow_time` seconds more.
        fate: share of answers that are a 503 by chance; `breaks`: of bodies that are cut in the middle.
        hangs_up: whether the connection ends with each answer, without a word.
        outage: (begin, seconds) of a time in which each connection is reset.
        hosts: ports that share the line; the other rules hold for each.
    """

    latency: float = 0.0
    handshake: float = 2.0
    line: tuple[tuple[float, float], ...] = ()
    knee: int = 0
    slope: float = 1.0
    refuse: str = ""
    above: int = 0
    newcomers: bool = False
    seats: int = 0
    unseated: str = "closed"
    rate: float = 0.0
    bucket: float = 1.0
    retry_after: int = 0
    workers: int = 0
    think: float = 0.0
    slow: float = 0.0
    slow_time: float = 0.0
    fate: float = 0.0
    breaks: float = 0.0
    hangs_up: bool = False
    outage: tuple[float, float] = (0.0, 0.0)
    hosts: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rules that `text()` gave."""
        given = json.loads(text)
        given["line"] = tuple((at, rate) for at, rate in given["line"])
        return cls(**given)

    def text(self) -> str:
        """Return the rules as one line."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Network:
    """Rules with a name, and how many images are asked for: the best run is to last five to six seconds.

    Args:
        busy: whether its best run keeps a core busy, so that it has to be alone on the machine.
        first: the fixed number that is tried first.
    """

    name: str
    images: int
    rules: Rules
    busy: bool = False
    first: int = 16


FULL = ((0.0, 4e6),)
"""A line that carries 200 images a second: less than what keeps a core busy."""


def networks() -> Iterator[Network]:
    """Yield all networks of the table."""
    yield Network("latency 20 ms", 8000, Rules(latency=0.02), busy=True, first=128)
    yield Network("latency 100 ms", 8000, Rules(latency=0.1), busy=True, first=128)
    yield Network("latency 300 ms", 4000, Rules(latency=0.3), busy=True, first=128)
    yield Network("line 50 kB/s", 15, Rules(latency=0.02, line=((0.0, 50e3),)))
    yield Network("line 500 kB/s", 140, Rules(latency=0.02, line=((0.0, 500e3),)))
    yield Network("line 4 MB/s", 1100, Rules(latency=0.02, line=FULL))
    yield Network("line 500 kB/s, 100 ms", 140, Rules(latency=0.1, line=((0.0, 500e3),)))
    yield Network("line 4 MB/s, 100 ms", 1100, Rules(latency=0.1, line=FULL))
    for above, think in ((1, 0.04), (4, 0.04), (16, 0.08)):
        near, images = Rules(latency=0.01, think=think), round(5 * above / think)
        yield Network(f"503 above {above}", images, replace(near, refuse="503", above=above), first=above)
        yield Network(f"reset above {above}", images, replace(near, refuse="reset", above=above), first=above)
        newcomers = replace(near, refuse="reset", seats=above, newcomers=True)
        yield Network(f"newcomers reset above {above}", images, newcomers, first=above)
    yield Network("503 above 4, far", 400, Rules(latency=0.1, think=0.02, refuse="503", above=4))
    for seats, think in ((4, 0.04), (16, 0.08)):
        seated, images = Rules(latency=0.01, think=think, seats=seats), round(5 * seats / think)
        yield Network(f"{seats} connections, more are closed", images, seated, first=seats)
        yield Network(f"{seats} connections, more get 421", images, replace(seated, unseated="421"), first=seats)
        yield Network(f"{seats} connections, more wait", images, replace(seated, unseated="waits"), first=seats)
    yield Network("503 over 20/s, no burst", 80, Rules(latency=0.04, refuse="503", rate=20.0))
    yield Network("503 over 100/s", 600, Rules(latency=0.04, refuse="503", rate=100.0, bucket=50.0))
    for rate, images in ((20.0, 130), (100.0, 600)):
        limited = Rules(latency=0.04, refuse="429", rate=rate, bucket=rate, retry_after=1)
        yield Network(f"429 over {rate:g}/s, Retry-After", images, limited)
    yield Network("queue above 4", 550, Rules(latency=0.04, workers=4, think=0.04))
    yield Network("queue above 16", 1100, Rules(latency=0.04, workers=16, think=0.08))
    yield Network("goodput falls above 4", 500, Rules(latency=0.04, line=((0.0, 2e6),), knee=4))
    yield Network("goodput falls above 16", 1000, Rules(latency=0.04, line=FULL, knee=16))
    yield Network("5 % are 503", 1100, Rules(latency=0.05, line=FULL, fate=0.05))
    yield Network("5 % of answers take 3 s", 1100, Rules(latency=0.05, line=FULL, slow=0.05, slow_time=3.0))
    yield Network("5 % of bodies break", 1100, Rules(latency=0.05, line=FULL, breaks=0.05))
    yield Network("hangs up after each answer", 1100, Rules(latency=0.05, line=FULL, hangs_up=True))
    yield Network("outage of 4 s", 900, Rules(latency=0.05, line=FULL, outage=(2.5, 4.0)))
    yield Network("line 4 MB/s, then 0.4", 620, Rules(latency=0.05, line=((0.0, 4e6), (2.5, 4e5))))
    yield Network("line 0.4 MB/s, then 4", 800, Rules(latency=0.05, line=((0.0, 4e5), (2.5, 4e6))))
    yield Network("two hosts on 1 MB/s", 300, Rules(latency=0.05, line=((0.0, 1e6),), hosts=2))
    yield Network("two hosts, goodput falls above 8", 700, Rules(latency=0.05, line=((0.0, 3e6),), knee=8, hosts=2))
