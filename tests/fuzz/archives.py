"""Oracles of gunzip and untar: zlib's own gzip, tarfile, and the parsers themselves in other cuts."""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from roco_async.archive import faults
from roco_async.archive.events import ArchiveEnd, Data, Member, MemberEnd, MemberType
from roco_async.archive.gunzip import PIECE, Gunzip
from roco_async.archive.untar import Untar
from roco_async.errors import TooLarge

from .cutting import cut, derived, ways


class Decoded(NamedTuple):
    """What a decoder gave out, and the fault at which it ended."""

    out: bytes
    fault: faults.ArchiveFault | None


def _gunzipped(chunks: Iterable[bytes], gunzip: Gunzip) -> Decoded:
    out = bytearray()
    try:
        for chunk in chunks:
            for piece in gunzip.feed(chunk):
                assert 0 < len(piece) <= PIECE
                out += piece
        gunzip.finish()
    except faults.ArchiveFault as fault:
        return Decoded(bytes(out), fault)
    assert gunzip.checked
    assert gunzip.produced == len(out)
    return Decoded(bytes(out), None)


def by_zlib(data: bytes) -> tuple[bytes, bool]:
    """Decode member after member as zlib does, and tell whether all of it is good."""
    out = bytearray()
    rest = data
    while rest:
        inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            for place in range(len(rest)):
                out += inflate.decompress(rest[place : place + 1])
                if inflate.eof:
                    break
        except zlib.error:
            return bytes(out), False
        if not inflate.eof:
            return bytes(out), False
        rest = rest[place + 1 :].lstrip(b"\0")
    return bytes(out), bool(data)


def gunzip(data: bytes) -> None:
    """Hold Gunzip to zlib's own gzip, to itself in other cuts, and to its caps."""
    expected, good = by_zlib(data)
    whole = _gunzipped([data], Gunzip())
    assert (whole.fault is None) is good, f"zlib says {good}, Gunzip {whole.fault}"
    assert expected.startswith(whole.out)
    for number, chunks in enumerate(ways(data)):
        other = _gunzipped(chunks, Gunzip())
        assert type(other.fault) is type(whole.fault), f"{other.fault} where all at once gives {whole.fault}"
        assert expected.startswith(other.out)
        if good or (number == 0 and len(chunks) == len(data)):
            assert other.out == expected
        if whole.fault and other.fault and not isinstance(whole.fault, faults.BadDeflate):  # of zlib's last call
            assert (other.fault.layer, other.fault.offset) == (whole.fault.layer, whole.fault.offset)
    _hold_to_caps(data, Decoded(expected, whole.fault))


def _hold_to_caps(data: bytes, uncapped: Decoded) -> None:
    for chunks in ([data], cut(data, [derived(data, len(data))])):
        capped = _gunzipped(chunks, Gunzip(max_output=4096, max_ratio=20, ratio_from=512, max_header=64))
        assert len(capped.out) <= min(4096, max(512, 20 * len(data)))
        assert uncapped.out.startswith(capped.out)
        if not isinstance(capped.fault, TooLarge):
            assert type(capped.fault) is type(uncapped.fault)


class Read(NamedTuple):
    """A member, as much of its data as came, and whether that was all."""

    member: Member
    data: bytes
    complete: bool


class Listed(NamedTuple):
    """What a tar was read as: its members, whether it said that it was over, and the fault at which it ended."""

    members: list[Read]
    ended: bool
    fault: faults.ArchiveFault | None


def untarred(chunks: Iterable[bytes], untar: Untar, *, skip: int | None = None) -> Listed:
    """Read a stream, and hold the parser to the order of events; every member of number `skip` mod 3 is skipped."""
    members: list[Read] = []
    ended = skipping = False
    fault = None
    try:
        for chunk in chunks:
            for event in untar.feed(chunk):
                assert not ended
                match event:
                    case Member():
                        assert not members or members[-1].complete or skipping
                        skipping = skip is not None and len(members) % 3 == skip
                        if skipping:
                            untar.skip()
                        members.append(Read(event, b"", False))
                    case Data(view):
                        assert view
                        assert not skipping
                        member, data, complete = members[-1]
                        assert not complete
                        members[-1] = Read(member, data + view, False)
                    case MemberEnd():
                        member, data, complete = members[-1]
                        assert not complete
                        assert not skipping
                        assert len(data) == member.size
                        members[-1] = Read(member, data, True)
                    case ArchiveEnd():
                        assert not members or members[-1].complete or skipping
                        ended = True
        untar.finish()
    except faults.ArchiveFault as found:
        fault = found
    return Listed(members, ended, fault)


def _told(listed: Listed) -> tuple[list[Read], bool, str]:
    return listed.members, listed.ended, f"{type(listed.fault).__name__}: {listed.fault}"


def untar(data: bytes) -> None:
    """Hold Untar to its input, to itself in other cuts and with members skipped, to its caps, and to tarfile."""
    whole = untarred([data], Untar())
    for chunks in ways(data):
        assert _told(untarred(chunks, Untar())) == _told(whole)
    for read in whole.members:
        start = read.member.offset + 512
        assert len(read.data) <= len(data)
        if read.member.type is not MemberType.SPARSE:  # the map of a sparse file may lie between
            assert data[start : start + len(read.data)] == read.data
    _hold_to_skipping(data, whole)
    capped = untarred([data], Untar(max_extended=600, max_headers=5))
    if isinstance(capped.fault, TooLarge):
        assert whole.members[: len(capped.members)] == capped.members
    else:
        assert _told(capped) == _told(whole)
    _hold_to_tarfile(data, whole)


def _hold_to_skipping(data: bytes, whole: Listed) -> None:
    skip = derived(data, 2)
    skipped = untarred(cut(data, [derived(data, len(data))]), Untar(), skip=skip)
    assert (skipped.ended, str(skipped.fault)) == (whole.ended, str(whole.fault))
    assert len(skipped.members) == len(whole.members)
    for number, (one, other) in enumerate(zip(skipped.members, whole.members, strict=True)):
        assert one == (Read(other.member, b"", False) if number % 3 == skip else other)


_TARFILE_TYPES = {
    tarfile.REGTYPE: MemberType.FILE,
    tarfile.AREGTYPE: MemberType.FILE,
    tarfile.CONTTYPE: MemberType.FILE,
    tarfile.DIRTYPE: MemberType.DIRECTORY,
    tarfile.LNKTYPE: MemberType.LINK,
    tarfile.SYMTYPE: MemberType.SYMLINK,
    tarfile.CHRTYPE: MemberType.CHARACTER_DEVICE,
    tarfile.BLKTYPE: MemberType.BLOCK_DEVICE,
    tarfile.FIFOTYPE: MemberType.FIFO,
}


def _end(member: Member) -> int:
    return member.offset + 512 + member.size + -member.size % 512


def _comparable(data: bytes, whole: Listed) -> list[Read]:
    """Return the whole members up to the first one that tarfile, deliberately, reads otherwise."""
    start = 0
    for number, (member, _, complete) in enumerate(whole.members):
        if not complete or member.type is MemberType.SPARSE or _is_read_otherwise(data, start, member.offset):
            return whole.members[:number]
        start = _end(member)
    return whole.members


def _is_read_otherwise(data: bytes, start: int, last: int) -> bool:
    """Tell whether tarfile has a rule of its own for one of the headers from `start` to that of the member itself.

    * A mode, an owner or a time that is no number is refused there, and not looked at here.
    * Of a GNU long name and a pax path it takes the first; here pax has the last word.
    * A GNU long name without a NUL goes on behind its stated size there.
    * An empty value in pax is the value there; here, as in POSIX, it takes back an earlier one.
    * It joins prefix and name whatever the magic; here only in POSIX' own headers.
    * v7's directories are told by the part of the name that the block has room for; here by the whole name.
    * Sparse files are put together there.
    """
    extended = set()
    at = start
    while True:
        block = data[at : at + 512]
        assert _is_summed(block)
        if block[257:263] != b"ustar\0" and block[345]:
            return True
        try:
            head = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            return True
        if at == last:
            break
        body = data[at + 512 : at + 512 + head.size]
        if (head.type in (b"L", b"K") and b"\0" not in body) or b"=\n" in body or b"GNU.sparse." in body:
            return True
        extended.add(head.type)
        at += 512 + head.size + -head.size % 512
    mixed = extended & {b"L", b"K"} and extended & {b"x", b"X", b"g"}
    return bool(mixed) or (block[156:157] == b"\0" and bool(extended or block[345]))


def _is_summed(block: bytes) -> bool:
    """Tell whether a header states the sum of its bytes, taken as unsigned or signed, its own field as blanks."""
    counted = block[:148] + b" " * 8 + block[156:]
    stated = int(block[148:156].partition(b"\0")[0].strip() or b"0", 8)
    return stated in (sum(counted), sum(byte - 256 * (byte > 127) for byte in counted))


def _hold_to_tarfile(data: bytes, whole: Listed) -> None:
    """Compare with tarfile as far as both read by the same rules, on an archive that ends there."""
    members = _comparable(data, whole)
    if not members:
        return
    if len(members) < len(whole.members) or whole.fault is not None:
        data = data[: _end(members[-1].member)].ljust(_end(members[-1].member), b"\0")
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
        for read in members:
            other = archive.next()
            assert other is not None
            kind = _TARFILE_TYPES.get(other.type, MemberType.UNKNOWN)
            size = other.size if kind in (MemberType.FILE, MemberType.UNKNOWN) else 0
            assert (read.member.name, read.member.type, read.member.size) == (other.name, kind, size)
            if kind is MemberType.FILE:
                content = archive.extractfile(other)
                assert content is not None
                assert content.read() == read.data
        assert archive.next() is None
