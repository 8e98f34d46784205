"""What an image costs: µs of CPU and, where the machine counts them, instructions. For eyes, not for a gate.

    python -m benchmarks.cost [--images N] [--rounds N]

Pictures of 3 kB show what the program itself costs, those of real size what bytes add; the start of Python is in both.
Takes under 20 seconds, and no data.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from roco_async import ImageRecord
from tests.servers.bucket import DrawnBucket
from tests.servers.nginx import Nginx
from tests.servers.pictures import commented, tiny_jpeg

from .cloud import MEMORY, annotations_of
from .measure import run

_CONNECTIONS = "64"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    records = [_record(number) for number in range(options.images)]
    drawn = DrawnBucket(records)
    sizes: dict[str, Callable[[str], bytes]] = {"3 kB": _small, "real size": drawn.picture}
    print("| pictures | µs of CPU an image | spread | thousand instructions an image |\n|---|---|---|---|")
    for name, picture in sizes.items():
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            pictures = {key: picture(key) for key in drawn}
            cpu, instructions = _measured(records, pictures, Path(folder), options.rounds)
        told = f"{statistics.median(instructions) / 1e3:,.0f}" if instructions else "not counted here"
        print(f"| {name} | {statistics.median(cpu):,.0f} | {min(cpu):,.0f}-{max(cpu):,.0f} | {told} |", flush=True)


def _measured(
    records: list[ImageRecord], pictures: Mapping[str, bytes], scratch: Path, rounds: int
) -> tuple[list[float], list[float]]:
    """Return the CPU and, where they are counted, the instructions of an image, of each round."""
    for key, content in pictures.items():
        (scratch / "bucket" / key).parent.mkdir(parents=True, exist_ok=True)
        (scratch / "bucket" / key).write_bytes(content)
    annotations_of(records, scratch / "data")
    etags = {key: hashlib.md5(content).hexdigest() for key, content in pictures.items()}
    cpu, instructions = [], []
    out, counts = scratch / "out", scratch / "counts"
    with Nginx(scratch / "bucket", scratch / "nginx", etags=etags) as server:
        words = ["test/radiology", "--data", str(scratch / "data"), "--out", str(out), "--json", "-n", _CONNECTIONS]
        command = [sys.executable, "-m", "roco_async", *words, "--cloud-url", server.base]
        if shutil.which("perf"):
            command = ["perf", "stat", "-x,", "-e", "instructions:u", "-o", str(counts), "--", *command]
        for _ in range(rounds):
            shutil.rmtree(out, ignore_errors=True)
            result = run(command, log=scratch / "log")
            if result.fault:
                raise RuntimeError(result.fault)
            cpu.append(result.cpu / len(records) * 1e6)
            instructions += [count / len(records) for count in _counted(counts)]
    return cpu, instructions


def _counted(counts: Path) -> list[float]:
    """Return what perf counted, nothing where it could not."""
    lines = counts.read_text().splitlines() if counts.exists() else []
    found = [line.partition(",")[0] for line in lines if "instructions" in line]
    return [float(count) for count in found if count.isdigit()]


def _small(key: str) -> bytes:
    return commented(tiny_jpeg(), key.encode() + b"x" * 3000)


def _record(number: int) -> ImageRecord:
    pmcid = f"PMC{1_000_000 + number}"
    path = f"pub/pmc/oa_package/{number % 256:02x}/{number // 256:02x}/{pmcid}.tar.gz"
    return ImageRecord(f"ROCO_{number:05}", pmcid, "a.jpg", package_path=path)


if __name__ == "__main__":
    main()
