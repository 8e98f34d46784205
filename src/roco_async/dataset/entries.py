"""What ROCO says of an image beside its name: caption, keywords, CUIs, semantic types, licence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import UsageError
from .rows import CONTROL, ID, LICENCES, AnnotationFile, Column, Faults, Form, Row, is_there

if TYPE_CHECKING:
    from .annotations import Group

_SECOND = Column("", "empty")
_WORD = Column(rf"[^{CONTROL}]+", "plain text")

CAPTIONS = Form("captions.txt", "\t", (ID, Column(rf"(?P<caption>[^{CONTROL}]*)", "plain text")))
KEYWORDS = Form("keywords.txt", "\t", (ID, _SECOND), (_WORD,))
CUIS = Form("cuis.txt", "\t", (ID, _SECOND), (Column("C[0-9]{7}", "a CUI (C and seven digits)"),))
SEMTYPES = Form("semtypes.txt", "\t", (ID, _SECOND), (Column("T[0-9]{3}", "a type's code (T and three digits)"), _WORD))
_TELLING = (CAPTIONS, KEYWORDS, CUIS, SEMTYPES, LICENCES)


class SemanticType(NamedTuple):
    """A semantic type of UMLS: `T060`, `Diagnostic Procedure`."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What the annotations say of one image; a file or row that is lacking leaves its field empty.

    Args:
        id: the image's.
        caption: the figure's, without the spaces (one as a rule) that upstream's file puts before it.
        keywords: stemmed words of the caption.
        cuis: concepts of UMLS, `C0040395`.
        semtypes: the semantic types of these concepts.
        licence: upstream's word, `CC BY-NC`; `NO-CC CODE` where the article states none.
    """

    id: str
    caption: str = ""
    keywords: tuple[str, ...] = ()
    cuis: tuple[str, ...] = ()
    semtypes: tuple[SemanticType, ...] = ()
    licence: str | None = None


def read_entries(root: str | Path, group: Group) -> Iterator[Entry]:
    """Join a group's captions, keywords, CUIs, semantic types and licences by the image's id.

    All files are checked when this is called; the entries are read while they are taken. Files in the same order are
    read in step. Where the orders differ, rows wait in memory until theirs is asked for.

    Args:
        root: the annotation root.
        group: the one to read.

    Returns:
        An entry an image: in the order of the captions, then images that only a later file knows.

    Raises:
        UsageError: none of the files is there, or rows are broken: all of them, by file and line.

    Example:
        >>> from roco_async.dataset.annotations import Group
        >>> next(read_entries("data", Group("test", "radiology"))).caption     # doctest: +SKIP
        'Axial MRI (coronal view).'
    """
    folder = Path(root, str(group))
    forms = [form for form in _TELLING if is_there(folder / form.file)]
    if not forms:
        raise UsageError([f"{folder}: none of {', '.join(form.file for form in _TELLING)} is there"])
    faults = Faults()
    for form in forms:
        for _ in AnnotationFile(folder / form.file, form, faults).rows():
            pass
    faults.raise_any()
    return _joined(folder, forms)


def _joined(folder: Path, forms: Sequence[Form]) -> Iterator[Entry]:
    faults = Faults()
    files = [AnnotationFile(folder / form.file, form, faults) if form in forms else None for form in _TELLING]
    lookups = [_Lookup(file.matches() if file else iter(())) for file in files]
    for place, lookup in enumerate(lookups):
        for image, row in lookup.rest():
            yield _entry(image, [*[None] * place, row, *[later.take(image) for later in lookups[place + 1 :]]])
    faults.raise_any()


class _Lookup:
    """Rows of one file by id; those that are passed on the way to the wanted one wait here."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._waiting: dict[str, re.Match[str]] = {}

    def take(self, id: str) -> re.Match[str] | None:
        if id in self._waiting:
            return self._waiting.pop(id)
        for _, row in self._rows:
            if row["id"] == id:
                return row
            self._waiting[row["id"]] = row
        return None

    def rest(self) -> Iterator[tuple[str, re.Match[str]]]:
        yield from self._waiting.items()
        for _, row in self._rows:
            yield row["id"], row


def _entry(image: str, rows: Sequence[re.Match[str] | None]) -> Entry:
    caption, keywords, cuis, semtypes, licence = rows
    types = _repeated(semtypes)
    return Entry(
        image,
        caption=caption["caption"].lstrip(" ") if caption else "",
        keywords=_repeated(keywords),
        cuis=_repeated(cuis),
        semtypes=tuple(map(SemanticType, types[::2], types[1::2])),
        licence=(licence["licence"] or None) if licence else None,
    )


def _repeated(row: re.Match[str] | None) -> tuple[str, ...]:
    """Return the columns past the fixed ones: `rest` begins with a separator, and is None in a row of an id only."""
    return tuple((row["rest"] or "").split("\t")[1:]) if row else ()
