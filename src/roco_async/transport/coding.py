"""Content-Encodings that nobody asked for: proxies put them on (RFC 9110 §8.4)."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

from ..errors import Broken, Damaged

_INFLATE_STEP: Final = 256 * 1024
_MAGIC: Final = b"\x1f\x8b"
"""How a member of a gzip begins; it may have several (RFC 1952 §2.2)."""


def is_gzip(url: str) -> bool:
    """Whether the object itself is a gzip, by its name: then a Content-Encoding mostly is a label on it."""
    return urlsplit(url).path.endswith((".gz", ".tgz"))


def is_gzip_twice(first: bytes) -> bool:
    """Whether these first bytes are a gzip of a gzip: a proxy has packed the object once more."""
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(first, 3) == b"\x1f\x8b\x08"
    except zlib.error:
        return False


async def after(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks, with one that was taken from them before them again."""
    if first:
        yield first
    async for chunk in chunks:
        yield chunk


async def decoded(chunks: AsyncIterator[bytes], coding: str, url: str) -> AsyncIterator[bytes]:
    """Undo a Content-Encoding that was not asked for, in bounded pieces."""
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise Damaged(f"Content-Encoding {coding} that nobody asked for", operation="GET", url=url)
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
    behind = b""
    try:
        async for chunk in chunks:
            rest = behind + chunk
            while True:
                if inflate.eof:
                    if not rest.startswith(_MAGIC):
                        behind = rest[: len(_MAGIC)]  # too few bytes to tell, or nothing that anybody wants
                        break
                    inflate, behind = zlib.decompressobj(zlib.MAX_WBITS | 32), b""
                piece = inflate.decompress(rest, _INFLATE_STEP)
                if piece:
                    yield piece
                rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
                if not rest and (inflate.eof or not piece):
                    break
    except zlib.error as error:
        raise Damaged(f"Content-Encoding {coding} does not decode: {error}", operation="GET", url=url) from error
    if not inflate.eof:
        raise Broken("the encoded body ends too early", operation="GET", url=url)
