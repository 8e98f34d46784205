"""What an image costs, by part: the same images through one layer more at a time, µs of CPU an image of all threads.

    python -m benchmarks.parts [--images N] [--rounds N] [--connections N]

Each rung is a process of its own, in turn, on loopback; the start of Python is counted in the last one only. A part's
cost is its rung less the one before. md5 and the journal's rows are measured by themselves: they are part of a rung.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from roco_async import FetchConfig, Fetcher, ImageRecord, Outcome, Status
from roco_async.errors import TooLarge
from roco_async.fetcher import transport_for
from roco_async.store.files import Files
from roco_async.store.journal import rows_of
from roco_async.store.memory import MemoryReceiver
from roco_async.store.shelf import Shelf
from roco_async.transfer.budget import Budget
from roco_async.transfer.loop import transfer
from roco_async.transport.http import HttpTransport
from tests.servers.bucket import DrawnBucket, key_of
from tests.servers.nginx import Nginx

from .cloud import DATA, MEMORY, annotations_of, radiology
from .measure import run

Get = Callable[[ImageRecord, str], Awaitable[None]]


async def aiohttp_alone(base: str, records: list[ImageRecord], n: int, _: Path) -> None:
    """GET by aiohttp, the bytes thrown away."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:

        async def get(_record: ImageRecord, url: str) -> None:
            async with session.get(URL(url, encoded=True), allow_redirects=False) as response:
                while await response.content.readany():
                    pass

        await _each(get, base, records, n)


async def http_transport(base: str, records: list[ImageRecord], n: int, _: Path) -> None:
    """+ validators, lengths, errors in our words: transport/http.py."""
    transport = HttpTransport(timeout=30)

    async def get(_record: ImageRecord, url: str) -> None:
        async with transport.open(url) as body:
            async for _chunk in body.chunks:
                pass

    await _each(get, base, records, n)
    await transport.aclose()


async def paced(base: str, records: list[ImageRecord], n: int, _: Path) -> None:
    """+ limit, health, meter: transfer/hosts.py."""
    transport = transport_for(FetchConfig(), n, None)

    async def get(_record: ImageRecord, url: str) -> None:
        async with transport.open(url) as body:
            async for _chunk in body.chunks:
                pass

    await _each(get, base, records, n)
    await transport.aclose()


async def gathered(base: str, records: list[ImageRecord], n: int, _: Path) -> None:
    """+ loop and budget, bytes gathered: transfer/loop.py."""
    transport = transport_for(FetchConfig(), n, None)

    async def get(_record: ImageRecord, url: str) -> None:
        receiver = MemoryReceiver(64 << 20, too_much=TooLarge("", operation="GET"), read=len)
        await transfer(url, receiver, transport=transport, budget=Budget(6))

    await _each(get, base, records, n)
    await transport.aclose()


async def kept(base: str, records: list[ImageRecord], n: int, out: Path) -> None:
    """+ md5, checks, write, rename: store/image.py, files.py."""
    transport, files = transport_for(FetchConfig(), n, None), Files()
    shelf = Shelf(out, files)

    async def get(record: ImageRecord, url: str) -> None:
        receiver = shelf.receiver(shelf.path(record), record.name, md5=None, size=None)
        await transfer(url, receiver, transport=transport, budget=Budget(6))

    await _each(get, base, records, n)
    await transport.aclose()
    await files.aclose()


async def fetched(base: str, records: list[ImageRecord], n: int, out: Path) -> None:
    """+ what is there, source, engine, outcomes, journal: a Fetcher."""
    async with Fetcher(FetchConfig(out=out, cloud_url=base, connections=n)) as fetcher:
        report = await fetcher.fetch(records)
    report.raise_for_failures()


RUNGS: Final = {rung.__name__: rung for rung in (aiohttp_alone, http_transport, paced, gathered, kept, fetched)}


async def _each(get: Get, base: str, records: list[ImageRecord], n: int) -> None:
    """Let n workers take from one list."""
    left = iter([(record, base + key_of(record)) for record in records])

    async def work(items: Iterator[tuple[ImageRecord, str]]) -> None:
        for record, url in items:
            await get(record, url)

    async with asyncio.TaskGroup() as group:
        for _ in range(n):
            group.create_task(work(left))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8179)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--rung", choices=list(RUNGS), help=argparse.SUPPRESS)
    parser.add_argument("--base", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    records = radiology(options.data, options.images)
    if options.rung:
        before = _cpu()
        asyncio.run(RUNGS[options.rung](options.base, records, options.connections, options.out))
        print(json.dumps((_cpu() - before) / len(records) * 1e6))
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        _tell(_climbed(records, Path(folder), options))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _climbed(records: list[ImageRecord], scratch: Path, options: argparse.Namespace) -> dict[str, list[float]]:
    """Return µs an image, by rung, of each round."""
    bucket, out = DrawnBucket(records), scratch / "out"
    bucket.write(scratch / "bucket")
    annotations_of(records, scratch / "data")
    found: dict[str, list[float]] = {name: [] for name in (*RUNGS, "command", "md5", "journal")}
    with Nginx(scratch / "bucket", scratch / "nginx", etags=bucket.digests) as server:
        own = ["--data", str(options.data), "--images", str(len(records)), "--connections", str(options.connections)]
        words = ["test/radiology", "--data", str(scratch / "data"), "--out", str(out), "-q", "--cloud-url", server.base]
        command = [sys.executable, "-m", "roco_async", *words, "-n", str(options.connections)]
        for _ in range(options.rounds):
            for name in RUNGS:
                rung = [sys.executable, "-m", "benchmarks.parts", *own, "--rung", name, "--base", server.base]
                told = subprocess.run([*rung, "--out", str(out)], stdout=subprocess.PIPE, check=True).stdout
                found[name].append(json.loads(told))
                shutil.rmtree(out, ignore_errors=True)
            result = run(command, log=scratch / "log")
            if result.fault:
                raise RuntimeError(result.fault)
            found["command"].append(result.cpu / len(records) * 1e6)
            shutil.rmtree(out, ignore_errors=True)
            found["md5"].append(_timed(lambda: _hash(bucket, records[:500])) / 500)
            found["journal"].append(_timed(lambda: rows_of(map(_outcome, records))) / len(records))
    return found


def _timed(work: Callable[[], object]) -> float:
    """Return the µs of CPU that some work takes, the second time."""
    work()
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1e6


def _hash(bucket: DrawnBucket, records: list[ImageRecord]) -> None:
    for record in records:
        hashlib.md5(_picture(bucket, key_of(record)), usedforsecurity=False).hexdigest()


_DRAWN: dict[str, bytes] = {}


def _picture(bucket: DrawnBucket, key: str) -> bytes:
    """Draw a picture once, so that the second time it costs nothing."""
    if key not in _DRAWN:
        _DRAWN[key] = bucket.picture(key)
    return _DRAWN[key]


def _outcome(record: ImageRecord) -> Outcome:
    path = Path("out", record.folder, f"{record.id}.jpg")
    url = f"https://bucket.example/{key_of(record)}"
    return Outcome(record=record, status=Status.FETCHED, path=path, bytes=1, md5="0" * 32, source="cloud", url=url)


def _tell(found: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(values) for name, values in found.items()}
    print("| layer | µs an image, in all | spread | of it this layer |\n|---|---|---|---|")
    before = 0.0
    for name in (*RUNGS, "command"):
        words = RUNGS[name].__doc__ if name in RUNGS else "+ start, annotations, words: `python -m roco_async`"
        low, high = min(found[name]), max(found[name])
        print(f"| {words} | {medians[name]:.0f} | {low:.0f}-{high:.0f} | {medians[name] - before:.0f} |")
        before = medians[name]
    print(
        f"\nBy themselves: md5 {medians['md5']:.0f} µs, a journal's row {medians['journal']:.1f} µs (with its Outcome)."
    )


if __name__ == "__main__":
    main()
