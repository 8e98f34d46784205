"""How soon a command is there: the help, the first request, and 87,925 images of which every one is there already.

    python -m benchmarks.start [--rounds N]

`import aiohttp` stands beside: nobody who uses it can ask for anything sooner.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from roco_async import Annotations, ImageRecord, Outcome, Status
from roco_async.dataset.annotations import find_groups, parse_selection
from roco_async.store.journal import Journal, rows_of
from roco_async.store.layout import Layout, file_name

from .cloud import DATA, MEMORY
from .measure import Run, compiling, run

PRODUCT: Final = (sys.executable, "-m", "roco_async")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        scratch = Path(name)
        records = list(Annotations(options.data, find_groups(options.data, parse_selection(())).groups).records())
        put_there(scratch / "there", records)
        all_there = [*PRODUCT, "--data", str(options.data), "--out", str(scratch / "there"), "--json"]
        first = [*PRODUCT, "--data", str(options.data), "--out", str(scratch / "out"), "--json"]
        told: Mapping[str, Callable[[], Run]] = {
            "import aiohttp": lambda: run([sys.executable, "-c", "import aiohttp"], log=scratch / "log"),
            "--help": lambda: run([*PRODUCT, "--help"], log=scratch / "log"),
            "the first request": lambda: until_asked(first),
            f"{len(records):,} images that are there": lambda: run(all_there, log=scratch / "log"),
        }
        runs: dict[str, list[Run]] = {what: [] for what in told}
        for turn in range(options.rounds + 1):
            for what, measure in told.items():
                result = measure()
                if result.fault:
                    raise RuntimeError(f"{what}: {result.fault}")
                if turn:
                    runs[what].append(result)
    print("| what | ms | spread | ms of CPU | peak MB |\n|---|---|---|---|---|")
    for what, results in runs.items():
        walls = [1e3 * result.wall for result in results]
        cpu, memory = (statistics.median(values) for values in zip(*((r.cpu, r.memory) for r in results), strict=True))
        cells = (f"{1e3 * cpu:,.0f}", f"{memory:,.0f}") if cpu else ("", "")
        print(
            f"| {what} | {statistics.median(walls):,.0f} | {min(walls):,.0f}-{max(walls):,.0f} | {' | '.join(cells)} |"
        )


def put_there(out: Path, records: list[ImageRecord]) -> None:
    """Lay out files of one byte, and a journal that vouches for them."""
    layout, outcomes = Layout(out), []
    for record in records:
        path = Path(layout.folder(record.folder), file_name(record))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        outcomes.append(_came(record, path))
    journal = Journal(layout.journals)
    journal.write(rows_of(outcomes))
    journal.close()


def _came(record: ImageRecord, path: Path) -> Outcome:
    return Outcome(
        record=record, status=Status.FETCHED, path=path, bytes=1, md5="0" * 32, verified="md5", source="cloud", url="-"
    )


def until_asked(command: Sequence[str]) -> Run:
    """Start a command before a server that says nothing; stop the clock when its first request has begun to come."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        words = [*command, "--cloud-url", f"http://127.0.0.1:{server.getsockname()[1]}/"]
        began = time.perf_counter()
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=compiling())
        connection, _ = server.accept()
        with connection:
            connection.recv(1)
            took = time.perf_counter() - began
            process.kill()
            process.wait()
    return Run(took, 0.0, 0.0)


if __name__ == "__main__":
    main()
