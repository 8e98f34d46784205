"""ROCO's groups, and their images as records: what can be selected, where it lies, what is wanted.

Fetching needs dlinks.txt or licences.txt of a group, and where both are there they must say the same. How a file is
read stands in rows.py, what the other files say of an image in entries.py.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError
from ..records import ImageRecord
from .rows import DLINKS, LICENCES, AnnotationFile, Faults, is_there, shown, why

SPLITS = ("train", "validation", "test")
GROUPS = ("radiology", "non-radiology")


@dataclass(frozen=True, slots=True)
class Group:
    """One of the six groups of ROCO.

    Args:
        split: one of `SPLITS`.
        group: one of `GROUPS`.

    Raises:
        UsageError: there is no such group.

    Example:
        >>> str(Group("test", "radiology")), Group("test", "radiology").folder
        ('test/radiology', 'test/radiology/images')
    """

    split: str
    group: str

    def __post_init__(self) -> None:
        if self.split not in SPLITS or self.group not in GROUPS:
            raise UsageError([f"{self}: no such group; there are {', '.join(SPLITS)}, each / {' or '.join(GROUPS)}"])

    def __str__(self) -> str:
        return f"{self.split}/{self.group}"

    @property
    def folder(self) -> str:
        """Where the images go, relative to the output folder."""
        return f"{self}/images"


class Selection(NamedTuple):
    """The wanted groups, in order and each once.

    Args:
        groups: all of them.
        demanded: for each word, the groups of which one at least has to be there: `test/radiology` demands itself,
            `test` one of its two, and no word one of all six.
    """

    groups: tuple[Group, ...]
    demanded: tuple[tuple[Group, ...], ...]


class Found(NamedTuple):
    """The selected groups that are there, and those that nobody named and that are not."""

    groups: tuple[Group, ...]
    missing: tuple[Group, ...]


_SELECTABLE = {
    **{split: tuple(Group(split, group) for group in GROUPS) for split in SPLITS},
    **{f"{split}/{group}": (Group(split, group),) for split in SPLITS for group in GROUPS},
}


def parse_selection(words: Sequence[str]) -> Selection:
    """Read the command line's `SPLIT[/GROUP] ...`; no word selects all six groups.

    Args:
        words: `test` names both groups of a split, `test/radiology` one. The order is kept, repeats are folded.

    Returns:
        The groups, and which of them have to be there.

    Raises:
        UsageError: words that select nothing, one issue each, and one with the words that do.

    Example:
        >>> [str(group) for group in parse_selection(["test/radiology", "test"]).groups]
        ['test/radiology', 'test/non-radiology']
    """
    unknown = [word for word in words if word not in _SELECTABLE]
    if unknown:
        issues = [f"{shown(word)} selects nothing" for word in unknown]
        raise UsageError([*issues, f"a selection is one of: {', '.join(_SELECTABLE)}"])
    demanded = tuple(dict.fromkeys(_SELECTABLE[word] for word in words or SPLITS))
    groups = tuple(dict.fromkeys(chain.from_iterable(demanded)))
    return Selection(groups, demanded if words else (groups,))


def find_groups(root: str | Path, selection: Selection) -> Found:
    """Look which of the selected groups have a file that images can be fetched by: dlinks.txt or licences.txt.

    Args:
        root: the annotation root, `root/<split>/<group>/dlinks.txt`.
        selection: what `parse_selection` returned.

    Returns:
        The groups that are there; and those that are not, which is no fault where another of their split is.

    Raises:
        UsageError: no such root, a group that was named is missing, or all groups of a split, or all there are.

    Example:
        >>> found = find_groups("data", parse_selection([]))     # doctest: +SKIP
        >>> [str(group) for group in found.missing]              # doctest: +SKIP
        ['train/radiology']
    """
    try:
        is_folder = stat.S_ISDIR(os.stat(root).st_mode)
    except (OSError, ValueError) as error:
        raise UsageError([f"{root}: cannot be read as the annotation root: {why(error)}"]) from error
    if not is_folder:
        raise UsageError([f"{root}: the annotation root must be a folder"])
    there = tuple(group for group in selection.groups if _has_files(root, group))
    missing = tuple(group for group in selection.groups if group not in there)
    lacking = [group for groups in selection.demanded if not set(groups) & set(there) for group in groups]
    if lacking:
        paths = [folder_of(root, group) / DLINKS.file for group in dict.fromkeys(lacking)]
        raise UsageError([f"{path}: no such file, nor {LICENCES.file} beside it" for path in paths])
    return Found(there, missing)


def has_annotations(root: str | Path) -> bool:
    """Tell whether any of the six groups is below this folder.

    Example:
        >>> has_annotations("/nowhere")
        False
    """
    return any(_has_files(root, group) for groups in _SELECTABLE.values() for group in groups)


def folder_of(root: str | Path, group: Group) -> Path:
    """Return the folder of a group's annotation files.

    Example:
        >>> folder_of("data", Group("test", "radiology")).as_posix()
        'data/test/radiology'
    """
    return Path(root, group.split, group.group)


def _has_files(root: str | Path, group: Group) -> bool:
    return any(is_there(folder_of(root, group) / form.file) for form in (DLINKS, LICENCES))


class Annotations:
    """The wanted images of some groups, read from dlinks.txt, or from licences.txt where that is all there is.

    Args:
        root: the annotation root.
        groups: each counts once, in this order.

    Example:
        >>> found = find_groups("data", parse_selection(["test"]))                     # doctest: +SKIP
        >>> annotations = Annotations("data", found.groups)                            # doctest: +SKIP
        >>> sum(annotations.check().values()), next(annotations.records()).id          # doctest: +SKIP
        (8791, 'ROCO_00001')
    """

    def __init__(self, root: str | Path, groups: Iterable[Group]) -> None:
        self.root = Path(root)
        self.groups = tuple(dict.fromkeys(groups))

    def check(self) -> dict[Group, int]:
        """Read both files of every group once, and hold them against each other where both are there.

        Returns:
            The number of images a group. Memory meanwhile: one group's ids, about 120 bytes a row and file.

        Raises:
            UsageError: all faults of all groups, each by file and line.
        """
        faults = Faults()
        rows = {}
        for group in self.groups:
            file, *others = self._files(group, faults)
            rows[group] = _compare(file, others[0]) if others else sum(1 for _ in file.rows())
        faults.raise_any()
        return rows

    def records(self) -> Iterator[ImageRecord]:
        """Yield the images in the order of the files, reading as it goes: no list is held, whatever its length.

        Call `check` first: this remembers no ids, so that it finds no repeated ones.

        Raises:
            UsageError: a file was spoilt since the check; raised at the end of its group.
        """
        for group in self.groups:
            faults = Faults()
            file, *_ = self._files(group, faults)
            folder = group.folder
            linked = "path" in file.form.row.groupindex
            for _, row in file.matches():
                image, pmcid, name = row.group("id", "pmcid", "name")
                yield ImageRecord(image, pmcid, name, folder, row["path"] if linked else None)
            faults.raise_any()

    def _files(self, group: Group, faults: Faults) -> list[AnnotationFile]:
        folder = folder_of(self.root, group)
        forms = [form for form in (DLINKS, LICENCES) if is_there(folder / form.file)] or [DLINKS]
        return [AnnotationFile(folder / form.file, form, faults) for form in forms]


_Fact = tuple[int, tuple[str, str, str]]


def _facts(file: AnnotationFile) -> Iterator[_Fact]:
    for line, row in file.rows():
        yield line, row.group("id", "pmcid", "name")  # type: ignore[misc]  # as many as were asked for


def _compare(file: AnnotationFile, other: AnnotationFile) -> int:
    """Return how many rows the first file has, after the second one was held against it.

    Both are read in step, and a row that its neighbour does not equal waits for its partner: so two files in the same
    order cost no memory, and two in different orders are still compared right.
    """
    rows = 0
    sides = (file, other)
    waiting: tuple[dict[str, _Fact], dict[str, _Fact]] = ({}, {})
    for step in zip_longest(_facts(file), _facts(other)):
        rows += step[0] is not None
        if step[0] and step[1] and step[0][1] == step[1][1]:
            continue
        for side, fact in enumerate(step):
            if fact is None:
                continue
            line, key = fact
            partner = waiting[1 - side].pop(key[0], None)
            if partner is None:
                waiting[side][key[0]] = fact
            elif partner[1] != key:
                here, there = (f"{pmcid}_{name}" for _, pmcid, name in (key, partner[1]))
                where = f"{sides[1 - side].path.name}:{partner[0]}"
                sides[side].fault(line, f"{key[0]} is {shown(here)} here and {shown(there)} in {where}")
    for side, rest in enumerate(waiting):
        for image, (line, _) in rest.items():
            if sides[1 - side].lacks(image):
                sides[side].fault(line, f"{image} is not in {sides[1 - side].path.name}")
    return rows
