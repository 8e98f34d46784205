"""What can happen to a file of a folder, as data: at once, when it is opened, or between two reads of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch


@dataclass(frozen=True)
class Happening:
    """What happens to a file, and when.

    Args:
        does: gets the file's path; an OSError that it raises is the system's answer to `open` or `read`.
        at: before the run, when the file is opened, or when it is read.
        nth: only these times, counted from 1.
    """

    does: Callable[[Path], object]
    at: Literal["once", "open", "read"] = "once"
    nth: int | Collection[int] | None = None

    def strikes(self, time: int) -> bool:
        return self.nth is None or time in ((self.nth,) if isinstance(self.nth, int) else self.nth)


def fails(number: int) -> Callable[[Path], object]:
    """Let the system answer with an error number."""

    def fail(_: Path) -> object:
        raise OSError(number, os.strerror(number))

    return fail


class _Watch:
    """`os.open` and `os.pread` as they are, but for one file, to which things happen before."""

    def __init__(self, file: Path, happenings: Collection[Happening]) -> None:
        self._file, self._happenings = file, happenings
        self._ours: set[int] = set()
        self._times: Counter[str] = Counter()
        self._open, self._pread = os.open, os.pread

    def due(self, at: str) -> None:
        self._times[at] += 1
        for one in self._happenings:
            if one.at == at and one.strikes(self._times[at]):
                one.does(self._file)

    def open(self, path: Any, *arguments: Any, **more: Any) -> int:
        is_ours = os.fsdecode(path) == str(self._file)
        if is_ours:
            self.due("open")
        descriptor = self._open(path, *arguments, **more)
        (self._ours.add if is_ours else self._ours.discard)(descriptor)
        return descriptor

    def pread(self, descriptor: int, *arguments: Any) -> bytes:
        if descriptor in self._ours:
            self.due("read")
        return self._pread(descriptor, *arguments)


@contextmanager
def happening(file: Path, happenings: Collection[Happening]) -> Iterator[None]:
    """Let all this happen to the file while it is read by `os.open` and `os.pread`."""
    watch = _Watch(file, happenings)
    watch.due("once")
    with patch.object(os, "open", watch.open), patch.object(os, "pread", watch.pread):
        yield
