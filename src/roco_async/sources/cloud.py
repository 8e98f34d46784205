"""The PMC Cloud Service: guess version 1, and ask the listing once where the guess is wrong.

Of the bucket (design §1): images are `PMC<id>.<version>/<original file name>`; an article's listing has the prefix
`PMC<id>.`, dot included; a higher version is not a better one.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Final
from urllib.parse import quote

from ..errors import BadListing, NoMedia, NotFound, TransferError, Unsafe
from ..protocols import Transport
from ..records import ImageRecord, Job, Outcome
from ..store.files import Kept
from ..store.memory import MemoryReceiver
from ..transfer.budget import Budget
from ..transfer.loop import transfer
from .listing import Article, Entry, Page, parse_page
from .outcomes import outcome_of
from .single import Shelf, fetch_one, own_url

LARGEST_LISTING: Final = 8 << 20
MOST_PAGES: Final = 100
_REMEMBERED: Final = 4096
_PMCID = re.compile(r"PMC[0-9]{1,12}")
_NO_NAME = re.compile(r"[\x00-\x1f\x7f/\ud800-\udfff]")


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
        self._articles: OrderedDict[str, _Known] = OrderedDict()

    async def jobs(self, records: AsyncIterator[ImageRecord]) -> AsyncGenerator[Job, None]:
        async for record in records:
            yield Job(record.id, (record,))

    async def fetch(self, job: Job) -> Sequence[Outcome]:
        return [await self._fetch(record) for record in job.records]

    async def _fetch(self, record: ImageRecord) -> Outcome:
        budget = self._budget()
        asked = _Asked()
        path = ""
        result: Kept | TransferError
        try:
            path = self._shelf.path(record)
            result = await self._carry(record, budget, asked)
        except TransferError as error:
            result = error
        return outcome_of(record, result, path=path, source=self.name, url=asked.url, attempts=budget.tries)

    async def _carry(self, record: ImageRecord, budget: Budget, asked: _Asked) -> Kept:
        asked.url = own_url(record)
        if asked.url is not None:
            return await self._get(record, budget, asked)
        _check_names(record)
        known = self._articles.get(record.pmcid)
        if known is None or known.article is None:
            asked.url = f"{self._base}{record.pmcid}.1/{quote(record.name, safe='')}"
            try:
                return await self._get(record, budget, asked)
            except NotFound:
                pass
        article = await self._article(record.pmcid, budget)
        entry = article.pick(record.name)
        if entry is None:
            raise _absence(record, article)
        asked.url = self._base + quote(entry.key, safe="/")
        return await self._get(record, budget, asked, entry)

    async def _get(self, record: ImageRecord, budget: Budget, asked: _Asked, entry: Entry | None = None) -> Kept:
        assert asked.url is not None
        return await fetch_one(
            asked.url,
            record,
            shelf=self._shelf,
            transport=self._transport,
            budget=budget,
            md5=entry.md5 if entry else None,
            size=entry.size if entry else None,
        )

    def _known(self, pmcid: str) -> _Known:
        known = self._articles.get(pmcid)
        if known is None:
            known = self._articles[pmcid] = _Known()
            if len(self._articles) > _REMEMBERED:
                self._articles.popitem(last=False)
        return known

    async def _article(self, pmcid: str, budget: Budget) -> Article:
        """Return an article's listing; its images share one, whoever comes first asks."""
        known = self._known(pmcid)
        async with known.asking:
            if known.article is None:
                known.article = await self._list(pmcid, budget)
            return known.article

    async def _list(self, pmcid: str, budget: Budget) -> Article:
        entries: list[Entry] = []
        tokens: set[str] = set()
        url = first = f"{self._base}?list-type=2&prefix={pmcid}."
        room = LARGEST_LISTING
        for _ in range(MOST_PAGES):
            too_much = BadListing(f"the listing has over {LARGEST_LISTING} bytes", operation="GET", url=first)
            page = MemoryReceiver(room, too_much=too_much, read=parse_page)
            await self._get_page(url, page, budget)
            room -= page.taken
            parsed = page.value
            entries += parsed.entries
            token = parsed.next_token
            if token is None or token in tokens:
                return Article(pmcid, entries)
            tokens.add(token)
            url = f"{first}&continuation-token={quote(token, safe='')}"
        raise BadListing(f"the listing has over {MOST_PAGES} pages", operation="GET", url=first)


    async def _get_page(self, url: str, page: MemoryReceiver[Page], budget: Budget) -> None:
        while True:
            try:
                return await transfer(url, page, transport=self._transport, budget=budget)
            except NotFound as error:  # no bucket answers so: it proves nothing about the article
                no_listing = BadListing(f"no listing: {error.message}", operation="GET", url=url)
                no_listing.__cause__ = error
                await budget.spend(no_listing, gained=0)


class _Asked:
    """The URL that an image was asked for last."""

    __slots__ = ("url",)

    def __init__(self) -> None:
        self.url: str | None = None


class _Known:
    """What is known of an article: its listing, once somebody had to ask for it."""

    __slots__ = ("article", "asking")

    def __init__(self) -> None:
        self.article: Article | None = None
        self.asking = asyncio.Lock()


def _check_names(record: ImageRecord) -> None:
    if not _PMCID.fullmatch(record.pmcid):
        raise Unsafe(f"{record.pmcid!r} is no PMC id", operation="GET")
    if not record.name or record.name in (".", "..") or _NO_NAME.search(record.name):
        raise Unsafe(f"{record.name!r} is no plain file name", operation="GET")


def _absence(record: ImageRecord, article: Article) -> TransferError:
    if article.known and not article.has_media:
        return NoMedia(f"{record.pmcid} is there, without any media", operation="list")
    what = f"no version of {record.pmcid} has {record.name}" if article.known else f"no article {record.pmcid}"
    return NotFound(what, operation="list")
