"""Hostile streams: memory stays bounded, and the end comes soon."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from roco_async.archive import faults
from roco_async.archive.events import Member
from roco_async.archive.gunzip import PIECE, Gunzip
from roco_async.archive.untar import Untar
from roco_async.errors import TooLarge

from .decoding import END, block, drain, entry, padded, record

MIB = 1 << 20


@contextmanager
def memory_below(limit: int) -> Iterator[None]:
    """Fail if more than `limit` bytes are held at any time within the block beyond what was held before."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < limit


def zeros(total: int) -> bytes:
    """Compress zeros without compressing them all: after a full flush deflate knows nothing of what was before."""
    deflate = zlib.compressobj(9, wbits=-15)
    segment = deflate.compress(bytes(16 * MIB)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + segment * (total // (16 * MIB)) + b"\x03\0"


def test_four_gib_of_zeros() -> None:
    """4 GiB of zeros in 4 MiB end at 64 MiB by their ratio, in under 3 MiB of memory."""
    bomb = zeros(4 << 30)
    assert len(bomb) < 5 * MIB
    gunzip = Gunzip()
    with memory_below(3 * MIB), pytest.raises(faults.OutputTooLarge, match="200 times"):
        drain(Untar(), gunzip.feed(bomb))
    assert 64 * MIB < gunzip.produced <= 65 * MIB


def test_memory_is_that_of_a_piece() -> None:
    """However much is fed at once, and however much comes out, no more than a piece and its making is held."""
    noise = random.Random(0).randbytes(4 * MIB)
    # zlib joins the parts of a piece, so that it has two of them for a moment.
    for coded in (zeros(48 * MIB), gzip.compress(noise, 1)):
        with memory_below(2 * PIECE + PIECE // 2):
            assert sum(map(len, Gunzip().feed(coded))) >= 4 * MIB


def test_a_large_picture_of_one_colour() -> None:
    """Up to 64 MiB any ratio is accepted."""
    coded = zeros(64 * MIB)
    gunzip = Gunzip()
    assert sum(map(len, gunzip.feed(coded))) == 64 * MIB


def test_output_cap() -> None:
    """Output over the cap ends by the cap, whatever the ratio, before the piece that breaks it goes out."""
    bomb = zeros(160 * MIB)
    out: list[int] = []
    pieces = map(len, Gunzip(max_output=128 * MIB, max_ratio=2000).feed(bomb))
    with memory_below(3 * MIB), pytest.raises(faults.OutputTooLarge, match=f"at most {128 * MIB} bytes"):
        out.extend(pieces)
    assert 128 * MIB - PIECE < sum(out) <= 128 * MIB


def test_bomb_of_many_members() -> None:
    """Members back to back are counted together."""
    with pytest.raises(faults.OutputTooLarge):
        list(Gunzip(max_output=MIB).feed(gzip.compress(bytes(1000)) * 1100))


def test_endless_gzip_name() -> None:
    """A name in a gzip header that never ends is cut off at 1 MiB and never held."""
    gunzip = Gunzip()
    with memory_below(MIB // 2), pytest.raises(faults.HeaderTooLarge):
        drain(gunzip, [b"\x1f\x8b\x08\x08\0\0\0\0\0\xff", *[b"n" * 65536] * 20])
    assert gunzip.consumed <= MIB + 65536


@pytest.mark.parametrize("typeflag", [b"x", b"g", b"L", b"K"])
def test_extended_header_of_gibibytes(typeflag: bytes) -> None:
    """An extended header that announces 4 GiB is refused at its announcement."""
    with memory_below(MIB // 2), pytest.raises(TooLarge):
        list(Untar().feed(block(b"bomb", 4 << 30, typeflag)))


def test_extended_header_of_a_mebibyte() -> None:
    """An extended header of just 1 MiB, the cap, is read."""
    name = b"n" * (MIB - 1)
    (member, _) = Untar().feed(block(b"L", MIB, b"L") + name + b"\0" + entry(b"a"))
    assert isinstance(member, Member)
    assert member.name == name.decode()


def test_global_headers_do_not_add_up() -> None:
    """Thirty global headers over as many members, each with keywords of its own, leave nothing behind."""
    untar = Untar()
    with memory_below(2 * MIB):
        for index in range(30):
            body = b"".join(record(b"K%d.%d" % (index, number), b"v" * 100) for number in range(1000))
            drain(untar, [block(b"g", len(body), b"g") + padded(body) + entry(b"a")])


def test_many_members() -> None:
    """The default cap on headers is a million, and a parser that met fewer holds none of them."""
    untar = Untar()
    headers = block(b"a") * 1000
    with memory_below(MIB):
        drain(untar, [headers] * 3)
    untar._headers = 1_000_000
    with pytest.raises(faults.TooManyMembers, match="at most 1000000"):
        list(untar.feed(headers))


def test_large_member_is_not_held() -> None:
    """A member of 500 MB before a small one goes through, wanted or not, without being held."""
    for skip in (False, True):
        untar = Untar()
        piece = bytes(256 * 1024)
        with memory_below(MIB // 2):
            list(untar.feed(block(b"large", 500_000_000 - 500_000_000 % 512)))
            if skip:
                untar.skip()
            left = 500_000_000 - 500_000_000 % 512
            while left:
                part = piece[:left]
                assert all(type(event) is not Member for event in untar.feed(part))
                left -= len(part)
            events = list(untar.feed(entry(b"small", b"x") + END))
        assert isinstance(events[0], Member)
        assert events[0].name == "small"
