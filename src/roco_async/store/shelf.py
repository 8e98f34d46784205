"""What is there already, and where the next image goes: layout, journal, files and decisions joined for one run."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from ..errors import DiskRefused, TransferError, Unsafe
from ..records import ImageRecord, Outcome, Status, Verified
from .decide import Decision, decide, is_known_bad, wanted_md5
from .files import Files, check_found, finished
from .image import ImageReceiver
from .journal import Journal, Ledger, rows_of
from .layout import Layout, file_name
from .lookup import LOST
from .naming import Casing, is_caseless
from .temps import scan

if TYPE_CHECKING:
    from .kept import KeptReceiver
    from .package import PackageReceiver

_FLUSH_EVERY: Final = 0.5
_FLUSH_AT: Final = 512

P = ParamSpec("P")
R = TypeVar("R")


class Shelf:
    """The output folder of one run.

    Args:
        out: the output folder; made when the first image comes.
        files: the disk.
        packages: keep whole packages below this folder; None keeps none.

    Example:
        >>> async def is_there(shelf, record):
        ...     await shelf.open()
        ...     return await shelf.find(record) is not None
    """

    def __init__(self, out: Path, files: Files, packages: Path | str | None = None) -> None:
        self._layout = Layout(out)
        self._packages = Path(packages) if packages is not None else None
        self._files = files
        self._ledger = Ledger()
        self._folders: dict[str, dict[str, int]] = {}
        self._casing = Casing()
        self._caseless: dict[str, bool] = {}
        self._siblings: dict[
            str, Path
        ] = {}  # a path beside another is made in a third of the time that a new one takes
        self._journal = Journal(self._layout.journals)
        self._rows: list[Outcome] = []
        self._flushing: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()

    @property
    def journal_path(self) -> str | None:
        """This run's journal; None as long as it has no row."""
        return self._journal.path

    async def open(self) -> None:
        """Read the journals of former runs.

        Raises:
            DiskRefused: they cannot be read.
        """
        self._files.forget_folders()
        try:
            self._ledger = await self._call(Ledger.read, self._layout.journals)
        except Unsafe as error:
            raise DiskRefused(f"{self._layout.journals}: {error.message}") from error

    async def look_into(self, folder: str) -> None:
        """Read what a folder has, once: one scandir tells of all its images.

        Raises:
            DiskRefused: the folder is there and cannot be read.
        """
        if folder not in self._folders:
            try:
                path = self._layout.folder(folder)
            except Unsafe:
                return  # `decide` names it, image by image
            try:
                self._folders[folder] = await self._call(scan, path)
            except Unsafe:
                self._folders[folder] = {}  # too long a name: each of its images is told so

    async def _learn_casing(self, folder: str) -> None:
        """Find out, once for the folders beside one another, whether their file system tells names apart by case."""
        sizes = self._folders.get(folder)
        if sizes is None:
            return  # no such folder can be made
        path = self._layout.folder(folder)
        beside = os.path.dirname(path)
        if beside not in self._caseless:
            self._caseless[beside] = await self._call(is_caseless, path, sizes, self._files.temp_name)
        if self._caseless[beside]:
            self._casing.learn(folder, sizes, was_there=lambda name: self._was_there(folder, name))

    def _was_there(self, folder: str, name: str) -> bool:
        row = self._ledger.row(folder, name)
        return row is not None and row.there

    def _claim(self, record: ImageRecord) -> Outcome | None:
        """Take the image's name on a caseless file system; the outcome of one whose name another image has."""
        try:
            name = file_name(record)
            size = self._casing.claim(record.folder, name)
        except Unsafe as error:
            return Outcome(record=record, status=Status.FAILED, reason=error.reason, error=str(error))
        if size is not None and self._was_there(record.folder, name):
            self._folders[record.folder].setdefault(name, size)  # it replaced a file that kept the case of its name
        return None

    def decide(self, record: ImageRecord) -> Outcome | Decision:
        """Decide about an image whose folder was looked into; no I/O.

        Returns:
            The outcome of an image that is there (SKIPPED) or that no name can be given (FAILED), else what to do.
        """
        try:
            name = file_name(record)
            folder = self._layout.folder(record.folder)
        except Unsafe as error:
            return Outcome(record=record, status=Status.FAILED, reason=error.reason, error=str(error))
        row = self._ledger.row(record.folder, name)
        decision = decide(record, self._folders[record.folder].get(name), row)
        if decision is Decision.SKIP and row is not None:
            return _there(record, self._path(folder, name), row.size, row.md5)
        return decision

    def has(self, record: ImageRecord) -> bool:
        """Tell at once, without I/O, whether an image is there; False also where `find` has to look closer."""
        sizes = self._folders.get(record.folder)
        if not sizes or record.folder in self._casing.folders:
            return False
        try:
            name = file_name(record)
        except Unsafe:
            return False
        return decide(record, sizes.get(name), self._ledger.row(record.folder, name)) is Decision.SKIP

    async def find(self, record: ImageRecord) -> Outcome | None:
        """Return the outcome of an image that needs no request, None of one that is to be fetched.

        A file that no journal knows is read: it counts if its md5 is the record's, or, where the record has none, if
        it is a whole picture by its beginning and end. One that failed since it was there has to be what it was then.

        Raises:
            DiskRefused: a folder or file is there and cannot be read.
        """
        if record.folder not in self._folders:
            await self.look_into(record.folder)
            await self._learn_casing(record.folder)
        if record.folder in self._casing.folders and (refused := self._claim(record)) is not None:
            return refused
        decision = self.decide(record)
        if isinstance(decision, Outcome):
            return decision
        return await self._check(record) if decision is Decision.CHECK else None

    async def _check(self, record: ImageRecord) -> Outcome | None:
        path = self.path(record)
        row = self._ledger.row(record.folder, file_name(record))
        try:
            found = await self._call(check_found, os.fspath(path), record.name, wanted_md5(record, row))
        except DiskRefused as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.ENOENT, *LOST):
                return None  # it went meanwhile, or the disk has lost it: another takes its place
            raise
        if found.fault is not None or is_known_bad(record, row, found.md5):
            return None
        outcome = _there(record, path, found.size, found.md5, verified="md5" if record.md5 else None)
        self._note(outcome)
        return outcome

    def path(self, record: ImageRecord) -> Path:
        """Return a record's final name.

        Raises:
            Unsafe: no such name can be given.
        """
        return self._path(self._layout.folder(record.folder), file_name(record))

    def _path(self, folder: str, name: str) -> Path:
        sibling = self._siblings.get(folder)
        if sibling is None:
            sibling = self._siblings[folder] = Path(folder, "sibling")
        return sibling.with_name(name)

    def receiver(self, path: Path, name: str, *, md5: str | None, size: int | None) -> ImageReceiver:
        """Make the receiver of one image, given its final name and the one it has at its source."""
        return ImageReceiver(self._files, os.fspath(path), name, md5=md5, size=size)

    def package(self, records: Sequence[ImageRecord], *, whole: bool = False) -> PackageReceiver:
        """Make the receiver of a package that has these images; `whole` decodes it to its end.

        Raises:
            Unsafe: one of them can be given no name.
        """
        from .package import PackageReceiver, Wish  # here, as the bucket's road needs no archives

        return PackageReceiver(
            self._files, [Wish(record, os.fspath(self.path(record))) for record in records], whole=whole
        )

    @property
    def keeps(self) -> bool:
        """Whether packages are kept too."""
        return self._packages is not None

    def kept_path(self, package_path: str) -> Path:
        """Where a package is kept: the mirror's tree below the folder for packages."""
        assert self._packages is not None
        return self._packages / package_path

    async def tidy(self, package_path: str) -> None:
        """Remove the note that a run left which was killed when the package just had its name."""
        from .kept import forget_note

        await self._files.call(forget_note, os.fspath(self.kept_path(package_path)))

    async def keeping(self, inner: PackageReceiver, package_path: str) -> KeptReceiver:
        """Make the receiver that keeps a package round the one of its members; it takes up what a killed run left."""
        from .kept import KeptReceiver

        receiver = KeptReceiver(self._files, inner, os.fspath(self.kept_path(package_path)))
        await receiver.look()
        return receiver

    def record(self, outcomes: Iterable[Outcome]) -> None:
        """Put outcomes into the journal, in batches.

        Raises:
            DiskRefused: an earlier batch could not be written.
        """
        for outcome in outcomes:
            if outcome.status is not Status.SKIPPED:
                self._note(outcome)
        if self._flushing is not None and self._flushing.done():
            self._flushing.result()

    async def aclose(self) -> None:
        """Write what is left and close the journal.

        A cancellation that comes meanwhile goes on when that is done: of these outcomes the caller was told.

        Raises:
            DiskRefused: the disk refused.
        """
        self._ending.set()
        await finished(asyncio.get_running_loop().create_task(self._end()))

    async def _end(self) -> None:
        try:
            if self._flushing is not None:
                await asyncio.wait([self._flushing])
                if not self._flushing.cancelled():
                    self._flushing.exception()  # the flush below meets the same disk and tells
            await self._flush()
        finally:
            await self._files.call(self._journal.close)

    def _note(self, outcome: Outcome) -> None:
        self._rows.append(outcome)
        if self._flushing is None or (self._flushing.done() and not self._flushing.exception()):
            self._flushing = asyncio.get_running_loop().create_task(self._flush_soon())

    async def _flush_soon(self) -> None:
        while self._rows:
            if len(self._rows) < _FLUSH_AT:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_FLUSH_EVERY):
                        await self._ending.wait()
            await self._flush()

    async def _flush(self) -> None:
        if self._rows:
            unwritten, self._rows = self._rows, []
            try:
                await self._call(self._append, unwritten)
            finally:
                self._rows = unwritten + self._rows  # `aclose` tries again, and tells

    def _append(self, outcomes: list[Outcome]) -> None:
        """Write outcomes into the journal, and take them out of the list once they are there; blocks."""
        self._journal.write(rows_of(outcomes, self._ledger))
        outcomes.clear()

    async def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run what is no image's own affair off the loop.

        Raises:
            Unsafe: no such name can be given.
            DiskRefused: the disk refused, for want of a descriptor too.
        """
        try:
            return await self._files.call(function, *args, **kwargs)
        except Unsafe:
            raise
        except TransferError as error:
            raise DiskRefused(f"{self._layout.out}: {error.message}") from error


def _there(record: ImageRecord, path: Path, size: int, md5: str | None, verified: Verified | None = None) -> Outcome:
    return Outcome(record=record, status=Status.SKIPPED, path=path, bytes=size, md5=md5, verified=verified)
