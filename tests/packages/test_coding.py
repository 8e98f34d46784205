"""Content-Encoding on a tar.gz: mostly a label on the file itself, now and then a proxy that packed it once more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.faults import Cut, Fault, Gzipped, Header
from tests.servers.scripted import ScriptedServer

from .stage import MIB, fetch, is_right, package, path_of, record, tell


@pytest.mark.parametrize("label", ["gzip", "x-gzip"])
async def test_a_label_is_ignored(label: str, tmp_path: Path) -> None:
    """A server that labels the tar.gz itself as Content-Encoding gzip gives its pictures like any other."""
    async with ScriptedServer({path_of(1): package(1)}, Fault(Header("Content-Encoding", label))) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1)])
        assert len(server.requests) == 1
    assert tell(outcomes) == {"IMG_1_a": "crc"}


async def test_a_label_does_not_keep_a_cut_from_being_mended(tmp_path: Path) -> None:
    """The label stands on the 206 too, and the package goes on where it was cut."""
    faults = (Fault(Header("Content-Encoding", "x-gzip")), Fault(Cut(2 * MIB), nth=1))
    async with ScriptedServer({path_of(1): package(1, before=3 * MIB)}, *faults) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1)])
        assert [one.status for one in server.requests] == [200, 206]
    assert is_right(outcomes["IMG_1_a"], 1)


@pytest.mark.parametrize("size", [0, 400_000])
async def test_a_package_that_was_packed_once_more(size: int, tmp_path: Path) -> None:
    """Where the body is the gzip of the tar.gz it is decoded once before it is unpacked."""
    async with ScriptedServer({path_of(1): package(1, before=size)}, Fault(Gzipped())) as server:
        outcomes = await fetch(server.base, tmp_path, [record(1)])
    assert tell(outcomes) == {"IMG_1_a": "crc"}
    assert is_right(outcomes["IMG_1_a"], 1)
