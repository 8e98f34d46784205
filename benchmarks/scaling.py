"""How rate and memory go with connections, with the length of the list, and with the size of an image.

    python -m benchmarks.scaling [--rounds N] [--plots FOLDER]

Prints a table for each and draws it as SVG. Connections are varied over a server that thinks for 40 ms before each
answer, as on the loopback their number shows nothing; the other two run on the loopback, with 64 connections.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from roco_async import Annotations, ImageRecord
from roco_async.dataset.annotations import find_groups, parse_selection
from tests.servers.bucket import SIZES, DrawnBucket

from .cloud import DATA, MEMORY, annotations_of, product
from .lines import Line
from .measure import run

_CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_RECORDS = (1_000, 4_000, 16_000, 87_925)
_SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
_SMALL = (2_500,)


@dataclass(frozen=True)
class Case:
    """One point of a curve: what is varied, and the run that it takes."""

    varied: int
    images: int
    connections: int
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Curve:
    """What one table and one picture show."""

    name: str
    varied: str
    line: Line
    cases: tuple[Case, ...]


CURVES = (
    Curve(
        "connections",
        "connections (-n)",
        Line.parse("first-byte-40"),
        tuple(Case(n, min(8_000, 250 * n), n, SIZES) for n in _CONNECTIONS),
    ),
    Curve("records", "images in the list", Line.parse("plain"), tuple(Case(n, n, 64, _SMALL) for n in _RECORDS)),
    Curve(
        "size",
        "bytes an image",
        Line.parse("plain"),
        tuple(Case(size, max(64, min(4_000, 600_000_000 // size)), 64, (size,)) for size in _SIZES),
    ),
)


@dataclass(frozen=True)
class Measured:
    """Medians of a case: images and megabytes a second, µs of CPU an image, and the most memory, in MB."""

    varied: int
    rate: float
    megabytes: float
    cpu: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--plots", type=Path, default=Path("docs/scaling"), help="default: %(default)s")
    parser.add_argument("--curve", choices=[curve.name for curve in CURVES], action="append", help="default: all")
    options = parser.parse_args()
    groups = find_groups(options.data, parse_selection([])).groups
    records = list({row.id: _with_package(row) for row in Annotations(options.data, groups).records()}.values())
    for curve in CURVES:
        if options.curve is None or curve.name in options.curve:
            points = [_measure(case, curve.line, records[: case.images], options.rounds) for case in curve.cases]
            print(_table(curve, points), flush=True)
            _draw(curve, points, options.plots)


def _with_package(record: ImageRecord) -> ImageRecord:
    """Give a row of licences.txt a package, so that it can stand in dlinks.txt; nobody asks for it."""
    path = record.package_path or f"pub/pmc/oa_package/00/00/{record.pmcid}.tar.gz"
    return replace(record, package_path=path)


def _measure(case: Case, line: Line, records: list[ImageRecord], rounds: int) -> Measured:
    bucket = DrawnBucket(records, case.sizes)
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        scratch = Path(folder)
        bucket.write(scratch / "bucket")
        total = sum(path.stat().st_size for path in (scratch / "bucket").rglob("*.*") if path.is_file())
        annotations_of(records, scratch / "data")
        rates, cpu, memory = [], [], []
        with line.serving(scratch / "bucket", scratch / "served", bucket.digests) as place:
            for turn in range(rounds):
                out = scratch / f"out{turn}"
                command = product(place, scratch / "data", out, "-n", str(case.connections))
                result = run(command, log=scratch / "log", prefix=place.prefix, environment=place.environment)
                if result.fault:
                    raise RuntimeError(result.fault)
                rates.append(len(records) / result.wall)
                cpu.append(result.cpu / len(records) * 1e6)
                memory.append(result.memory)
    rate = statistics.median(rates)
    return Measured(
        case.varied, rate, rate * total / len(records) / 1e6, statistics.median(cpu), statistics.median(memory)
    )


def _table(curve: Curve, points: Sequence[Measured]) -> str:
    lines = [
        f"\n{curve.line}",
        "",
        f"| {curve.varied} | images/s | MB/s | µs of CPU an image | peak MB |",
        "|---" * 5 + "|",
    ]
    lines += [
        f"| {point.varied:,} | {point.rate:,.0f} | {point.megabytes:,.1f} | {point.cpu:,.0f} | {point.memory:,.0f} |"
        for point in points
    ]
    return "\n".join(lines)


def _draw(curve: Curve, points: Sequence[Measured], folder: Path) -> None:
    try:
        import matplotlib as mpl
    except ImportError:
        print("No picture: pip install matplotlib")
        return
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = curve.name  # the same figures make the same file
    from matplotlib import pyplot as plt

    figure, left = plt.subplots(figsize=(6.4, 3.6))
    varied = [point.varied for point in points]
    left.plot(varied, [point.rate for point in points], "o-", color="tab:blue", label="images/s")
    left.set(xscale="log", yscale="log", xlabel=curve.varied, ylabel="images/s")
    left.grid(alpha=0.3, which="both")
    right = left.twinx()
    right.plot(varied, [point.memory for point in points], "s--", color="tab:orange", label="peak MB")
    right.set(ylabel="peak MB", ylim=(0, None))
    figure.legend(loc="upper center", ncols=2, frameon=False)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{curve.name}.svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


if __name__ == "__main__":
    main()
