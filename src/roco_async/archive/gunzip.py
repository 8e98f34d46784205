"""Decode gzip as it comes (RFC 1952): any cut, several members, blocked gzip, bounded memory.

Theory of operation: a member is a header, deflate data and a trailer; each is a stage that takes what it can of the
input and waits for more. The deflate stage is raw (`wbits=-15`) and the frame is read here, so that each fault gets its
name and its offset; zlib's own gzip mode would cost the same and say less.

Rules for editing this file:

1. No stage looks back: what it needs of earlier input, it holds: ten bytes at most.
2. Nothing comes out in pieces of more than `PIECE` bytes, and the next is decoded only when it is asked for.
3. A cap is checked before the piece that breaks it goes out.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from enum import Enum

from .faults import BadDeflate, BadMagic, CrcMismatch, OutputTooLarge, SizeMismatch, TrailingGarbage, Truncated
from .gzip_header import GzipHeader

PIECE = 512 * 1024

# Each call of zlib lets go of the interpreter's lock and takes it again, which costs more than the call's own overhead
# where threads are many: so windows are large. But zlib copies what it could not take of its input, once a piece, so
# they have a bound whatever is fed; and the first window of a member is small, since a stream of empty members would
# have zlib copy the rest for each.
_WINDOW = 256 * 1024
_FIRST_WINDOW = 4 * 1024

_TRAILER_LENGTH = 8


class _Stage(Enum):
    HEADER = "gzip header"
    DATA = "deflate data"
    TRAILER = "gzip trailer"
    BETWEEN_MEMBERS = "zero padding"


class Gunzip:
    """Decode a gzip stream that is fed in chunks of any size.

    Members back to back come out as one stream (RFC 1952 §2.2); zeros after a member are padding. The caps end a
    decompression bomb while memory holds one piece of it.

    Args:
        max_output: the most decoded bytes.
        max_ratio: the most decoded bytes for each coded byte, once `ratio_from` bytes are out.
        ratio_from: decoded bytes below which any ratio is accepted: a small file of one colour is no bomb.
        max_header: the most bytes of one member's header; its name and comment have no length of their own.

    Attributes:
        consumed: coded bytes decoded so far.
        produced: decoded bytes given out so far.

    Example:
        >>> import gzip
        >>> gunzip = Gunzip()
        >>> b"".join(gunzip.feed(gzip.compress(b"one") + gzip.compress(b" two")))
        b'one two'
        >>> gunzip.finish()
        >>> gunzip.checked
        True
    """

    def __init__(
        self,
        *,
        max_output: int = 4 << 30,
        max_ratio: int = 200,
        ratio_from: int = 64 << 20,
        max_header: int = 1 << 20,
    ) -> None:
        self.consumed = 0
        self.produced = 0
        self._max_output = max_output
        self._max_ratio = max_ratio
        self._ratio_from = ratio_from
        self._max_header = max_header
        self._feeding = False
        self._stage = _Stage.HEADER
        self._header = GzipHeader(0, max_header, BadMagic)
        self._deflate = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        self._window = _FIRST_WINDOW
        self._crc = 0
        self._length = 0
        self._trailer = bytearray()

    @property
    def checked(self) -> bool:
        """Whether all that came out so far was compared with a CRC-32 and a length: true between members only."""
        return self._stage is _Stage.BETWEEN_MEMBERS

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[bytes]:
        """Decode lazily, in pieces of at most 512 KiB.

        Take all pieces before the next `feed`. Whoever wants no more may leave the loop at any piece; the decoder is
        then of no further use.

        Args:
            data: the next bytes of the stream; must not change while the pieces are taken.

        Returns:
            the pieces, none of them empty. A fault is raised out of the iteration, after the good pieces before it.

        Raises:
            ArchiveFault: the stream is damaged or over a cap; `faults.py` has the names.
            RuntimeError: the pieces of the last `feed` were not all taken.
        """
        if self._feeding:
            raise RuntimeError("the pieces of the last feed were not all taken")
        self._feeding = True
        return self._pieces(memoryview(data))

    def finish(self) -> None:
        """Say that the stream is over.

        Raises:
            Truncated: it ended within a member, or before the first.
            RuntimeError: the pieces of the last `feed` were not all taken.
        """
        if self._feeding:
            raise RuntimeError("the pieces of the last feed were not all taken")
        if not self.checked:
            expected = f"the rest of the {self._stage.value}"
            raise Truncated("gzip", self.consumed, expected=expected, found="nothing more")

    def _pieces(self, data: memoryview) -> Iterator[bytes]:
        taken = 0
        while taken < len(data):
            match self._stage:
                case _Stage.DATA:
                    window = data[taken : taken + self._window]
                    yield from self._inflate(window)
                    count = len(window) - len(self._deflate.unused_data)
                case _Stage.HEADER:
                    count = self._take_header(data[taken:])
                case _Stage.TRAILER:
                    count = self._take_trailer(data[taken:])
                case _Stage.BETWEEN_MEMBERS:
                    count = self._skip_zeros(data[taken : taken + _WINDOW])
            taken += count
            self.consumed += count
        self._feeding = False

    def _inflate(self, window: memoryview) -> Iterator[bytes]:
        self._window = min(8 * self._window, _WINDOW)
        rest: memoryview | bytes = window
        full = True
        while full and not self._deflate.eof:
            # An empty rest is passed on too: a full piece may have left bytes inside zlib.
            try:
                piece = self._deflate.decompress(rest, PIECE)
            except zlib.error as error:
                raise BadDeflate(
                    "gzip",
                    self.consumed + len(window) - len(rest),
                    expected="a deflate stream (RFC 1951)",
                    found=str(error),
                ) from error
            rest = self._deflate.unconsumed_tail
            full = len(piece) == PIECE
            if piece:
                self._count(piece, self.consumed + len(window) - len(rest))
                yield piece
                # The consumer's to keep: held here, it would stand beside the next one.
                del piece
        if self._deflate.eof:
            self._stage = _Stage.TRAILER

    def _count(self, piece: bytes, consumed: int) -> None:
        self._crc = zlib.crc32(piece, self._crc)
        self._length += len(piece)
        self.produced += len(piece)
        if self.produced > self._max_output:
            raise OutputTooLarge(
                "gzip", consumed, expected=f"at most {self._max_output} bytes", found=f"{self.produced} and more"
            )
        if self.produced > self._ratio_from and self.produced > self._max_ratio * consumed:
            raise OutputTooLarge(
                "gzip",
                consumed,
                expected=f"at most {self._max_ratio} times its input",
                found=f"{self.produced} bytes out of {consumed}",
            )

    def _take_header(self, data: memoryview) -> int:
        count = self._header.feed(data)
        if self._header.complete:
            self._stage = _Stage.DATA
            self._deflate = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
            self._window = _FIRST_WINDOW
            self._crc = self._length = 0
        return count

    def _take_trailer(self, data: memoryview) -> int:
        part = data[: _TRAILER_LENGTH - len(self._trailer)]
        self._trailer += part
        if len(self._trailer) == _TRAILER_LENGTH:
            offset = self.consumed + len(part) - _TRAILER_LENGTH
            stated = int.from_bytes(self._trailer[:4], "little")
            if stated != self._crc:
                raise CrcMismatch("gzip", offset, expected=f"{stated:#010x} as stated", found=f"{self._crc:#010x}")
            stated = int.from_bytes(self._trailer[4:], "little")
            if stated != self._length & 0xFFFFFFFF:
                raise SizeMismatch("gzip", offset + 4, expected=f"{stated} as stated", found=str(self._length))
            self._trailer.clear()
            self._stage = _Stage.BETWEEN_MEMBERS
        return len(part)

    def _skip_zeros(self, data: memoryview) -> int:
        zeros = len(data) - len(bytes(data).lstrip(b"\0"))
        if zeros < len(data):
            self._header = GzipHeader(self.consumed + zeros, self._max_header, TrailingGarbage)
            self._stage = _Stage.HEADER
        return zeros
