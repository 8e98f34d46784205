"""Gunzip against the standard library's gzip, cut anywhere."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roco_async.archive.gunzip import PIECE, Gunzip

from .decoding import cut, gunzipped, gzip_member, patient, single_bytes

contents = st.one_of(
    st.binary(max_size=600),
    # Data that deflate shrinks well, so that one byte of input can bring many of output.
    st.tuples(st.binary(min_size=1, max_size=8), st.integers(0, 400)).map(lambda pair: pair[0] * pair[1]),
)
places = st.lists(st.integers(0, 2000), max_size=12)


class TestAgainstGzip:
    @patient
    @given(content=contents, level=st.integers(0, 9), at=places)
    def test_any_cut(self, content: bytes, level: int, at: list[int]) -> None:
        """What gzip compresses at any level comes out whole, wherever the stream is cut."""
        assert gunzipped(cut(gzip.compress(content, level), at)) == content

    @patient
    @given(members=st.lists(contents, min_size=1, max_size=5), zeros=st.integers(0, 600), at=places)
    def test_members_and_padding(self, members: list[bytes], zeros: int, at: list[int]) -> None:
        """Members back to back, with zeros after the last, come out as gzip reads them."""
        coded = b"".join(map(gzip.compress, members)) + bytes(zeros)
        assert gunzipped(cut(coded, at)) == gzip.decompress(coded) == b"".join(members)

    @patient
    @given(
        content=contents,
        flags=st.integers(0, 31),
        extra=st.binary(max_size=80),
        name=st.binary(max_size=40),
        comment=st.binary(max_size=40),
        at=places,
    )
    def test_every_flag(
        self, content: bytes, flags: int, extra: bytes, name: bytes, comment: bytes, at: list[int]
    ) -> None:
        """Every combination of header flags is skipped to the byte, its CRC included."""
        name, comment = name.replace(b"\0", b"n"), comment.replace(b"\0", b"c")
        coded = gzip_member(content, flags=flags, extra=extra, name=name, comment=comment)
        assert gunzipped(cut(coded, at)) == gzip.decompress(coded) == content

    @patient
    @given(content=contents, flags=st.integers(0, 31))
    def test_byte_by_byte(self, content: bytes, flags: int) -> None:
        """One byte at a time gives the same as all at once, through all parts of two members."""
        coded = gzip_member(content, flags=flags, extra=b"xy", name=b"a", comment=b"b") + gzip.compress(b"more")
        assert gunzipped(single_bytes(coded)) == gunzipped([coded]) == content + b"more"

    def test_zeros_between_members(self) -> None:
        """Zeros between two members are padding, as in gzip."""
        coded = gzip.compress(b"one") + bytes(70_000) + gzip.compress(b"two")
        assert gunzipped([coded]) == gzip.decompress(coded) == b"onetwo"

    def test_longest_extra_field(self) -> None:
        """An extra field of 65,535 bytes, the most it can have, is skipped."""
        coded = gzip_member(b"data", flags=4 | 2, extra=random.Random(0).randbytes(65535))
        assert gunzipped([coded]) == gunzipped(cut(coded, range(0, 65535, 997))) == b"data"


class TestPieces:
    def test_bounded_and_lazy(self) -> None:
        """A chunk that holds megabytes comes out in pieces of 512 KiB, none decoded before it is asked for."""
        gunzip = Gunzip()
        pieces = gunzip.feed(gzip.compress(bytes(3 * 1024 * 1024)))
        assert len(next(pieces)) == PIECE
        assert gunzip.produced == PIECE
        assert [len(piece) for piece in pieces] == [PIECE] * 5

    @pytest.mark.parametrize("beyond", [-1, 0, 1])
    def test_nothing_is_left_inside(self, beyond: int) -> None:
        """A length of a whole number of pieces, or one byte beside it, comes out to the byte."""
        content = random.Random(1).randbytes(2 * PIECE + beyond)
        assert gunzipped([gzip.compress(content, 1)]) == content
        assert gunzipped([gzip.compress(bytes(2 * PIECE + beyond))]) == bytes(2 * PIECE + beyond)

    def test_all_that_can_come_out_does(self) -> None:
        """Cut anywhere, a stream has given all that zlib can get out of it, none of it left inside at a full piece."""
        coded = gzip.compress(bytes(PIECE + 5000), mtime=0)
        for end in range(len(coded)):
            out = sum(map(len, Gunzip().feed(coded[:end])))
            assert out == len(zlib.decompressobj(wbits=31).decompress(coded[:end]))

    def test_empty_chunks(self) -> None:
        """Empty chunks change nothing."""
        coded = gzip.compress(b"data")
        assert gunzipped([b"", coded[:3], b"", coded[3:], b""]) == b"data"

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_any_buffer(self, kind: type[bytes] | type[bytearray] | type[memoryview]) -> None:
        """Bytes, bytearrays and memoryviews are all taken."""
        assert b"".join(Gunzip().feed(kind(gzip.compress(b"data")))) == b"data"

    def test_many_small_members(self) -> None:
        """Twenty thousand empty members in one chunk are read one by one, and nothing comes out."""
        coded = gzip.compress(b"") * 20_000
        assert gunzipped([coded]) == b""


class TestChecked:
    def test_only_at_the_end_of_a_member(self) -> None:
        """`checked` is true exactly where all output so far was compared with a CRC."""
        first, second = gzip.compress(b"one"), gzip.compress(b"two")
        gunzip = Gunzip()
        seen = []
        for byte in single_bytes(first + bytes(3) + second):
            list(gunzip.feed(byte))
            seen.append(gunzip.checked)
        whole = [False] * (len(first) - 1) + [True]
        assert seen == [*whole, True, True, True, *[False] * (len(second) - 1), True]

    def test_false_when_left_early(self) -> None:
        """Whoever leaves after the first piece was promised nothing."""
        gunzip = Gunzip()
        for _ in gunzip.feed(gzip.compress(bytes(2 * PIECE))):
            break
        assert not gunzip.checked

    def test_counts(self) -> None:
        """`consumed` and `produced` count coded and decoded bytes."""
        coded = gzip.compress(b"data" * 1000)
        gunzip = Gunzip()
        list(gunzip.feed(coded[:-1]))
        assert (gunzip.consumed, gunzip.produced) == (len(coded) - 1, 4000)

    def test_length_is_modulo_4_gib(self) -> None:
        """ISIZE is the length modulo 2**32, so a member that is 4 GiB longer states the same."""
        coded = gzip.compress(b"data")
        gunzip = Gunzip()
        assert list(gunzip.feed(coded[:-8])) == [b"data"]
        # To let 4 GiB of zeros through was tried, and takes ten seconds.
        gunzip._length += 1 << 32
        list(gunzip.feed(coded[-8:]))
        assert gunzip.checked


class TestMisuse:
    def test_feed_before_all_pieces_were_taken(self) -> None:
        """A feed on top of an unfinished one would lose bytes, so it is refused; so is finish."""
        gunzip = Gunzip()
        gunzip.feed(gzip.compress(b"data"))
        with pytest.raises(RuntimeError, match="not all taken"):
            gunzip.feed(b"")
        with pytest.raises(RuntimeError, match="not all taken"):
            gunzip.finish()
