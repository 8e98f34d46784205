"""Every fault provoked: its name, its place, its words."""

from __future__ import annotations

import gzip
import inspect
import zlib
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest

from roco_async.archive import faults
from roco_async.archive.faults import ArchiveFault
from roco_async.archive.gunzip import Gunzip
from roco_async.archive.untar import Untar
from roco_async.errors import Damaged, PermanentError, Reason, TooLarge

from .decoding import END, block, drain, entry, gzip_member, padded, record, single_bytes

GOOD = gzip.compress(b"good", mtime=0)
PARSERS: dict[str, Callable[[], Gunzip | Untar]] = {
    "gzip": partial(Gunzip, max_output=10_000, max_ratio=50, ratio_from=5_000, max_header=300),
    "tar": partial(Untar, max_extended=2048, max_headers=5),
}


class Case(NamedTuple):
    layer: str
    fault: type[ArchiveFault]
    offset: int
    stream: bytes
    says: str


def pax(body: bytes) -> bytes:
    return entry(b"x", body, b"x") + entry(b"a") + END


MAPPED = block(b"a", 1, b"S", changes={482: b"1"})

CASES = {
    "an HTML page": Case("gzip", faults.BadMagic, 0, b"<!DOCTYPE html>", "expected 1f 8b, found 3c"),
    "one byte of a page": Case("gzip", faults.BadMagic, 0, b"<", "found 3c"),
    "zeros": Case("gzip", faults.BadMagic, 0, bytes(100), "expected 1f 8b, found 00"),
    "compress": Case("gzip", faults.BadMagic, 0, b"\x1f\x9d\x90" + bytes(9), "found 1f 9d"),
    "method 7": Case("gzip", faults.BadMethod, 2, b"\x1f\x8b\x07" + GOOD[3:], "expected 8 (deflate), found 7"),
    "method 7, second": Case("gzip", faults.BadMethod, 26, GOOD + b"\x1f\x8b\x07" + GOOD[3:], "found 7"),
    "flag 0x20": Case("gzip", faults.BadFlags, 3, gzip_member(b"x", flags=0x20), "found 0x20"),
    "header crc": Case(
        "gzip", faults.HeaderCrcMismatch, 12, gzip_member(b"x", flags=10, name=b"a", header_crc=0), "expected 0x0000"
    ),
    "block type 3": Case("gzip", faults.BadDeflate, 10, GOOD[:10] + b"\x07" + GOOD[11:], "invalid block type"),
    "crc": Case("gzip", faults.CrcMismatch, 16, gzip_member(b"good", crc=1), f"found {zlib.crc32(b'good'):#010x}"),
    "crc, second": Case("gzip", faults.CrcMismatch, 40, GOOD + gzip_member(b"good", crc=1), "expected 0x00000001"),
    "length": Case("gzip", faults.SizeMismatch, 20, gzip_member(b"good", length=5), "expected 5 as stated, found 4"),
    "text after": Case("gzip", faults.TrailingGarbage, 24, GOOD + b"<html>", "expected 1f 8b, found 3c"),
    "text after zeros": Case("gzip", faults.TrailingGarbage, 34, GOOD + bytes(10) + b"\x1fx", "found 1f 78"),
    "no gzip": Case("gzip", faults.Truncated, 0, b"", "the rest of the gzip header"),
    "gzip header": Case("gzip", faults.Truncated, 9, GOOD[:9], "the rest of the gzip header"),
    "gzip data": Case("gzip", faults.Truncated, 12, GOOD[:12], "the rest of the deflate data"),
    "gzip trailer": Case("gzip", faults.Truncated, 23, GOOD[:23], "the rest of the gzip trailer"),
    "second header": Case("gzip", faults.Truncated, 25, GOOD + GOOD[:1], "the rest of the gzip header"),
    "endless name": Case(
        "gzip", faults.HeaderTooLarge, 24, GOOD + gzip_member(b"x", flags=8, name=b"n" * 300), "at most 300 bytes"
    ),
    "too much out": Case(
        "gzip",
        faults.OutputTooLarge,
        -1,
        gzip.compress(b"".join(map(str.encode, map(str, range(3000))))),
        "at most 10000",
    ),
    "too much for its input": Case("gzip", faults.OutputTooLarge, -1, gzip.compress(bytes(6000)), "at most 50 times"),
    "an HTML page as tar": Case("tar", faults.BadHeaderChecksum, 0, b"<html>" * 100, "no octal number"),
    "second header, a bit": Case(
        "tar",
        faults.BadHeaderChecksum,
        1024,
        entry(b"a", b"a") + block(b"b", changes={}).replace(b"b", b"c", 1) + END,
        "found",
    ),
    "size in letters": Case("tar", faults.BadSize, 124, block(b"a", b"0000000000x\0"), "0000000000x"),
    "size with a sign": Case("tar", faults.BadSize, 124, block(b"a", b"-0000000001\0"), "octal"),
    "size with underscores": Case("tar", faults.BadSize, 124, block(b"a", b"0000000_001\0"), "octal"),
    "size below zero": Case("tar", faults.BadSize, 636, entry(b"d") + block(b"a", b"\xff" * 12), "base 256"),
    "size of 2**63": Case("tar", faults.BadSize, 124, block(b"a", b"\x80" + (1 << 63).to_bytes(11, "big")), "2**63"),
    "pax size": Case("tar", faults.BadSize, 512, pax(record(b"size", b"-1")), "'-1'"),
    "pax size of 2**63": Case("tar", faults.BadSize, 521, pax(b"9 a=bcde\n" + record(b"size", b"%d" % 2**63)), "2**63"),
    "pax, no length": Case("tar", faults.BadPaxHeader, 512, pax(b"path=a\n"), "'path=a"),
    "pax, length 0": Case("tar", faults.BadPaxHeader, 512, pax(b"0 path=a\n"), "'0 path=a"),
    "pax, length of itself": Case("tar", faults.BadPaxHeader, 512, pax(b"2 path=a\n"), "'2 path=a"),
    "pax, too long": Case("tar", faults.BadPaxHeader, 521, pax(b"9 a=bcde\n99 path=a\n"), "'99 path=a"),
    "pax, too short": Case("tar", faults.BadPaxHeader, 512, pax(b"8 path=a\n"), "'8 path=a"),
    "pax, no equals": Case("tar", faults.BadPaxHeader, 512, pax(b"8 path.\n"), "a keyword and '='"),
    "pax, long length": Case("tar", faults.BadPaxHeader, 512, pax(b"9" * 30 + b" a=b\n"), "'999"),
    "pax and the end": Case("tar", faults.DanglingHeader, 1024, entry(b"x", b"6 a=b\n", b"x") + END, "the end"),
    "long name and the end": Case("tar", faults.DanglingHeader, 1024, entry(b"L", b"n\0", b"L") + END, "the end"),
    "no tar": Case("tar", faults.Truncated, 0, b"", "a header or the end of the archive"),
    "half a header": Case("tar", faults.Truncated, 1324, entry(b"a", b"a") + block(b"b")[:300], "a header"),
    "half a member": Case("tar", faults.Truncated, 612, block(b"a", 101) + bytes(100), "a member's data"),
    "half a padding": Case("tar", faults.Truncated, 614, block(b"a", 101) + bytes(102), "the padding"),
    "half a pax header": Case("tar", faults.Truncated, 515, pax(b"6 a=b\n")[:515], "an extended header"),
    "pax and nothing": Case("tar", faults.Truncated, 1024, entry(b"x", b"6 a=b\n", b"x"), "a header"),
    "half a sparse map": Case("tar", faults.Truncated, 612, MAPPED + bytes(100), "a sparse map"),
    "pax over the cap": Case("tar", faults.HeaderTooLarge, 512, entry(b"a") + block(b"x", 2049, b"x"), "found 2049"),
    "long name over the cap": Case("tar", faults.HeaderTooLarge, 0, block(b"L", 8 << 30, b"L"), "at most 2048 bytes"),
    "together over the cap": Case(
        "tar",
        faults.HeaderTooLarge,
        2048,
        block(b"x", 1500, b"x") + padded(record(b"comment", b"c" * 1486)) + block(b"L", 600, b"L"),
        "found 2100",
    ),
    "an endless sparse map": Case(
        "tar", faults.HeaderTooLarge, 0, MAPPED + b"\x01" * 4096, "found 2560"
    ),
    "too many members": Case("tar", faults.TooManyMembers, 2560, block(b"a") * 6, "at most 5"),
    "too many headers": Case("tar", faults.TooManyMembers, 2560, block(b"x", 0, b"x") * 6, "at most 5"),
}  # fmt: skip


def feed_all(case: Case, *, bytewise: bool) -> None:
    parser = PARSERS[case.layer]()
    drain(parser, single_bytes(case.stream) if bytewise else [case.stream])
    parser.finish()


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", CASES)
def test_name_and_place(name: str, bytewise: bool) -> None:
    """Each fault has its name, the place where it lies, and says what was expected and what is there."""
    case = CASES[name]
    with pytest.raises(ArchiveFault) as caught:
        feed_all(case, bytewise=bytewise)
    assert type(caught.value) is case.fault
    assert caught.value.layer == case.layer
    assert case.says in str(caught.value)
    assert f"(byte {caught.value.offset} of the {case.layer} stream)" in str(caught.value)
    # Where zlib gives up, and how far it had read when a cap was passed, depends on the cut.
    if case.fault is faults.BadDeflate and bytewise:
        assert case.offset <= caught.value.offset < len(case.stream)
    elif case.offset >= 0:
        assert caught.value.offset == case.offset
    else:
        assert 0 < caught.value.offset <= len(case.stream)


def leaves() -> set[type[ArchiveFault]]:
    return {
        member
        for _, member in inspect.getmembers(faults, inspect.isclass)
        if issubclass(member, ArchiveFault) and member is not ArchiveFault
    }


def test_every_fault_has_a_case() -> None:
    """No fault is without a case that provokes it."""
    assert {case.fault for case in CASES.values()} == leaves()


def test_the_tree() -> None:
    """A damaged archive is worth another try, one over a cap is not, and the docstring draws each fault once."""
    for fault in leaves():
        assert issubclass(fault, Damaged) != issubclass(fault, TooLarge)
        assert issubclass(fault, PermanentError) == fault.reason.permanent
        assert fault.reason in (Reason.DAMAGED, Reason.TOO_LARGE)
        assert (faults.__doc__ or "").count(f"─ {fault.__name__} ") == 1


def test_good_output_comes_before_the_fault() -> None:
    """What was decoded before the fault is given out first."""
    pieces = Gunzip().feed(GOOD + b"<html>")
    assert next(pieces) == b"good"
    with pytest.raises(faults.TrailingGarbage):
        next(pieces)


@pytest.mark.parametrize("layer", PARSERS)
def test_after_a_fault(layer: str) -> None:
    """A parser that met a fault takes no more."""
    parser = PARSERS[layer]()
    with pytest.raises(ArchiveFault):
        list(parser.feed(b"<html>" * 100))
    with pytest.raises(RuntimeError):
        parser.feed(b"")
