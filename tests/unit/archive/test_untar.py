"""Untar against the standard library's tarfile, cut anywhere, and the dialects that tarfile does not write."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from roco_async.archive.events import ArchiveEnd, Data, Event, Member, MemberEnd, MemberType
from roco_async.archive.untar import Untar

from .decoding import END, Read, block, cut, entry, padded, patient, record, single_bytes, untarred, without_offsets

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
TYPES = {
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

# Surrogates stand for bytes that are no UTF-8: pax writes such names with hdrcharset=BINARY.
characters = st.sampled_from("ab/ .üß漢😀\udcff\udc80")
names = st.one_of(
    st.text(characters, min_size=1, max_size=12),
    st.text(characters, min_size=90, max_size=300),
    st.builds("{}/{}".format, st.text("d", min_size=1, max_size=160), st.text("n", min_size=1, max_size=105)),
).filter(lambda name: not name.endswith("/"))
sizes = st.one_of(st.sampled_from([0, 1, 511, 512, 513, 1023, 1024, 1025]), st.integers(0, 3000))
places = st.lists(st.integers(0, 20_000), max_size=12)
wholes = st.lists(st.tuples(names, st.sampled_from(sorted(TYPES)), sizes, names), max_size=6)


def written(entries: list[tuple[str, bytes, int, str]], form: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as archive:
        for name, typeflag, size, linkname in entries:
            member = tarfile.TarInfo(name)
            member.type = typeflag
            # Where tarfile cuts a long name at a slash, it reads back a directory.
            if typeflag == tarfile.AREGTYPE and len(os.fsencode(name)) > 100:
                member.type = tarfile.REGTYPE
            if TYPES[typeflag] is MemberType.FILE:
                member.size = size
            if TYPES[typeflag] in (MemberType.LINK, MemberType.SYMLINK):
                member.linkname = linkname
            archive.addfile(member, io.BytesIO(bytes(index % 251 for index in range(size))))
    return packed.getvalue()


def by_tarfile(stream: bytes) -> list[tuple[str, str, int, str, bytes]]:
    """Read as tarfile does, in the form of `without_offsets`."""
    read: list[tuple[str, str, int, str, bytes]] = []
    with tarfile.open(fileobj=io.BytesIO(stream), mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            data = content.read() if content else b""
            read.append((member.name, TYPES[member.type], len(data), member.linkname, data))
    return read


def single(stream: bytes) -> Read:
    (read,) = untarred([stream])
    assert without_offsets(untarred(single_bytes(stream))) == without_offsets([read])
    return read


class TestAgainstTarfile:
    @patient
    @given(entries=wholes, form=st.sampled_from(FORMATS), at=places)
    def test_any_archive_any_cut(self, entries: list[tuple[str, bytes, int, str]], form: int, at: list[int]) -> None:
        """What tarfile writes in any format is read as tarfile reads it, wherever the stream is cut."""
        try:
            stream = written(entries, form)
        except ValueError:
            reject()  # a name too long for ustar
        assert without_offsets(untarred(cut(stream, at))) == by_tarfile(stream)

    @patient
    @given(entries=wholes, form=st.sampled_from(FORMATS[1:]))
    def test_byte_by_byte(self, entries: list[tuple[str, bytes, int, str]], form: int) -> None:
        """One byte at a time gives the same members, offsets included, as all at once."""
        stream = written(entries, form)
        assert untarred(single_bytes(stream)) == untarred([stream])

    @patient
    @given(entries=wholes, at=places, modulus=st.integers(1, 3))
    def test_skipping_changes_nothing_else(
        self, entries: list[tuple[str, bytes, int, str]], at: list[int], modulus: int
    ) -> None:
        """Skipped members are silent, and those after them are read as ever."""
        stream = written(entries, tarfile.PAX_FORMAT)

        def wanted(member: Member) -> bool:
            return member.size % 3 % modulus == 0

        expected = [Read(member, data if wanted(member) else None) for member, data in untarred([stream])]
        assert untarred(cut(stream, at), wanted) == expected

    @pytest.mark.parametrize("form", FORMATS)
    def test_global_headers(self, form: int) -> None:
        """A comment in a global header, as git archive writes it, changes no member."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=form, pax_headers={"comment": "a1f0ad6"}) as archive:
            archive.addfile(tarfile.TarInfo("a.jpg"))
        assert without_offsets(untarred([packed.getvalue()])) == by_tarfile(packed.getvalue())

    @pytest.mark.parametrize("zeros", [0, 512, 1024, 10240])
    def test_end_of_archive(self, zeros: int) -> None:
        """No zero block, one, two or many end the archive, and what follows one is not looked at, as in tarfile."""
        stream = entry(b"a.jpg", b"a") + bytes(zeros)
        assert without_offsets(untarred([stream])) == by_tarfile(stream)
        if zeros:
            stream += entry(b"b.jpg", b"b") + b"no header"
            assert [read.member.name for read in untarred([stream])] == ["a.jpg"]
            assert without_offsets(untarred([stream])) == by_tarfile(stream)

    def test_links_and_devices_have_no_data(self) -> None:
        """A link, directory, device or fifo that states a size is followed by a header all the same, as in tarfile."""
        stream = b"".join(block(b"m", 512, bytes([typeflag])) for typeflag in b"123456") + entry(b"a.jpg", b"a") + END
        assert without_offsets(untarred([stream])) == by_tarfile(stream)


class TestDialects:
    def test_v7(self) -> None:
        """A header without magic is read, and what stands in the place of a prefix is not."""
        stream = block(b"a.jpg", 1, b"\0", magic=b"", prefix=b"junk") + padded(b"x") + END
        assert single(stream) == Read(Member("a.jpg", MemberType.FILE, 1, "", 0), b"x")

    def test_v7_directory(self) -> None:
        """A member of no type whose name ends with a slash is a directory, and has no data."""
        stream = block(b"PMC1/", 512, b"\0", magic=b"") + END
        assert single(stream) == Read(Member("PMC1", MemberType.DIRECTORY, 0, "", 0), b"")

    def test_long_name_cut_at_a_slash(self) -> None:
        """The whole name tells a directory, not the part that the block has room for, as in tarfile."""
        name = b"d" * 99 + b"/a.jpg"
        stream = entry(b"L", name, b"L") + entry(name[:100], b"data", b"\0") + END
        assert single(stream) == Read(Member(name.decode(), MemberType.FILE, 4, "", 1024), b"data")

    def test_ustar_prefix(self) -> None:
        """POSIX joins prefix and name with a slash."""
        stream = block(b"a.jpg", prefix=b"oa/PMC1") + END
        assert single(stream).member.name == "oa/PMC1/a.jpg"

    def test_gnu_times_are_no_prefix(self) -> None:
        """GNU tar's incremental archives keep times where ustar has its prefix."""
        stream = block(b"a.jpg", magic=b"ustar  \0", prefix=b"14756557000\x0014756557000\0") + END
        assert single(stream).member.name == "a.jpg"

    def test_name_of_full_length(self) -> None:
        """Names of 100 bytes have no NUL."""
        assert single(block(b"n" * 100, prefix=b"p" * 155) + END).member.name == "p" * 155 + "/" + "n" * 100

    def test_contiguous(self) -> None:
        """Type 7 is a file."""
        assert single(entry(b"a.jpg", b"abc", b"7") + END) == Read(Member("a.jpg", MemberType.FILE, 3, "", 0), b"abc")

    @pytest.mark.parametrize("typeflag", [b"D", b"M", b"N", b"V", b"A", b"Z"])
    def test_unknown_type(self, typeflag: bytes) -> None:
        """A type that nobody knows has its data, and the next member is found behind them."""
        read = untarred([entry(b"odd", b"x" * 700, typeflag) + entry(b"a.jpg", b"a") + END])
        assert [(member.type, data) for member, data in read] == [
            (MemberType.UNKNOWN, b"x" * 700),
            (MemberType.FILE, b"a"),
        ]

    def test_signed_checksum(self) -> None:
        """A sum over signed bytes, as some old writers made it, is right too."""
        name = "größe.jpg".encode()
        assert block(name, signed=True) != block(name)
        assert single(block(name, signed=True) + END).member.name == "größe.jpg"

    @pytest.mark.parametrize(
        "size",
        [
            b"00000000003\0",
            b"00000000003 ",
            b"          3 ",
            b"3\0" + b"\xff" * 10,
            b"000000000003",
            b"\x80" + (3).to_bytes(11, "big"),
        ],
    )
    def test_sizes(self, size: bytes) -> None:
        """Sizes in octal, with blanks and without an end, and in base 256 are read."""
        assert single(block(b"a.jpg", size) + padded(b"abc") + END).data == b"abc"

    def test_size_beyond_octal(self) -> None:
        """A member over 8 GiB, which octal cannot say, is announced by base 256 and by pax alike."""
        large = 9 << 30
        body = record(b"size", b"%d" % large)
        for stream in (
            block(b"a.jpg", b"\x80" + large.to_bytes(11, "big")),
            block(b"x", len(body), b"x") + padded(body) + block(b"a.jpg"),
        ):
            assert next(Untar().feed(stream)).size == large  # type: ignore[union-attr]


class TestExtendedHeaders:
    def test_gnu_long_names(self) -> None:
        """A long name and a long link, in either order, belong to the next member only."""
        name, target = b"n" * 600, b"t" * 512
        long = [entry(b"././@LongLink", name + b"\0", b"L"), entry(b"././@LongLink", target + b"\0", b"K")]
        for headers in (long, long[::-1]):
            first, second = untarred([b"".join(headers) + block(b"n", typeflag=b"2") + entry(b"a.jpg") + END])
            assert (first.member.name, first.member.linkname) == ("n" * 600, "t" * 512)
            assert (second.member.name, second.member.linkname) == ("a.jpg", "")

    def test_pax_local(self) -> None:
        """Path, linkpath and size of a local header go before the block's own, for one member."""
        body = record(b"path", "größe.jpg".encode()) + record(b"size", b"3") + record(b"mtime", b"1.5")
        first, second = untarred([entry(b"x", body, b"x") + block(b"short", 0) + padded(b"abc") + entry(b"b") + END])
        assert first == Read(Member("größe.jpg", MemberType.FILE, 3, "", 1024), b"abc")
        assert second.member.name == "b"

    def test_pax_link(self) -> None:
        """A link's target may come from linkpath, and from a Solaris header as well."""
        stream = entry(b"X", record(b"linkpath", b"/etc/passwd"), b"X") + block(b"a.jpg", 9, b"2", linkname=b"b") + END
        assert single(stream).member == Member("a.jpg", MemberType.SYMLINK, 0, "/etc/passwd", 1024)

    def test_pax_global(self) -> None:
        """A global header holds for all members after it, a local one goes before it, an empty value takes it back."""
        stream = b"".join(
            [
                entry(b"a"),
                entry(b"g", record(b"path", b"all") + record(b"size", b"2"), b"g"),
                block(b"b") + padded(b"bb"),
                entry(b"x", record(b"path", b"one"), b"x"),
                block(b"c") + padded(b"cc"),
                entry(b"x", record(b"path", b"") + record(b"size", b""), b"x"),
                entry(b"d", b"dddd"),
                entry(b"g", record(b"path", b"") + record(b"size", b""), b"g"),
                entry(b"e", b"eeeee"),
                END,
            ]
        )
        read = untarred(single_bytes(stream))
        assert [(member.name, data) for member, data in read] == [
            ("a", b""),
            ("all", b"bb"),
            ("one", b"cc"),
            ("d", b"dddd"),
            ("e", b"eeeee"),
        ]

    def test_global_header_at_the_end(self) -> None:
        """A global header that no member follows is in nobody's way."""
        assert untarred([entry(b"g", record(b"comment", b"x"), b"g") + END]) == []

    @pytest.mark.parametrize("charset", [b"BINARY", b"ISO-IR 10646 2000 UTF-8"])
    def test_hdrcharset(self, charset: bytes) -> None:
        """Bytes that are no UTF-8 come as surrogates, whatever hdrcharset says, so that no two names become one."""
        body = record(b"hdrcharset", charset) + record(b"path", b"gr\xf6\xdfe \xc3\xbc.jpg")
        name = single(entry(b"x", body, b"x") + entry(b"a") + END).member.name
        assert name == "gr\udcf6\udcdfe ü.jpg"
        assert name.encode("utf-8", "surrogateescape") == b"gr\xf6\xdfe \xc3\xbc.jpg"

    def test_pax_before_gnu(self) -> None:
        """Where pax and GNU name a member both, pax counts; of two pax headers the later."""
        headers = [
            entry(b"x", record(b"path", b"pax"), b"x"),
            entry(b"x", record(b"path", b"later"), b"x"),
            entry(b"L", b"gnu\0", b"L"),
        ]
        assert single(b"".join(headers) + entry(b"a") + END).member.name == "later"

    def test_pax_values_with_anything(self) -> None:
        """Values may hold newlines and equals signs, and NULs after the last record are padding."""
        body = record(b"SCHILY.xattr.user.x", b"a=b\n17 path=c\n") + record(b"path", b"d\ne=f") + bytes(9)
        assert single(entry(b"x", body, b"x") + entry(b"a") + END).member.name == "d\ne=f"

    @patient
    @given(length=st.integers(0, 1200))
    def test_record_lengths(self, length: int) -> None:
        """Records whose length has one digit more because of the digit are read."""
        stream = entry(b"x", record(b"path", b"n" * length), b"x") + entry(b"a") + END
        assert untarred([stream])[0].member.name == ("n" * length or "a")

    def test_empty_pax_header(self) -> None:
        """A header without records says nothing."""
        assert single(entry(b"x", b"", b"x") + entry(b"a") + END).member.name == "a"


class TestSparse:
    def test_old_gnu(self) -> None:
        """Type S is a sparse file; blocks that continue its map are passed over, and its data are as stored."""
        changes = {386: b"00000000000\x0000000000003\0", 482: b"\x01", 483: b"00000100000\0"}
        head = block(b"a.jpg", 3, b"S", magic=b"ustar  \0", changes=changes)
        more = b"\0" * 504 + b"\x01" + b"\0" * 7 + b"\0" * 512
        stream = head + more + padded(b"abc") + entry(b"b.jpg", b"b") + END
        assert untarred(single_bytes(stream)) == untarred([stream])
        assert untarred([stream]) == [
            Read(Member("a.jpg", MemberType.SPARSE, 3, "", 0), b"abc"),
            Read(Member("b.jpg", MemberType.FILE, 1, "", 2048), b"b"),
        ]

    @pytest.mark.parametrize(
        "records",
        [
            [(b"GNU.sparse.size", b"9"), (b"GNU.sparse.numblocks", b"1"), (b"path", b"a.jpg")],
            [(b"GNU.sparse.size", b"9"), (b"GNU.sparse.map", b"0,1"), (b"GNU.sparse.name", b"a.jpg")],
            [
                (b"GNU.sparse.major", b"1"),
                (b"GNU.sparse.minor", b"0"),
                (b"path", b"GNUSparseFile.7/a.jpg"),
                (b"GNU.sparse.name", b"a.jpg"),
                (b"GNU.sparse.realsize", b"9"),
            ],
        ],
        ids=["0.0", "0.1", "1.0"],
    )
    def test_pax(self, records: list[tuple[bytes, bytes]]) -> None:
        """The three pax forms are told by their records, carry the file's own name, and hold for one member."""
        body = b"".join(record(*pair) for pair in records)
        stream = entry(b"x", body, b"x") + entry(b"other", b"0123") + entry(b"b.jpg") + END
        first, second = untarred([stream])
        assert first == Read(Member("a.jpg", MemberType.SPARSE, 4, "", 1024), b"0123")
        assert second.member.type is MemberType.FILE


class TestEvents:
    def test_the_order(self) -> None:
        """A member is announced, its data follow, and its end is told before its padding has come."""
        stream = entry(b"a.jpg", b"abc") + entry(b"empty") + END
        untar = Untar()
        assert list(untar.feed(stream[:515])) == [
            Member("a.jpg", MemberType.FILE, 3, "", 0),
            Data(memoryview(b"abc")),
            MemberEnd(),
        ]
        rest: list[Event] = [Member("empty", MemberType.FILE, 0, "", 1024), MemberEnd(), ArchiveEnd()]
        assert list(untar.feed(stream[515:])) == rest

    def test_data_are_not_copied(self) -> None:
        """Data are views into the very bytes that were fed."""
        stream = entry(b"a.jpg", b"abc") + END
        (view,) = (event.view for event in Untar().feed(stream) if isinstance(event, Data))
        assert view.obj is stream

    def test_skip_within_data(self) -> None:
        """A consumer that has seen enough of a member is not told its end."""
        untar = Untar()
        seen: list[Event] = []
        for chunk in cut(entry(b"a.jpg", b"x" * 2000) + entry(b"b.jpg") + END, [700]):
            for event in untar.feed(chunk):
                seen.append(event)
                if isinstance(event, Data):
                    untar.skip()
        assert [type(event) for event in seen] == [Member, Data, Member, MemberEnd, ArchiveEnd]

    def test_skip_at_the_last_byte(self) -> None:
        """To skip at the last data event of a member silences its end, and the next member is whole."""
        untar = Untar()
        seen: list[Event] = []
        for event in untar.feed(entry(b"a.jpg", b"x" * 512) + entry(b"b.jpg", b"b") + END):
            seen.append(event)
            if event == Data(memoryview(b"x" * 512)):
                untar.skip()
        assert [type(event) for event in seen] == [Member, Data, Member, Data, MemberEnd, ArchiveEnd]

    def test_duplicates(self) -> None:
        """A name that comes twice is reported twice, in order: the first complete one is there first."""
        read = untarred([entry(b"a.jpg", b"first") + entry(b"a.jpg", b"second") + END])
        assert [data for _, data in read] == [b"first", b"second"]

    def test_nothing_after_the_end(self) -> None:
        """After the end of the archive nothing is looked at, however much comes."""
        untar = Untar()
        assert list(untar.feed(END)) == [ArchiveEnd()]
        assert list(untar.feed(b"anything" * 1000)) == []
        untar.finish()

    def test_consumed(self) -> None:
        """`consumed` counts the bytes of the tar stream."""
        untar = Untar()
        list(untar.feed(entry(b"a.jpg", b"abc")[:700]))
        assert untar.consumed == 700


class TestMisuse:
    @pytest.mark.parametrize("misuse", [lambda untar: untar.feed(b""), lambda untar: untar.finish()])
    def test_before_all_events_were_taken(self, misuse: Callable[[Untar], object]) -> None:
        """A feed or a finish on top of an unfinished feed would lose events, so it is refused."""
        untar = Untar()
        for _ in untar.feed(entry(b"a.jpg", b"abc")):
            break
        with pytest.raises(RuntimeError, match="not all taken"):
            misuse(untar)
