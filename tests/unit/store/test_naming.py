"""What a file system makes of names, by the errors that it gives."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from roco_async.errors import Busy, DiskRefused, Unsafe
from roco_async.store.files import Bodies, Files
from roco_async.store.naming import Casing, give_name, is_caseless
from tests.servers.pictures import tiny_jpeg

PICTURE = tiny_jpeg()


def before_the_name(folder: Path, *, there: bool) -> tuple[Path, Path]:
    """Write a temporary file, and one of that name where it is `there`; return the paths of both."""
    temp, path = folder / "temp", folder / "a.jpg"
    temp.write_bytes(PICTURE)
    if there:
        path.write_bytes(b"mine")
    return temp, path


def refusing(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let `os.replace` fail."""

    def replace(source: str, target: str) -> None:
        raise OSError(number, os.strerror(number), source, None, target)

    monkeypatch.setattr(os, "replace", replace)


class TestGiveName:
    @pytest.mark.parametrize(
        ("number", "there", "kind"),
        [
            (errno.EINVAL, False, Unsafe), (errno.ENOENT, False, Unsafe), (errno.EISDIR, True, Unsafe),
            (errno.ENOTEMPTY, True, Unsafe), (errno.EEXIST, True, Unsafe), (errno.EPERM, True, Unsafe),
            (errno.EACCES, True, Unsafe), (errno.EPERM, False, OSError), (errno.EACCES, False, OSError),
            (errno.EBUSY, True, Busy), (errno.ETXTBSY, True, Busy), (errno.ENOSPC, True, OSError),
            (errno.EROFS, True, OSError), (errno.EDQUOT, True, OSError), (errno.EIO, True, OSError),
            (errno.ESTALE, True, OSError), (errno.ENOTDIR, False, OSError), (errno.EXDEV, False, OSError),
        ],
    )  # fmt: skip
    def test_what_an_error_means(
        self, number: int, there: bool, kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Errors of one name are that image's; those of the folder or the disk stay what they are."""
        temp, path = before_the_name(tmp_path, there=there)
        refusing(monkeypatch, number)
        with pytest.raises(kind) as raised:
            give_name(str(temp), str(path))
        if not isinstance(raised.value, OSError):
            assert "a.jpg" in str(raised.value)

    @pytest.mark.parametrize(("there", "kind"), [(True, Unsafe), (False, OSError)])
    @pytest.mark.parametrize("number", [errno.EIO, errno.EUCLEAN])
    def test_a_file_that_the_disk_has_lost(
        self, number: int, there: bool, kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A bad inode under the name is that image's trouble; a disk that fails and has no such name is the run's."""
        temp, path = before_the_name(tmp_path, there=there)
        refusing(monkeypatch, number)

        def lstat(_: str) -> os.stat_result:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(os, "lstat", lstat)
            with pytest.raises(kind):
                give_name(str(temp), str(path))

    def test_a_folder_that_vanished(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """ENOENT without the temporary file is the folder's end, and not the name's."""
        refusing(monkeypatch, errno.ENOENT)
        with pytest.raises(FileNotFoundError):
            give_name(str(tmp_path / "temp"), str(tmp_path / "a.jpg"))

    @pytest.mark.parametrize(("number", "kind"), [(errno.EINVAL, Unsafe), (errno.ENOSPC, DiskRefused)])
    async def test_nothing_is_left(
        self, number: int, kind: type[Exception], files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever is refused, the temporary file goes, and what lay there stays."""
        path = tmp_path / "a.jpg"
        path.write_bytes(b"mine")
        refusing(monkeypatch, number)
        with pytest.raises(kind):
            await files.commit(Bodies(path=str(path), name="a.jpg", chunks=[PICTURE], size=len(PICTURE)))
        assert os.listdir(tmp_path) == ["a.jpg"]
        assert path.read_bytes() == b"mine"


class TestCaseless:
    @pytest.fixture
    def swapping(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let `os.path.lexists` find names in the other case, as a caseless file system does."""
        there = os.path.lexists
        monkeypatch.setattr(
            os.path,
            "lexists",
            lambda path: there(os.path.join(os.path.dirname(path), os.path.basename(path).swapcase())),
        )

    def temp_name(self, folder: str) -> str:
        return os.path.join(folder, ".roco-temp")

    @pytest.mark.parametrize("place", ["", "a/b/c"])
    @pytest.mark.parametrize("names", [{}, {"x.jpg": 1}, {"123": 1}])
    def test_asked(self, place: str, names: dict[str, int], tmp_path: Path, swapping: None) -> None:
        """It is asked of a file, else of a temporary one in the nearest folder that is there; nothing is left."""
        if place == "":
            for name in names:
                (tmp_path / name).write_bytes(b"1")
        before = sorted(os.listdir(tmp_path))
        known = names if place == "" else {}
        assert is_caseless(str(tmp_path / place), known, self.temp_name)
        assert sorted(os.listdir(tmp_path)) == before

    @pytest.mark.parametrize("names", [{}, {"x.jpg": 1}, {"x.jpg": 1, "X.JPG": 1}])
    def test_told_apart(self, names: dict[str, int], tmp_path: Path) -> None:
        """Here names are told apart by case, whatever is there."""
        for name in names:
            (tmp_path / name).write_bytes(b"1")
        assert not is_caseless(str(tmp_path), names, self.temp_name)
        assert sorted(os.listdir(tmp_path)) == sorted(names)

    def test_where_nothing_can_be_made(self, tmp_path: Path) -> None:
        """A place that takes no file is for the run to find out."""
        (tmp_path / "file").write_bytes(b"")
        assert not is_caseless(str(tmp_path / "file"), {}, self.temp_name)
        assert not is_caseless(str(tmp_path / ("x" * 300)), {}, self.temp_name)


class TestCasing:
    def test_the_first_has_the_name(self) -> None:
        """The first of the list has a name, as often as it asks; a second one is refused, in another folder too."""
        casing = Casing()
        casing.learn("images", {}, was_there=lambda _: False)
        assert [casing.claim("images", "a.jpg") for _ in range(2)] == [None, None]
        assert casing.claim("images", "b.jpg") is None
        for folder, name in (("images", "A.jpg"), ("IMAGES", "a.jpg")):
            with pytest.raises(Unsafe, match=r"images/a\.jpg"):
                casing.claim(folder, name)

    def test_the_one_that_is_there_has_the_name(self) -> None:
        """An image that the journal has there keeps its name, wherever it stands in the list."""
        casing = Casing()
        casing.learn("images", {"a.jpg": 7}, was_there=lambda name: name == "a.jpg")
        with pytest.raises(Unsafe, match=r"images/a\.jpg"):
            casing.claim("images", "A.jpg")
        assert casing.claim("images", "a.jpg") == 7

    def test_what_no_journal_knows_has_no_owner(self) -> None:
        """A file that another tool put there under a name of another case is nobody's, and its size is told."""
        casing = Casing()
        casing.learn("images", {"A.JPG": 7}, was_there=lambda _: False)
        assert casing.claim("images", "a.jpg") == 7
