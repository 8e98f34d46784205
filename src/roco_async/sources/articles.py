"""The listings of a bucket's articles: each is asked for once, whoever comes first asks; the latest are remembered."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from typing import Final
from urllib.parse import quote

from ..errors import BadListing, NotFound, Unsafe
from ..protocols import Transport
from ..store.memory import MemoryReceiver
from ..transfer.budget import Budget
from ..transfer.loop import transfer
from .listing import Article, Entry, Page, parse_page

LARGEST_LISTING: Final = 8 << 20
MOST_PAGES: Final = 100
_REMEMBERED: Final = 4096
_PMCID = re.compile(r"PMC[0-9]{1,12}")


class Articles:
    """What a bucket has of each article.

    Args:
        base: the bucket's URL, with a slash at its end.
        transport: where bytes come from.

    Example:
        >>> async def versions(articles, budget):
        ...     return (await articles.article("PMC4608653", budget)).versions("cro-0008-0385-g01.jpg")
    """

    def __init__(self, base: str, *, transport: Transport) -> None:
        self._base = base
        self._transport = transport
        self._articles: OrderedDict[str, _Known] = OrderedDict()

    def is_known(self, pmcid: str) -> bool:
        """Tell whether an article's listing is remembered."""
        known = self._articles.get(pmcid)
        return known is not None and known.article is not None

    async def article(self, pmcid: str, budget: Budget) -> Article:
        """Return an article's listing.

        Raises:
            Unsafe: this is no PMC id.
            TransferError: the last one, when the budget is spent.
        """
        check_pmcid(pmcid)
        known = self._known(pmcid)
        async with known.asking:
            if known.article is None:
                known.article = await self._list(pmcid, budget)
            return known.article

    def _known(self, pmcid: str) -> _Known:
        known = self._articles.get(pmcid)
        if known is None:
            known = self._articles[pmcid] = _Known()
            if len(self._articles) > _REMEMBERED:
                self._articles.popitem(last=False)
        return known

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


class _Known:
    """What is known of an article: its listing, once somebody had to ask for it."""

    __slots__ = ("article", "asking")

    def __init__(self) -> None:
        self.article: Article | None = None
        self.asking = asyncio.Lock()


def check_pmcid(pmcid: str) -> None:
    """Accept the id of an article.

    Raises:
        Unsafe: it is none.
    """
    if not _PMCID.fullmatch(pmcid):
        raise Unsafe(f"{pmcid!r} is no PMC id", operation="GET")
