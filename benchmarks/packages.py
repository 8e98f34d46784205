"""The package road beside upstream's way: packages of 200 kB to 12 MB by HTTP, FTP and from a folder.

python -m benchmarks.packages [--filler stored|coded] [--images N] [--rounds N]

What unpacking costs depends on what is packed: pictures and most of a PDF are stored by deflate, text is coded. The
packages of a mirror lie between the two fillers.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from roco_async import Annotations, Group, ImageRecord
from tests.servers.ftp_servers import Vsftpd
from tests.servers.nginx import Nginx
from tests.servers.packages import DrawnMirror, coded, stored

from .cloud import DATA, annotations_of
from .measure import interleaved, table

_PROCESSES = 8
_FILLERS = {"stored": stored, "coded": coded}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filler", choices=list(_FILLERS), action="append", help="both if left out")
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    records = list(Annotations(options.data, [Group("test", "radiology")]).records())[: options.images]
    memory = Path("/dev/shm")
    for name in options.filler or _FILLERS:
        with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
            print(f"Filler: {name}")
            _compare(records, DrawnMirror(records, filler=_FILLERS[name]), Path(folder), options.rounds)


def _compare(records: list[ImageRecord], mirror: DrawnMirror, scratch: Path, rounds: int) -> None:
    mirror.write(scratch / "mirror")
    annotations_of(records, scratch / "data")
    sizes = [path.stat().st_size for path in (scratch / "mirror").rglob("*.gz")]
    print(f"{len(records)} images in {len(sizes)} packages of {min(sizes) / 1e6:.1f} to {max(sizes) / 1e6:.1f} MB, "
          f"{sum(sizes) / 1e6:.0f} MB in all; servers on the same cores, medians of {rounds}\n")  # fmt: skip
    with ExitStack() as stack:
        nginx = stack.enter_context(Nginx(scratch / "mirror", scratch / "nginx", base_path="/"))
        vsftpd = stack.enter_context(Vsftpd(scratch / "mirror", scratch / "vsftpd"))
        bases = {
            "HTTP": nginx.base,
            "FTP": f"ftp://127.0.0.1:{vsftpd.port}/",
            "folder": (scratch / "mirror").as_uri() + "/",
        }

        def product(out: Path, road: str) -> list[str]:
            words = ["test/radiology", "--data", str(scratch / "data"), "--out", str(out), "--json"]
            words += ["--source", "packages", "--packages-url", bases[road]]
            return [sys.executable, "-m", "roco_async", *words]

        def upstream(out: Path, road: str) -> list[str]:
            rows = (
                f"{bases[road]}{record.package_path}\t{record.pmcid}/{record.name}\t{record.id}.jpg\n"
                for record in records
            )
            (scratch / "rows").write_text("".join(rows))
            words = [str(scratch / "rows"), str(out), str(_PROCESSES)]
            return [sys.executable, "-m", "benchmarks.upstream_way", *words]

        def check(out: Path) -> None:
            for path in out.rglob("*.jpg"):
                if hashlib.md5(path.read_bytes()).hexdigest() != mirror.digests[path.stem]:
                    raise RuntimeError(f"{path.name} is wrong")

        for road in bases:
            commands = {f"roco_async, {road}": lambda out, road=road: product(out, road)}
            if road != "folder":
                commands[f"wget + tarfile, {_PROCESSES} processes, {road}"] = lambda out, road=road: upstream(out, road)
            results = interleaved(commands, rounds=rounds, scratch=scratch, count=len(records), check=check)
            print(table(results, count=len(records), base=f"roco_async, {road}") + "\n")


if __name__ == "__main__":
    main()
