"""What a run would ask for, and whether the disk has room for it, without asking: no request, nothing written."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from .config import FetchConfig
from .errors import Unsafe
from .records import ImageRecord, Outcome, Status
from .store.decide import Decision
from .store.files import Files
from .store.layout import Layout
from .store.shelf import Shelf

MEAN_SIZE: Final = 95_500
"""Bytes of an image whose size nobody knows: an estimate, the mean over ROCO's test/radiology."""

_TELLING: Final = 100
"""Images from which on the mean of those that are there says more than ROCO's."""

_AMPLE: Final = 2
"""Times the estimate that has to be free for nothing to be counted: other images may be larger than ROCO's."""


@dataclass(slots=True)
class Survey:
    """Counts of images, and bytes.

    `there` are those that the journal vouches for, `unchecked` are on disk without a row. `bytes_known` are those that
    a list tells for the `sizes_known` images to be asked for, `bytes_estimated` are for the others. `free` is what this
    user may still write where the images go, quotas aside; None where the system does not say.
    """

    images: int = 0
    articles: int = 0
    there: int = 0
    unchecked: int = 0
    to_fetch: int = 0
    sizes_known: int = 0
    bytes_known: int = 0
    bytes_estimated: int = 0
    free: int | None = None

    @property
    def needed(self) -> int:
        """Bytes that the images to be asked for will take, an estimate unless all sizes are known."""
        return self.bytes_known + self.bytes_estimated

    @property
    def is_short(self) -> bool:
        """Whether less is free than is needed."""
        return self.free is not None and self.needed > self.free

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


async def survey(records: AsyncIterable[ImageRecord], config: FetchConfig) -> Survey:
    """Count what a run with these records would do, and what room there is; no request is made, nothing is written.

    Raises:
        DiskRefused: the output folder cannot be read.
    """
    files = Files()
    shelf = Shelf(config.images_root, files)
    try:
        await shelf.open()
        found = await _count(records, shelf, config.limit)
    finally:
        await files.aclose()
    found.free = await asyncio.to_thread(free_space, config.images_root)
    return found


async def shortage(
    records: Callable[[], AsyncIterable[ImageRecord]],
    total: int,
    config: FetchConfig,
    folders: Mapping[str, int] = MappingProxyType({}),
) -> Survey | None:
    """Look before a run whether the disk has too little room for it.

    Ample room costs one question to the file system, a folder that has nearly all one scandir; only then is counted.

    Args:
        records: makes the records of the run, of which no list knows the sizes.
        total: how many they are, the limit considered.
        config: the output folder and the limit.
        folders: folder → how many of them go there, of folders that no other images belong to.

    Returns:
        The survey if less is free than is needed, else None.

    Raises:
        DiskRefused: the output folder cannot be read.

    Example:
        >>> async def is_short(wanted):
        ...     return await shortage(wanted.records, wanted.total, wanted.config) is not None
    """
    if await asyncio.to_thread(_is_ample, total, config.images_root, folders):
        return None
    found = await survey(records(), config)
    return found if found.is_short else None


def free_space(folder: Path) -> int | None:
    """Return the bytes free where a folder is, or will be made; None where the system does not say. Blocks."""
    place = folder.absolute()
    while True:
        try:
            return shutil.disk_usage(place).free
        except (FileNotFoundError, NotADirectoryError):
            if place == place.parent:
                return None
            place = place.parent
        except OSError:
            return None


async def _count(records: AsyncIterable[ImageRecord], shelf: Shelf, limit: int | None) -> Survey:
    found = Survey()
    articles: set[str] = set()
    bytes_there = 0
    async for record in records:
        if limit is not None and found.images >= limit:
            break
        found.images += 1
        articles.add(record.pmcid)
        await shelf.look_into(record.folder)
        decision = shelf.decide(record)
        if isinstance(decision, Outcome):
            found.there += decision.status is Status.SKIPPED  # not one whose name leads out
            bytes_there += decision.bytes
        elif decision is Decision.CHECK:
            found.unchecked += 1
        else:
            found.to_fetch += 1
            if record.size is not None:
                found.sizes_known += 1
                found.bytes_known += record.size
    found.articles = len(articles)
    mean = bytes_there / found.there if found.there >= _TELLING else MEAN_SIZE
    found.bytes_estimated = round((found.to_fetch - found.sizes_known) * mean)
    return found


def _is_ample(total: int, out: Path, folders: Mapping[str, int]) -> bool:
    free = free_space(out)
    if free is None:
        return True
    enough_for = free // (MEAN_SIZE * _AMPLE)
    return total <= enough_for or total - _files_in(folders, out) <= enough_for


def _files_in(folders: Mapping[str, int], out: Path) -> int:
    """How many of the wanted images may be there, by the names in their folders."""
    layout = Layout(out)
    there = 0
    for folder, count in folders.items():
        with contextlib.suppress(OSError, Unsafe), os.scandir(layout.folder(folder)) as entries:
            there += min(count, sum(1 for _ in entries))
    return there
