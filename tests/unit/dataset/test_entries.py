"""Captions, keywords, CUIs, semantic types and licences as entries."""

from __future__ import annotations

import doctest
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import roco_async.dataset.annotations
import roco_async.dataset.entries
import roco_async.dataset.rows
from roco_async.dataset.annotations import Group
from roco_async.dataset.entries import CAPTIONS, CUIS, KEYWORDS, SEMTYPES, Entry, SemanticType
from roco_async.dataset.entries import read_entries as read
from roco_async.dataset.rows import DLINKS, ID, LICENCES, Form
from roco_async.errors import UsageError

Write = Callable[..., Path]

GROUP = Group("test", "radiology")


def issues(root: Path) -> list[str]:
    with pytest.raises(UsageError) as caught:
        read(root, GROUP)
    return [issue.replace(f"{root}/test/radiology/", "") for issue in caught.value.issues]


class TestJoin:
    def test_all_files(self, write: Write) -> None:
        """Five rows of one id are one entry: no space before the caption, empty columns gone, types in pairs."""
        write("captions.txt", "a\t Axial MRI (coronal view).\n")
        write("keywords.txt", "a\t\taxial\tmri\n")
        write("cuis.txt", "a\t\tC0040395\tC0011334\n")
        write("semtypes.txt", "a\t\tT060\tDiagnostic Procedure\tT023\tBody Part, Organ\n")
        root = write("licences.txt", "ROCO_ID,PMC_ID,CC\na,PMC1_x.jpg,NO-CC CODE\n")
        assert list(read(root, GROUP)) == [
            Entry(
                "a",
                "Axial MRI (coronal view).",
                ("axial", "mri"),
                ("C0040395", "C0011334"),
                (SemanticType("T060", "Diagnostic Procedure"), SemanticType("T023", "Body Part, Organ")),
                "NO-CC CODE",
            )
        ]  # fmt: skip

    @pytest.mark.parametrize("row", ["a", "a\t", "a\t\t", "a\r", "a\t\r"])
    def test_rows_of_an_id_only(self, write: Write, row: str) -> None:
        """A row with an id and nothing else is an image without keywords, concepts or types, and no fault."""
        for name in ("keywords.txt", "cuis.txt", "semtypes.txt"):
            root = write(name, row + "\n")
        assert list(read(root, GROUP)) == [Entry("a")]

    def test_one_empty_column_at_the_end(self, write: Write) -> None:
        """One empty column at a row's end is no keyword, no concept and no type."""
        write("keywords.txt", "a\t\tmri\t\n")
        write("cuis.txt", "a\t\tC0040395\t\n")
        root = write("semtypes.txt", "a\t\tT033\tFinding\t\n")
        assert list(read(root, GROUP)) == [
            Entry("a", "", ("mri",), ("C0040395",), (SemanticType("T033", "Finding"),)),
        ]

    @pytest.mark.parametrize(
        ("name", "row", "entry"),
        [
            ("captions.txt", "a\tno space, , two\n", Entry("a", "no space, , two")),
            ("captions.txt", "a\t  its own \n", Entry("a", "its own ")),
            ("captions.txt", "a\t\n", Entry("a")),
            ("keywords.txt", "a\t\tmri\n", Entry("a", keywords=("mri",))),
            ("licences.txt", "a,PMC1_x.jpg,CC BY\n", Entry("a", licence="CC BY")),
            ("licences.txt", "a,PMC1_x.jpg,\n", Entry("a")),
        ],
    )
    def test_one_file_alone(self, write: Write, name: str, row: str, entry: Entry) -> None:
        """Files that are lacking leave their fields empty, and any one of the five is enough."""
        assert list(read(write(name, row), GROUP)) == [entry]

    def test_different_orders(self, write: Write) -> None:
        """Entries follow the captions whatever the other orders are; ids that only later files know come last."""
        write("captions.txt", "b\t B\na\t A\nc\t C\n")
        write("keywords.txt", "z\t\tzz\nc\t\tcc\na\t\taa\n")
        root = write("cuis.txt", "y\t\tC0000001\na\t\tC0000002\nz\t\tC0000003\nb\t\tC0000004\n")
        assert list(read(root, GROUP)) == [
            Entry("b", "B", cuis=("C0000004",)),
            Entry("a", "A", ("aa",), ("C0000002",)),
            Entry("c", "C", ("cc",)),
            Entry("z", "", ("zz",), ("C0000003",)),
            Entry("y", cuis=("C0000001",)),
        ]

    def test_streams(self, write: Write) -> None:
        """Taking 10,000 entries of files in the same order one by one takes under 500 kB of memory."""
        numbers = range(10_000)
        write("keywords.txt", "".join(f"{number}\t\tword\n" for number in numbers))
        root = write("captions.txt", "".join(f"{number}\t A caption.\n" for number in numbers))
        stream = read(root, GROUP)
        tracemalloc.start()
        try:
            assert sum(1 for _ in stream) == 10_000
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 500_000


class TestFaults:
    @pytest.mark.parametrize(
        ("name", "row", "what"),
        [
            ("captions.txt", "b", "has 1 columns, not 2"),
            ("captions.txt", "b\t x\ty", "has 3 columns, not 2"),
            ("captions.txt", "b\t x\x0by", r"column 2 is ' x\x0by', not plain text"),
            ("captions.txt", "../b\t x", f"column 1 is '../b', not {ID.wanted}"),
            ("keywords.txt", "b\tword", "column 2 is 'word', not empty"),
            ("keywords.txt", "b\t\tx\t\ty", "column 4 is '', not plain text"),
            ("cuis.txt", "b\t\tC123456", "column 3 is 'C123456', not a CUI (C and seven digits)"),
            ("cuis.txt", "b\t\tC1234567\tc1234567", "column 4 is 'c1234567', not a CUI (C and seven digits)"),
            ("semtypes.txt", "b\t\tT060", "has 1 columns after the first 2, which does not go in 2s"),
            ("semtypes.txt", "b\t\tT06\tX", "column 3 is 'T06', not a type's code (T and three digits)"),
            ("semtypes.txt", "b\t\tT060\tX\tFinding\tT033",
             "column 5 is 'Finding', not a type's code (T and three digits)"),
            ("licences.txt", "b,PMC1_x.jpg,CC,0", "has 4 columns, not 3"),
        ],
    )  # fmt: skip
    def test_broken_rows(self, write: Write, name: str, row: str, what: str) -> None:
        """Each broken row is named by file, line and column before an entry is read."""
        good = {"captions.txt": "a\t A", "licences.txt": "a,PMC1_a.jpg,CC0"}.get(name, "a")
        assert issues(write(name, f"{good}\n\n{row}\n")) == [f"{name}:3: {what}"]

    def test_all_at_once(self, write: Write) -> None:
        """The faults of all five files are told at once."""
        write("captions.txt", "a\t A\na\t B\n")
        write("keywords.txt", "")
        write("cuis.txt", b"a\t\t\xff\n")
        write("semtypes.txt", "a\t\tT033\n")
        assert issues(write("licences.txt", "a\0\n")) == [
            "captions.txt:2: a stands in line 1 already",
            "cuis.txt:1: is not UTF-8: byte 0xff",
            "keywords.txt: has no row",
            "licences.txt:1: holds a NUL byte",
            "semtypes.txt:1: has 1 columns after the first 2, which does not go in 2s",
        ]

    def test_no_file(self, write: Write) -> None:
        """A group with dlinks.txt alone has no entries, which is said with the files that were looked for."""
        root = write("dlinks.txt", "")
        with pytest.raises(UsageError, match=r"none of captions\.txt, keywords\.txt, .* is there"):
            read(root, GROUP)

    def test_spoilt_after_the_check(self, write: Write) -> None:
        """A file that was spoilt after the check is named at the end of the stream."""
        root = write("captions.txt", "a\t A\n")
        stream = read(root, GROUP)
        write("captions.txt", "a\t A\ntorn\n")
        assert next(stream) == Entry("a", "A")
        with pytest.raises(UsageError, match=r"captions\.txt:2"):
            next(stream)


cells = st.sampled_from(
    ["", "a", "ROCO_1", "..", ".", " x", "C1234567", "T060", "Finding", "PMC1_a.jpg", "PMC1_..", "a.jpg", "é",
     "wget -r ftp://h/oa_package/00/11/PMC1.tar.gz -P /D", "http://h/x", "\0", "\udcff", "\x85", "\ufeff", "\r", "a\\b",
     "x" * 201]
)  # fmt: skip
lines = st.lists(st.one_of(cells, st.text(max_size=4).filter(lambda text: "\n" not in text)), min_size=1, max_size=7)


@settings(deadline=None, max_examples=600)
@given(
    form=st.sampled_from([DLINKS, LICENCES, CAPTIONS, KEYWORDS, CUIS, SEMTYPES]),
    line=st.tuples(lines, st.sampled_from(["\t", ","]), st.sampled_from(["", "\n", "\r\n", "\r"])).map(
        lambda drawn: drawn[1].join(drawn[0]) + drawn[2]
    ),
)
def test_no_row_is_dropped_unsaid(form: Form, line: str) -> None:
    """A line is either read as a row or has something said against it, never both and never neither."""
    assert bool(form.row.fullmatch(line)) != bool(form.explain(line))


words = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=10)
typed = st.tuples(st.from_regex(r"T[0-9]{3}", fullmatch=True), words).map(lambda pair: SemanticType(*pair))
an_entry = st.builds(
    Entry,
    id=st.from_regex(r"ROCO_[0-9]{5}", fullmatch=True),
    caption=st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=40).map(lambda text: text.lstrip(" ")),
    keywords=st.lists(words, max_size=4).map(tuple),
    cuis=st.lists(st.from_regex(r"C[0-9]{7}", fullmatch=True), max_size=4).map(tuple),
    semtypes=st.lists(typed, max_size=3).map(tuple),
    licence=st.sampled_from([None, "CC BY", "NO-CC CODE"]),
)


@settings(deadline=None, max_examples=150)
@given(
    wanted=st.lists(an_entry, min_size=1, max_size=8, unique_by=lambda entry: entry.id),
    orders=st.lists(st.randoms(use_true_random=False), min_size=4, max_size=4),
    begin=st.sampled_from(["", "\ufeff", "\r\n"]),
    end=st.sampled_from(["\n", "\r\n", "\n \n"]),
)
def test_round_trip(wanted: list[Entry], orders: list, begin: str, end: str) -> None:  # type: ignore[type-arg]
    """Random entries come back from five files in five orders as they were, whatever an editor did to the files."""
    content = {
        "captions.txt": [f"{entry.id}\t {entry.caption}" for entry in wanted],
        "keywords.txt": ["\t".join([entry.id, "", *entry.keywords]) for entry in wanted],
        "cuis.txt": ["\t".join([entry.id, "", *entry.cuis]) for entry in wanted],
        "semtypes.txt": ["\t".join([entry.id, "", *sum(entry.semtypes, ())]) for entry in wanted],
        "licences.txt": [f"{entry.id},PMC1_a.jpg,{entry.licence or ''}" for entry in wanted],
    }
    for order, rows in zip(orders, list(content.values())[1:], strict=True):
        order.shuffle(rows)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, str(GROUP))
        folder.mkdir(parents=True)
        for name, rows in content.items():
            (folder / name).write_bytes((begin + end.join(rows) + end).encode())
        assert list(read(root, GROUP)) == wanted


@settings(deadline=None, max_examples=200)
@given(
    contents=st.lists(
        st.one_of(
            st.none(), st.binary(max_size=60), lines.map(lambda cells: "\t".join(cells).encode(errors="replace"))
        ),
        min_size=5,
        max_size=5,
    )
)
def test_random_bytes(contents: list[bytes | None]) -> None:
    """Whatever bytes are in the files, nothing but a UsageError is raised."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, str(GROUP))
        folder.mkdir(parents=True)
        for form, content in zip((CAPTIONS, KEYWORDS, CUIS, SEMTYPES, LICENCES), contents, strict=True):
            if content is not None:
                (folder / form.file).write_bytes(content)
        try:
            found = list(read(root, GROUP))
        except UsageError as error:
            assert error.issues  # noqa: PT017
        else:
            assert found


@pytest.mark.parametrize(
    "module", [roco_async.dataset.annotations, roco_async.dataset.entries, roco_async.dataset.rows]
)
def test_examples(module: object) -> None:
    """The examples in the docstrings of this room hold."""
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
