"""The header of a gzip member (RFC 1952 §2.3), read as it comes."""

from __future__ import annotations

import zlib

from .faults import ArchiveFault, BadFlags, BadMethod, HeaderCrcMismatch, HeaderTooLarge

_MAGIC = b"\x1f\x8b"
_DEFLATE = 8
_FIXED_LENGTH = 10

# A name is looked at in copies of this size, since a memoryview cannot search.
_STEP = 4096


# RFC 1952 §2.3.1, FLG; FTEXT (1) changes nothing.
_FHCRC = 2
_FEXTRA = 4
_FNAME = 8
_FCOMMENT = 16
_RESERVED = 0xE0

# In this order the fields stand in a header.
_FIELDS = (_FEXTRA, _FNAME, _FCOMMENT, _FHCRC)


class GzipHeader:
    """One member's header (RFC 1952 §2.3): its fields are checked and skipped, none is kept.

    Args:
        offset: of its first byte in the stream.
        cap: the most bytes it may have.
        bad_start: the fault to raise where the magic number is not there.
    """

    def __init__(self, offset: int, cap: int, bad_start: type[ArchiveFault]) -> None:
        self.complete = False
        self._start = offset
        self._offset = offset
        self._cap = cap
        self._bad_start = bad_start
        self._held = bytearray()
        self._crc = 0
        self._flags = 0
        self._field: int | None = None
        self._extra_left: int | None = None

    def feed(self, data: memoryview) -> int:
        """Take what belongs to the header and return how many bytes that was."""
        taken = 0
        while taken < len(data) and not self.complete:
            rest = data[taken : taken + _STEP]
            if self._field is None:
                count = self._fixed(rest)
            elif self._field == _FEXTRA:
                count = self._extra(rest)
            elif self._field == _FHCRC:
                count = self._header_crc(rest)
            else:
                count = self._text(rest)
            taken += count
            self._offset += count
            if self._offset - self._start > self._cap:
                raise HeaderTooLarge("gzip", self._start, expected=f"at most {self._cap} bytes", found="more")
        return taken

    def _hold(self, data: memoryview, length: int) -> int:
        part = data[: length - len(self._held)]
        self._held += part
        return len(part)

    def _fixed(self, data: memoryview) -> int:
        count = self._hold(data, _FIXED_LENGTH)
        held = self._held
        if not held.startswith(_MAGIC[: len(held)]):
            raise self._bad_start("gzip", self._start, expected=_MAGIC.hex(" "), found=held[:2].hex(" "))
        if len(held) == _FIXED_LENGTH:
            if held[2] != _DEFLATE:
                raise BadMethod("gzip", self._start + 2, expected=f"{_DEFLATE} (deflate)", found=str(held[2]))
            self._flags = held[3]
            if self._flags & _RESERVED:
                raise BadFlags("gzip", self._start + 3, expected="no reserved bit", found=f"{held[3]:#04x}")
            self._crc = zlib.crc32(held)
            self._next_field()
        return count

    def _next_field(self) -> None:
        self._held.clear()
        self._field = next((field for field in _FIELDS if field & self._flags), None)
        if self._field is None:
            self.complete = True
        else:
            self._flags &= ~self._field

    def _extra(self, data: memoryview) -> int:
        if self._extra_left is None:
            count = self._hold(data, 2)
            if len(self._held) == 2:
                self._extra_left = int.from_bytes(self._held, "little")
        else:
            count = min(len(data), self._extra_left)
            self._extra_left -= count
        self._crc = zlib.crc32(data[:count], self._crc)
        if self._extra_left == 0:
            self._next_field()
        return count

    def _text(self, data: memoryview) -> int:
        part = bytes(data)
        end = part.find(b"\0")
        if end >= 0:
            part = part[: end + 1]
            self._next_field()
        self._crc = zlib.crc32(part, self._crc)
        return len(part)

    def _header_crc(self, data: memoryview) -> int:
        count = self._hold(data, 2)
        if len(self._held) == 2:
            stated, found = int.from_bytes(self._held, "little"), self._crc & 0xFFFF
            if stated != found:
                offset = self._offset + count - 2
                raise HeaderCrcMismatch("gzip", offset, expected=f"{stated:#06x} as stated", found=f"{found:#06x}")
            self._next_field()
        return count
