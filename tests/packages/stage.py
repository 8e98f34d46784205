"""The stage of the package tests: mirrors of small packages, and one call that fetches from them.

Article `number` has its package at `path_of(number)`; the picture `name` of it is `content(number, name)`.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import random
import sys
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import roco_async.transport.ftp  # noqa: F401 - the first import of aioftp reads files, which a run would do in its loop
from roco_async import FetchConfig, Fetcher, ImageRecord, Outcome
from tests.faults.stage import picture
from tests.servers.packages import packed

ROOT: Final = Path(__file__).resolve().parents[2]
MIB: Final = 1 << 20


def path_of(number: int) -> str:
    return f"pub/pmc/oa_package/{number:02x}/00/PMC{number}.tar.gz"


def record(number: int, name: str = "a.jpg", **fields: object) -> ImageRecord:
    """Return the record of one picture of an article; ids tell number and name."""
    said: dict[str, object] = {"package_path": path_of(number), **fields}
    return ImageRecord(f"IMG_{number}_{name.partition('.')[0]}", f"PMC{number}", name, **said)  # type: ignore[arg-type]


@cache
def content(number: int, name: str = "a.jpg", size: int = 20_000) -> bytes:
    return picture(f"{number} {name}", size)


@cache
def noise(size: int, seed: int = 0) -> bytes:
    """Return bytes that deflate can only store, so that places in a package are where one puts them."""
    return random.Random(seed).randbytes(size)


def package(number: int, *names: str, before: int = 0, after: int = 0) -> bytes:
    """Return a package with these pictures, and so many bytes of others before and after them."""
    members = {f"PMC{number}/first.pdf": noise(before, number)} if before else {}
    members |= {f"PMC{number}/{name}": content(number, name) for name in names or ("a.jpg",)}
    members |= {f"PMC{number}/last.pdf": noise(after, number + 1)} if after else {}
    return packed(members)


def tar_gz(*members: tuple[tarfile.TarInfo | str, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    """Return a tar.gz of members in this order; a TarInfo stands as it is, whatever it says of its size."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=form) as archive:
        for told, data in members:
            info = tarfile.TarInfo(told) if isinstance(told, str) else told
            if isinstance(told, str):
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data) if data else None)
    return gzip.compress(tar.getvalue(), 1, mtime=0)


def bomb(size: int, head: bytes = b"") -> bytes:
    """Return a gzip stream of `head` and so many zeros, a multiple of 8 MiB, made in no time: it has no trailer."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    begun = squeeze.compress(head) + squeeze.flush(zlib.Z_FULL_FLUSH)
    zeros = squeeze.compress(bytes(8 * MIB)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return begun + zeros * (size // (8 * MIB)) + squeeze.flush()


def settings(base: str, out: Path, **more: object) -> FetchConfig:
    fields: dict[str, object] = {"attempts": 3, "timeout": 3.0, "outage": 3.0, "connections": 8}
    fields |= {"source": "packages", "packages_url": base, **more}
    return FetchConfig(out=out, **fields)  # type: ignore[arg-type]


async def fetch(base: str, out: Path, records: Iterable[ImageRecord], **more: object) -> dict[str, Outcome]:
    """Fetch and return the outcomes by id; no record may have two."""
    async with Fetcher(settings(base, out, **more)) as fetcher:
        outcomes = [outcome async for outcome in fetcher.iter_fetch(records)]
    by_id = {outcome.record.id: outcome for outcome in outcomes}
    assert len(by_id) == len(outcomes)
    return by_id


def is_right(outcome: Outcome, number: int, name: str = "a.jpg") -> bool:
    """Say whether a picture arrived, byte by byte."""
    return outcome.path is not None and outcome.path.read_bytes() == content(number, name)


def tell(outcomes: Mapping[str, Outcome]) -> dict[str, str]:
    """Return what came of each picture in a word: by what it was verified, or why it is missing."""
    return {name: str(outcome.reason or outcome.verified) for name, outcome in outcomes.items()}


def files_below(folder: Path) -> set[str]:
    """Return what lies below a folder, without the journals."""
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}
    return {name for name in names if not name.startswith(".roco/journal/")}


def write_split(root: Path, group: str, rows: Iterable[tuple[str, str, str]]) -> None:
    """Write the six files of a group, with (id, package path, name) as its rows."""
    listed = list(rows)
    columns = {
        "dlinks": "{0}\twget -r ftp://ftp.ncbi.nlm.nih.gov/{1} -P /path/to/Dir\t{2}",
        "captions": "{0}\t A phantom.",
        "keywords": "{0}\t\tphantom",
        "cuis": "{0}\tC0040395",
        "semtypes": "{0}\tT060\tDiagnostic Procedure",
        "licences": "{0},{3}_{2},CC BY",
    }
    folder = root / group
    folder.mkdir(parents=True, exist_ok=True)
    for file, row in columns.items():
        head = "ROCO_ID,PMC_ID,CC\n" if file == "licences" else ""
        lines = (row.format(one, path, name, Path(path).name.partition(".")[0]) for one, path, name in listed)
        (folder / f"{file}.txt").write_text(head + "".join(f"{line}\n" for line in lines))


@dataclass(frozen=True)
class Ended:
    """How a command ended; `peak` is the most resident memory it had, in bytes."""

    code: int | None
    stdout: str
    stderr: str
    peak: int


_MEASURED = """
import sys
from roco_async.cli import main
try:
    code = main()
finally:
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print("PEAK", peak.split()[1], file=sys.stderr)
sys.exit(code)
"""


async def start(*words: object) -> asyncio.subprocess.Process:
    """Start `roco-async` with these words."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}"}
    environment.pop("PYTHONDEVMODE", None)  # it would double what is measured
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", _MEASURED, *map(str, words),
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def command(*words: object) -> Ended:
    """Carry out `roco-async` with these words."""
    process = await start(*words)
    stdout, stderr = (text.decode() for text in await process.communicate())
    peak = next((int(line.split()[1]) << 10 for line in stderr.splitlines() if line.startswith("PEAK")), 0)
    return Ended(process.returncode, stdout, stderr, peak)
