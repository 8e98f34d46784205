"""ROCO by name: from `test/radiology` to its annotations, and to its images."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .config import FetchConfig
from .dataset.annotations import (
    SPLITS,
    Annotations,
    Group,
    Selection,
    find_groups,
    has_annotations,
    parse_selection,
)
from .engine import Finite
from .errors import UsageError
from .fetcher import Fetcher, transport_for
from .progress import drawn, for_notebook
from .records import FetchReport, ImageRecord
from .transfer.budget import Budget

if TYPE_CHECKING:
    import aiohttp

DEFAULT_DATA: Final = Path("data")
_BATCH: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The images of a selection, before any is asked for.

    Args:
        annotations: read and found good.
        images: how many a group has.
        missing: groups that nobody named and that have no annotations.
        config: as given, with the annotation root and the output folder filled in.
    """

    annotations: Annotations
    images: dict[Group, int]
    missing: tuple[Group, ...]
    config: FetchConfig

    def records(self) -> AsyncIterator[ImageRecord]:
        """Yield the images in the order of the files; reading and parsing happen off the loop, a batch at a time."""
        return Finite(self._read())

    async def _read(self) -> AsyncIterator[Sequence[ImageRecord]]:
        records = self.annotations.records()
        while batch := await asyncio.to_thread(list, islice(records, _BATCH)):
            yield batch

    @property
    def total(self) -> int:
        """Images that a run asks for, `limit` considered."""
        every = sum(self.images.values())
        return every if self.config.limit is None else min(every, self.config.limit)


def annotation_root(config: FetchConfig, selection: Selection) -> Path | None:
    """Return where the annotations are: `data`, else ./data, else the cached copy; None if they are to be fetched."""
    if config.data is not None:
        return Path(config.data)
    if has_annotations(DEFAULT_DATA):
        return DEFAULT_DATA
    from .dataset.obtain import cache_folder  # 25 ms with the archives, for those only who have no copy

    cached = cache_folder()
    if not has_annotations(cached):
        return None
    try:
        find_groups(cached, selection)
    except UsageError:
        return None  # the tarball that it came from lacked a group that is wanted now
    return cached


def will_obtain(words: Sequence[str], config: FetchConfig) -> bool:
    """Tell whether `open_annotations` would have to fetch the annotations first.

    Raises:
        UsageError: an unknown split or group.
    """
    return annotation_root(config, parse_selection(words)) is None


async def open_annotations(
    words: Sequence[str], config: FetchConfig, *, session: aiohttp.ClientSession | None = None
) -> Wanted:
    """Find, obtain where needed, read and check the annotations of a selection.

    Args:
        words: `test`, `train/radiology` …; none means all six groups.
        config: `data`, `out`, `annotations_url` and what a transfer needs.
        session: an aiohttp session to use.

    Raises:
        UsageError: an unknown split, a folder or group that was named and is not there, or broken lines: all at once.
        AnnotationsUnavailable: they could not be fetched, or are not upstream's.

    Example:
        >>> async def first_image():
        ...     wanted = await open_annotations(["test"], FetchConfig(data="data"))
        ...     return await anext(wanted.records())
    """
    selection = parse_selection(words)
    root = await asyncio.to_thread(annotation_root, config, selection)
    if config.out is not None and await asyncio.to_thread(os.path.isfile, config.out):
        raise UsageError([f"out: {config.out} is a file; a folder is wanted"])
    if root is None:
        from .dataset.obtain import obtain

        transport = transport_for(config, 1, session)
        try:
            root = await obtain(config.annotations_url, transport=transport, budget=Budget(config.attempts))
        finally:
            await transport.aclose()
    # a copy in the cache is no place for images: they go where upstream's clone would have them
    is_cache = config.data is None and root != DEFAULT_DATA
    found = await asyncio.to_thread(find_groups, root, selection)
    annotations = Annotations(root, found.groups)
    images = await asyncio.to_thread(annotations.check)
    out = config.out or (DEFAULT_DATA if is_cache else root)
    return Wanted(
        annotations=annotations, images=images, missing=found.missing, config=replace(config, data=root, out=out)
    )


def selected(
    split: str | Sequence[str], group: str | None, config: FetchConfig | None, fields: Mapping[str, Any]
) -> tuple[list[str], FetchConfig]:
    """Return the words and the configuration of a call by split and by fields.

    Raises:
        UsageError: FetchConfig has no such field, or not such a value.

    Example:
        >>> selected("test", "radiology", None, {"out": "roco"})[0]
        ['test/radiology']
    """
    unknown = sorted(fields.keys() - FetchConfig.field_names())
    if unknown:
        raise UsageError([f"{name}: FetchConfig has no such field" for name in unknown])
    config = replace(config, **fields) if config else FetchConfig(**fields)
    words = [split] if isinstance(split, str) else list(split)
    return ([f"{word}/{group}" for word in words or SPLITS] if group is not None else words), config


async def fetch_split(
    split: str | Sequence[str] = (),
    *,
    group: str | None = None,
    config: FetchConfig | None = None,
    session: aiohttp.ClientSession | None = None,
    **fields: Any,
) -> FetchReport:
    """Fetch the images of a split of ROCO, of one of its groups, or of all six groups.

    In a notebook it draws its progress under the cell; elsewhere it is silent.

    Args:
        split: `train`, `validation` or `test`; `test/radiology` names a group; several may be given; none means all.
        group: `radiology` or `non-radiology`, where one only is wanted.
        config: how to fetch.
        session: an aiohttp session to use; it is not closed.
        fields: fields of `FetchConfig` by name, instead of or on top of `config`.

    Returns:
        The account: counts, and each missing image with its reason.

    Raises:
        UsageError: bad settings or annotations, before any request.
        AnnotationsUnavailable: there are none here and they could not be fetched.
        DiskRefused: the disk takes no more.

    Example:
        >>> async def cell():
        ...     report = await fetch_split("test", group="radiology", data="data", out="roco")
        ...     report.raise_for_failures()
    """
    words, config = selected(split, group, config, fields)
    wanted = await open_annotations(words, config, session=session)
    report = FetchReport()
    async with Fetcher(wanted.config, session=session) as fetcher:
        run = fetcher.iter_fetch(wanted.records(), skipped=False)
        async with drawn(run.statistics, for_notebook(wanted.total)):
            async for outcome in run:
                report.add(outcome)
        report.close(run.statistics())
    return report
