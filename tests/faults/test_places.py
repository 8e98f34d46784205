"""A server with fewer places than connections, which tells nobody so."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from roco_async import FetchConfig, Fetcher
from tests.cancel.stage import pictures, records
from tests.servers.lighttpd import Lighttpd

COUNT = 300


@pytest.mark.parametrize("places", [2, 8, 40])
async def test_those_that_get_no_place(places: int, tmp_path: Path) -> None:
    """Connections that stay in a server's backlog hold up no image, though neither timeout nor server ends them."""
    for key, content in pictures(COUNT).items():
        path = tmp_path / "bucket" / key
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    with Lighttpd(tmp_path / "bucket", tmp_path / "lighttpd", places=places) as server:
        config = FetchConfig(out=tmp_path / "out", cloud_url=server.base, timeout=3600)
        async with asyncio.timeout(50), Fetcher(config) as fetcher:
            report = await fetcher.fetch(records(COUNT))
    assert report.fetched == COUNT
