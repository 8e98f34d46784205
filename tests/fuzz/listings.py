"""Oracle of a bucket's listing: the standard library's DOM builder reads the same page."""

from __future__ import annotations

import re
import warnings
from xml.dom import Node
from xml.dom.expatbuilder import parseString
from xml.dom.minidom import Document, Element
from xml.sax.saxutils import escape

from roco_async.errors import BadListing
from roco_async.sources.listing import Article, Entry, Page, parse_page

_NO_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_KEY = re.compile(r"(PMC[0-9]{1,12})\.([0-9]{1,9})/([^/]+)", re.DOTALL)


def listing(data: bytes) -> None:
    """Hold parse_page to the DOM of the same page, an article to its keys, and any keys to their way there and back."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            page = parse_page(data)
        except BadListing:
            page = None
    if page is not None:
        _hold_to_dom(page, data)
        _hold_to_keys(page.entries)
    keys = [key for key in _NO_XML.sub("", data.decode("utf-8", "replace")).split("\n") if key][:50]
    assert [entry.key for entry in parse_page(_written(keys)).entries] == keys


def _hold_to_dom(page: Page, data: bytes) -> None:
    document: Document = parseString(data, namespaces=False)
    assert document.doctype is None
    root = document.documentElement
    assert root is not None
    assert _local(root) == "ListBucketResult"
    entries: list[Entry] = []
    truncated = False
    token = None
    for child in _elements(root):
        match _local(child):
            case "Contents":
                entries.append(_entry(child))
            case "IsTruncated":
                truncated = _last_text(child).strip().lower() == "true"
            case "NextContinuationToken":
                token = _last_text(child)
    document.unlink()
    assert page == Page(entries, token if truncated else None)
    assert not truncated or token is not None


def _local(element: Element) -> str:
    return element.tagName.rpartition(":")[2]


def _elements(parent: Element) -> list[Element]:
    return [child for child in parent.childNodes if isinstance(child, Element)]


def _last_text(element: Element) -> str:
    """Return the text behind the last element within this one; comments do not interrupt it."""
    parts: list[str] = []
    for child in element.childNodes:
        if child.nodeType == Node.ELEMENT_NODE:
            parts.clear()
        elif child.nodeType in (Node.TEXT_NODE, Node.CDATA_SECTION_NODE):
            parts.append(str(child.nodeValue))
    return "".join(parts)


def _entry(contents: Element) -> Entry:
    fields = {_local(child): _last_text(child) for child in _elements(contents)}
    size, etag = fields.get("Size", "").strip(), fields.get("ETag", "").strip()
    md5 = etag.removeprefix('"').removesuffix('"').lower()
    known = size.isdecimal() and int(size[:19]) < 10**18 and len(size) < 19
    return Entry(
        key=fields["Key"],
        size=int(size) if known else None,
        md5=md5 if re.fullmatch("[0-9a-f]{32}", md5) and len(etag) in (32, 33, 34) else None,
    )


def _hold_to_keys(entries: list[Entry]) -> None:
    """Every media object is found under its article and name, the lowest version first, and nothing else is."""
    matches = [(match, entry) for entry in entries if (match := _KEY.fullmatch(entry.key))]
    for pmcid in {match[1] for match, _ in matches} | {"PMC1"}:
        article = Article(pmcid, entries)
        own = [match for match, _ in matches if match[1] == pmcid]
        assert article.known is bool(own)
        for name in {match[3] for match in own}:
            found = article.versions(name)
            numbers = [int(entry.key[len(pmcid) + 1 :].partition("/")[0]) for entry in found]
            assert numbers == sorted(numbers)
            assert all(entry.key.startswith(f"{pmcid}.") and entry.key.endswith(f"/{name}") for entry in found)
            assert len(found) in (0, sum(match[3] == name for match in own))
            assert article.pick(name) == (found[0] if found else None)
            assert article.has_media or not found


def _written(keys: list[str]) -> bytes:
    contents = "".join(f"<Contents><Key>{escape(key)}</Key></Contents>" for key in keys)
    return f"<ListBucketResult>{contents}</ListBucketResult>".encode()
