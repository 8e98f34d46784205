"""One image from one URL: what both sources do with a record that names its own, and the bucket with every image."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote, urlsplit

from ..errors import Unsafe, redacted
from ..protocols import Transport
from ..records import ImageRecord
from ..store.files import Kept
from ..store.image import ImageReceiver
from ..transfer.budget import Budget
from ..transfer.loop import transfer

_URL_SAFE: Final = "!$%&'()*+,/:;=?@[]~"
"""What stays as it is in a URL that a list gives (RFC 3986 §2.2); blanks and letters beyond ASCII are encoded."""

_AROUND: Final = "".join(map(chr, range(0x21)))
"""What may stand round a URL without being of it (WHATWG URL §4.4, RFC 3986 appendix C)."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Shelf(Protocol):
    """Where images go."""

    def path(self, record: ImageRecord) -> Path:
        """The final name. Raises `Unsafe`."""

    def receiver(self, path: Path, name: str, *, md5: str | None, size: int | None) -> ImageReceiver: ...


def own_url(record: ImageRecord) -> str | None:
    """Return the record's own URL, fit to be sent; None if it has none.

    Raises:
        Unsafe: it is no http or https URL, or has a control character in it.

    Example:
        >>> own_url(ImageRecord("a", "", "fig 1.jpg", url="https://example.org/fig 1.jpg#top"))
        'https://example.org/fig%201.jpg'
    """
    if record.url is None:
        return None
    url = record.url.strip(_AROUND).partition("#")[0]
    try:
        # urlsplit leaves a tab or a line break out, as browsers do, so that "ht\ntp://" has a scheme; curl refuses both
        if not _CONTROL.search(url) and (parts := urlsplit(url)).scheme in ("http", "https"):
            user, at, place = parts.netloc.rpartition("@")
            if place.isascii():
                return quote(url, safe=_URL_SAFE)
            place.encode()
            before, _, after = url.partition(parts.netloc)
            return before + quote(user, safe=_URL_SAFE) + at + place + quote(after, safe=_URL_SAFE)
    except ValueError:
        pass  # a broken IPv6 address, half a surrogate pair
    raise Unsafe(f"{redacted(record.url)!r} is no http or https URL", operation="GET")


async def fetch_one(
    url: str,
    record: ImageRecord,
    path: Path,
    *,
    shelf: Shelf,
    transport: Transport,
    budget: Budget,
    md5: str | None = None,
    size: int | None = None,
) -> Kept:
    """Carry one image to disk, to `path`; what the record says of md5 and size goes before what a listing says.

    Raises:
        TransferError: the last one.
        DiskRefused: the disk takes no more.
    """
    size = record.size if record.size is not None else size
    receiver = shelf.receiver(path, record.name, md5=record.md5 or md5, size=size)
    try:
        await transfer(url, receiver, transport=transport, budget=budget)
    except BaseException:
        await receiver.discard()
        raise
    assert receiver.kept is not None
    return receiver.kept
