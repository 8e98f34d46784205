"""`verify_split`, for those who live in a notebook."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Callable
from pathlib import Path

import pytest

from roco_async import FetchConfig, ImageRecord, UsageError, VerifyReport, fetch_split, verify_split
from roco_async.fetcher import Fetcher
from roco_async.splits import open_annotations
from roco_async.store.verify import Finding
from roco_async.verification import Verification
from tests.cancel.stage import pictures, write_annotations
from tests.servers.scripted import ScriptedServer


class Watched(VerifyReport):
    """An account that has the check stopped once the suspects are taken out of it."""

    def __init__(self, stop: Callable[[], object]) -> None:
        super().__init__()
        self._stop = stop
        self.suspects: list[Finding] = []

    def take_damaged(self) -> list[Finding]:
        asyncio.get_running_loop().call_soon(self._stop)
        self.suspects = super().take_damaged()
        return self.suspects


async def twice(records: AsyncIterable[ImageRecord]) -> AsyncIterator[ImageRecord]:
    async for record in records:
        yield record
        yield record


async def test_a_check_between_two_fetches(tmp_path: Path) -> None:
    """Damage is a finding, not an exception, and the next fetch_split mends what verify_split has found."""
    notes, out = write_annotations(tmp_path / "notes", 20), tmp_path / "out"
    async with ScriptedServer(pictures(20, 3000)) as server:
        config = FetchConfig(data=notes, out=out, cloud_url=server.base)
        await fetch_split("test", group="radiology", config=config)
        bad = out / "test/radiology/images/ROCO_00003.jpg"
        await asyncio.to_thread(bad.write_bytes, (await asyncio.to_thread(bad.read_bytes)).replace(b"3", b"4"))
        server.requests.clear()
        report = await verify_split("test", group="radiology", config=config)
        assert isinstance(report, VerifyReport)
        assert (report.requested, report.verified, report.complete) == (20, 19, False)
        assert [finding.record.id for finding in report.damaged] == ["ROCO_00003"]
        assert server.requests == []
        again = await fetch_split("test", group="radiology", config=config)
        assert (again.fetched, again.skipped) == (1, 19)
        assert (await verify_split("test/radiology", config=config)).complete


async def test_online(tmp_path: Path) -> None:
    """`online=True` asks the listings alone."""
    notes, out = write_annotations(tmp_path / "notes", 3), tmp_path / "out"
    images = out / "test/radiology/images"
    await asyncio.to_thread(os.makedirs, images)
    for number in range(1, 4):
        path = images / f"ROCO_{number:05}.jpg"
        await asyncio.to_thread(path.write_bytes, pictures(3, 3000)[f"PMC{number}.1/a.jpg"])
    async with ScriptedServer(pictures(3, 3000)) as server:
        report = await verify_split("test", online=True, data=notes, out=out, cloud_url=server.base)
        assert (report.verified, len(server.listings), server.image_requests) == (3, 3, [])


async def test_cancelled(tmp_path: Path) -> None:
    """Cancelling a check ends it at once, its threads too."""
    notes, out = write_annotations(tmp_path / "notes", 20), tmp_path / "out"
    task = asyncio.create_task(verify_split("test", data=notes, out=out))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 1)


@pytest.mark.parametrize("how", ["drain", "cancel"])
async def test_stopped_as_it_looks_again(how: str, tmp_path: Path) -> None:
    """A check that is stopped before it has read what is damaged once more leaves it in the account, and notes it."""
    notes, images = write_annotations(tmp_path / "notes", 200), tmp_path / "out/test/radiology/images"
    await asyncio.to_thread(os.makedirs, images)
    for number in range(1, 201):
        await asyncio.to_thread((images / f"ROCO_{number:05}.jpg").write_bytes, b"\xff\xd8 and no end")
    config = FetchConfig(data=notes, out=tmp_path / "out")
    wanted = await open_annotations(["test/radiology"], config)
    async with Fetcher(wanted.config) as fetcher:
        check = Verification(fetcher)
        task = asyncio.create_task(check.run(twice(wanted.records())))
        check.report = report = Watched(check.drain if how == "drain" else task.cancel)
        await asyncio.wait([task])
    assert (task.cancelled(), report.requested, len(report.damaged)) == (how == "cancel", 400, 400)
    assert Counter(one.record for one in report.damaged) == Counter(one.record for one in report.suspects)
    assert report.journal is not None
    assert (await asyncio.to_thread(report.journal.read_bytes)).count(b'"reason":"DAMAGED"') == 400


async def test_an_unknown_field() -> None:
    """A field that FetchConfig has not is a UsageError."""
    with pytest.raises(UsageError, match="colour"):
        await verify_split("test", colour="red")
