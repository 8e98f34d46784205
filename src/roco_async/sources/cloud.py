"""The PMC Cloud Service: guess version 1, and ask the listing once where the guess is wrong.

Of the bucket (design §1): images are `PMC<id>.<version>/<original file name>`; an article's listing has the prefix
`PMC<id>.`, dot included; a higher version is not a better one.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from ..errors import BadListing, NoMedia, NotFound, TransferError, Unsafe
from ..protocols import Transport
from ..records import ImageRecord, Job, Outcome, Status
from ..store.image import ImageReceiver
from ..store.memory import MemoryReceiver
from ..transfer.budget import Budget
from ..transfer.loop import transfer
from .listing import Article, Entry, parse_page

LARGEST_LISTING: Final = 8 << 20
MOST_PAGES: Final = 100
_REMEMBERED: Final = 4096
_PMCID = re.compile(r"PMC[0-9]{1,12}")
_NO_NAME = re.compile(r"[\x00-\x1f\x7f/]")

_URL_SAFE: Final = "!$%&'()*+,/:;=?@[]~"
"""What stays as it is in a URL that a list gives (RFC 3986 §2.2); blanks and letters beyond ASCII are encoded."""

Receivers = Callable[..., ImageReceiver]


class CloudSource:
    """A Source over a bucket, or over the records' own URLs.

    Args:
        base: the bucket's URL, with a slash at its end.
        transport: where bytes come from.
        receiver: makes the receiver of a record; takes `md5` and `size` where a listing tells them.
        budget: makes the budget of an item.
    """

    name = "cloud"

    def __init__(self, base: str, *, transport: Transport, receiver: Receivers, budget: Callable[[], Budget]) -> None:
        self._base = base
        self._transport = transport
        self._receiver = receiver
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
        try:
            receiver = await self._carry(record, budget, asked)
        except TransferError as error:
            return Outcome(
                record=record,
                status=Status.FAILED,
                source=self.name,
                url=asked.url,
                attempts=budget.tries,
                reason=error.reason,
                error=str(error),
            )
        kept = receiver.kept
        assert kept is not None
        return Outcome(
            record=record,
            status=Status.FETCHED,
            path=Path(receiver.path),
            bytes=kept.size,
            md5=kept.md5,
            verified=kept.verified,
            source=self.name,
            url=asked.url,
            attempts=budget.tries,
        )

    async def _carry(self, record: ImageRecord, budget: Budget, asked: _Asked) -> ImageReceiver:
        if record.url is not None:
            if urlsplit(record.url).scheme not in ("http", "https"):
                raise Unsafe(f"{record.url!r} is no http or https URL", operation="GET")
            return await self._get(quote(record.url.partition("#")[0], safe=_URL_SAFE), record, budget, asked)
        _check_names(record)
        known = self._articles.get(record.pmcid)
        if known is None or known.article is None:
            try:
                guess = f"{self._base}{record.pmcid}.1/{quote(record.name, safe='')}"
                return await self._get(guess, record, budget, asked)
            except NotFound:
                pass
        article = await self._article(record.pmcid, budget)
        entry = article.pick(record.name)
        if entry is None:
            raise _absence(record, article)
        return await self._get(self._base + quote(entry.key, safe="/"), record, budget, asked, entry)

    async def _get(
        self, url: str, record: ImageRecord, budget: Budget, asked: _Asked, entry: Entry | None = None
    ) -> ImageReceiver:
        asked.url = url
        md5 = record.md5 or (entry.md5 if entry else None)
        size = record.size if record.size is not None else (entry.size if entry else None)
        receiver = self._receiver(record, md5=md5, size=size)
        try:
            await transfer(url, receiver, transport=self._transport, budget=budget)
        except BaseException:
            await receiver.discard()
            raise
        return receiver

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
            try:
                await transfer(url, page, transport=self._transport, budget=budget)
            except NotFound as error:
                raise BadListing(f"no listing: {error.message}", operation="GET", url=url) from error
            room -= page.taken
            parsed = page.value
            entries += parsed.entries
            token = parsed.next_token
            if token is None or token in tokens:
                return Article(pmcid, entries)
            tokens.add(token)
            url = f"{first}&continuation-token={quote(token, safe='')}"
        raise BadListing(f"the listing has over {MOST_PAGES} pages", operation="GET", url=first)


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
