"""The PMC Cloud Service: guess version 1, and ask the listing once where the guess is wrong.

Of the bucket (design §1): images are `PMC<id>.<version>/<original file name>`; an article's listing has the prefix
`PMC<id>.`, dot included; a higher version is not a better one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from ..errors import NoMedia, NotFound, TransferError
from ..protocols import Transport
from ..records import ImageRecord, Job, Outcome
from ..store.files import Kept
from ..transfer.budget import Budget
from .articles import Articles, check_pmcid
from .listing import Article, Entry
from .outcomes import outcome_of
from .single import Shelf, fetch_one, own_url


class CloudSource:
    """A Source over a bucket, or over the records' own URLs.

    Args:
        base: the bucket's URL, with a slash at its end.
        transport: where bytes come from.
        shelf: where images go.
        budget: makes the budget of an item.
    """

    name = "cloud"

    def __init__(self, base: str, *, transport: Transport, shelf: Shelf, budget: Callable[[], Budget]) -> None:
        self._base = base
        self._transport = transport
        self._shelf = shelf
        self._budget = budget
        self._articles = Articles(base, transport=transport)

    async def jobs(self, records: AsyncIterator[ImageRecord]) -> AsyncGenerator[Job, None]:
        async for record in records:
            yield Job(record.id, (record,))

    async def fetch(self, job: Job) -> Sequence[Outcome]:
        return [await self._fetch(record) for record in job.records]

    async def _fetch(self, record: ImageRecord) -> Outcome:
        budget = self._budget()
        asked = _Asked()
        path: Path | None = None
        result: Kept | TransferError
        try:
            path = self._shelf.path(record)
            result = await self._carry(record, path, budget, asked)
        except TransferError as error:
            result = error
        return outcome_of(record, result, path=path, source=self.name, url=asked.url, attempts=budget.tries)

    async def _carry(self, record: ImageRecord, path: Path, budget: Budget, asked: _Asked) -> Kept:
        asked.url = own_url(record)
        if asked.url is not None:
            return await self._get(record, path, budget, asked)
        check_pmcid(record.pmcid)
        if not self._articles.is_known(record.pmcid):
            asked.url = f"{self._base}{record.pmcid}.1/{quote(record.name, safe='')}"
            try:
                return await self._get(record, path, budget, asked)
            except NotFound:
                pass
        article = await self._articles.article(record.pmcid, budget)
        entry = article.pick(record.name)
        if entry is None:
            raise _absence(record, article)
        asked.url = self._base + quote(entry.key, safe="/")
        return await self._get(record, path, budget, asked, entry)

    async def _get(
        self, record: ImageRecord, path: Path, budget: Budget, asked: _Asked, entry: Entry | None = None
    ) -> Kept:
        assert asked.url is not None
        return await fetch_one(
            asked.url,
            record,
            path,
            shelf=self._shelf,
            transport=self._transport,
            budget=budget,
            md5=entry.md5 if entry else None,
            size=entry.size if entry else None,
        )


class _Asked:
    """The URL that an image was asked for last."""

    __slots__ = ("url",)

    def __init__(self) -> None:
        self.url: str | None = None


def _absence(record: ImageRecord, article: Article) -> TransferError:
    if article.known and not article.has_media:
        return NoMedia(f"{record.pmcid} is there, without any media", operation="list")
    what = f"no version of {record.pmcid} has {record.name}" if article.known else f"no article {record.pmcid}"
    return NotFound(what, operation="list")
