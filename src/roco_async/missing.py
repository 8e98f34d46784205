"""What is missing and why, by annotations, journals and one scandir a folder: no request, and no file is read."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from .config import FetchConfig
from .errors import Reason, Unsafe
from .records import ImageRecord
from .store.decide import Decision, decide
from .store.files import Files
from .store.inventory import Inventory, Lack, Place, lack_of, why_missing


@dataclass(slots=True)
class Missing:
    """Images that are not there, or are known to be damaged: why → their records.

    Example:
        >>> Missing(requested=3).there
        3
    """

    requested: int = 0
    why: dict[Lack, list[ImageRecord]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(map(len, self.why.values()))

    @property
    def there(self) -> int:
        return self.requested - self.count

    @property
    def complete(self) -> bool:
        return not self.why

    @property
    def only_permanent_losses(self) -> bool:
        """Whether a fetch would bring nothing."""
        return all(lack.permanent for lack in self.why)

    @property
    def ordered(self) -> list[tuple[Lack, list[ImageRecord]]]:
        """The permanent ones first, then by name."""
        return sorted(self.why.items(), key=lambda item: (not item[0].permanent, item[0].name))

    def as_dict(self) -> dict[str, Any]:
        """Plain values: what `--json` prints."""
        reasons = {
            lack.name: {
                "count": len(records),
                "permanent": lack.permanent,
                "ids": [record.id for record in records],
            }
            for lack, records in self.ordered
        }
        return {"requested": self.requested, "there": self.there, "missing": self.count, "reasons": reasons}


async def find_missing(records: AsyncIterable[ImageRecord], config: FetchConfig) -> Missing:
    """Tell which images are missing, and why.

    A file of the size that the journal and the list say is taken for whole: `verify` reads it.

    Raises:
        DiskRefused: a folder or a journal is there and cannot be read.

    Example:
        >>> async def never_tried(wanted):
        ...     missing = await find_missing(wanted.records(), wanted.config)
        ...     return [lack.name for lack, _ in missing.ordered]
    """
    missing = Missing()
    async with _inventory(config) as inventory:
        async for record in records:
            missing.requested += 1
            try:
                lack = _lack(record, await inventory.place(record))
            except Unsafe as error:
                lack = lack_of(error.reason)
            if lack is not None:
                missing.why.setdefault(lack, []).append(record)
    return missing


def _lack(record: ImageRecord, place: Place) -> Lack | None:
    """Return why an image is missing, None if it is there as far as can be told without reading it."""
    row = place.row
    if place.size is None:
        return why_missing(row)
    if decide(record, place.size, row) is Decision.FETCH:
        return _damaged_or(place)
    if row is not None and not row.there and (row.bad is not None or row.size not in (0, place.size)):
        return _damaged_or(place)
    return None


def _damaged_or(place: Place) -> Lack:
    """A file lies there that is not the image: the journal's failure says why, or else it is that very thing."""
    row = place.row
    return why_missing(row) if row is not None and row.reason is not None else lack_of(Reason.DAMAGED)


async def temporary_failures(records: AsyncIterable[ImageRecord], config: FetchConfig) -> list[ImageRecord]:
    """Return the images whose latest row in the journal is a failure that may be gone by now.

    Raises:
        DiskRefused: a journal cannot be read.

    Example:
        >>> async def again(wanted):
        ...     return await temporary_failures(wanted.records(), wanted.config)
    """
    async with _inventory(config) as inventory:
        return [record async for record in records if _failed_for_now(inventory, record)]


def _failed_for_now(inventory: Inventory, record: ImageRecord) -> bool:
    try:
        row = inventory.row(record)
    except Unsafe:
        return False
    return row is not None and not row.there and not (row.reason is not None and row.reason.permanent)


@asynccontextmanager
async def _inventory(config: FetchConfig) -> AsyncIterator[Inventory]:
    files = Files()
    try:
        inventory = Inventory(config.images_root, files)
        await inventory.open()
        yield inventory
    finally:
        await files.aclose()
