"""The fields of tar headers: POSIX ustar, v7 and GNU blocks, and the records of pax extended headers.

Pure functions of whole headers; `untar.py` gathers the bytes. Names stay bytes here: what encoding they are in is only
known when all headers of a member are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .faults import BadHeaderChecksum, BadPaxHeader, BadSize

BLOCK = 512

# The sum counts its own field as eight blanks (POSIX ustar, chksum).
_CHECKSUM = slice(148, 156)
_BLANK_SUM = 8 * ord(" ")

_MAX_SIZE = 2**63 - 1
_BASE_256 = 0x80

_PAX_LENGTH = re.compile(rb"([0-9]{1,19}) ")

# All others (mtime, uid, SCHILY.xattr…) are skipped: keeping them would let a writer fill the memory.
_PAX_KEYWORDS = frozenset({b"path", b"linkpath", b"size", b"GNU.sparse.name"})
_PAX_SPARSE = b"GNU.sparse."


@dataclass(frozen=True, slots=True)
class HeaderBlock:
    """What one header block says.

    Args:
        name: prefix and name as POSIX joins them; without the padding.
        typeflag: one byte.
        size: bytes of data, as stated.
        linkname: a link's target; without the padding.
        continued: whether blocks of an old GNU sparse map follow (GNU tar manual, `isextended`).
    """

    name: bytes
    typeflag: bytes
    size: int
    linkname: bytes
    continued: bool


def parse_block(block: bytes, offset: int) -> HeaderBlock:
    """Read a header block: v7, ustar or GNU.

    Args:
        block: 512 bytes, not all zero.
        offset: of its first byte in the tar stream, for faults.

    Raises:
        BadHeaderChecksum: the sum is neither the unsigned nor the signed one.
        BadSize: the size is no number.

    Example:
        >>> import tarfile
        >>> block = tarfile.TarInfo("PMC1/fig.jpg").tobuf(tarfile.USTAR_FORMAT)
        >>> parse_block(block, 0).name
        b'PMC1/fig.jpg'
    """
    _check_sum(block, offset)
    name = _text(block[:100])
    # Deliberately not in GNU headers, whose magic ends with a blank: incremental archives keep times there.
    if block[257:263] == b"ustar\0" and (prefix := _text(block[345:500])):
        name = prefix + b"/" + name
    typeflag = block[156:157]
    return HeaderBlock(
        name=name,
        typeflag=typeflag,
        size=_size(block[124:136], offset + 124),
        linkname=_text(block[157:257]),
        continued=typeflag == b"S" and block[482] != 0,
    )


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _octal(field: bytes) -> int | None:
    digits = _text(field).strip(b" ")
    return None if digits.strip(b"01234567") else int(digits or b"0", 8)


def _check_sum(block: bytes, offset: int) -> None:
    stated = _octal(block[_CHECKSUM])
    own = block[_CHECKSUM]
    unsigned = sum(block) - sum(own) + _BLANK_SUM
    if stated == unsigned:
        return
    # Some old writers summed signed chars; bytes of 128 and more then count 256 less (GNU tar manual, Checksumming).
    negative = len([byte for byte in block if byte > 127]) - len([byte for byte in own if byte > 127])
    if stated != unsigned - 256 * negative:
        found = "no octal number" if stated is None else str(stated)
        raise BadHeaderChecksum("tar", offset, expected=f"{unsigned}", found=found)


def _size(field: bytes, offset: int) -> int:
    if field[0] & _BASE_256:
        # GNU tar manual, "Basic Tar Format": the top bit marks base 256, the rest is big-endian two's complement. A
        # negative number, read as a positive one, is beyond the maximum.
        size: int | None = int.from_bytes(bytes([field[0] & ~_BASE_256]) + field[1:], "big")
    else:
        size = _octal(field)
    if size is None or size > _MAX_SIZE:
        raise BadSize("tar", offset, expected="octal or base 256, from 0 to 2**63 - 1", found=repr(field))
    return size


@dataclass(frozen=True, slots=True)
class PaxRecords:
    """What a pax header says about members, as far as it matters here.

    Args:
        values: keyword to value; an empty value takes an earlier one back (POSIX pax, extended header keywords).
        sparse: whether the member is stored without its holes (GNU tar manual, "Storing Sparse Files").
    """

    values: dict[bytes, bytes]
    sparse: bool


def parse_pax(body: bytes, offset: int) -> PaxRecords:
    """Read the records of a pax extended header.

    `hdrcharset` needs no look: names in UTF-8 and names in unknown bytes (`BINARY`) are kept as bytes alike.

    Args:
        body: the data of the header, without the padding. A NUL ends it, as some writers pad it themselves.
        offset: of its first byte in the tar stream, for faults.

    Raises:
        BadPaxHeader: a record breaks the form.
        BadSize: `size` is no number.

    Example:
        >>> parse_pax(b"17 path=PMC1/a.j\\n", 0).values
        {b'path': b'PMC1/a.j'}
    """
    values: dict[bytes, bytes] = {}
    sparse = False
    for at, keyword, value in _records(body, offset):
        if keyword in _PAX_KEYWORDS:
            if keyword == b"size" and value:
                _check_decimal(value, at)
            values[keyword] = value
        sparse = sparse or keyword.startswith(_PAX_SPARSE)
    return PaxRecords(values, sparse)


def _records(body: bytes, offset: int) -> Iterator[tuple[int, bytes, bytes]]:
    start = 0
    while start < len(body) and body[start]:
        length = _PAX_LENGTH.match(body, start)
        end = start + int(length[1]) if length else 0
        if length is None or not length.end() < end <= len(body) or body[end - 1] != ord("\n"):
            found = repr(body[start : start + 40])
            raise BadPaxHeader("tar", offset + start, expected="'<length> <keyword>=<value>\\n'", found=found)
        keyword, equals, value = body[length.end() : end - 1].partition(b"=")
        if not equals:
            raise BadPaxHeader("tar", offset + start, expected="a keyword and '='", found=repr(keyword[:40]))
        yield offset + start, keyword, value
        start = end


def _check_decimal(value: bytes, offset: int) -> None:
    if not value.isdigit() or len(value) > 19 or int(value) > _MAX_SIZE:
        raise BadSize("tar", offset, expected="decimal, from 0 to 2**63 - 1", found=repr(value[:40]))
