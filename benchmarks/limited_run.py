"""One fetch of small pictures: by the library as it is, or by a fixed number of workers that hold their place.

    python -m benchmarks.limited_run OUT IMAGES PATIENCE FIXED BASE...

`FIXED` 0 is the library with no flag. Any other number is the plain client that it is held against: the library's own
transport, receiver and backoff, and so many workers, each of which waits out the backoff of its image. Neither limit,
nor pace, nor watch over the host. Two bases take the images by turns. Prints what came of it, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from roco_async import FetchConfig, Fetcher, ImageRecord, Outcome, Statistics, Status
from roco_async.engine import Engine
from roco_async.sources.cloud import CloudSource
from roco_async.store.files import Files
from roco_async.store.shelf import Shelf
from roco_async.transfer.budget import Budget
from roco_async.transport.http import HttpTransport

_EVERY = 0.025
_TRIES = 10_000


@dataclass
class Told:
    """What came of a fetch.

    Args:
        seconds: None if patience ended before it did.
        lost: images that were not fetched.
        trace: (seconds, images fetched, transfers under way, limit), forty a second.
    """

    seconds: float | None = None
    lost: int = 0
    trace: list[tuple[float, int, int, int]] = field(default_factory=list)


def records_of(images: int, bases: Sequence[str]) -> list[ImageRecord]:
    """Return the images, each with its own URL."""
    return [
        ImageRecord(f"image_{one:05}", "PMC1", f"{one}.jpg", url=f"{bases[one % len(bases)]}{one}.jpg")
        for one in range(images)
    ]


async def no_flag(records: Sequence[ImageRecord], out: Path, patience: float) -> Told:
    """Fetch by the library."""
    told = Told()
    async with Fetcher(FetchConfig(out=out)) as fetcher:
        run = fetcher.iter_fetch(records)
        watching = asyncio.create_task(_watch(told, run.statistics))
        try:
            async with asyncio.timeout(patience):
                async for outcome in run:
                    told.lost += outcome.status is not Status.FETCHED
            told.seconds = run.statistics().elapsed
        except TimeoutError:
            pass
        watching.cancel()
        await run.aclose()
    return told


async def _watch(told: Told, statistics: Callable[[], Statistics]) -> None:
    while True:
        now = statistics()
        told.trace.append((now.elapsed, now.fetched, now.in_flight, now.limit))
        await asyncio.sleep(_EVERY)


class _Account:
    """An Outlet that only counts."""

    def __init__(self, shelf: Shelf) -> None:
        self.lost = 0
        self._shelf = shelf

    def emit(self, outcomes: Sequence[Outcome]) -> None:
        self._shelf.record(outcomes)
        self.lost += sum(outcome.status is not Status.FETCHED for outcome in outcomes)

    async def wait_for_room(self) -> None:
        pass


async def fixed(number: int, records: Sequence[ImageRecord], out: Path, patience: float) -> Told:
    """Fetch by so many workers."""
    files = Files()
    shelf = Shelf(out, files)
    transport = HttpTransport(timeout=FetchConfig().timeout)
    source = CloudSource("http://127.0.0.1/", transport=transport, shelf=shelf, budget=partial(Budget, _TRIES))
    account = _Account(shelf)
    engine = Engine([source], find=shelf.find, outlet=account, jobs=number)
    began = asyncio.get_running_loop().time()
    told = Told()
    try:
        async with asyncio.timeout(patience):
            await shelf.open()
            await engine.run(records)
            await shelf.aclose()
            told.seconds = asyncio.get_running_loop().time() - began
    except TimeoutError:
        await shelf.aclose()
    await transport.aclose()
    await files.aclose()
    told.lost = account.lost
    return told


def main(out: str, images: str, patience: str, number: str, *bases: str) -> None:
    """Fetch and print."""
    records = records_of(int(images), bases)
    if int(number):
        told = asyncio.run(fixed(int(number), records, Path(out), float(patience)))
    else:
        told = asyncio.run(no_flag(records, Path(out), float(patience)))
    print(json.dumps(asdict(told)))


if __name__ == "__main__":
    main(*sys.argv[1:])
