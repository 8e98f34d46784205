"""What a check has found is noted however it ends, and before it waits for the bucket."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from roco_async import DiskRefused, FetchConfig, Fetcher, ImageRecord
from roco_async.store import verify as room
from roco_async.store.files import Found, check_found
from roco_async.store.journal import Ledger, Row
from roco_async.store.verify import Finding, State
from roco_async.verification import Verification, VerifyReport
from tests.cancel.stage import pictures, records
from tests.servers.faults import Fault, Late
from tests.servers.scripted import ScriptedServer

COUNT = 200


async def each(wanted: list[ImageRecord]) -> AsyncIterator[ImageRecord]:
    for record in wanted:
        yield record


def image(out: Path, number: int) -> Path:
    return out / f"images/ROCO_{number:05}.jpg"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


async def last_word(out: Path, number: int) -> Row:
    ledger = await asyncio.to_thread(Ledger.read, str(out / ".roco/journal"))
    row = ledger.row("images", f"ROCO_{number:05}.jpg")
    assert row is not None
    return row


async def fetched(server: ScriptedServer, out: Path, count: int) -> FetchConfig:
    """Fetch images 1 to count and spoil number 7, as no run sees it."""
    config = FetchConfig(out=out, cloud_url=server.base, timeout=20)
    async with Fetcher(config) as fetcher:
        assert (await fetcher.fetch(records(count))).fetched == count
    await asyncio.to_thread(flip, image(out, 7))
    server.requests.clear()
    return config


async def test_while_the_bucket_is_asked(tmp_path: Path) -> None:
    """Damage is noted before the bucket is asked: a fetch beside that mends it, and its row is the last after all."""
    async with ScriptedServer(pictures(20)) as server:
        config = await fetched(server, tmp_path, 19)
        await asyncio.to_thread(image(tmp_path, 20).write_bytes, pictures(20)["PMC20.1/a.jpg"])
        server.script.add(Fault(Late(), on="[?]*"))
        async with Fetcher(config) as fetcher, Fetcher(config) as another:
            check = Verification(fetcher, online=True)
            task = asyncio.create_task(check.run(each(records(20))))
            while not server.requests:
                await asyncio.sleep(0.005)
            assert not (await last_word(tmp_path, 7)).there
            assert (await another.fetch(records(20))).fetched == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert (await last_word(tmp_path, 7)).there
    assert (check.report.requested, len(check.report.damaged), len(check.report.unrecorded)) == (20, 1, 1)


async def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that ends the check takes nothing with it: what was read before, in its own batch too, is noted."""
    async with ScriptedServer(pictures(COUNT)) as server:
        config = await fetched(server, tmp_path, COUNT)

        def forbidden(path: str, name: str, digest: str | None) -> Found:
            if path == str(image(tmp_path, 50)):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return check_found(path, name, digest)

        monkeypatch.setattr(room, "check_found", forbidden)
        async with Fetcher(config) as fetcher:
            check = Verification(fetcher)
            with pytest.raises(DiskRefused, match="Permission denied"):
                await check.run(each(records(COUNT)))
        assert [finding.record.id for finding in check.report.damaged] == ["ROCO_00007"]
        assert not (await last_word(tmp_path, 7)).there
        async with Fetcher(config) as fetcher:
            assert (await fetcher.fetch(records(COUNT))).fetched == 1


async def test_drained_before_it_reads(tmp_path: Path) -> None:
    """A check that is drained while it reads the journals, or before, looks at no image."""
    async with Fetcher(FetchConfig(out=tmp_path)) as fetcher:
        check = Verification(fetcher)
        check.drain()
        assert (await check.run(each(records(20)))).requested == 0


def test_mended() -> None:
    """What came is out of the damaged, an image that is there twice in the list twice; the others stay."""
    report, wanted = VerifyReport(), records(3)
    for record in (*wanted, wanted[0]):
        report.add(Finding(record=record, state=State.DAMAGED, size=3))
    report.mended({wanted[0], wanted[2]})
    assert [finding.record for finding in report.damaged] == [wanted[1]]
    assert (report.requested, report.repaired, report.verified) == (4, 3, 3)
