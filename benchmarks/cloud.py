"""The bucket road beside its peers: nginx on the loopback, one interleaved run, whole processes.

    python -m benchmarks.cloud [--images N] [--rounds N] [--connections N]

Of the peers curl and the plain script check nothing and write to the final name; the verified script makes the md5 and
renames, as roco_async does besides journal, retry and progress.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from roco_async import Annotations, Group, ImageRecord
from tests.servers.bucket import DrawnBucket, key_of
from tests.servers.nginx import Nginx

from .measure import interleaved, table

DATA = Path(os.environ.get("ROCO_DATA", Path(__file__).parents[2] / "shared/roco/data"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=8179)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    records = list(Annotations(options.data, [Group("test", "radiology")]).records())[: options.images]
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        _compare(records, Path(folder), options)


def _compare(records: list[ImageRecord], scratch: Path, options: argparse.Namespace) -> None:
    bucket = DrawnBucket(records)
    bucket.write(scratch / "bucket")
    data = scratch / "data"
    annotations_of(records, data)
    with Nginx(scratch / "bucket", scratch / "nginx", etags=bucket.digests) as server:
        rows = [(server.url(key_of(record)), f"{record.id}.jpg", bucket.digests[key_of(record)]) for record in records]
        (scratch / "urls").write_text("".join("\t".join(row) + "\n" for row in rows))
        connections = str(options.connections)

        def product(out: Path, *flags: str) -> list[str]:
            words = ["test/radiology", "--data", str(data), "--out", str(out), "--cloud-url", server.base, "--json"]
            return [sys.executable, "-m", "roco_async", *words, *flags]

        def plain(out: Path, *flags: str) -> list[str]:
            return [
                sys.executable,
                "-m",
                "benchmarks.plain_script",
                str(scratch / "urls"),
                str(out),
                connections,
                *flags,
            ]

        def curl(out: Path) -> list[str]:
            lines = (f'url = "{url}"\noutput = "{out / name}"\n' for url, name, _ in rows)
            (scratch / "curl").write_text("".join(lines))
            return ["curl", "-sS", "-Z", "--parallel-max", connections, "-K", str(scratch / "curl")]

        def check(out: Path) -> None:
            found = {path.name: path for path in out.rglob("*.jpg")}
            for _, name, md5 in rows[::97]:
                if hashlib.md5(found[name].read_bytes()).hexdigest() != md5:
                    raise RuntimeError(f"{name} is wrong")

        commands = {
            "roco_async": lambda out: product(out, "-n", connections),
            "roco_async, no -n": product,
            "plain aiohttp + aiofiles": plain,
            "the same with md5 and rename": lambda out: plain(out, "--verify"),
        }
        if shutil.which("curl"):
            commands["curl -Z"] = curl
        results = interleaved(commands, rounds=options.rounds, scratch=scratch, count=len(records), check=check)
    size = sum(path.stat().st_size for path in (scratch / "bucket").rglob("*.jpg"))
    print(f"{len(records)} images, {size / 1e6:.0f} MB, {connections} connections, nginx on the same cores, medians of "
          f"{options.rounds}\n")  # fmt: skip
    print(table(results, count=len(records), base="roco_async"))


def annotations_of(records: list[ImageRecord], data: Path) -> None:
    group = data / "test" / "radiology"
    group.mkdir(parents=True)
    link = "wget -r ftp://ftp.ncbi.nlm.nih.gov/{path} -P /path/to/Dir"
    lines = (f"{record.id}\t{link.format(path=record.package_path)}\t{record.name}\n" for record in records)
    (group / "dlinks.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
