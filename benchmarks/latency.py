"""Many connections over a long round trip, again and again: does every run end, and does a connection idle meanwhile?

    python -m benchmarks.latency [--line LINE] [--connections N] [--times N] [--images N]

A row a run. *Requests* are nginx's count, *beyond* what is over images and faults (answers that were no whole 200).
*In flight / limit* is the product's own account while work waited: before the last `limit` images. *Silent* is the
kernel's: of the client's open connections then, how many had neither sent nor received for one and a half round trips.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from json import loads
from pathlib import Path

from tests.servers.bucket import DrawnBucket

from .cloud import DATA, MEMORY, annotations_of, check_all, radiology
from .lines import Line, Place
from .measure import Others, run

_PATIENCE = 300  # seconds: a run that is not over by then hangs
_HEADINGS = (
    "run", "seconds", "images/s", "requests", "beyond", "connections", "limit", "in flight / limit", "silent",
    "µs of CPU an image", "peak MB",
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """The client's connections at a moment: how many are open, and how many of them are silent."""

    at: float
    open: int
    silent: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--line", type=Line.parse, default="latency-80", help="default: %(default)s")
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--images", type=int, default=8179)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    records = radiology(options.data, options.images)
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        scratch = Path(folder)
        bucket = DrawnBucket(records)
        bucket.write(scratch / "bucket")
        annotations_of(records, scratch / "data")
        serving = options.line.serving(scratch / "bucket", scratch / "served", bucket.digests)
        with Others() as others, serving as place:
            print(f"{len(records):,} images, {options.line} ({place.round_trip:.1f} ms to connect), at most "
                  f"{options.connections} connections\n")  # fmt: skip
            print("| " + " | ".join(_HEADINGS) + " |\n" + "|---" * len(_HEADINGS) + "|")
            for number in range(1, options.times + 1):
                cells = _once(bucket, place, scratch, options.connections, 1.5 * options.line.ms)
                print(f"| {number} | " + " | ".join(cells) + " |", flush=True)
        print(f"\n{others}")


def _once(bucket: DrawnBucket, place: Place, scratch: Path, connections: int, silence: float) -> Sequence[str]:
    out, samples = scratch / "out", scratch / "samples"
    shutil.rmtree(out, ignore_errors=True)
    place.server.forget()
    words = [str(scratch / "data"), str(out), place.server.base, str(connections), str(samples)]
    command = ["timeout", str(_PATIENCE), sys.executable, "-m", "benchmarks.watched_run", *words]
    with _watched(place, silence) as seen:
        result = run(command, log=scratch / "log", prefix=place.prefix, environment=place.environment)
    if result.fault:
        raise RuntimeError(result.fault)
    check_all(out, bucket.digests)
    count = len(bucket)
    asked = place.server.requests(count)
    faults = sum(access.status != 200 for access in asked)
    last = sorted(access.at for access in asked)[-min(connections, len(asked))]
    waiting = [sample for sample in seen if sample.at < last]
    busy = [(flying, limit) for done, flying, limit in loads(samples.read_text()) if 0 < done < count - limit]
    return (
        f"{result.wall:.1f}",
        f"{count / result.wall:,.0f}",
        f"{len(asked):,}",
        f"{len(asked) - count - faults}",
        f"{len({access.connection for access in asked})}",
        f"{statistics.mean(limit for _, limit in busy):.0f}" if busy else "",
        f"{sum(flying for flying, _ in busy) / sum(limit for _, limit in busy):.3f}" if busy else "",
        f"{sum(sample.silent for sample in waiting) / max(1, sum(sample.open for sample in waiting)):.3f}",
        f"{result.cpu / count * 1e6:,.0f}",
        f"{result.memory:,.0f}",
    )


@contextmanager
def _watched(place: Place, silence: float) -> Iterator[Sequence[Sample]]:
    """Look at the client's connections four times a second while the block runs."""
    seen: list[Sample] = []
    over = threading.Event()

    def watch() -> None:
        command = [*place.prefix, "ss", "-tinH", "state", "established", f"( dport = :{place.server.port} )"]
        while not over.wait(0.25):
            found = subprocess.run(command, capture_output=True, check=True, text=True).stdout
            seen.append(sample_of(found, silence))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield seen
    finally:
        over.set()
        watching.join()


def sample_of(found: str, silence: float) -> Sample:
    """Read what `ss -ti` says of the connections; one is silent that neither sent nor received for `silence` ms."""
    quiet = re.findall(r"lastsnd:(\d+) lastrcv:(\d+)", found)
    return Sample(time.time(), len(quiet), sum(min(int(sent), int(got)) > silence for sent, got in quiet))


if __name__ == "__main__":
    main()
