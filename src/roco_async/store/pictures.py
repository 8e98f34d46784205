"""Does it look like a whole picture? By its own beginning and end; pure.

Only where no digest is known do these marks decide. A page of HTML or XML is never a picture, whatever the digest.
"""

from __future__ import annotations

import re
from typing import Final

_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|body|title|\?xml|error|script|!--)", re.IGNORECASE)
_PAGE_UTF16 = re.compile(rb"\xff\xfe(?:\s\x00)*<\x00|\xfe\xff(?:\x00\s)*\x00<")
_TAIL: Final = 1024
HEAD: Final = 1024

_BEGINNINGS: Final[dict[str, tuple[bytes, ...]]] = {
    "jpg": (b"\xff\xd8",),
    "jpeg": (b"\xff\xd8",),
    "png": (b"\x89PNG\r\n\x1a\n",),
    "gif": (b"GIF87a", b"GIF89a"),
    "tif": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
    "tiff": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
    "bmp": (b"BM",),
    "webp": (b"RIFF",),
}
_KINDS: Final = tuple(sorted({mark for marks in _BEGINNINGS.values() for mark in marks}, key=len, reverse=True))


def is_page(head: bytes, name: str) -> bool:
    """Return whether the bytes begin like an HTML or XML page; an SVG may.

    Example:
        >>> is_page(b"<!DOCTYPE html><title>Log in</title>", "fig1.jpg")
        True
    """
    if name.lower().endswith(".svg"):
        return False
    return bool(_PAGE.match(head) or _PAGE_UTF16.match(head))


def fault(head: bytes, tail: bytes, size: int, name: str) -> str | None:
    """Return what is wrong with a picture of which no digest is known, None if nothing is.

    Args:
        head: its first bytes, at least 1,024 where it has them.
        tail: its last bytes, likewise.
        size: of the whole, in bytes.
        name: its file name; the suffix tells which beginnings are expected.

    Example:
        >>> fault(b"\\xff\\xd8\\xff", b"\\x00\\xff", 5, "fig1.jpg")
        'a JPEG without its end'
    """
    if not size:
        return "empty"
    suffix = name.rpartition(".")[2].lower()
    if suffix not in _BEGINNINGS:
        return None
    # a PNG named .jpg is a picture all the same, so every known beginning is accepted
    if not head.startswith(_KINDS):
        return f"no picture: it begins with {head[:8]!r}"
    return _end_fault(head, tail, size)


def _end_fault(head: bytes, tail: bytes, size: int) -> str | None:
    last = tail[-_TAIL:]
    if head.startswith(b"\xff\xd8"):
        # cameras and editors pad after the end mark, so it may stand a little before the last byte
        return None if b"\xff\xd9" in last else "a JPEG without its end"
    if head.startswith(b"\x89PNG"):
        return None if b"IEND\xae\x42\x60\x82" in last else "a PNG without its end"
    if head.startswith(b"GIF8"):
        return None if last.rstrip(b"\x00").endswith(b"\x3b") else "a GIF without its end"
    if head.startswith(b"RIFF"):
        return None if size >= int.from_bytes(head[4:8], "little") + 8 else "a WebP that is too short"
    if head.startswith(b"BM"):
        return None if size >= max(6, int.from_bytes(head[2:6], "little")) else "a BMP that is too short"
    return None
