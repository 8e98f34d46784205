"""Feed the parsers, and build streams byte by byte that no writer would make."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from hypothesis import HealthCheck, settings

from roco_async.archive.events import ArchiveEnd, Data, Member, MemberEnd
from roco_async.archive.gunzip import Gunzip
from roco_async.archive.untar import Untar

END = bytes(1024)

# Time is not what these tests are about, and a busy machine has none.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def cut(data: bytes, places: Iterable[int]) -> Iterator[bytes]:
    """Cut data at each place, which may lie beyond its end."""
    for start, end in itertools.pairwise([0, *sorted(min(place, len(data)) for place in places), len(data)]):
        yield data[start:end]


def single_bytes(data: bytes) -> Iterator[bytes]:
    return cut(data, range(1, len(data)))


def gunzipped(chunks: Iterable[bytes]) -> bytes:
    """Decode a whole stream and hold the decoder to its word that it was checked."""
    gunzip = Gunzip()
    decoded = b"".join(piece for chunk in chunks for piece in gunzip.feed(chunk))
    gunzip.finish()
    assert gunzip.checked
    assert gunzip.produced == len(decoded)
    return decoded


def drain(parser: Gunzip | Untar, chunks: Iterable[bytes]) -> None:
    """Feed and let go of all that comes out."""
    for chunk in chunks:
        for _ in parser.feed(chunk):
            pass


class Read(NamedTuple):
    """A member and its data; None where it was skipped."""

    member: Member
    data: bytes | None


def everything(_: Member) -> bool:
    return True


def untarred(chunks: Iterable[bytes], wanted: Callable[[Member], bool] = everything) -> list[Read]:
    """Read a whole stream and hold the parser to the order of events, and to the sizes that it announced."""
    untar = Untar()
    read: list[Read] = []
    open_data: bytearray | None = None
    over = False
    for chunk in chunks:
        for event in untar.feed(chunk):
            assert not over
            match event:
                case Member():
                    assert open_data is None
                    if wanted(event):
                        open_data = bytearray()
                    else:
                        untar.skip()
                    read.append(Read(event, None))
                case Data(view):
                    assert open_data is not None
                    assert len(view) > 0
                    open_data += view
                case MemberEnd():
                    assert open_data is not None
                    assert len(open_data) == read[-1].member.size
                    read[-1] = Read(read[-1].member, bytes(open_data))
                    open_data = None
                case ArchiveEnd():
                    assert open_data is None
                    over = True
    untar.finish()
    return read


def without_offsets(read: list[Read]) -> list[tuple[str, str, int, str, bytes | None]]:
    return [(member.name, member.type, member.size, member.linkname, data) for member, data in read]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def block(
    name: bytes,
    size: int | bytes = 0,
    typeflag: bytes = b"0",
    *,
    linkname: bytes = b"",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    signed: bool = False,
    changes: dict[int, bytes] | None = None,
) -> bytes:
    """Build a header block with a right checksum. `size` as bytes stands as it is; `changes` are put at an offset."""
    field = size if isinstance(size, bytes) else b"%011o\0" % size
    head = bytearray(
        struct.pack(
            "100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x",
            name, b"0000644\0", b"0000000\0", b"0000000\0", field, b"00000000000\0", b" " * 8, typeflag, linkname,
            magic, b"", b"", b"", b"", prefix,
        )
    )  # fmt: skip
    for offset, value in (changes or {}).items():
        head[offset : offset + len(value)] = value
    total = sum(struct.unpack("512b", head)) if signed else sum(head)
    head[148:156] = b"%06o\0 " % total
    return bytes(head)


def entry(name: bytes, data: bytes = b"", typeflag: bytes = b"0") -> bytes:
    """Build a header and its data, padded."""
    return block(name, len(data), typeflag) + padded(data)


def record(keyword: bytes, value: bytes) -> bytes:
    """Build a pax record, whose length counts its own digits."""
    rest = b" %s=%s\n" % (keyword, value)
    length = len(rest) + len(str(len(rest)))
    if len(str(length)) + len(rest) != length:
        length += 1
    return b"%d%s" % (length, rest)


def gzip_member(
    data: bytes,
    *,
    flags: int = 0,
    extra: bytes = b"",
    name: bytes = b"",
    comment: bytes = b"",
    header_crc: int | None = None,
    crc: int | None = None,
    length: int | None = None,
) -> bytes:
    """Build a gzip member with any fields of its header (RFC 1952 §2.3), right or wrong."""
    head = bytearray(b"\x1f\x8b\x08" + bytes([flags]) + b"\0\0\0\0\0\xff")
    if flags & 4:
        head += len(extra).to_bytes(2, "little") + extra
    if flags & 8:
        head += name + b"\0"
    if flags & 16:
        head += comment + b"\0"
    if flags & 2:
        head += ((zlib.crc32(head) & 0xFFFF) if header_crc is None else header_crc).to_bytes(2, "little")
    deflate = zlib.compressobj(wbits=-15)
    trailer = struct.pack(
        "<II", zlib.crc32(data) if crc is None else crc, (len(data) if length is None else length) & 0xFFFFFFFF
    )
    return bytes(head) + deflate.compress(data) + deflate.flush() + trailer
