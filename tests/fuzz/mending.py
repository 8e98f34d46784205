"""Make what a mutation broke whole again: checksums and trailers, so that more than the first check is reached."""

from __future__ import annotations

import gzip
import random
import re
import zlib
from collections.abc import Callable

Edit = Callable[[bytes], bytes]

_BLOCK = 512
_SUM = slice(148, 156)
_LARGEST_PACKAGE = 1 << 18


def untouched(data: bytes, _: random.Random) -> bytes:
    return data


def tar(data: bytes, chance: random.Random) -> bytes:
    """Write the right sum into most headers. Where a header lies is told by the sizes of those before it."""
    mended = bytearray(data)
    start = 0
    while start + _BLOCK <= len(mended) and any(mended[start : start + _BLOCK]):
        if chance.random() < 0.95:
            mended[start : start + _BLOCK] = _summed(mended[start : start + _BLOCK])
        digits = re.match(rb" *([0-7]{1,11})", mended[start + 124 : start + 136])
        size = int(digits[1], 8) if digits and mended[start + 156] not in b"123456" else 0
        start += _BLOCK + size + -size % _BLOCK
    return bytes(mended)


def _summed(block: bytearray) -> bytearray:
    block[_SUM] = b" " * 8
    block[_SUM] = b"%06o\0 " % sum(block)
    return block


def gzip_members(data: bytes, chance: random.Random) -> bytes:
    """Write the right CRC and length behind the deflate data of each member that has an end (RFC 1952 §2.3)."""
    mended = bytearray()
    rest = data
    while (length := _header_length(rest)) is not None and chance.random() < 0.95:
        inflate = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        try:
            out = inflate.decompress(rest[length:], 1 << 22)
        except zlib.error:
            break
        if not inflate.eof:
            break
        end = len(rest) - len(inflate.unused_data)
        trailer = zlib.crc32(out).to_bytes(4, "little") + (len(out) & 0xFFFFFFFF).to_bytes(4, "little")
        mended += _header(rest[:length]) + rest[length:end] + trailer
        rest = rest[end + len(trailer) :]
    return bytes(mended) + rest


_FIELDS = re.compile(rb"[^\0]*\0", re.DOTALL)


def _header_length(data: bytes) -> int | None:
    if data[:3] != b"\x1f\x8b\x08" or len(data) < 18:
        return None
    flags, length = data[3], 10
    if flags & 4:
        length += 2 + int.from_bytes(data[10:12], "little")
    for flag in (8, 16):
        if flags & flag:
            text = _FIELDS.match(data, length)
            if text is None:
                return None
            length = text.end()
    return length + (2 if flags & 2 else 0)


def _header(head: bytes) -> bytes:
    if not head[3] & 2:
        return head
    return head[:-2] + (zlib.crc32(head[:-2]) & 0xFFFF).to_bytes(2, "little")


def package(edit: Edit, data: bytes, chance: random.Random) -> bytes:
    """Edit what is in a tar.gz, and pack it again; or edit the gzip itself."""
    plain = _unpacked(data)
    if plain is None or chance.random() < 0.2:
        return gzip_members(edit(data), chance)
    return gzip.compress(tar(edit(plain), chance), 6, mtime=0)


def _unpacked(data: bytes) -> bytes | None:
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        plain = inflate.decompress(data, _LARGEST_PACKAGE)
    except zlib.error:
        return None
    return plain or None
