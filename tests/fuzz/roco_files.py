"""Oracle of ROCO's six annotation files: each line is a row or a fault with its number, and rows come back as written.

An input is one text for all six files, or a bundle: `== captions.txt` on a line of its own begins that file.
"""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from roco_async.dataset.annotations import Annotations, Group
from roco_async.dataset.entries import CAPTIONS, CUIS, KEYWORDS, SEMTYPES, Entry, SemanticType, read_entries
from roco_async.dataset.rows import DLINKS, LICENCES, MOST_LISTED, AnnotationFile, Faults, Form
from roco_async.errors import UsageError
from roco_async.store.layout import Layout, file_name

T = TypeVar("T")

GROUP = Group("test", "radiology")
FORMS = (DLINKS, LICENCES, CAPTIONS, KEYWORDS, CUIS, SEMTYPES)

_BEGINS = re.compile(rb"^== ([a-z]+\.txt)\n", re.MULTILINE)


def read(data: bytes) -> None:
    """Hold the readers to a plain reading of the lines, records to safe names, entries to their way there and back."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, str(GROUP))
        folder.mkdir(parents=True)
        sound: dict[str, list[list[str]] | None] = {}
        for form, content in _files(data).items():
            (folder / form.file).write_bytes(content)
            sound[form.file] = _hold_to_lines(folder / form.file, form, content)
        _hold_records(root, sound)
        _hold_entries(root, sound)


def _files(data: bytes) -> dict[Form, bytes]:
    _, *parts = _BEGINS.split(data)
    if not parts:
        return dict.fromkeys(FORMS, data)
    contents = dict(zip(parts[::2], parts[1::2], strict=True))
    return {form: contents[form.file.encode()] for form in FORMS if form.file.encode() in contents}


def _tried(reading: Callable[[], T]) -> tuple[T | None, list[str]]:
    """Return what was read, or what is wrong: each fault fit to stand on a line of its own."""
    try:
        return reading(), []
    except UsageError as error:
        issues = list(error.issues)
    assert issues
    for issue in issues:
        assert issue.isprintable(), issue
    return None, issues


def _hold_to_lines(path: Path, form: Form, content: bytes) -> list[list[str]] | None:
    """Return the cells of each row of a file without fault, else None, after both were held against its lines."""
    faults = Faults()
    rows = dict(AnnotationFile(path, form, faults).rows())
    _, issues = _tried(faults.raise_any)
    assert len(issues) <= MOST_LISTED + 1
    blamed = {_blamed(issue, path) for issue in issues[:MOST_LISTED]}
    cells = {}
    header = form.header
    for number, line in enumerate(io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", "surrogateescape", "\n"), 1):
        row = rows.get(number)
        assert bool(form.row.fullmatch(line)) != bool(form.explain(line))
        text = line.strip(" \t\r\n")
        if row is not None:
            cells[number] = _held_row(form, line, row)
            assert number not in blamed
        elif text and not (header and text == header):
            assert number in blamed or faults.total > MOST_LISTED
        else:
            assert number not in blamed
        header = "" if text else header
    assert len(cells) == len(rows)
    assert len({row[0] for row in cells.values()}) == len(cells)
    assert cells or issues
    return None if issues else list(cells.values())


def _blamed(issue: str, path: Path) -> int:
    rest = issue.removeprefix(f"{path}:")
    assert rest != issue
    number, colon, _ = rest.partition(":")
    return int(number) if colon and number.isdecimal() else 0


def _held_row(form: Form, line: str, row: re.Match[str]) -> list[str]:
    """Hold a row's groups to the columns that a plain split finds."""
    cells = line.removesuffix("\n").removesuffix("\r").split(form.separator)
    assert row["id"] == cells[0]
    if form is DLINKS:
        assert cells[2] == row["name"]
        assert f"/{row['path']}" in cells[1]
        assert row["path"].endswith(f"/{row['pmcid']}.tar.gz")
        assert not any(part.startswith(".") or not part for part in row["path"].split("/"))
    elif form is LICENCES:
        assert cells[1:] == [f"{row['pmcid']}_{row['name']}", row["licence"]]
    elif form is CAPTIONS:
        assert cells[1:] == [row["caption"]]
    else:
        assert (row["rest"] or "").split("\t")[1:] == [cell for cell in cells[2:] if cell]
    return [*cells, row["pmcid"], row["name"]] if form in (DLINKS, LICENCES) else cells


def _hold_records(root: str, sound: dict[str, list[list[str]] | None]) -> None:
    given = [sound[form.file] for form in (DLINKS, LICENCES) if form.file in sound]
    reader = Annotations(root, [GROUP])
    counts, _ = _tried(reader.check)
    if counts is None:
        assert not given or None in given or not _agree(given)
        return
    assert given
    assert None not in given
    assert _agree(given)
    records = list(reader.records())
    assert len(records) == sum(counts.values()) == len({record.id for record in records})
    for record in records:
        assert file_name(record).startswith(record.id)
        assert Layout(Path("/out")).folder(record.folder) == f"/out/{GROUP.folder}"


def _agree(given: list[list[list[str]] | None]) -> bool:
    facts = [sorted((cells[0], *cells[-2:]) for cells in rows or ()) for rows in given]
    return all(fact == facts[0] for fact in facts)


def _hold_entries(root: str, sound: dict[str, list[list[str]] | None]) -> None:
    given = {name: rows for name, rows in sound.items() if name != DLINKS.file}
    entries, _ = _tried(lambda: list(read_entries(root, GROUP)))
    if entries is None:
        assert not given or None in given.values()
        return
    by_id = {name: {cells[0]: cells for cells in rows or ()} for name, rows in given.items()}
    wanted = set().union(*by_id.values())
    assert {entry.id for entry in entries} == wanted
    assert len(entries) == len(wanted)
    for entry in entries:
        assert entry == _joined(entry.id, by_id)
    with tempfile.TemporaryDirectory() as copy:
        _write(Path(copy, str(GROUP)), entries)
        assert list(read_entries(copy, GROUP)) == entries


def _joined(id: str, by_id: dict[str, dict[str, list[str]]]) -> Entry:
    def cells(form: Form) -> list[str]:
        return by_id.get(form.file, {}).get(id, [])

    types = [cell for cell in cells(SEMTYPES)[2:] if cell]
    return Entry(
        id,
        "".join(cells(CAPTIONS)[1:]).lstrip(" "),
        tuple(cell for cell in cells(KEYWORDS)[2:] if cell),
        tuple(cell for cell in cells(CUIS)[2:] if cell),
        tuple(SemanticType(*types[place : place + 2]) for place in range(0, len(types), 2)),
        (cells(LICENCES)[2:3] or [""])[0] or None,
    )


def _write(folder: Path, entries: list[Entry]) -> None:
    folder.mkdir(parents=True)
    rows = {
        CAPTIONS: [f"{entry.id}\t {entry.caption}" for entry in entries],
        KEYWORDS: ["\t".join([entry.id, "", *entry.keywords]) for entry in entries],
        CUIS: ["\t".join([entry.id, "", *entry.cuis]) for entry in entries],
        SEMTYPES: ["\t".join([entry.id, "", *sum(entry.semtypes, ())]) for entry in entries],
        LICENCES: [f"{entry.id},PMC1_a.jpg,{entry.licence or ''}" for entry in entries],
    }
    for form, lines in rows.items():
        (folder / form.file).write_bytes("".join(f"{line}\n" for line in lines).encode())
