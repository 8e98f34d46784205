"""The script that one writes in ten minutes: aiohttp, aiofiles, a semaphore; no check, no rename, no resume.

    python -m benchmarks.plain_script URLS OUT CONNECTIONS [--verify]

`URLS` has lines `url<TAB>file name<TAB>md5`. With `--verify` it makes the md5 and renames, call by call.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path

import aiofiles
import aiofiles.os
import aiohttp


async def main(urls: Path, out: Path, connections: int, *, verify: bool) -> None:
    places = asyncio.Semaphore(connections)
    rows = [line.split("\t") for line in urls.read_text().splitlines()]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:

        async def fetch(url: str, name: str, md5: str) -> None:
            async with places, session.get(url) as response:
                response.raise_for_status()
                path = out / (name + ".part" if verify else name)
                digest = hashlib.md5()
                async with aiofiles.open(path, "wb") as file:
                    async for chunk in response.content.iter_chunked(65536):
                        if verify:
                            digest.update(chunk)
                        await file.write(chunk)
            if verify:
                if digest.hexdigest() != md5:
                    raise ValueError(f"{url}: wrong bytes")
                await aiofiles.os.replace(path, out / name)

        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(fetch(*row))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), verify="--verify" in sys.argv))
