"""What can be wrong with an archive, each fault by its own name.

    ArchiveFault (TransferError)
    ├─ and Damaged, temporary: the bytes are not what the writer wrote
    │  ├─ BadMagic              the stream does not begin as gzip
    │  ├─ BadMethod             gzip, and not deflate
    │  ├─ BadFlags              reserved bits of the gzip header are set
    │  ├─ HeaderCrcMismatch     the gzip header's own CRC
    │  ├─ BadDeflate            no deflate data
    │  ├─ CrcMismatch           the data's CRC-32
    │  ├─ SizeMismatch          the data's length
    │  ├─ TrailingGarbage       neither zeros nor a further member after a member
    │  ├─ Truncated             the stream ended too early
    │  ├─ BadHeaderChecksum     a tar header whose sum is wrong
    │  ├─ BadSize               a size that is no number, or no possible one
    │  ├─ BadPaxHeader          a pax record that breaks the form
    │  └─ DanglingHeader        an extended header that no member follows
    └─ and TooLarge, permanent: over a cap
       ├─ HeaderTooLarge        an extended header, or a gzip header
       ├─ OutputTooLarge        a decompression bomb, or a package beyond measure
       └─ TooManyMembers        more headers than any article has

Each tells where it lies and what should stand there, since a damaged archive is only mended by whoever can find it.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from ..errors import Damaged, TooLarge, TransferError

Layer = Literal["gzip", "tar"]


class ArchiveFault(TransferError):
    """A fault of the archive itself.

    Args:
        layer: which stream `offset` counts in: the coded one (`gzip`) or the decoded one (`tar`).
        offset: bytes from the beginning of that stream to what is wrong.
        expected: what should stand there, in words.
        found: what stands there, in words.

    Example:
        >>> str(BadMagic("gzip", 0, expected="1f 8b", found="3c 68"))
        'gunzip: beginning of the stream: expected 1f 8b, found 3c 68 (byte 0 of the gzip stream)'
    """

    what: ClassVar[str]

    def __init__(self, layer: Layer, offset: int, *, expected: str, found: str) -> None:
        self.layer = layer
        self.offset = offset
        self.expected = expected
        self.found = found
        super().__init__(
            f"{self.what}: expected {expected}, found {found} (byte {offset} of the {layer} stream)",
            operation="gunzip" if layer == "gzip" else "untar",
        )


class BadMagic(ArchiveFault, Damaged):
    """An HTML page, a plain tar, anything but gzip (RFC 1952 §2.3.1, ID1 and ID2)."""

    what = "beginning of the stream"


class BadMethod(ArchiveFault, Damaged):
    """A compression method other than deflate (RFC 1952 §2.3.1, CM)."""

    what = "compression method"


class BadFlags(ArchiveFault, Damaged):
    """A reserved bit is set: a field may follow that nobody knows (RFC 1952 §2.3.1.2)."""

    what = "header flags"


class HeaderCrcMismatch(ArchiveFault, Damaged):
    """The CRC of the gzip header is wrong (RFC 1952 §2.3.1, FHCRC)."""

    what = "CRC-16 of the header"


class BadDeflate(ArchiveFault, Damaged):
    """zlib cannot go on (RFC 1951).

    `offset` is where the input of its last call begins: the fault lies within 256 KiB after it, and what that call had
    decoded before the fault is lost.
    """

    what = "deflate data"


class CrcMismatch(ArchiveFault, Damaged):
    """What came out is not what went in (RFC 1952 §2.3.1, CRC32)."""

    what = "CRC-32 of the data"


class SizeMismatch(ArchiveFault, Damaged):
    """More or less came out than went in (RFC 1952 §2.3.1, ISIZE: the length modulo 2**32)."""

    what = "length of the data"


class TrailingGarbage(ArchiveFault, Damaged):
    """After a whole gzip member stands neither zero padding nor another member."""

    what = "after the end of a member"


class Truncated(ArchiveFault, Damaged):
    """The stream is over, and it should not be."""

    what = "end of the stream"


class BadHeaderChecksum(ArchiveFault, Damaged):
    """The sum of a tar header's bytes is neither the unsigned nor the signed one that it states (POSIX ustar)."""

    what = "checksum of a tar header"


class BadSize(ArchiveFault, Damaged):
    """A size that is no number, is negative, or is above 2**63 - 1."""

    what = "size of a member"


class BadPaxHeader(ArchiveFault, Damaged):
    """A record that is not `<length> <keyword>=<value>` and a newline (POSIX pax, extended header)."""

    what = "record of a pax header"


class DanglingHeader(ArchiveFault, Damaged):
    """The archive ends after an extended header, which speaks about a member that does not come."""

    what = "after an extended header"


class HeaderTooLarge(ArchiveFault, TooLarge):
    """A header that would have to be held in memory and is beyond the cap."""

    what = "size of a header"


class OutputTooLarge(ArchiveFault, TooLarge):
    """More came out than a package may hold, or far more than went in: a decompression bomb."""

    what = "decoded output"


class TooManyMembers(ArchiveFault, TooLarge):
    """More headers than the cap."""

    what = "number of tar headers"
