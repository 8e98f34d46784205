"""PackagesSource alone: what one request serves, in which order, and when."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import os
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from pathlib import Path

import pytest

from roco_async.errors import Reason
from roco_async.records import ImageRecord, Job, Status
from roco_async.sources.packages import PackagesSource
from roco_async.store.files import Files
from roco_async.store.shelf import Shelf
from roco_async.transfer.budget import Budget
from tests.packages.stage import content, noise, package, path_of, record
from tests.servers.packages import packed
from tests.unit.clock import Clock
from tests.unit.store.test_package import no_wait
from tests.unit.wire import Thing, Wire

BASE = "http://mirror/oa"


@pytest.fixture
async def files() -> AsyncIterator[Files]:
    made = Files()
    yield made
    await made.aclose()


def source_of(wire: Wire, files: Files, out: Path, base: str = BASE) -> PackagesSource:
    return PackagesSource(base, transport=wire, shelf=Shelf(out, files), budget=lambda: Budget(2, sleep=no_wait))


async def each(records: Iterable[ImageRecord]) -> AsyncIterator[ImageRecord]:
    for one in records:
        yield one


async def grouped(source: PackagesSource, records: Iterable[ImageRecord]) -> list[Job]:
    return [job async for job in source.jobs(each(records))]


@pytest.fixture
def source(files: Files, tmp_path: Path) -> PackagesSource:
    return source_of(Wire({}), files, tmp_path)


async def test_a_list_that_ends_is_grouped_whole(source: PackagesSource) -> None:
    """Records of one package are one job wherever they stand, packages in the order of their first record."""
    names = ("a.jpg", "b.jpg", "c.jpg")
    jobs = await grouped(source, [record(number, name) for name in names for number in range(1, 3000)])
    assert [job.key for job in jobs] == [path_of(number) for number in range(1, 3000)]
    assert all(job.records == tuple(record(number, name) for name in names) for number, job in enumerate(jobs, 1))


async def test_a_url_is_a_job_of_its_own(source: PackagesSource) -> None:
    """A record with a URL never shares a job with one that wants a package, nor do two without a package."""
    records = [
        record(1),
        record(1, "b.jpg", url="http://own/b.jpg"),
        record(1, "c.jpg"),
        record(2, url=path_of(1)),
        record(3, package_path=None),
        record(4, package_path=""),
        ImageRecord("", "PMC5", "a.jpg", url=""),
    ]
    jobs = await grouped(source, records)
    assert [[one.id for one in job.records] for job in jobs] == [
        ["IMG_1_a", "IMG_1_c"], ["IMG_1_b"], ["IMG_2_a"], ["IMG_3_a"], ["IMG_4_a"], [""],
    ]  # fmt: skip
    for job in jobs:
        outcomes = await source.fetch(job)
        assert [one.record for one in outcomes] == list(job.records)
        assert all(one.status is Status.FAILED for one in outcomes)


async def test_the_window(source: PackagesSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more records than the window are held, and every one comes in some job."""
    monkeypatch.setattr("roco_async.sources.packages.WINDOW", 50)
    read = given = 0

    async def records() -> AsyncIterator[ImageRecord]:
        nonlocal read
        for number in range(1000):
            read += 1
            yield record(number // 4, f"{number % 4}.jpg")

    async for job in source.jobs(records()):
        given += len(job.records)
        assert read - given <= 50
        assert len(job.records) == 4
    assert read == given == 1000


async def test_all_that_waits_is_given_out_after_one_pause(source: PackagesSource) -> None:
    """A crawler that has yielded sixty articles and waits gets all their jobs after one pause, not one a pause."""
    goes_on = asyncio.Event()

    async def records() -> AsyncIterator[ImageRecord]:
        for number in range(60):
            yield record(number)
        await goes_on.wait()
        yield record(60)

    async with aclosing(source.jobs(records())) as jobs:
        began = time.monotonic()
        for _ in range(60):
            await anext(jobs)
        assert time.monotonic() - began < 2
        goes_on.set()
        assert (await anext(jobs)).records == (record(60),)


async def test_a_list_is_waited_for(files: Files, tmp_path: Path) -> None:
    """Where no crawler can be waiting a pause, as a slow disk makes one, splits no group."""
    shelf = Shelf(tmp_path, files)
    source = PackagesSource(BASE, transport=Wire({}), shelf=shelf, budget=lambda: Budget(1), idle=None)

    async def records() -> AsyncIterator[ImageRecord]:
        for name in ("a.jpg", "b.jpg"):
            for number in range(3):
                yield record(number, name)
            await asyncio.sleep(0.4)

    assert [len(job.records) async for job in source.jobs(records())] == [2, 2, 2]


async def test_the_loop_gets_a_turn(source: PackagesSource) -> None:
    """A list that never waits does not keep the loop from its other work."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    async with aclosing(source.jobs(each(record(number) for number in range(20_000)))) as jobs:
        await anext(jobs)
        task.cancel()
    assert turns >= 15


@pytest.mark.parametrize("asks", [True, False])
async def test_an_iterator_that_fails(asks: bool, source: PackagesSource) -> None:
    """The records' own error comes before any job, and silently where nobody asks any more."""

    async def records() -> AsyncIterator[ImageRecord]:
        for number in range(40):
            yield record(number)
        raise LookupError("theirs")

    async with aclosing(source.jobs(records())) as jobs:
        if asks:
            with pytest.raises(LookupError, match="theirs"):
                await anext(jobs)


@pytest.mark.parametrize("base", ["http://mirror/oa", "http://mirror/oa/", "ftp://me:word@host", "file:///"])
async def test_the_url(base: str, files: Files, tmp_path: Path) -> None:
    """The path follows the base with one slash, encoded, and no password gets into an outcome."""
    wire = Wire({})
    source = source_of(wire, files, tmp_path, base)
    path = "pub/a b/%41#?.tar.gz"
    (outcome,) = await source.fetch(Job("", (record(1, package_path=path),)))
    (asked,) = wire.urls
    assert asked.endswith("/pub/a%20b/%2541%23%3F.tar.gz")
    assert "//pub" not in asked
    assert "word" not in f"{outcome.url} {outcome.error}"
    assert outcome.reason is Reason.NOT_FOUND
    assert outcome.attempts == 1


async def test_one_request_serves_all(files: Files, tmp_path: Path) -> None:
    """A job is one request, has an outcome for each record in any case, and counts its tries in each."""
    wire = Wire({f"{BASE}/{path_of(1)}": Thing(package(1, "a.jpg", "b.jpg"))}, [100])
    source = source_of(wire, files, tmp_path)
    records = (
        record(1),
        record(1, "none.jpg"),
        ImageRecord("../x", "PMC1", "b.jpg", package_path=path_of(1)),
        record(1, "b.jpg"),
    )
    outcomes = {one.record: one for one in await source.fetch(Job("", records))}
    assert set(outcomes) == set(records)
    assert wire.offsets == [0, 100]
    assert [outcomes[one].reason for one in records] == [None, Reason.NO_MEMBER, Reason.UNSAFE, None]
    assert [outcomes[one].attempts for one in records] == [2, 2, 0, 2]
    assert (tmp_path / "images" / "IMG_1_b.jpg").read_bytes() == content(1, "b.jpg")
    assert not list(tmp_path.rglob(".roco-*"))


async def test_nothing_to_name_is_nothing_to_ask(files: Files, tmp_path: Path) -> None:
    """A job whose records can all be given no name makes no request."""
    wire = Wire({})
    records = (ImageRecord("../x", "PMC1", "b.jpg", package_path=path_of(1)), record(1, "a/b.jpg"))
    outcomes = await source_of(wire, files, tmp_path).fetch(Job("", records))
    assert [one.reason for one in outcomes] == [Reason.UNSAFE] * 2
    assert wire.asked == []


async def test_a_member_that_failed_for_now(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member whose name is in use for a moment comes again with another request, and what had come stays."""
    wire = Wire({f"{BASE}/{path_of(1)}": Thing(package(1, "a.jpg", "b.jpg"))})
    replace = os.replace
    refused: list[str] = []

    def busy_once(source: str, target: str) -> None:
        if target.endswith("_b.jpg") and not refused:
            refused.append(target)
            raise OSError(errno.EBUSY, "Device or resource busy")
        replace(source, target)

    monkeypatch.setattr(os, "replace", busy_once)
    records = (record(1), record(1, "b.jpg"), record(1, "none.jpg"))
    outcomes = {one.record: one for one in await source_of(wire, files, tmp_path).fetch(Job("", records))}
    assert [outcomes[one].reason for one in records] == [None, None, Reason.NO_MEMBER]
    assert wire.offsets == [0, 0]
    assert [(tmp_path / "images" / f"IMG_1_{name}.jpg").read_bytes() for name in "ab"] == [
        content(1, "a.jpg"),
        content(1, "b.jpg"),
    ]


@pytest.mark.parametrize(("rest", "requests"), [(0, 1), (3 << 20, 2)])
async def test_a_member_of_another_md5(rest: int, requests: int, files: Files, tmp_path: Path) -> None:
    """A member with another md5 than the list's comes again as long as no CRC says that this is what is packed."""
    whole = packed({"PMC1/a.jpg": content(1), "PMC1/b.jpg": content(1, "b.jpg"), "PMC1/big.pdf": noise(rest, 1)})
    wire = Wire({f"{BASE}/{path_of(1)}": Thing(whole)})
    wrong = dataclasses.replace(record(1, "b.jpg"), md5="0" * 32)
    outcomes = {one.record: one for one in await source_of(wire, files, tmp_path).fetch(Job("", (record(1), wrong)))}
    assert (outcomes[record(1)].reason, outcomes[wrong].reason) == (None, Reason.DAMAGED)
    assert len(wire.offsets) == outcomes[wrong].attempts == requests


async def test_a_steady_crawler(source: PackagesSource, clock: Clock) -> None:
    """A crawler that never pauses for long has its groups asked for a second after their last record."""

    async def crawl() -> AsyncIterator[ImageRecord]:
        for number in range(100):
            await asyncio.sleep(0.1)
            for name in ("a.jpg", "b.jpg"):
                yield record(number, name)

    began = clock.now
    waited = {}
    async for job in source.jobs(crawl()):
        assert len(job.records) == 2
        waited[int(job.records[0].pmcid[3:])] = clock.now - began
    assert len(waited) == 100
    assert max(at - 0.1 * number for number, at in waited.items()) < 1.5
