"""No name gets out: ids, names and folders of hostile lists, and where plain ones go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from roco_async.errors import Unsafe
from roco_async.records import ImageRecord
from roco_async.store.layout import Layout, check_name, file_name

OUT = Path("/data/out")

letters = st.one_of(
    st.sampled_from(["..", ".", "/", "\\", "~", "a", "\0", "\n", " ", ".roco", "%2e", "$HOME"]), st.text(max_size=3)
)
words = st.lists(letters, max_size=5).map("".join)


@given(id=words, name=words, folder=words)
@example(id="a", name="a.jpg", folder=".roco/journal")
@example(id="a", name="a.jpg", folder="images/.roco")
@example(id="../a", name="a.jpg", folder="images")
@example(id="a", name="a./../jpg", folder="images")
@example(id="a", name="a.jpg", folder="/etc")
@example(id="a\ud800", name="a.jpg", folder="images")
def test_the_path_is_always_inside(id: str, name: str, folder: str) -> None:
    """Whatever a list says, the file lies below the output folder, never in `.roco`, or it is Unsafe."""
    record = ImageRecord(id, "PMC1", name, folder)
    layout = Layout(OUT)
    try:
        path = os.path.join(layout.folder(folder), file_name(record))
    except Unsafe:
        return
    assert os.path.normpath(path) == path
    inside = Path(path).relative_to(OUT).parts
    assert not any(part.startswith(".") for part in inside)
    assert len(inside) == (folder.count("/") + 1 if folder else 0) + 1
    assert b"\0" not in os.fsencode(path)


@pytest.mark.parametrize(
    ("id", "name", "file"),
    [
        ("ROCO_00001", "cro-0008-0385-g01.jpg", "ROCO_00001.jpg"),
        ("a", "Fig1.JPG", "a.jpg"),
        ("a", "fig.tar.GZ", "a.gz"),
        ("a", "no suffix", "a"),
        ("a", "dot.", "a"),
        ("a", ".jpg", "a.jpg"),
        ("a", "fig.averylongsuffix", "a"),
        ("a", "fig.j pg", "a"),
        ("a", "fig.jpég", "a"),
        ("a.b", "fig.png", "a.b.png"),
        ("ROCO 1 é", "fig.png", "ROCO 1 é.png"),
    ],
)
def test_the_name_is_made_of_id_and_suffix(id: str, name: str, file: str) -> None:
    """The file is `<id>.<suffix of name, lower case>`, and a suffix that is none is left out."""
    assert file_name(ImageRecord(id, "PMC1", name)) == file


@pytest.mark.parametrize(
    "id", ["", ".", "..", ".hidden", "a/b", "a\\b", "a\0", "a\n", "/a", "../../a", "a\x7f", "x" * 201, "é" * 101]
)
def test_no_plain_id(id: str) -> None:
    """An id that is empty, hidden, over 200 bytes, or has a separator or control character, is Unsafe."""
    with pytest.raises(Unsafe):
        file_name(ImageRecord(id, "PMC1", "a.jpg"))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b.jpg", "a\\b.jpg", "a\0.jpg", "../a.jpg", "a\udcff.jpg"])
def test_no_plain_name(name: str) -> None:
    """So is a name that could stand for another folder, although only its suffix is used."""
    with pytest.raises(Unsafe):
        file_name(ImageRecord("a", "PMC1", name))


@pytest.mark.parametrize(
    "folder", ["/", "/etc", "..", "a/../b", "a//b", "a/", ".roco", "a/.roco", ".", "a\\b", "a\0b", "./a"]
)
def test_no_plain_folder(folder: str) -> None:
    """A folder that is absolute, goes up, is hidden or has an empty part is Unsafe, each time it is asked for."""
    layout = Layout(OUT)
    for _ in range(2):
        with pytest.raises(Unsafe):
            layout.folder(folder)


def test_folders_and_journals() -> None:
    """A record's folder lies below the output folder, an empty one is that folder, and journals are apart."""
    layout = Layout(OUT)
    assert layout.folder("test/radiology/images") == "/data/out/test/radiology/images"
    assert layout.folder("") == "/data/out"
    assert layout.journals == "/data/out/.roco/journal"


def test_a_hidden_name_only_where_it_is_allowed() -> None:
    """`check_name` takes `.htaccess` as an original name and as nothing else."""
    check_name(".htaccess", "name", hidden_allowed=True)
    with pytest.raises(Unsafe, match="part"):
        check_name(".htaccess", "part")


def test_no_such_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id or a folder that the file system's encoding cannot write is Unsafe: that image's fault, not the run's."""
    monkeypatch.setattr(os, "fsencode", lambda path: path.encode("latin-1"))
    with pytest.raises(Unsafe, match="no such file name"):
        file_name(ImageRecord("漢", "PMC1", "a.jpg"))
    with pytest.raises(Unsafe, match="no such file name"):
        Layout(OUT).folder("images/漢")
