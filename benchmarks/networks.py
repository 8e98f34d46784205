"""Regret of the limit's policies on modelled networks: time over the best fixed number of connections.

    python -m benchmarks.networks                  the fixed set of 80 networks, 3 seeds: a table per kind
    python -m benchmarks.networks --held-out 7     96 random networks from seed 7: choose one that was never looked at

No clock and no socket: a run of minutes takes milliseconds. docs/limits.md says what came out and what was tried.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from statistics import mean, median
from typing import NamedTuple

from roco_async.transfer.limits import Policy
from roco_async.transfer.trials import Trials
from tests.networks.aimd import Aimd
from tests.networks.kinds import KINDS, fixed_set, held_out
from tests.networks.model import Run, best_fixed
from tests.networks.network import Network

POLICIES: dict[str, Callable[[int], Policy]] = {"Aimd": Aimd, "Trials": Trials}
HELD_OUT = 96
MOST = 256
STOP = 30.0  # times the best fixed: who is not done by then is counted so


class Row(NamedTuple):
    """One run of one policy: regret, and refusals an image."""

    kind: str
    policy: str
    regret: float
    refusals: float


def compare(job: tuple[Network, int]) -> list[Row]:
    """Run a network with every policy."""
    network, seed = job
    best, _ = best_fixed(network, seed)
    rows = []
    for name, policy in POLICIES.items():
        result = Run(network, seed, policy=policy(MOST), until=STOP * best).finish()
        rows.append(Row(network.kind, name, min(STOP, result.time / best), result.refusals))
    return rows


def figures(rows: Iterable[Row]) -> str:
    """Return median and worst regret, refusals an image, and the share of runs over 1.15."""
    chosen = list(rows)
    regrets = [row.regret for row in chosen]
    over = sum(regret > 1.15 for regret in regrets) / len(regrets)
    refusals = mean(row.refusals for row in chosen)
    return f"{median(regrets):5.2f} / {max(regrets):5.2f} {refusals:9.2f} {over:7.0%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", type=int, metavar="SEED", help="random networks instead of the fixed set")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each network (default: %(default)s)")
    options = parser.parse_args()
    networks = fixed_set() if options.held_out is None else held_out(HELD_OUT, options.held_out)
    jobs = [(network, seed) for network in networks for seed in range(options.seeds)]
    with ProcessPoolExecutor(os.cpu_count()) as workers:
        rows = [row for made in workers.map(compare, jobs, chunksize=4) for row in made]
    print(f"{len(jobs)} runs; each: median / worst regret, refusals an image, share of runs over 1.15")
    print(f"{'':34}" + "   ".join(f"{name:>30}" for name in POLICIES))
    for kind in KINDS:
        columns = (figures(row for row in rows if (row.kind, row.policy) == (kind, name)) for name in POLICIES)
        print(f"{kind:34}" + "   ".join(f"{column:>30}" for column in columns))
    print(f"{'all':34}" + "   ".join(f"{figures(row for row in rows if row.policy == name):>30}" for name in POLICIES))


if __name__ == "__main__":
    main()
