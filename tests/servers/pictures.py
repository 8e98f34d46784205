"""The smallest pictures that are whole, byte by byte and without Pillow, for tests that need no real one."""

from __future__ import annotations

import struct
import zlib
from typing import Final

_JPEG_HEADER: Final = b"\xff\xd8" + b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_JPEG_REST: Final = (
    b"\xff\xdb\x00\x43\x00"
    + b"\x01" * 64  # quantisation: every step is 1
    + b"\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00"  # one by one pixel, one component
    + b"\xff\xc4\x00\x14\x00\x01"
    + b"\x00" * 16  # DC codes: one code of one bit, for "no difference"
    + b"\xff\xc4\x00\x14\x10\x01"
    + b"\x00" * 16  # AC codes: one code of one bit, for "end of block"
    + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
    + b"\x3f"  # the two codes, 0 and 0, padded with ones
    + b"\xff\xd9"
)


def commented(jpeg: bytes, comment: bytes) -> bytes:
    """Return the JPEG with a comment segment after its JFIF header: another file, the same picture.

    Raises:
        ValueError: it does not begin with SOI and APP0.
    """
    if jpeg[:4] != b"\xff\xd8\xff\xe0":
        raise ValueError("not a JFIF file")
    place = 4 + int.from_bytes(jpeg[4:6], "big")
    return jpeg[:place] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + jpeg[place:]


def tiny_jpeg(comment: bytes = b"") -> bytes:
    """Return a grey JPEG of one pixel; another comment makes it another file."""
    whole = _JPEG_HEADER + _JPEG_REST
    return commented(whole, comment) if comment else whole


def tiny_png() -> bytes:
    """Return a black PNG of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\x00\x00")) + chunk(b"IEND", b"")
    )


def tiny_gif() -> bytes:
    """Return a black GIF of one pixel."""
    screen = struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\x00\x00\x00\xff\xff\xff"
    return b"GIF89a" + screen + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00" + b"\x3b"


def tiny_tiff() -> bytes:
    """Return a black TIFF of one pixel, little-endian."""
    width, height, bits, compression, photometric, offset, rows, count = 256, 257, 258, 259, 262, 273, 278, 279
    tags = [(width, 1), (height, 1), (bits, 8), (compression, 1), (photometric, 1), (offset, 8), (rows, 1), (count, 1)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\x00" + struct.pack("<I", 10) + b"\x00\x00" + struct.pack("<H", len(tags)) + entries + b"\x00" * 4


def tiny_webp() -> bytes:
    """Return a black WebP (lossless) of one pixel."""
    bits = b"\x2f\x00\x00\x00\x00\x07\x10\x11\x11\x88\x88\xfe\x07\x00"
    chunk = b"VP8L" + struct.pack("<I", len(bits)) + bits
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk
