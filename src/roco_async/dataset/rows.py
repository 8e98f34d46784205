"""The rows of ROCO's annotation files: how each must look, and what is wrong with one that does not.

A `Form` states once, column by column, how the rows of a file look. One pattern made of it reads a good row at once
(about 1 µs); only a row that it refuses is taken apart by the same columns, to name what is wrong. To read another
file, state its Form.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from itertools import chain, cycle
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError

MOST_LISTED = 100


def shown(text: str) -> str:
    """Return a value of a file, fit to stand in one line of a message whatever it holds.

    Example:
        >>> shown("a" * 200)
        "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'"
    """
    return repr(text if len(text) <= 60 else text[:60] + "...")


def why(error: OSError | ValueError) -> str:
    """Return what the system says, without the path that the message begins with."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def is_there(path: Path) -> bool:
    """Tell whether a file has to be read: a broken link, or one in a locked folder, is a fault and no absence."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        return True
    return True


class Faults:
    """What is wrong with the input, found in any order: the first hundred are kept, all are counted."""

    def __init__(self) -> None:
        self._listed: list[tuple[str, int, str]] = []
        self.total = 0

    def add(self, path: Path, line: int, what: str) -> None:
        """Note a fault.

        Args:
            path: the file.
            line: counted from 1; 0 where the whole file is meant.
            what: goes on from the file's name and the colon.
        """
        self.total += 1
        if len(self._listed) < MOST_LISTED:
            self._listed.append((str(path), line, what))

    def raise_any(self) -> None:
        """Do nothing where there is no fault.

        Raises:
            UsageError: all of them, by file and line; past a hundred the rest is one line.
        """
        if not self.total:
            return
        issues = [f"{path}:{line}: {what}" if line else f"{path}: {what}" for path, line, what in sorted(self._listed)]
        if self.total > MOST_LISTED:
            issues.append(f"... and {self.total - MOST_LISTED:,} more")
        raise UsageError(issues)


class Column(NamedTuple):
    """What a column holds: a pattern that cannot cross a separator, and the same in words."""

    pattern: str
    wanted: str


class Form:
    """How the rows of one file look.

    Args:
        file: its name.
        separator: stands between two columns.
        columns: the columns of a row.
        repeated: columns that may follow, together, any number of times. Such a row may also end after its id, and may
            have one empty column at its end: upstream's files have both.
        header: a first row that is no data.
    """

    def __init__(
        self, file: str, separator: str, columns: Sequence[Column], repeated: Sequence[Column] = (), header: str = ""
    ) -> None:
        self.file = file
        self.separator = separator
        self.header = header
        self._fixed = len(columns)
        self._repeated = len(repeated)
        self._columns = [(re.compile(column.pattern), column.wanted) for column in (*columns, *repeated)]
        row = separator.join(column.pattern for column in columns)
        if repeated:
            first, *others = columns
            fixed = "".join(separator + column.pattern for column in others)
            unit = "".join(separator + column.pattern for column in repeated)
            row = f"{first.pattern}(?:{fixed}(?P<rest>(?:{unit})*){separator}?)?"
        self.row = re.compile(row + r"\r?\n?")

    def explain(self, line: str) -> list[str]:
        """Name all that is wrong with a line that `row` does not match."""
        if "\0" in line:
            return ["holds a NUL byte"]
        if foreign := re.search("[\udc80-\udcff]", line):
            return [f"is not UTF-8: byte 0x{ord(foreign[0]) - 0xDC00:02x}"]
        cells = line.removesuffix("\n").removesuffix("\r").split(self.separator)
        if self._repeated and len(cells) > self._fixed and not cells[-1]:
            cells.pop()
        what = []
        beyond = len(cells) - self._fixed
        if self._repeated and beyond > 0 and beyond % self._repeated:
            what = [f"has {beyond} columns after the first {self._fixed}, which does not go in {self._repeated}s"]
        elif not self._repeated and beyond:
            what = [f"has {len(cells)} columns, not {self._fixed}"]
        if what:
            # The other columns are out of their places, and would bring a fault each for nothing.
            del cells[1:]
        columns = chain(self._columns[: self._fixed], cycle(self._columns[self._fixed :]))
        for number, (cell, (pattern, wanted)) in enumerate(zip(cells, columns, strict=False), start=1):
            if not pattern.fullmatch(cell):
                what.append(f"column {number} is {shown(cell)}, not {wanted}")
        return what


# Surrogates are bytes that are not UTF-8: see AnnotationFile. A name's dots are looked at up to the column's end.
CONTROL = r"\x00-\x1f\x7f-\x9f\ud800-\udfff"
ID = Column(
    r"(?P<id>(?![A-Za-z0-9._-]{201})[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)",
    "an id (up to 200 of A-Z a-z 0-9 _ -, and single dots between them)",
)
_NO_DOTS = r"(?!\.{1,2}(?:[,\r\n]|\Z))"
_SEGMENT = r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*"
_LINK = Column(
    rf"(?:[^{CONTROL}:]* )?(?:ftp|https?)://[^{CONTROL} /\\?#]+/"
    rf"(?P<path>(?:{_SEGMENT}/)*oa_package/[0-9a-f]{{2}}/[0-9a-f]{{2}}/(?P<pmcid>PMC[0-9]{{1,12}})\.tar\.gz)"
    rf"(?: [^{CONTROL}]*)?",
    "a link to a package (ftp, http or https, .../oa_package/xx/yy/PMC<number>.tar.gz)",
)
_NAME = Column(
    rf"(?P<name>{_NO_DOTS}[^{CONTROL}/\\]+)",
    "an image's name (no slash, backslash or control character)",
)
_ARTICLE_AND_NAME = Column(
    rf"(?P<pmcid>PMC[0-9]{{1,12}})_(?P<name>{_NO_DOTS}[^{CONTROL}/\\,]+)",
    "PMC<number>_<image's name> (no slash, backslash or control character)",
)
_LICENCE = Column(rf"(?P<licence>[^{CONTROL},]*)", "a licence in plain text")

DLINKS = Form("dlinks.txt", "\t", (ID, _LINK, _NAME))
LICENCES = Form("licences.txt", ",", (ID, _ARTICLE_AND_NAME, _LICENCE), header="ROCO_ID,PMC_ID,CC")

Row = tuple[int, re.Match[str]]


class AnnotationFile:
    """One file, read row by row; what is wrong with it goes to `faults`, and reading goes on.

    A BOM, CRLF, blank lines and a missing last newline are no faults. Bytes that are not UTF-8 are read as lone
    surrogates (PEP 383), which no column's pattern takes: so one bad byte costs one line and not the file.

    Example:
        >>> faults = Faults()
        >>> for line, row in AnnotationFile(Path("dlinks.txt"), DLINKS, faults).rows():     # doctest: +SKIP
        ...     print(line, row["id"], row["pmcid"], row["name"])
    """

    def __init__(self, path: Path, form: Form, faults: Faults) -> None:
        self.path = path
        self.form = form
        self._faults = faults
        self._lines: dict[str, int] = {}
        self._broken: set[str] = set()
        self._sound = True

    def fault(self, line: int, what: str) -> None:
        """Note a fault of this file; line 0 is the whole of it."""
        self._sound = False
        self._faults.add(self.path, line, what)

    def lacks(self, id: str) -> bool:
        """Tell whether the file, which was read to its end, has no row of this id, not even a broken one.

        A file in which nothing could be read says so once, and not once a row.
        """
        return bool(self._lines) and id not in self._lines and id not in self._broken

    def rows(self) -> Iterator[Row]:
        """Yield line number and match of each good row; a second row of an id, or no row at all, is a fault."""
        for line, row in self.matches():
            first = self._lines.setdefault(row["id"], line)
            if first == line:
                yield line, row
            else:
                self.fault(line, f"{row['id']} stands in line {first} already")
        if self._sound and not self._lines:
            self.fault(0, "has no row")

    def matches(self) -> Iterator[Row]:
        """Yield line number and match of each good row, and remember nothing: for a file that was checked."""
        match = self.form.row.fullmatch
        header = self.form.header
        try:
            # Looked at before it is opened: a FIFO would block there.
            if not stat.S_ISREG(os.stat(self.path).st_mode):
                return self.fault(0, "is not a regular file")
            with open(self.path, encoding="utf-8-sig", errors="surrogateescape", newline="\n") as lines:
                for number, line in enumerate(lines, start=1):
                    if row := match(line):
                        yield number, row
                    elif not (text := line.strip(" \t\r\n")):
                        continue
                    elif text != header:
                        self._explain(number, line)
                    header = ""
        except OSError as error:
            self.fault(0, f"cannot be read: {why(error)}")

    def _explain(self, number: int, line: str) -> None:
        self._broken.add(line.partition(self.form.separator)[0])
        for what in self.form.explain(line):
            self.fault(number, what)
