"""Kill -9 at random moments over every road, and tell what was torn, lost, or asked for again.

    python -m tests.kills [--kills 200] [--seed S] [--road NAME]

Exits 1 if a file was torn or lost, or if anything was asked for again that had not been in flight.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from .campaign import Campaign, Tally, shares
from .roads import ROADS
from .scene import CONNECTIONS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="draws the moments")
    parser.add_argument("--road", choices=sorted(ROADS), help="kill on this one only")
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.kills} kills, {CONNECTIONS} connections\n", flush=True)
    print("| road | kills | torn | lost | halves left | in flight, most | in flight, all | asked again | seconds |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    tallies = []
    with tempfile.TemporaryDirectory(prefix="kills-") as scratch:
        wanted = {options.road: options.kills} if options.road else shares(options.kills)
        for number, (road, kills) in enumerate(wanted.items()):
            try:
                tallies.append(Campaign(road, options.seed, Path(scratch) / str(number)).run(kills))
            except pytest.skip.Exception as lack:
                print(f"| {road} | none: {lack} |", flush=True)
            else:
                print(_row(road, tallies[-1:]), flush=True)
    print(_row("**all**", tallies))
    for fault in (fault for tally in tallies for fault in tally.faults):
        print(f"\nVIOLATION: {fault}")
    return 1 if any(tally.faults for tally in tallies) else 0


def _row(name: str, tallies: Sequence[Tally]) -> str:
    in_flight = [count for tally in tallies for count in tally.in_flight]
    figures = (
        sum(tally.kills for tally in tallies),
        sum(tally.torn for tally in tallies),
        sum(tally.lost for tally in tallies),
        sum(tally.halves for tally in tallies),
        max(in_flight, default=0),
        sum(in_flight),
        sum(tally.again for tally in tallies),
        f"{sum(tally.seconds for tally in tallies):.0f}",
    )
    return f"| {name} | {' | '.join(map(str, figures))} |"


if __name__ == "__main__":
    sys.exit(main())
