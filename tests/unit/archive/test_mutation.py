"""Streams that were damaged at random: a named fault or a result, never anything else."""

from __future__ import annotations

import gzip
import io
import tarfile

from hypothesis import given, settings
from hypothesis import strategies as st

from roco_async.archive.gunzip import Gunzip
from roco_async.archive.untar import Untar
from roco_async.errors import TransferError

from .decoding import END, block, cut, drain, entry, gzip_member, patient, record, untarred


def package(form: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
        for name, size in (("PMC1/a.jpg", 700), ("PMC1/" + "ü" * 120 + ".jpg", 1), ("PMC1/c.nxml", 3000)):
            member = tarfile.TarInfo(name)
            member.size = size
            archive.addfile(member, io.BytesIO(bytes(index % 7 for index in range(size))))
    return packed.getvalue()


SPARSE = block(b"s", 3, b"S", changes={482: b"1"}) + bytes(512) + entry(b"x", record(b"GNU.sparse.major", b"1"), b"x")
TARS = [package(tarfile.GNU_FORMAT), package(tarfile.PAX_FORMAT), SPARSE + entry(b"a", b"a") + END]
GZIPS = [
    gzip.compress(TARS[0]),
    gzip_member(TARS[1], flags=31, extra=b"extra", name=b"name", comment=b"comment") + gzip.compress(b"x") + bytes(40),
]

edits = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=6)), max_size=8)
places = st.lists(st.integers(0, 12_000), max_size=6)


def edited(data: bytes, changes: list[tuple[float, bytes]], end: float) -> bytes:
    """Overwrite at some places, given as a part of the length, and cut off at another."""
    damaged = bytearray(data)
    for where, value in changes:
        start = int(where * len(data))
        damaged[start : start + len(value)] = value
    return bytes(damaged[: int(end * len(data))])


def decoded(chunks: list[bytes]) -> bytes | None:
    gunzip = Gunzip()
    out = bytearray()
    try:
        for chunk in chunks:
            for piece in gunzip.feed(chunk):
                out += piece
        gunzip.finish()
    except TransferError:
        return None
    assert gunzip.checked
    return bytes(out)


@settings(patient, max_examples=300)
@given(stream=st.sampled_from(GZIPS), changes=edits, end=st.one_of(st.just(1.0), st.floats(0, 1)), at=places)
def test_damaged_gzip(stream: bytes, changes: list[tuple[float, bytes]], end: float, at: list[int]) -> None:
    """Damaged gzip gives a named fault, or what gzip gives; where it was cut makes no difference."""
    damaged = edited(stream, changes, end)
    result = decoded([damaged])
    assert decoded(list(cut(damaged, at))) == result
    if result is not None:
        assert result == gzip.decompress(damaged)


@settings(patient, max_examples=300)
@given(stream=st.sampled_from(TARS), changes=edits, end=st.one_of(st.just(1.0), st.floats(0, 1)), at=places)
def test_damaged_tar(stream: bytes, changes: list[tuple[float, bytes]], end: float, at: list[int]) -> None:
    """Damaged tar gives a named fault or members whose data are of the announced size, wherever it was cut."""
    damaged = edited(stream, changes, end)
    results = []
    for chunks in ([damaged], list(cut(damaged, at))):
        try:
            results.append(("read", untarred(chunks)))
        except TransferError as error:
            results.append((type(error).__name__ + str(error), []))
    assert results[0] == results[1]


@settings(patient, max_examples=300)
@given(
    heads=st.lists(
        st.tuples(
            st.sampled_from([b"\0", b"0", b"1", b"5", b"7", b"S", b"x", b"g", b"L", b"K", b"X", b"?"]),
            st.one_of(st.integers(0, 600), st.binary(min_size=12, max_size=12)),
            st.dictionaries(st.integers(157, 511), st.binary(max_size=4).filter(bool), max_size=4),
            st.one_of(
                st.binary(max_size=600),
                st.lists(st.tuples(st.sampled_from([b"path", b"size", b"GNU.sparse.map"]), st.binary(max_size=9))).map(
                    lambda pairs: b"".join(record(*pair) for pair in pairs)
                ),
            ),
        ),
        max_size=6,
    )
)
def test_headers_that_add_up(heads: list[tuple[bytes, int | bytes, dict[int, bytes], bytes]]) -> None:
    """Headers with a right checksum and anything in their fields give a named fault or members, and an end."""
    untar = Untar()
    stream = b"".join(
        block(b"n", size, typeflag, changes={at: value[: 512 - at] for at, value in changes.items()})
        + body + bytes(-len(body) % 512)
        for typeflag, size, changes, body in heads
    )  # fmt: skip
    try:
        events = list(untar.feed(stream))
        untar.finish()
    except TransferError:
        return
    assert len(events) <= 3 * len(stream)


@settings(patient, max_examples=200)
@given(noise=st.binary(max_size=2000), at=places)
def test_noise(noise: bytes, at: list[int]) -> None:
    """Noise is no archive: a named fault."""
    for parser in (Gunzip(), Untar()):
        try:
            drain(parser, cut(noise, at))
            parser.finish()
        except TransferError:
            continue
