"""Where the sources are seldom: names that no bucket has, and more articles than are remembered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from roco_async.engine import Finite
from roco_async.errors import Reason, Unsafe
from roco_async.records import ImageRecord
from roco_async.sources import articles as articles_module
from roco_async.sources.articles import Articles
from roco_async.sources.cloud import CloudSource
from roco_async.store.files import Files
from roco_async.store.shelf import Shelf
from roco_async.transfer.budget import Budget
from roco_async.transport.schemes import Schemes
from tests.unit.wire import Wire

from .test_cloud import BASE, RECORD, at_once, fetch, page


@pytest.mark.parametrize("name", ["..", ".", "a/b.jpg", "a\nb.jpg", "a\x7f.jpg"])
async def test_a_name_that_is_none(name: str, files: Files, tmp_path: Path) -> None:
    """A name that leads elsewhere or cannot be sent is UNSAFE, without a request."""
    wire = Wire({})
    shelf = Shelf(tmp_path, files)
    source = CloudSource(BASE, transport=wire, shelf=shelf, budget=lambda: Budget(6, sleep=at_once))
    outcome = await fetch(source, replace(RECORD, name=name))
    assert outcome.reason is Reason.UNSAFE
    assert wire.asked == []


async def test_not_all_articles_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The listings of the latest articles only are remembered, so that memory does not grow with the list."""
    monkeypatch.setattr(articles_module, "_REMEMBERED", 2)
    listings = {f"{BASE}?list-type=2&prefix=PMC{n}.": page(f"PMC{n}.1/a.jpg") for n in range(1, 4)}
    wire = Wire(listings)
    articles = Articles(BASE, transport=wire)
    for number in (1, 2, 3, 3, 2, 1):
        await articles.article(f"PMC{number}", Budget(1, sleep=at_once))
    assert [articles.is_known(f"PMC{number}") for number in (1, 2, 3)] == [True, False, True]
    assert len(wire.asked) == 4


async def test_an_unknown_scheme() -> None:
    """A URL of a scheme that has no transport is UNSAFE, and the schemes that there are, are named."""
    with pytest.raises(Unsafe, match="gopher: is not one of http"):
        Schemes({"http": lambda: Wire({})}).open("gopher://host/a.jpg")


async def test_finite_records_one_by_one() -> None:
    """Records that are known to end may be taken one by one as well as in a loop."""

    async def batches() -> AsyncIterator[Sequence[ImageRecord]]:
        yield [RECORD, replace(RECORD, id="R2")]
        yield [replace(RECORD, id="R3")]

    finite = Finite(batches())
    assert await anext(finite) == RECORD
    assert [record.id async for record in finite] == ["R2", "R3"]
