"""A process that may open few files, and a list whose hosts come one after another."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.packages.stage import package, path_of
from tests.servers.faults import Fault, Late, Trickle
from tests.servers.scripted import ScriptedServer

from .stage import files_below, picture

PROGRAM = """
import asyncio, json, resource, sys
from roco_async import FetchConfig, Fetcher, ImageRecord

async def main(config, rows):
    async with Fetcher(FetchConfig(attempts=2, **config)) as fetcher:
        print(dict((await fetcher.fetch([ImageRecord(folder="x", **row) for row in rows])).reasons))

descriptors, config, rows = json.load(sys.stdin)
resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
asyncio.run(main(config, rows))
"""


async def reasons(descriptors: int, config: dict[str, str], rows: list[dict[str, str]]) -> str:
    """Fetch rows in a process that may open so many files; return what it says of those that are missing."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        given = json.dumps([descriptors, config, rows]).encode()
        said, _ = await asyncio.wait_for(process.communicate(given), 60)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0
    return said.decode().strip()


async def test_finished_hosts_leave_their_descriptors_to_the_next(tmp_path: Path) -> None:
    """With 64 descriptors, six healthy hosts after one another give all images: idle connections take none away."""
    names = [f"{number}.jpg" for number in range(80)]
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(ScriptedServer({name: picture(name) for name in names}, Fault(Late(0.1))))
            for _ in range(6)
        ]
        urls = [server.url(name) for server in servers for name in names]
        rows = [{"id": f"I{n}", "pmcid": "", "name": "a.jpg", "url": url} for n, url in enumerate(urls)]
        assert await reasons(64, {"out": str(tmp_path)}, rows) == "{}"
        peaks = [server.peak_connections for server in servers]
    assert len(files_below(tmp_path)) == len(urls)
    assert sum(peaks) > 64, "the hosts had too few connections for this to hold anything"


async def test_more_hosts_than_descriptors(tmp_path: Path) -> None:
    """With 64 descriptors, a hundred slow hosts at once give all images: no more jobs than sockets for them."""
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(ScriptedServer({"a.jpg": picture(str(number))}, Fault(Late(0.3))))
            for number in range(100)
        ]
        rows = [
            {"id": f"I{n}", "pmcid": "", "name": "a.jpg", "url": server.url("a.jpg")}
            for n, server in enumerate(servers)
        ]
        assert await reasons(64, {"out": str(tmp_path)}, rows) == "{}"
    assert len(files_below(tmp_path)) == len(rows)


async def test_kept_packages_take_three_each(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With 64 descriptors all packages of a list are kept, and all their pictures come: no part lacks its own."""
    kept, numbers = tmp_path_factory.mktemp("kept"), range(1, 61)
    packages = {path_of(number): package(number, before=150_000) for number in numbers}
    rows = [{"id": f"I{n}", "pmcid": f"PMC{n}", "name": "a.jpg", "package_path": path_of(n)} for n in numbers]
    async with ScriptedServer(packages, Fault(Trickle(20_000, 0.1))) as server:
        config = {"out": str(tmp_path), "source": "packages", "packages_url": server.base, "keep_packages": str(kept)}
        assert await reasons(64, config, rows) == "{}"
    assert len(files_below(tmp_path)) == len(rows)
    assert {name: (kept / name).read_bytes() for name in files_below(kept)} == packages
