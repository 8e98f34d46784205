"""The bucket road beside its peers: one interleaved run of whole processes that write to memory-backed storage.

    python -m benchmarks.cloud [--line LINE] [--peers NAME,NAME] [--images N] [--connections N] [--rounds N]

`LINE` is `plain`, `tls`, `first-byte-40` or `latency-80`, with any number of ms. Each run's files are held against the
md5 of what was to come; a peer that lost some is said below the table. The peers' list is in benchmarks/peers.py.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from roco_async import Annotations, Group, ImageRecord
from tests.servers.bucket import DrawnBucket, key_of

from .lines import Line, Place
from .measure import Others, interleaved, ratios, table
from .peers import PEERS, Peer, Work

DATA = Path(os.environ.get("ROCO_DATA", Path(__file__).parents[2] / "shared/roco/data"))
MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--line", type=Line.parse, default="plain", help="default: %(default)s")
    parser.add_argument("--peers", type=lambda text: text.split(","), default=[peer.name for peer in PEERS],
                        help="names or their beginnings; all who are there, if left out")  # fmt: skip
    parser.add_argument("--images", type=int, default=8179)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    peers = [peer for peer in PEERS if any(peer.name.startswith(name) for name in options.peers)]
    records = radiology(options.data, options.images)
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        _compare(records, Path(folder), peers, options)


def _compare(records: Sequence[ImageRecord], scratch: Path, peers: Iterable[Peer], options: argparse.Namespace) -> None:
    bucket = DrawnBucket(records)
    bucket.write(scratch / "bucket")
    annotations_of(records, scratch / "data")
    there = [peer for peer in peers if not peer.missing()]
    for peer in peers:
        if peer not in there:
            print(f"{peer.name} is left out: {peer.needs} is not installed")
    count, n = len(records), options.connections
    ours, free = f"roco_async, -n {n}", "roco_async, no -n"
    with Others() as others, options.line.serving(scratch / "bucket", scratch / "served", bucket.digests) as place:
        work = _work(records, bucket, place, n, scratch)
        commands: dict[str, Callable[[Path], list[str]]] = {
            ours: lambda out: product(place, scratch / "data", out, "-n", str(n)),
            free: lambda out: product(place, scratch / "data", out),
        }
        for peer in there:
            commands[peer.name] = lambda out, peer=peer: peer.command(work, out)  # type: ignore[misc]
        results = interleaved(
            commands,
            rounds=options.rounds,
            scratch=scratch,
            count=count,
            check=lambda out: check_all(out, bucket.digests),
            lenient={peer.name for peer in there},
            prefix=place.prefix,
            environment=place.environment,
        )
    columns = {
        f"rate of {free} / this": ratios(results, free),
        "floor / goal": {peer.name: peer.targets.get(options.line.kind, "") for peer in there},
        "checks": {ours: "md5, renames", free: "md5, renames", **{peer.name: peer.checks for peer in there}},
    }
    size = sum(path.stat().st_size for path in (scratch / "bucket").rglob("*.jpg"))
    told = f"{count:,} images, {size / 1e6:.0f} MB, {options.line}, {n} connections, medians of {options.rounds}"
    print(f"{told}; {others}\n\n" + table(results, count=count, base=ours, columns=columns))


def radiology(data: Path, count: int) -> list[ImageRecord]:
    """Return the first records of test/radiology."""
    return list(Annotations(data, [Group("test", "radiology")]).records())[:count]


def annotations_of(records: Iterable[ImageRecord], data: Path) -> None:
    """Write the records' dlinks.txt below a root for `--data`."""
    group = data / "test" / "radiology"
    group.mkdir(parents=True)
    link = "wget -r ftp://ftp.ncbi.nlm.nih.gov/{path} -P /path/to/Dir"
    lines = (f"{record.id}\t{link.format(path=record.package_path)}\t{record.name}\n" for record in records)
    (group / "dlinks.txt").write_text("".join(lines))


def product(place: Place, data: Path, out: Path, *flags: str) -> list[str]:
    """Return roco_async's command line for a bucket."""
    words = ["test/radiology", "--data", str(data), "--out", str(out), "--cloud-url", place.server.base, "--json"]
    return [sys.executable, "-m", "roco_async", *words, *flags]


def _work(records: Iterable[ImageRecord], bucket: DrawnBucket, place: Place, connections: int, scratch: Path) -> Work:
    rows = [
        (place.server.url(key_of(record)), f"{record.id}.jpg", bucket.digests[key_of(record)]) for record in records
    ]
    host, name = place.server.base.rstrip("/").rsplit("/", 1)
    return Work(rows, host, name, connections, place.authority, scratch)


def check_all(out: Path, digests: dict[str, str]) -> None:
    """Raise RuntimeError unless all is there, under whatever name, and right."""
    found = Counter(hashlib.md5(path.read_bytes()).hexdigest() for path in out.rglob("*.jpg"))
    lost = Counter(digests.values()) - found
    if lost:
        raise RuntimeError(f"left {lost.total()} of {len(digests)} files wrong")


if __name__ == "__main__":
    main()
