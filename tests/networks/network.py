"""The nouns of the model: a network as data, a run's result, a connection, and an image on its way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import inf

FIRST_WINDOW = 14_600  # bytes, RFC 6928


@dataclass(frozen=True, kw_only=True)
class Network:
    """One line and one server.

    Args:
        kind: the row of the table that it belongs to.
        items: images to fetch.
        size: median bytes of one; `spread` is the sigma of their lognormal distribution.
        rtt: seconds to the server and back, without a queue.
        think: mean seconds to the first byte (exponential, half of it constant).
        line: steps (seconds, bytes a second) of what the line carries.
        buffer: seconds of queue on the line when it is full.
        rivals: bodies of others on the line.
        knee: bodies above which the line carries less: times (knee / bodies) ** `slope`.
        caps: steps (seconds, requests) above which the server refuses; `cap_on` what is counted.
        resets: a refusal is a reset, not a 503.
        rate: requests a second that the server takes; `bucket` is its burst.
        retry_after: seconds that a refusal for the rate asks for; `ban`: who comes earlier begins anew.
        fate: share of requests that fail whatever the load is, by a 503 or (`breaks`) in the middle of the body.
        workers: requests that the server works on at once; others queue.
        slow: share of first bytes that take about `slow_time` seconds more.
        outage: (begin, seconds) of a time in which each connection is reset.
    """

    kind: str
    items: int
    size: float = 80e3
    spread: float = 0.7
    rtt: float = 0.04
    think: float = 0.02
    line: tuple[tuple[float, float], ...] = ((0.0, 30e6),)
    buffer: float = 0.0
    rivals: int = 0
    knee: int = 0
    slope: float = 0.0
    caps: tuple[tuple[float, int], ...] = ()
    cap_on: str = "requests"
    resets: bool = False
    rate: float = 0.0
    bucket: float = 1.0
    retry_after: float = 0.0
    ban: bool = False
    fate: float = 0.0
    breaks: bool = False
    workers: int = 0
    slow: float = 0.0
    slow_time: float = 0.0
    outage: tuple[float, float] = (inf, 0.0)


@dataclass(frozen=True)
class Result:
    """What a run came to: seconds, refusals and broken transfers an image, the limit at its end."""

    time: float
    refusals: float
    limit: int


class Refusal(Enum):
    """How the server turns a request away, if it does."""

    NONE = "none"
    BUSY = "503"
    RATE = "429, or a 503 for the rate"
    RESET = "reset"


class Connection:
    """A kept-alive connection: its congestion window in bytes, and when it fell idle."""

    def __init__(self) -> None:
        self.window = float(FIRST_WINDOW)
        self.fresh = True
        self.since = 0.0


class Transfer:
    """One image on its way: bytes left, failed tries, and the slot and connection of the present try."""

    def __init__(self, left: float) -> None:
        self.left = left
        self.tries = 0
        self.began = 0.0
        self.connection = Connection()
        self.breaks_at = 0.0
        self.asked = False
        self.alive = 0
