"""The verb `fetch`: find the annotations, fetch their images, and tell what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterable, Mapping, Sequence
from functools import partial

from ..config import FetchConfig
from ..engine import Records, each
from ..errors import DiskRefused, RocoError
from ..fetcher import Fetcher, Run
from ..progress import Drawer, Silent, drawn, for_stream
from ..records import FetchReport, ImageRecord, Outcome, Status
from ..splits import Wanted, open_annotations, will_obtain
from ..survey import shortage, survey
from .arguments import Command
from .interrupts import Interrupts
from .streams import Patient, Unhurried
from .words import (
    DISK,
    DONE,
    exit_code,
    room,
    say,
    settings,
    summary,
    tell,
    tell_json,
    warning_of_room,
)


async def fetch(command: Command) -> int:
    """Carry out the verb and return the exit code."""
    with Interrupts() as interrupts:
        if command.dry_run and await lacks_annotations(command):
            return DONE
        wanted = await find_annotations(command)
        if command.dry_run:
            groups = {str(group): count for group, count in wanted.images.items()}
            return await tell_plan(command, wanted.config, wanted.records(), groups)
        await warn_of_shortage(command, wanted)
        return await carry_out(command, wanted.config, wanted.records(), wanted.total, interrupts)


async def find_annotations(command: Command) -> Wanted:
    """Find the annotations of a command, or fetch them once, and say what a person would wonder about."""
    talks = not (command.quiet or command.dry_run)
    if talks and await asyncio.to_thread(will_obtain, command.selection, command.config):
        say(f"Fetching ROCO's annotations, once: {command.config.annotations_url}")
    wanted = await open_annotations(command.selection, command.config)
    if talks and wanted.missing:
        names = ", ".join(str(group) for group in wanted.missing)
        say(f"Left out, as there are no annotations of them in {wanted.config.data}: {names}")
    return wanted


async def warn_of_shortage(command: Command, wanted: Wanted, records: Sequence[ImageRecord] | None = None) -> None:
    """Say so where the disk seems to have too little room for a run; the run goes on, as its need is an estimate.

    Args:
        command: whether it is quiet.
        wanted: the images of the selection.
        records: those of them that the run asks for; None for all.
    """
    if command.quiet:
        return
    config, folders = wanted.config, {}
    if records is None and config.limit is None:  # else only the records tell which of a folder's images are wanted
        folders = {group.folder: count for group, count in wanted.images.items()}
    total = wanted.total if records is None else len(records)
    look = shortage(wanted.records if records is None else partial(each, records), total, config, folders)
    with contextlib.suppress(RocoError):  # a folder that cannot be read: the run meets it, and tells
        if (found := await look) is not None:
            say(warning_of_room(found, config.images_root))


async def carry_out(command: Command, config: FetchConfig, records: Records, total: int, interrupts: Interrupts) -> int:
    """Fetch records, tell what came of it, and return the exit code."""
    report = FetchReport()
    refused: DiskRefused | None = None
    async with Fetcher(config) as fetcher:
        run = fetcher.iter_fetch(records, skipped=command.verbose > 1)
        interrupts.watch(run)
        try:
            async with drawn(run.statistics, drawer(command, total)):
                async for outcome in run:
                    report.add(outcome)
                    _name(command, outcome)
        except DiskRefused as error:
            refused = error
        except asyncio.CancelledError:
            if interrupts.code is None:
                raise
            interrupts.stopped()
        await run.aclose()
        report.close(run.statistics())
    _tell(command, report, run, interrupted=interrupts.code is not None or refused is not None)
    if refused is not None:
        say(f"roco_async: {refused}")
        say("Make room, or name another folder with --out; then give the same command again.")
        return DISK
    return interrupts.code if interrupts.code is not None else exit_code(report)


def _tell(command: Command, report: FetchReport, run: Run, *, interrupted: bool) -> None:
    if command.json:
        tell_json(report.as_dict())
    elif not (command.quiet and report.complete and not interrupted):
        tell(summary(report, words=command.words, journal=run.journal, interrupted=interrupted))


def drawer(command: Command, total: int) -> Drawer:
    """Return what draws a command's progress."""
    if not command.progress:
        return Silent()
    drawer = for_stream(total, sys.stderr)
    return Unhurried(drawer, sys.stderr) if isinstance(sys.stderr, Patient) else drawer


def _name(command: Command, outcome: Outcome) -> None:
    if outcome.status is Status.FAILED and command.verbose:
        say(f"{outcome.record.id}: {outcome.reason}: {outcome.error}")
    elif command.verbose > 1:
        say(f"{outcome.record.id}: {outcome.status}: {outcome.path} ({outcome.bytes} bytes, {outcome.url})")


async def lacks_annotations(command: Command) -> bool:
    """Tell whether a run would have to fetch the annotations first; if so, a dry run says this and no more."""
    if not await asyncio.to_thread(will_obtain, command.selection, command.config):
        return False
    if command.json:
        tell_json({"annotations": command.config.annotations_url, "settings": settings(command.config)})
    else:
        tell(
            f"First, ROCO's annotations would be fetched: {command.config.annotations_url}\n"
            "What they ask for is known once they are there."
        )
    return True


async def tell_plan(
    command: Command, config: FetchConfig, records: AsyncIterable[ImageRecord], groups: Mapping[str, int]
) -> int:
    """Tell what a run with these records would do, and with which settings."""
    found = await survey(records, config)
    if command.json:
        tell_json({**found.as_dict(), "settings": settings(config)})
        return DONE
    lines = [
        f"{found.images:,} images of {found.articles:,} articles:",
        *(f"  {count:,} of {group}" for group, count in groups.items()),
        f"there: {found.there:,}; there, to be checked: {found.unchecked:,}; to be asked for: {found.to_fetch:,}",
        f"bytes: {room(found, config.images_root)}",
        "settings:",
        *(f"  {name} = {value}" for name, value in settings(config).items()),
    ]
    tell("\n".join(lines))
    return DONE
