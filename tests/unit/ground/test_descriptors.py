"""What a process's descriptors allow."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from roco_async import FetchConfig, Fetcher, ImageRecord, fetcher
from roco_async.descriptors import for_sockets


def test_some_are_kept() -> None:
    """There is room for a socket at least, and for fewer than the process may have descriptors."""
    assert for_sockets() >= 1


@pytest.mark.parametrize(
    ("sockets", "keeps", "connections"),
    [(1, False, 1), (1, True, 1), (12, False, 6), (12, True, 4), (math.inf, False, 256), (math.inf, True, 256)],
)
async def test_a_run_begins(
    sockets: float, keeps: bool, connections: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few there are one transfer goes on at a time, and where there is no limit there are as many as usual."""
    monkeypatch.setattr(fetcher, "for_sockets", lambda: sockets)
    config = FetchConfig(
        out=tmp_path,
        source=("packages",),
        packages_url=tmp_path.as_uri(),
        keep_packages=tmp_path / "kept" if keeps else None,
    )
    records = [ImageRecord(str(number), "PMC1", "a.jpg", package_path="none.tar.gz") for number in range(9)]
    async with Fetcher(config) as entered:
        assert entered.connections == connections
        report = await entered.fetch(records)
    assert (report.requested, report.failed) == (9, 9)
