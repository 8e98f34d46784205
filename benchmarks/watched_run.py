"""A fetch of test/radiology by the library, and beside it what its statistics say ten times a second.

    python -m benchmarks.watched_run DATA OUT BASE CONNECTIONS SAMPLES

`SAMPLES` gets a JSON list of `[done, in_flight, limit]`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from roco_async import Annotations, FetchConfig, Fetcher, FetchReport, Group

_EVERY = 0.1


async def main(data: str, out: str, base: str, connections: str, samples: str) -> int:
    """Fetch all; return an exit code."""
    records = Annotations(Path(data), [Group("test", "radiology")]).records()
    seen: list[tuple[int, int, int]] = []
    report = FetchReport()
    async with Fetcher(FetchConfig(out=out, cloud_url=base, connections=int(connections))) as fetcher:
        run = fetcher.iter_fetch(records)

        async def watch() -> None:
            while True:
                now = run.statistics()
                seen.append((now.fetched + now.failed, now.in_flight, now.limit))
                await asyncio.sleep(_EVERY)

        watching = asyncio.create_task(watch())
        async for outcome in run:
            report.add(outcome)
        watching.cancel()
    Path(samples).write_text(json.dumps(seen))
    return 0 if report.complete else 4


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
