"""The verb `fetch`: find the annotations, fetch their images, and tell what came of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

from ..errors import DiskRefused
from ..fetcher import Fetcher, Run
from ..progress import Drawer, Silent, drawn, for_stream
from ..records import FetchReport, Outcome, Status
from ..splits import Wanted, open_annotations, will_obtain
from ..survey import survey
from .arguments import Command
from .interrupts import Interrupts
from .words import DISK, DONE, exit_code, say, settings, size, summary, tell, tell_json


async def fetch(command: Command) -> int:
    """Carry out the verb and return the exit code."""
    with Interrupts() as interrupts:
        if command.dry_run:
            return await _dry_run(command)
        if not command.quiet and await asyncio.to_thread(will_obtain, command.selection, command.config):
            say(f"Fetching ROCO's annotations, once: {command.config.annotations_url}")
        wanted = await open_annotations(command.selection, command.config)
        if not command.quiet:
            _say_missing(wanted)
        return await _fetch(command, wanted, interrupts)


async def _fetch(command: Command, wanted: Wanted, interrupts: Interrupts) -> int:
    report = FetchReport()
    refused: DiskRefused | None = None
    async with Fetcher(wanted.config) as fetcher:
        run = fetcher.iter_fetch(wanted.records())
        interrupts.watch(run)
        try:
            async with drawn(run.statistics, _drawer(command, wanted.total)):
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
        report.elapsed = run.statistics().elapsed
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


def _drawer(command: Command, total: int) -> Drawer:
    return for_stream(total, sys.stderr) if command.progress else Silent()


def _name(command: Command, outcome: Outcome) -> None:
    if outcome.status is Status.FAILED and command.verbose:
        say(f"{outcome.record.id}: {outcome.reason}: {outcome.error}")
    elif command.verbose > 1:
        say(f"{outcome.record.id}: {outcome.status}: {outcome.path} ({outcome.bytes} bytes, {outcome.url})")


def _say_missing(wanted: Wanted) -> None:
    if wanted.missing:
        names = ", ".join(str(group) for group in wanted.missing)
        say(f"Left out, as there are no annotations of them in {wanted.config.data}: {names}")


async def _dry_run(command: Command) -> int:
    if await asyncio.to_thread(will_obtain, command.selection, command.config):
        text = f"First, ROCO's annotations would be fetched: {command.config.annotations_url}"
        if command.json:
            tell_json({"annotations": command.config.annotations_url, "settings": settings(command.config)})
        else:
            tell(f"{text}\nWhat they ask for is known once they are there.")
        return DONE
    wanted = await open_annotations(command.selection, command.config)
    found = await survey(wanted.records(), wanted.config)
    out = wanted.config.images_root
    free = await asyncio.to_thread(_free, out)
    if command.json:
        tell_json({**found.as_dict(), "free": free, "settings": settings(wanted.config)})
        return DONE
    known = f"{size(found.bytes_known)} of {found.sizes_known:,}" if found.sizes_known else "unknown before they come"
    lines = [
        f"{found.images:,} images of {found.articles:,} articles:",
        *(f"  {count:,} of {group}" for group, count in wanted.images.items()),
        f"there: {found.there:,}; there, to be checked: {found.unchecked:,}; to be asked for: {found.to_fetch:,}",
        f"bytes: {known}; free in {out}: {size(free)}",
        "settings:",
        *(f"  {name} = {value}" for name, value in settings(wanted.config).items()),
    ]
    tell("\n".join(lines))
    return DONE


def _free(folder: Path) -> int:
    """Bytes free where a folder is, or will be made."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(os.fspath(place)).free
