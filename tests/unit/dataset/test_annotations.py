"""dlinks.txt and licences.txt as records."""

from __future__ import annotations

import os
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roco_async.dataset.annotations import Annotations, Group, Selection, find_groups, parse_selection
from roco_async.errors import UsageError
from roco_async.records import ImageRecord

Write = Callable[..., Path]

GROUP = Group("test", "radiology")
HEADER = "ROCO_ID,PMC_ID,CC\n"


def dlink(id: str = "ROCO_00001", pmcid: str = "PMC4608653", name: str = "cro-0008-0385-g01.jpg") -> str:
    link = f"ftp://ftp.ncbi.nlm.nih.gov/pub/pmc/oa_package/8d/34/{pmcid}.tar.gz"
    return f"{id}\twget -r {link} -P /path/to/Dir\t{name}\n"


def licence(id: str = "ROCO_00001", pmcid: str = "PMC4608653", name: str = "cro-0008-0385-g01.jpg") -> str:
    return f"{id},{pmcid}_{name},NO-CC CODE\n"


def issues(root: Path, *groups: Group) -> list[str]:
    """What `check` finds wrong, with paths below the root."""
    with pytest.raises(UsageError) as caught:
        Annotations(root, groups or [GROUP]).check()
    return [issue.replace(f"{root}/", "").replace("test/radiology/", "") for issue in caught.value.issues]


def records(root: Path) -> list[ImageRecord]:
    annotations = Annotations(root, [GROUP])
    found = list(annotations.records())
    assert annotations.check() == {GROUP: len(found)}
    return found


class TestRecords:
    def test_dlinks(self, write: Write) -> None:
        """A row of dlinks.txt is a record whose package path has no leading slash and whose folder is the group's."""
        assert records(write("dlinks.txt", dlink())) == [
            ImageRecord(
                "ROCO_00001",
                "PMC4608653",
                "cro-0008-0385-g01.jpg",
                "test/radiology/images",
                "pub/pmc/oa_package/8d/34/PMC4608653.tar.gz",
            )
        ]

    def test_licences_alone(self, write: Write) -> None:
        """Without dlinks.txt, licences.txt gives article and name, split at the first underscore, and no package."""
        rows = HEADER + "ROCO_00002,PMC4083729_AMHSR_4_g002.jpg,NO-CC CODE\nROCO_00003,PMC1_b.jpg,\n"
        assert records(write("licences.txt", rows)) == [
            ImageRecord("ROCO_00002", "PMC4083729", "AMHSR_4_g002.jpg", "test/radiology/images"),
            ImageRecord("ROCO_00003", "PMC1", "b.jpg", "test/radiology/images"),
        ]

    @pytest.mark.parametrize("header", [HEADER, "", "\n \n" + HEADER, "\ufeff" + HEADER, HEADER.replace("\n", "\r\n")])
    def test_header_or_none(self, write: Write, header: str) -> None:
        """The header of licences.txt may be there or not, after a BOM or blank lines, with CRLF."""
        assert [record.id for record in records(write("licences.txt", header + licence()))] == ["ROCO_00001"]

    @pytest.mark.parametrize(
        ("link", "path"),
        [
            ("wget -r ftp://h/oa_package/00/ff/PMC4608653.tar.gz -P /D", "oa_package/00/ff/PMC4608653.tar.gz"),
            ("https://me:pw@mirror.example:8443/a/b/oa_package/0a/1b/PMC4608653.tar.gz",
             "a/b/oa_package/0a/1b/PMC4608653.tar.gz"),
            ("curl -O http://h/deprecated/oa_package/0a/1b/PMC4608653.tar.gz",
             "deprecated/oa_package/0a/1b/PMC4608653.tar.gz"),
        ],
    )  # fmt: skip
    def test_links_of_mirrors(self, write: Write, link: str, path: str) -> None:
        """A link to any host over ftp, http or https is taken, with or without a command, and its path is kept."""
        assert [record.package_path for record in records(write("dlinks.txt", f"ROCO_1\t{link}\ta.jpg\n"))] == [path]

    def test_groups_in_order_and_once(self, write: Write) -> None:
        """Records come in the order of the groups and of their files, and a group that is given twice comes once."""
        write("dlinks.txt", dlink("b") + dlink("a"))
        root = write("licences.txt", licence("c"), group="train/radiology")
        annotations = Annotations(str(root), [GROUP, Group("train", "radiology"), GROUP])
        assert [record.id for record in annotations.records()] == ["b", "a", "c"]
        assert annotations.check() == {GROUP: 2, Group("train", "radiology"): 1}

    def test_the_same_id_in_two_groups(self, write: Write) -> None:
        """An id may stand in two groups, since their images go to two folders."""
        write("dlinks.txt", dlink("a"))
        root = write("dlinks.txt", dlink("a"), group="test/non-radiology")
        annotations = Annotations(root, [GROUP, Group("test", "non-radiology")])
        assert len({record.folder for record in annotations.records()}) == 2
        assert sum(annotations.check().values()) == 2

    def test_both_files_in_different_orders(self, write: Write) -> None:
        """The two files may be in different orders: the records follow dlinks.txt, and nothing is lacking."""
        ids = [f"ROCO_{number}" for number in range(50)]
        write("licences.txt", HEADER + "".join(map(licence, reversed(ids))))
        assert [record.id for record in records(write("dlinks.txt", "".join(map(dlink, ids))))] == ids

    def test_lazy(self, write: Write) -> None:
        """Reading 20,000 records one by one takes under 200 kB of memory, and a reader that leaves closes the file."""
        root = write("dlinks.txt", "".join(dlink(f"ROCO_{number}") for number in range(20_000)))
        stream = Annotations(root, [GROUP]).records()
        tracemalloc.start()
        try:
            for _ in range(19_999):
                next(stream)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 200_000
        del stream

    def test_spoilt_after_the_check(self, write: Write) -> None:
        """A file that was spoilt after the check yields its good rows, and then the fault by file and line."""
        root = write("dlinks.txt", dlink("a"))
        annotations = Annotations(root, [GROUP])
        annotations.check()
        write("dlinks.txt", dlink("a") + "torn\n" + dlink("b"))
        stream = annotations.records()
        assert [next(stream).id, next(stream).id] == ["a", "b"]
        with pytest.raises(UsageError, match=r"dlinks\.txt:2: has 1 columns"):
            next(stream)


COLUMN_2 = "PMC<number>_<image's name> (no slash, backslash or control character)"
BAD_IDS = ["a/b", "a\\b", "..", ".", ".hidden", "a..b", "a.", "", "x" * 201, "ROCO 1", "é", "\x1b[2J", "١", "\ufeffa"]
BAD_NAMES = ["../x.jpg", "a/b.jpg", "a\\b.jpg", "", ".", "..", "a\x07.jpg", "a\x85.jpg", "a\r.jpg"]
BAD_LINKS = [
    "",
    "wget -r",
    "wget -r ftp://ftp.ncbi.nlm.nih.gov/pub/pmc/PMC1.tar.gz -P /D",
    "wget -r ftp://h/pub/pmc/oa_package/8d/34/PMC1.tar -P /D",
    "wget -r ftp://h/pub/pmc/oa_package/8d/PMC1.tar.gz -P /D",
    "wget -r ftp://h/pub/pmc/oa_package/8d/34/PMC1.tar.gz.exe -P /D",
    "wget -r ftp://h/pub/pmc/oa_package/8d/34/NIHMS1.tar.gz -P /D",
    "wget -r ftp://h/pub/../oa_package/8d/34/PMC1.tar.gz -P /D",
    "wget -r ftp://h//etc/oa_package/8d/34/PMC1.tar.gz -P /D",
    "wget -r ftp://h/%2e%2e/oa_package/8d/34/PMC1.tar.gz -P /D",
    "wget -r file:///pub/pmc/oa_package/8d/34/PMC1.tar.gz -P /D",
    "wget -r sftp://h/pub/pmc/oa_package/8d/34/PMC1.tar.gz -P /D",
    "wget -r ftp:///pub/pmc/oa_package/8d/34/PMC1.tar.gz -P /D",
    "wget -r ftp://h/oa_package/8d/34/PMC1.tar.gz -P /D\x1b[2J",
    "wget -r ftp://h/oa_package/8d/34/PMC" + "1" * 13 + ".tar.gz -P /D",
]


class TestFaults:
    def test_the_longest_id(self, write: Write) -> None:
        """An id of 200 characters is the longest that is taken."""
        assert records(write("dlinks.txt", dlink("x" * 200)))[0].id == "x" * 200

    @pytest.mark.parametrize("id", BAD_IDS)
    def test_hostile_ids(self, write: Write, id: str) -> None:
        """An id that is no plain file name is refused in both files, by file and line."""
        write("licences.txt", HEADER + licence("good") + licence(id))
        found = issues(write("dlinks.txt", dlink("good") + dlink(id)))
        assert [issue.split(" is ")[0] for issue in found] == ["dlinks.txt:2: column 1", "licences.txt:3: column 1"]
        assert all("not an id" in issue and len(issue) < 220 and issue.isprintable() for issue in found)

    @pytest.mark.parametrize("name", BAD_NAMES)
    def test_hostile_names(self, write: Write, name: str) -> None:
        """A name that is no plain file name is refused in both files."""
        write("licences.txt", licence("good") + licence("bad", name=name))
        found = issues(write("dlinks.txt", dlink("good") + dlink("bad", name=name)))
        assert [issue.partition(" is ")[0] for issue in found] == ["dlinks.txt:2: column 3", "licences.txt:2: column 2"]

    @pytest.mark.parametrize("link", BAD_LINKS)
    def test_links(self, write: Write, link: str) -> None:
        """A link to anything else than an article's package is refused, and so is a path that climbs."""
        found = issues(write("dlinks.txt", f"ROCO_1\t{link}\ta.jpg\n"))
        assert len(found) == 1
        assert found[0].startswith("dlinks.txt:1: column 2 is ")

    @pytest.mark.parametrize(
        ("name", "row", "what"),
        [
            ("dlinks.txt", "a\n", "has 1 columns, not 3"),
            ("dlinks.txt", "a\tb\n", "has 2 columns, not 3"),
            ("dlinks.txt", dlink("a").replace("\n", "\tmore\n"), "has 4 columns, not 3"),
            ("dlinks.txt", "a\0b\n", "holds a NUL byte"),
            ("licences.txt", "a,PMC1_b.jpg\n", "has 2 columns, not 3"),
            ("licences.txt", "a,PMC1_b,c.jpg,CC0\n", "has 4 columns, not 3"),
            ("licences.txt", "a,b.jpg,CC0\n", f"column 2 is 'b.jpg', not {COLUMN_2}"),
            ("licences.txt", "a,PMC1_b.jpg,\x1b[2J\n", r"column 3 is '\x1b[2J', not a licence in plain text"),
        ],
    )  # fmt: skip
    def test_columns(self, write: Write, name: str, row: str, what: str) -> None:
        """A wrong number of columns, or a wrong one, is named once, by file and line."""
        good = dlink("good") if name == "dlinks.txt" else licence("good")
        assert issues(write(name, good + row)) == [f"{name}:2: {what}"]

    def test_not_utf8(self, write: Write) -> None:
        """A byte that is not UTF-8 is named by its line, and the lines round it are read."""
        content = dlink("a").encode() + b"b\xff\n" + dlink("c").encode() + b"\xed\xa0\x80\n"
        assert issues(write("dlinks.txt", content)) == [
            "dlinks.txt:2: is not UTF-8: byte 0xff",
            "dlinks.txt:4: is not UTF-8: byte 0xed",
        ]

    def test_repeated_ids(self, write: Write) -> None:
        """An id that stands twice in a file is refused, since both would be written to one file."""
        write("licences.txt", HEADER + licence("a") + licence("b") + licence("b"))
        assert issues(write("dlinks.txt", dlink("a") + dlink("b") + dlink("a", name="other.jpg"))) == [
            "dlinks.txt:3: a stands in line 1 already",
            "licences.txt:4: b stands in line 3 already",
        ]

    def test_a_second_header(self, write: Write) -> None:
        """A header after the first row is a broken row."""
        assert issues(write("licences.txt", licence() + HEADER))[0].startswith("licences.txt:2: column 2 is 'PMC_ID'")

    def test_rows_that_only_one_file_has(self, write: Write) -> None:
        """A row that the other file lacks is named by its file and line, both ways."""
        write("licences.txt", HEADER + licence("b") + licence("c") + licence("d"))
        assert issues(write("dlinks.txt", dlink("a") + dlink("b") + dlink("d"))) == [
            "dlinks.txt:1: a is not in licences.txt",
            "licences.txt:3: c is not in dlinks.txt",
        ]

    @pytest.mark.parametrize("swapped", [False, True])
    def test_rows_that_disagree(self, write: Write, swapped: bool) -> None:
        """Rows of one id with another article or name in the two files are named with both lines, in any order."""
        ours = [dlink("a", "PMC1", "x.jpg"), dlink("b", "PMC2", "X.jpg")]
        theirs = [licence("a", "PMC1", "y.jpg"), licence("b", "PMC3", "X.jpg")]
        write("licences.txt", "".join(reversed(theirs) if swapped else theirs))
        found = issues(write("dlinks.txt", "".join(ours)))
        assert len(found) == 2
        text = "\n".join(found)
        assert all(word in text for word in ("'PMC1_x.jpg'", "'PMC1_y.jpg'", "'PMC2_X.jpg'", "'PMC3_X.jpg'"))
        assert "dlinks.txt:" in text
        assert "licences.txt:" in text

    def test_a_broken_row_is_not_lacking_too(self, write: Write) -> None:
        """The partner of a broken row is not said to be lacking: one mistake, one issue."""
        write("licences.txt", licence("a") + licence("b"))
        assert issues(write("dlinks.txt", dlink("a") + "b\tno link\n")) == ["dlinks.txt:2: has 2 columns, not 3"]

    @pytest.mark.parametrize("content", ["", "\n\r\n \t\n", "\ufeff", b"\xef"])
    def test_no_row(self, write: Write, content: str | bytes) -> None:
        """A file without a row says so, and its neighbour's rows are not said to be lacking."""
        write("licences.txt", HEADER + licence())
        assert issues(write("dlinks.txt", content)) == ["dlinks.txt: has no row"]

    def test_a_header_is_no_row(self, write: Write) -> None:
        """A licences.txt that is only its header has no row."""
        assert issues(write("licences.txt", HEADER)) == ["licences.txt: has no row"]

    def test_no_file(self, tmp_path: Path) -> None:
        """A group that is checked without having been found is a fault and no crash."""
        assert issues(tmp_path) == ["dlinks.txt: cannot be read: No such file or directory"]

    @pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
    def test_no_regular_file(self, tmp_path: Path, make: Callable[[Path], None]) -> None:
        """A folder or a FIFO in the place of dlinks.txt is named, and a FIFO does not block."""
        (tmp_path / "test/radiology").mkdir(parents=True)
        make(tmp_path / "test/radiology/dlinks.txt")
        assert issues(tmp_path) == ["dlinks.txt: is not a regular file"]

    def test_a_broken_link_is_no_absence(self, write: Write, tmp_path: Path) -> None:
        """A dlinks.txt that is a dangling link (git-annex) is a fault, and licences.txt does not take its place."""
        root = write("licences.txt", licence())
        (tmp_path / "test/radiology/dlinks.txt").symlink_to("gone")
        assert find_groups(root, parse_selection(["test/radiology"])).groups == (GROUP,)
        assert issues(root) == ["dlinks.txt: cannot be read: No such file or directory"]

    def test_no_permission(self) -> None:
        """A file, or a group's folder, that may not be read is bad input and no absence."""
        locked = Group("train", "radiology")
        with unprivileged() as root:
            for group in (GROUP, locked):
                folder = root / str(group)
                folder.mkdir(parents=True)
                (folder / "dlinks.txt").write_text(dlink())
            (root / "test/radiology/dlinks.txt").chmod(0)
            folder.chmod(0)
            assert find_groups(root, Selection((GROUP, locked), ((GROUP,), (locked,)))).groups == (GROUP, locked)
            found = issues(root, GROUP, locked)
            folder.chmod(0o755)
        assert found == [
            "dlinks.txt: cannot be read: Permission denied",
            "train/radiology/dlinks.txt: cannot be read: Permission denied",
            "train/radiology/licences.txt: cannot be read: Permission denied",
        ]

    def test_all_at_once(self, write: Write) -> None:
        """The faults of all files of all groups are told at once, by file and line."""
        write("dlinks.txt", dlink("a") + "b\n" + dlink("..", name=".."))
        write("licences.txt", licence("a") + licence("z"), group="train/radiology")
        root = write("dlinks.txt", dlink("a") + dlink("a"), group="train/radiology")
        found = issues(root, GROUP, Group("train", "radiology"))
        assert [issue.split(": ")[0] for issue in found] == [
            "dlinks.txt:2",
            "dlinks.txt:3",
            "dlinks.txt:3",
            "train/radiology/dlinks.txt:2",
            "train/radiology/licences.txt:2",
        ]

    def test_no_more_than_a_hundred(self, write: Write) -> None:
        """Past a hundred, faults are counted and no longer listed."""
        found = issues(write("dlinks.txt", "broken\n" * 1_234))
        assert found[:100] == [f"dlinks.txt:{line}: has 1 columns, not 3" for line in range(1, 101)]
        assert found[100:] == ["... and 1,134 more"]


@contextmanager
def unprivileged() -> Iterator[Path]:
    """Be an ordinary user for a while, with a folder of one's own: root may read what nobody may."""
    was_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        if was_root:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            if was_root:
                os.seteuid(0)


ids = st.from_regex(r"[A-Za-z0-9_-]{1,8}(?:\.[A-Za-z0-9_-]{1,8}){0,2}", fullmatch=True)
letters = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/\\,")
names = st.text(letters, min_size=1, max_size=12).filter(lambda name: name not in (".", ".."))
articles = st.integers(1, 99_999_999).map("PMC{}".format)
rows_of = st.lists(st.tuples(ids, articles, names), min_size=1, max_size=12, unique_by=lambda row: row[0])
ends = st.sampled_from(["\n", "\r\n", "\n\n", "\r\n \t\r\n", "\n\t\n"])


def rendered(data: st.DataObject, lines: list[str]) -> bytes:
    """The lines with what editors and tools do to a file: BOM, CRLF, blank lines, no last newline."""
    text = data.draw(st.sampled_from(["", "\ufeff", "\n", "\ufeff\r\n"]))
    text += "".join(line.rstrip("\n") + data.draw(ends) for line in lines)
    return (text.removesuffix("\n") if data.draw(st.booleans()) else text).encode()


@settings(deadline=None, max_examples=150)
@given(rows=rows_of, data=st.data())
def test_round_trip(rows: list[tuple[str, str, str]], data: st.DataObject) -> None:
    """Random rows come back from dlinks.txt and licences.txt as they were, whatever an editor did to the files."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "test/radiology")
        folder.mkdir(parents=True)
        header = [HEADER] if data.draw(st.booleans()) else []
        shuffled = data.draw(st.permutations(rows))
        (folder / "licences.txt").write_bytes(rendered(data, header + [licence(*row) for row in shuffled]))
        if data.draw(st.booleans()):
            (folder / "dlinks.txt").write_bytes(rendered(data, [dlink(*row) for row in rows]))
        else:
            rows = shuffled
        assert [(found.id, found.pmcid, found.name) for found in records(Path(root))] == rows


pieces = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [b"\n", b"\r\n", b"\t", b",", b"\0", b"\xff", b"\xef\xbb\xbf", b"ROCO_1", b"PMC1_a.jpg", b"..", b"a.jpg"]
        ),
        st.sampled_from([dlink().encode(), licence().encode(), HEADER.encode(), dlink("b").encode().strip()]),
    ),
    max_size=12,
).map(b"".join)


@settings(deadline=None, max_examples=300)
@given(ours=pieces, theirs=pieces)
def test_random_bytes(ours: bytes, theirs: bytes) -> None:
    """Whatever bytes are in the files, nothing but a UsageError is raised, and what passes the check is read."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "test/radiology")
        folder.mkdir(parents=True)
        (folder / "dlinks.txt").write_bytes(ours)
        (folder / "licences.txt").write_bytes(theirs)
        annotations = Annotations(root, [GROUP])
        try:
            count = annotations.check()
        except UsageError as error:
            assert error.issues  # noqa: PT017
            return
        assert sum(1 for _ in annotations.records()) == count[GROUP]
