"""The verb `report`: what is missing and why, without a request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from ..errors import DiskRefused, UsageError
from ..missing import Missing, find_missing
from ..splits import open_annotations, will_obtain
from .arguments import Command
from .interrupts import Interrupts
from .words import exit_code, tell, tell_json


async def report(command: Command) -> int:
    """Carry out the verb and return the exit code."""
    with Interrupts():
        if await asyncio.to_thread(will_obtain, command.selection, command.config):
            raise UsageError(["no annotations are here, so no run has begun: name their folder with --data"])
        wanted = await open_annotations(command.selection, command.config)
        missing = await find_missing(wanted.records(), wanted.config)
        if command.ids is not None:
            await asyncio.to_thread(_write, command.ids, missing)
    if command.json:
        tell_json(missing.as_dict())
    elif not (command.quiet and missing.complete):
        tell("\n".join(_lines(missing, command.ids)))
    return exit_code(missing)


def _lines(missing: Missing, ids: Path | None) -> Iterator[str]:
    if missing.complete:
        yield f"All {missing.requested:,} images are there. Whether they are whole, `verify` tells."
        return
    is_or_are = "is" if missing.count == 1 else "are"
    yield f"{missing.there:,} of {missing.requested:,} images are there; {missing.count:,} {is_or_are} missing:"
    for lack, records in missing.ordered:
        yield f"  {len(records):,} {'for good' if lack.permanent else 'for now'}, {lack.name}: {lack.meaning}"
        if ids is None:
            yield f"    {' '.join(record.id for record in records)}"
    if ids is not None:
        yield f"Each with its reason: {ids}"


def _write(path: Path, missing: Missing) -> None:
    lines = [f"{record.id}\t{lack.name}\n" for lack, records in missing.ordered for record in records]
    try:
        path.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise DiskRefused(f"the disk refused: {error}") from error
