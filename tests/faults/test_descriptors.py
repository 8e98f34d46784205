"""A process that may open few files, and a list whose hosts come one after another."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from tests.servers.faults import Fault, Late
from tests.servers.scripted import ScriptedServer

from .stage import files_below, picture

PROGRAM = """
import asyncio, pathlib, resource, sys
from roco_async import FetchConfig, Fetcher, ImageRecord

async def main(out, *urls):
    records = [ImageRecord(id=f"I{n}", pmcid="", name="a.jpg", folder="x", url=url) for n, url in enumerate(urls)]
    async with Fetcher(FetchConfig(out=pathlib.Path(out), attempts=2)) as fetcher:
        print(dict((await fetcher.fetch(records)).reasons))

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
asyncio.run(main(*sys.argv[1:]))
"""


async def test_finished_hosts_leave_their_descriptors_to_the_next(tmp_path: Path) -> None:
    """With 64 descriptors, six healthy hosts after one another give all images: idle connections take none away."""
    names = [f"{number}.jpg" for number in range(80)]
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(ScriptedServer({name: picture(name) for name in names}, Fault(Late(0.1))))
            for _ in range(6)
        ]
        urls = [server.url(name) for server in servers for name in names]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, str(tmp_path), *urls, stdout=asyncio.subprocess.PIPE
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(), 60)
        except BaseException:
            process.kill()
            await process.wait()
            raise
        peaks = [server.peak_connections for server in servers]
    assert said == b"{}\n"
    assert len(files_below(tmp_path)) == len(urls)
    assert sum(peaks) > 64, "the hosts had too few connections for this to hold anything"
