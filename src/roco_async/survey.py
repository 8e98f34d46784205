"""What a run would ask for, without asking: the dry run."""

from __future__ import annotations

from collections.abc import AsyncIterable
from dataclasses import asdict, dataclass
from typing import Any

from .config import FetchConfig
from .records import ImageRecord, Outcome, Status
from .store.decide import Decision
from .store.files import Files
from .store.shelf import Shelf


@dataclass(slots=True)
class Survey:
    """Counts of images: `there` by the journal, `unchecked` are on disk without a row, `bytes_known` are those that a
    list tells for the `sizes_known` images to be asked for."""

    images: int = 0
    articles: int = 0
    there: int = 0
    unchecked: int = 0
    to_fetch: int = 0
    sizes_known: int = 0
    bytes_known: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


async def survey(records: AsyncIterable[ImageRecord], config: FetchConfig) -> Survey:
    """Count what a run with these records would do; no request is made and nothing is written.

    Raises:
        DiskRefused: the output folder cannot be read.
    """
    files = Files()
    shelf = Shelf(config.images_root, files)
    try:
        await shelf.open()
        return await _count(records, shelf, config.limit)
    finally:
        await files.aclose()


async def _count(records: AsyncIterable[ImageRecord], shelf: Shelf, limit: int | None) -> Survey:
    found = Survey()
    articles: set[str] = set()
    async for record in records:
        if limit is not None and found.images >= limit:
            break
        found.images += 1
        articles.add(record.pmcid)
        await shelf.look_into(record.folder)
        decision = shelf.decide(record)
        if isinstance(decision, Outcome):
            found.there += decision.status is Status.SKIPPED  # not one whose name leads out
        elif decision is Decision.CHECK:
            found.unchecked += 1
        else:
            found.to_fetch += 1
            if record.size is not None:
                found.sizes_known += 1
                found.bytes_known += record.size
    found.articles = len(articles)
    return found
