"""Runs over packages that are drained: what was read ahead to be grouped is neither asked for nor counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from roco_async import Fetcher, ImageRecord, Run, Status
from tests.servers.scripted import ScriptedServer

from .stage import package, path_of, record, settings

NAMES = ("a.jpg", "b.jpg")
ARTICLES = 30


def mirror() -> ScriptedServer:
    return ScriptedServer({path_of(number): package(number, *NAMES) for number in range(ARTICLES)})


def rows(articles: int = ARTICLES) -> list[ImageRecord]:
    return [record(number, name) for number in range(articles) for name in NAMES]


@pytest.mark.parametrize("before", [0, 3])
async def test_what_was_read_ahead_does_not_count(before: int, tmp_path: Path) -> None:
    """A drained run's `requested` is the number of its outcomes, with those that were there before."""
    async with mirror() as server, Fetcher(settings(server.base, tmp_path, connections=2)) as fetcher:
        await fetcher.fetch(rows(before))
        for skipped in (True, False):
            run = fetcher.iter_fetch(rows(), skipped=skipped)
            outcomes = [await anext(run)]
            while outcomes[-1].status is Status.SKIPPED:
                outcomes.append(await anext(run))
            assert run.statistics().requested == len(rows())
            run.drain()
            outcomes += [outcome async for outcome in run]
            end = run.statistics()
            there = end.skipped - sum(outcome.status is Status.SKIPPED for outcome in outcomes)
            assert end.requested == len(outcomes) + there < len(rows())
            assert end.requested == end.fetched + end.skipped


async def test_a_limit_counts_what_was_read(tmp_path: Path) -> None:
    """`limit` cuts at so many records, however far a source reads ahead."""
    async with mirror() as server, Fetcher(settings(server.base, tmp_path, limit=7)) as fetcher:
        report = await fetcher.fetch(rows())
        assert len(server.requests) == 4
    assert report.requested == report.fetched == 7


async def test_by_the_records_themselves(tmp_path: Path) -> None:
    """Records that drain their own run while they are grouped end it without an error, each outcome counted."""
    runs: list[Run] = []

    async def source() -> AsyncIterator[ImageRecord]:
        for place, one in enumerate(rows()):
            if place == 2 * len(NAMES):
                runs[0].drain()
            yield one

    async with mirror() as server, Fetcher(settings(server.base, tmp_path)) as fetcher:
        runs.append(fetcher.iter_fetch(source()))
        outcomes = [outcome async for outcome in runs[0]]
    assert {outcome.status for outcome in outcomes} == {Status.FETCHED}
    assert len(outcomes) == runs[0].statistics().requested > 0
