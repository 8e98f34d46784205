"""What can be selected, and which groups are there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from roco_async.dataset.annotations import Group, Selection, find_groups, has_annotations, parse_selection
from roco_async.errors import UsageError

Write = Callable[..., Path]

GROUP = Group("test", "radiology")


class TestSelection:
    def test_no_word(self) -> None:
        """No word selects all six groups, in the order train, validation, test, and one of them has to be there."""
        groups, demanded = parse_selection([])
        assert demanded == (groups,)
        assert [str(group) for group in groups] == [
            "train/radiology",
            "train/non-radiology",
            "validation/radiology",
            "validation/non-radiology",
            "test/radiology",
            "test/non-radiology",
        ]

    def test_words(self) -> None:
        """Words keep their order, a split selects both its groups and demands one, and repeats count once."""
        selection = parse_selection(["test/non-radiology", "test", "test/non-radiology", "test"])
        other = Group("test", "non-radiology")
        assert selection == Selection((other, GROUP), ((other,), (GROUP, other)))

    def test_unknown_words(self) -> None:
        """All unknown words are named at once, before the words that would do."""
        with pytest.raises(UsageError) as caught:
            parse_selection(["test", "dev", "test/ct", "../test", "a\nb"])
        *unknown, accepted = caught.value.issues
        assert [issue.split(" selects")[0] for issue in unknown] == ["'dev'", "'test/ct'", "'../test'", r"'a\nb'"]
        assert "train, validation, test, train/radiology, train/non-radiology" in accepted

    @pytest.mark.parametrize("words", [("dev", "radiology"), ("test", ".."), ("", "")])
    def test_no_other_group_can_be_made(self, words: tuple[str, str]) -> None:
        """A Group of other words, which would lead to other folders, cannot be made."""
        with pytest.raises(UsageError):
            Group(*words)


class TestFindGroups:
    def test_unnamed_missing_groups_are_left_out(self, write: Write) -> None:
        """Where nothing was named, groups without files are returned apart and are no fault."""
        root = write("licences.txt", "")
        found = find_groups(root, parse_selection([]))
        assert found.groups == (GROUP,)
        assert len(found.missing) == 5

    def test_named_missing_groups(self, write: Write) -> None:
        """Each group that was named and is not there, and each split without any, is named by the paths looked for."""
        root = write("dlinks.txt", "")
        with pytest.raises(UsageError) as caught:
            find_groups(root, parse_selection(["test", "train/radiology", "validation"]))
        assert caught.value.issues == tuple(
            f"{root}/{group}/dlinks.txt: no such file, nor licences.txt beside it"
            for group in ("train/radiology", "validation/radiology", "validation/non-radiology")
        )

    def test_a_split_with_one_group(self, write: Write) -> None:
        """A split that was named names none of its groups: the one that is there will do, the other is told."""
        found = find_groups(write("dlinks.txt", ""), parse_selection(["test"]))
        assert found == ((GROUP,), (Group("test", "non-radiology"),))

    def test_a_root_with_nothing(self, tmp_path: Path) -> None:
        """A folder without any group is bad input although nothing was named, and holds no annotations."""
        with pytest.raises(UsageError) as caught:
            find_groups(tmp_path, parse_selection([]))
        assert len(caught.value.issues) == 6
        assert not has_annotations(tmp_path)

    @pytest.mark.parametrize("name", ["nowhere", "file", "file/below", "n\0l", "x" * 300])
    def test_no_root(self, tmp_path: Path, name: str) -> None:
        """A root that does not exist, or is no folder, is bad input and holds no annotations."""
        (tmp_path / "file").touch()
        with pytest.raises(UsageError, match="annotation root"):
            find_groups(tmp_path / name, parse_selection([]))

    def test_has_annotations(self, write: Write) -> None:
        """One licences.txt in one group is enough to be an annotation root."""
        assert has_annotations(write("licences.txt", "", group="train/non-radiology"))
