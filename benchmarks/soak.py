"""A night in minutes: all 87,925 rows of ROCO through a mix of faults and one outage, the memory watched meanwhile.

    python -m benchmarks.soak [--images N] [--outage S]

Of the answers about one in a hundred each is a 503, a reset, a stall, a cut body, a wrong byte; in the middle the
server is gone for the outage. Told are seconds, requests against images and faults, what is lost, memory over time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from roco_async import Annotations
from roco_async.dataset.annotations import find_groups, parse_selection
from tests.servers.bucket import key_of
from tests.servers.faults import Cut, Fault, Reset, Stall, WrongByte, status
from tests.servers.objects import StoredObject
from tests.servers.pictures import tiny_jpeg
from tests.servers.scripted import ScriptedServer

from .cloud import DATA

_PADDING = b"x" * 3000
_TIMEOUT = 3


class _Small(Mapping[str, StoredObject]):
    """A picture of 3 kB for every key, drawn when it is asked for."""

    def __init__(self, keys: set[str]) -> None:
        self._keys = keys

    def __getitem__(self, key: str) -> StoredObject:
        if key not in self._keys:
            raise KeyError(key)
        return StoredObject(tiny_jpeg(key.encode() + _PADDING))

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=87_925)
    parser.add_argument("--outage", type=float, default=60.0)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(_soak(options.images, options.outage, options.data, Path(scratch)))


async def _soak(images: int, outage: float, data: Path, scratch: Path) -> None:
    found = find_groups(data, parse_selection([]))
    keys = {key_of(record) for record in Annotations(data, found.groups).records()}
    kinds = {"503": status(503), "reset": Reset(), "stall": Stall(500), "cut": Cut(1000), "wrong byte": WrongByte(700)}
    faults = [
        Fault(does, on="PMC*", every=every)
        for does, every in zip(kinds.values(), (101, 103, 107, 109, 113), strict=True)
    ]
    async with ScriptedServer(_Small(keys), *faults) as server:
        words = [
            "--data",
            str(data),
            "--out",
            str(scratch / "out"),
            "--cloud-url",
            server.base,
            "--json",
            "--no-progress",
        ]
        words += ["--limit", str(images), "--timeout", str(_TIMEOUT), "--outage", str(outage * 3)]
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "roco_async", *words, stdout=asyncio.subprocess.PIPE
        )
        watching = asyncio.create_task(_watch(process.pid, server, images))
        await _outage(server, images, outage)
        stdout, _ = await process.communicate()
        seconds = time.monotonic() - began
        watching.cancel()
        report = json.loads(stdout)
        failed = sum(1 for request in server.image_requests if request.status != 200 or not request.whole)
        struck = failed + len(server.image_requests) // 113
        print(f"exit {process.returncode} in {seconds:.0f} s: {report}")
        print(
            f"{len(server.image_requests):,} image requests for {images:,} images and {struck:,} faults: "
            f"{len(server.image_requests) / (images + struck):.3f} of their sum; {server.connections:,} connections"
        )


async def _outage(server: ScriptedServer, images: int, seconds: float) -> None:
    while len(server.requests) < images // 2:
        await asyncio.sleep(0.1)
    print(f"outage of {seconds:g} s after {len(server.requests):,} requests", flush=True)
    before = server.connections
    await server.pause()
    await asyncio.sleep(seconds)
    await server.resume()
    print(f"back; {server.connections - before} connections meanwhile", flush=True)


async def _watch(pid: int, server: ScriptedServer, images: int) -> None:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while True:
            await asyncio.sleep(5)
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            memory = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
            print(f"{len(server.requests):8,} requests of {images:,}  {memory:6.1f} MB", flush=True)


if __name__ == "__main__":
    main()
