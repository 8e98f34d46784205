"""A bucket's listing of one article → which version has the wanted image. Pure (S3 API, ListObjectsV2)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from ..errors import BadListing

_MD5_ETAG = re.compile(r'"?([0-9a-fA-F]{32})"?')
_DOCUMENTS: Final = (".xml", ".nxml", ".txt", ".pdf", ".json")
"""Suffixes of an article's own text; what else it has are media."""

_CODINGS: Final = ("UTF-8", "UTF-16", "US-ASCII", "ISO-8859-1")
"""What expat reads by itself. For any other it would have Python look for a codec by the name that the server gave."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a listing: `md5` is None where the ETag is opaque, `size` is in bytes."""

    key: str
    size: int | None
    md5: str | None


@dataclass(slots=True)
class Page:
    """One page: its objects, and the token of the next, None on the last."""

    entries: list[Entry] = field(default_factory=list)
    next_token: str | None = None


def parse_page(content: bytes) -> Page:
    """Read one ListBucketResult; element names count without their namespace, as look-alikes have others.

    Raises:
        BadListing: it is something else, broken, in an odd coding, or has a DOCTYPE.

    Example:
        >>> parse_page(b"<ListBucketResult><Contents><Key>PMC1.1/a.jpg</Key></Contents></ListBucketResult>").entries
        [Entry(key='PMC1.1/a.jpg', size=None, md5=None)]
    """
    reader = _Reader()
    try:
        reader.parser.Parse(content, True)
    except expat.ExpatError as error:
        raise BadListing(f"the listing is no XML: {error}", operation="list") from error
    return reader.page


class _Reader:
    def __init__(self) -> None:
        self.page = Page()
        self._path: list[str] = []
        self._text: list[str] = []
        self._fields: dict[str, str] = {}
        self._truncated = False
        self._token: str | None = None
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text.append
        self.parser.XmlDeclHandler = self._declaration
        self.parser.StartDoctypeDeclHandler = self._doctype

    def _declaration(self, _: str, coding: str | None, __: int) -> None:
        if coding is not None and coding.upper() not in _CODINGS:
            raise BadListing(f"the listing is in {coding}", operation="list")

    def _doctype(self, *_: object) -> None:
        raise BadListing("the listing has a DOCTYPE", operation="list")

    def _start(self, name: str, _: object) -> None:
        local = name.rpartition(":")[2]
        if not self._path and local != "ListBucketResult":
            raise BadListing(f"a <{local}>, not a ListBucketResult", operation="list")
        self._path.append(local)
        self._text.clear()

    def _end(self, _: str) -> None:
        local = self._path.pop()
        text = "".join(self._text)
        self._text.clear()
        match self._path:
            case ["ListBucketResult", "Contents"]:
                self._fields[local] = text
            case ["ListBucketResult"] if local == "Contents":
                self._add()
            case ["ListBucketResult"] if local == "IsTruncated":
                self._truncated = text.strip().lower() == "true"
            case ["ListBucketResult"] if local == "NextContinuationToken":
                self._token = text
            case []:
                if self._truncated and self._token is None:
                    raise BadListing("the listing is truncated and names no next page", operation="list")
                self.page.next_token = self._token if self._truncated else None
            case _:
                pass

    def _add(self) -> None:
        fields, self._fields = self._fields, {}
        key = fields.get("Key")
        if not key:
            raise BadListing("an object without a Key", operation="list")
        size = fields.get("Size", "").strip()
        md5 = _MD5_ETAG.fullmatch(fields.get("ETag", "").strip())
        known = int(size) if size.isdecimal() and len(size) < 19 else None
        self.page.entries.append(Entry(key, known, md5[1].lower() if md5 else None))


class Article:
    """All versions of one article: name → where it is. Only media are kept.

    Args:
        pmcid: `PMC4608653`.
        entries: the listing's objects, of all pages.

    Example:
        >>> article = Article("PMC1", [Entry("PMC1.10/a.jpg", 3, None), Entry("PMC1.9/a.jpg", 3, None)])
        >>> article.pick("a.jpg").key
        'PMC1.9/a.jpg'
    """

    def __init__(self, pmcid: str, entries: list[Entry]) -> None:
        key = re.compile(re.escape(pmcid) + r"\.([0-9]{1,9})/([^/]+)")
        self.known = False
        self._media: dict[str, list[tuple[int, Entry]]] = {}
        for entry in entries:
            match = key.fullmatch(entry.key)
            self.known = self.known or match is not None
            if match and not match[2].lower().endswith(_DOCUMENTS):
                self._media.setdefault(match[2], []).append((int(match[1]), entry))

    @property
    def has_media(self) -> bool:
        return bool(self._media)

    def pick(self, name: str) -> Entry | None:
        """The object with this very name, of the lowest version that has it; None if no version does."""
        found = self.versions(name)
        return found[0] if found else None

    def versions(self, name: str) -> list[Entry]:
        """All objects with this very name, the lowest version first."""
        return [entry for _, entry in sorted(self._media.get(name, ()), key=lambda versioned: versioned[0])]
