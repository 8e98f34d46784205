"""No flag beside fixed numbers of connections, on real sockets: asyncio's client, and servers with rules of their own.

    python -m benchmarks.real_networks [--only NAME] [--rounds N] [--trace]     a table, a row a network
    python -m benchmarks.real_networks --ramp                                   connections from a cold start on

Client and server are processes of their own on the loopback. *Fixed* is a plain client: so many workers, each of which
holds its place through its backoff (limited_run.py). Powers of two are tried, both ways from 16 (or a likelier one) on,
until one takes a tenth longer than the best so far, and is stopped there. *Regret* is no flag's time over the best's.
With more rounds no flag and the best number run again, and medians count. *Connections* are no flag's, most at once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from pathlib import Path
from statistics import median
from typing import Final

from .cloud import MEMORY
from .grumpy_rules import FULL, Network, Rules, networks
from .grumpy_server import Seen, picture
from .limited_run import Told
from .lines import Line
from .measure import Others

LIMITS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
MARGIN: Final = 1.1
"""A number that takes so many times the best is plainly worse, and none beyond it is tried."""

PATIENCE: Final = 90.0
"""Seconds after which no flag is given up: its best fixed number takes about six."""

_LANES: Final = 4
_HEADINGS = (
    "network",
    "no flag, s",
    "best fixed",
    "regret",
    "refused an image",
    "the same, fixed",
    "connections",
    "lost",
)
_TRIPS: Final = (1, 2, 4, 8, 12, 16)


@dataclass(frozen=True)
class Run:
    """One fetch: what the client told, and what the server saw."""

    told: Told
    seen: Seen

    @property
    def seconds(self) -> float:
        return inf if self.told.seconds is None else self.told.seconds


@dataclass
class Row:
    """A network's runs: with no flag, and by fixed number."""

    network: Network
    free: list[Run] = field(default_factory=list)
    fixed: dict[int, list[Run]] = field(default_factory=dict)

    @property
    def best(self) -> int:
        return min(self.fixed, key=self.time_of)

    def time_of(self, number: int) -> float:
        return median(run.seconds for run in self.fixed[number])

    @property
    def regret(self) -> float:
        return median(run.seconds for run in self.free) / self.time_of(self.best)

    def cells(self) -> Sequence[str]:
        free = sorted(run.seconds for run in self.free)
        spread = f" ({free[0]:.1f}-{free[-1]:.1f})" if len(free) > 1 else ""
        return (
            self.network.name,
            f"{median(free):.1f}{spread}",
            f"{self.best}: {self.time_of(self.best):.1f} s",
            f"{self.regret:.2f}",
            f"{self._refused(self.free):.2f}",
            f"{self._refused(self.fixed[self.best]):.2f}",
            str(max(run.seen.peak for run in self.free)),
            str(sum(run.told.lost for run in self.free)),
        )

    def _refused(self, runs: Sequence[Run]) -> float:
        return sum(run.seen.refused for run in runs) / len(runs) / self.network.images


def fetch(network: Network, number: int, patience: float) -> Run:
    """Start a server and a client, and wait for both."""
    serving = [sys.executable, "-m", "benchmarks.grumpy_server", network.rules.text()]
    with (
        tempfile.TemporaryDirectory(dir=MEMORY) as folder,
        subprocess.Popen(serving, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
    ):
        assert server.stdout is not None
        bases = [f"http://127.0.0.1:{port}/" for port in server.stdout.readline().split()]
        words = [folder, str(network.images), f"{patience:.3f}", str(number), *bases]
        client = subprocess.run(
            [sys.executable, "-m", "benchmarks.limited_run", *words], stdout=subprocess.PIPE, check=True, text=True
        )
        seen, _ = server.communicate()
    return Run(Told(**json.loads(client.stdout)), Seen(**json.loads(seen)))


def judge(network: Network, rounds: int) -> Row:
    """Run no flag, look for the best fixed number, and run both again."""
    row = Row(network)
    row.free.append(fetch(network, 0, PATIENCE))
    best = inf
    first = LIMITS.index(network.first)
    for way in (LIMITS[first:], LIMITS[:first][::-1]):
        for number in way:
            run = fetch(network, number, min(PATIENCE, MARGIN * best))
            row.fixed[number] = [run]
            if run.seconds == inf:
                break
            best = min(best, run.seconds)
    number = row.best
    for _ in range(rounds - 1):
        row.free.append(fetch(network, 0, PATIENCE))
        row.fixed[number].append(fetch(network, number, PATIENCE))
    print(f"{network.name}: {row.regret:.2f}", file=sys.stderr, flush=True)
    return row


def judged(chosen: Sequence[Network], rounds: int) -> list[Row]:
    """Judge all: those that keep a core busy one by one, the others some at a time, since they mostly wait."""
    busy = {network.name: judge(network, rounds) for network in chosen if network.busy}
    with ThreadPoolExecutor(_LANES) as lanes:
        waiting = [network for network in chosen if not network.busy]
        rows = busy | {row.network.name: row for row in lanes.map(lambda one: judge(one, rounds), waiting)}
    return [rows[network.name] for network in chosen]


def traced(row: Row) -> str:
    """Return what the first run with no flag did, twice a second: images, transfers under way, limit."""
    trace, lines = row.free[0].told.trace, []
    for at, fetched, under_way, limit in trace[:: max(1, round(0.5 / (trace[-1][0] / len(trace))))]:
        lines.append(f"    {at:5.1f} s {fetched:6} images {under_way:4} of {limit}")
    return "\n".join([row.network.name, *lines])


def at_round_trips(told: Told, trip: float) -> Sequence[str]:
    """Return the most transfers under way up to so many round trips, and the most that began within 25 ms."""
    counts = [(at, under_way) for at, _, under_way, _ in told.trace]
    began = next(at for at, under_way in counts if under_way)
    most = [max((number for at, number in counts if at <= began + trips * trip), default=0) for trips in _TRIPS]
    burst = max(after[1] - before[1] for before, after in pairwise(counts))
    return [*map(str, most), str(burst)]


def ramp() -> None:
    """Print how many connections there are from a cold start on, over true and over waited round trips of 100 ms."""
    headings = ("line", *(f"after {trips}" for trips in _TRIPS), "most in 25 ms", "images/s")
    print("| " + " | ".join(headings) + " |\n" + "|---" * len(headings) + "|")
    images = 4000
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder = Path(name)
        (folder / "bucket").mkdir()
        for one in range(images):
            path = f"/{one}.jpg"
            (folder / "bucket" / path[1:]).write_bytes(picture(path.encode()))
        with Line("latency", 100).serving(folder / "bucket", folder / "served", {}) as place:
            words = [str(folder / "out"), str(images), str(PATIENCE), "0", place.server.base]
            command = [*place.prefix, sys.executable, "-m", "benchmarks.limited_run", *words]
            told = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=place.environment).stdout
    print(_ramp_row("HTTPS over 100 ms", Told(**json.loads(told)), images))
    for network in (
        Network("100 ms, 4 MB/s", 1500, Rules(latency=0.1, line=FULL)),
        Network("100 ms, 503 above 16", 1500, Rules(latency=0.1, refuse="503", above=16)),
    ):
        print(_ramp_row(network.name, fetch(network, 0, PATIENCE).told, network.images))


def _ramp_row(name: str, told: Told, images: int) -> str:
    assert told.seconds is not None
    return "| " + " | ".join([name, *at_round_trips(told, 0.1), f"{images / told.seconds:.0f}"]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME", help="the networks whose name has this in it")
    parser.add_argument("--rounds", type=int, default=1, help="of no flag and the best number (default: %(default)s)")
    parser.add_argument("--trace", action="store_true", help="print what the limit did, below the table")
    parser.add_argument("--ramp", action="store_true", help="print connections from a cold start on instead (root)")
    options = parser.parse_args()
    if options.ramp:
        ramp()
        return
    chosen = [network for network in networks() if (options.only or "") in network.name]
    with Others() as others:
        rows = judged(chosen, options.rounds)
    print("| " + " | ".join(_HEADINGS) + " |\n" + "|---" * len(_HEADINGS) + "|")
    for row in rows:
        print("| " + " | ".join(row.cells()) + " |")
    print(f"\n{others}; {_LANES} networks at a time, but for those that keep a core busy")
    if options.trace:
        print("\n" + "\n".join(traced(row) for row in rows))


if __name__ == "__main__":
    main()
