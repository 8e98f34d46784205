"""The package road over a long round trip, beside upstream's way: what connections bring where latency costs.

python -m benchmarks.packages_far [--ms N] [--filler stored|coded] [--images N] [--rounds N]
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from roco_async import ImageRecord
from tests.servers.ftp_servers import Vsftpd
from tests.servers.nginx import Nginx
from tests.servers.packages import DrawnMirror, coded, stored

from .cloud import DATA, MEMORY, annotations_of, radiology
from .delay import Delayed
from .measure import Others, interleaved, ratios, table

_FILLERS = {"stored": stored, "coded": coded}
_UPSTREAM = "wget + tarfile, 8 processes"
_PATIENCE = "300"  # seconds: a run that is not over by then hangs
_TARGETS = {
    "HTTP": {"roco_async, -n 8": "6 / 8", "roco_async, -n 64": "9 / 14"},
    "FTP": {"roco_async, -n 8": "1.8 / 2.2", "roco_async, -n 32": "6 / 8"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ms", type=float, default=80)
    parser.add_argument("--filler", choices=list(_FILLERS), action="append", help="both if left out")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    records = radiology(options.data, options.images)
    for name in options.filler or _FILLERS:
        mirror = DrawnMirror(records, filler=_FILLERS[name])
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder, Others() as others, Delayed(options.ms) as far:
            scratch = Path(folder)
            mirror.write(scratch / "mirror")
            annotations_of(records, scratch / "data")
            with (
                Nginx(scratch / "mirror", scratch / "nginx", base_path="/") as nginx,
                Vsftpd(scratch / "mirror", scratch / "vsftpd") as vsftpd,
            ):
                sizes = [path.stat().st_size for path in (scratch / "mirror").rglob("*.gz")]
                print(f"{len(records)} images in {len(sizes)} packages, {sum(sizes) / 1e6:.0f} MB ({name}); connecting "
                      f"takes {far.round_trip(nginx.port):.1f} ms\n")  # fmt: skip
                for road, base in {"HTTP": nginx.base, "FTP": vsftpd.url("")}.items():
                    print(f"{road}, medians of {options.rounds}:\n", flush=True)
                    print(_compared(road, base, records, mirror, scratch, far.prefix, options.rounds) + "\n")
        print(f"({name}: {others})\n")


def _compared(
    road: str,
    base: str,
    records: Sequence[ImageRecord],
    mirror: DrawnMirror,
    scratch: Path,
    prefix: Sequence[str],
    rounds: int,
) -> str:
    def product(out: Path, *flags: str) -> list[str]:
        words = ["test/radiology", "--data", str(scratch / "data"), "--out", str(out), "--json"]
        words += ["--source", "packages", "--packages-url", base, *flags]
        return ["timeout", _PATIENCE, sys.executable, "-m", "roco_async", *words]

    def upstream(out: Path) -> list[str]:
        rows = (f"{base}{record.package_path}\t{record.pmcid}/{record.name}\t{record.id}.jpg\n" for record in records)
        (scratch / "rows").write_text("".join(rows))
        words = [str(scratch / "rows"), str(out), "8"]
        return ["timeout", _PATIENCE, sys.executable, "-m", "benchmarks.upstream_way", *words]

    def check(out: Path) -> None:
        for path in out.rglob("*.jpg"):
            if hashlib.md5(path.read_bytes()).hexdigest() != mirror.digests[path.stem]:
                raise RuntimeError(f"{path.name} is wrong")

    commands: dict[str, Callable[[Path], list[str]]] = {}
    for number in ("8", "32", "64"):
        commands[f"roco_async, -n {number}"] = lambda out, number=number: product(out, "-n", number)  # type: ignore[misc]
    commands |= {"roco_async, no -n": product, _UPSTREAM: upstream}
    results = interleaved(
        commands,
        rounds=rounds,
        scratch=scratch,
        count=len(records),
        check=check,
        lenient=set(commands),  # a run that hangs is a result
        prefix=prefix,
    )
    columns = {
        "times upstream's rate": {name: ratios(results, name)[_UPSTREAM] for name in commands},
        "floor / goal": _TARGETS[road],
    }
    return table(results, count=len(records), base="roco_async, no -n", columns=columns)


if __name__ == "__main__":
    main()
