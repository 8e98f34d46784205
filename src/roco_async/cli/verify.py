"""The verb `verify`: read again what is on disk, tell what is damaged, missing or unknown, and mend it on demand."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Final

from ..errors import DiskRefused
from ..fetcher import Fetcher
from ..progress import drawn
from ..records import ImageRecord, Status
from ..store.verify import Finding
from ..verification import Verification, VerifyReport
from .arguments import Command
from .fetch import drawer, find_annotations
from .interrupts import Interrupts
from .words import DISK, exit_code, say, size, tell, tell_json

_NAMED: Final = 10
"""Images that the account names of each kind; -v names them all."""


async def verify(command: Command) -> int:
    """Carry out the verb and return the exit code."""
    with Interrupts() as interrupts:
        wanted = await find_annotations(command)
        refused: DiskRefused | None = None
        async with Fetcher(wanted.config) as fetcher:
            check = Verification(fetcher, online=command.online)
            interrupts.watch(check)
            try:
                async with drawn(check.statistics, drawer(command, wanted.total)):
                    await check.run(wanted.records())
                if command.repair and check.report.damaged and interrupts.code is None:
                    await _repair(command, fetcher, check, interrupts)
            except DiskRefused as error:
                refused = error
            except asyncio.CancelledError:
                if interrupts.code is None:
                    raise
                interrupts.stopped()
    _tell(command, check.report, interrupted=interrupts.code is not None or refused is not None)
    if refused is not None:
        say(f"roco_async: {refused}")
        return DISK
    return interrupts.code if interrupts.code is not None else exit_code(check.report)


async def _repair(command: Command, fetcher: Fetcher, check: Verification, interrupts: Interrupts) -> None:
    """Fetch the damaged files again; each stays under its name until its replacement is whole."""
    damaged = [finding.record for finding in check.report.damaged]
    run = fetcher.iter_fetch(damaged)
    interrupts.watch(run)
    came: set[ImageRecord] = set()
    mended_by_another = False
    try:
        async with aclosing(run), drawn(run.statistics, drawer(command, len(damaged))):
            async for outcome in run:
                if outcome.status is Status.FETCHED:
                    came.add(outcome.record)
                elif outcome.status is Status.SKIPPED:
                    mended_by_another = True
                elif command.verbose:
                    say(f"{outcome.record.id}: not mended, {outcome.reason}: {outcome.error}")
    finally:
        check.report.mended(came)
    if mended_by_another and interrupts.code is None:  # by its journal, which is no proof
        interrupts.watch(check)
        await check.look_again()


def _tell(command: Command, report: VerifyReport, *, interrupted: bool) -> None:
    if command.verbose:
        for finding in (*report.damaged, *report.missing, *report.unrecorded):
            say(_named(finding))
        for name in report.unknown:
            say(f"{name}: no image of this selection has this name")
    if command.json:
        tell_json(report.as_dict())
    elif not (command.quiet and report.complete and not interrupted):
        tell("\n".join(_lines(command, report, interrupted=interrupted)))


def _named(finding: Finding) -> str:
    words = [str(finding.state)]
    words += [finding.lack.name] if finding.lack is not None else []
    words += [finding.fault] if finding.fault is not None else []
    return f"{finding.record.id}: {': '.join(words)}"


def _lines(command: Command, report: VerifyReport, *, interrupted: bool) -> Iterator[str]:
    read = f"{size(report.bytes)} read in {report.elapsed:.1f} s"
    if interrupted:
        yield f"Stopped after {report.requested:,} images: {report.verified:,} are verified ({read})."
    elif report.complete and not report.unrecorded:
        yield f"All {report.requested:,} images are there and verified ({read})."
    else:
        yield f"{report.verified:,} of {report.requested:,} images are there and verified ({read})."
    if report.repaired:
        yield f"{report.repaired:,} {'was' if report.repaired == 1 else 'were'} damaged and fetched again."
    if report.damaged:
        yield f"{len(report.damaged):,} {'is' if len(report.damaged) == 1 else 'are'} damaged:"
        for finding in report.damaged[:_NAMED]:
            yield f"  {finding.record.id}: {finding.fault} ({finding.path})"
        yield from _more(report.damaged)
    yield from _missing(report.missing)
    yield from _unrecorded(command, report)
    if report.unknown:
        one = len(report.unknown) == 1
        yield f"{len(report.unknown):,} {'file has a name' if one else 'files have names'} that no image here has:"
        yield f"  {', '.join(report.unknown[:_NAMED])}"
        yield from _more(report.unknown)
    if report.damaged or not report.only_permanent_losses:
        yield "To go on, fetch; what is whole is not asked for again:"
        yield f"  {shlex.join(['python', '-m', 'roco_async', *_folders(command)])}"


def _missing(findings: Sequence[Finding]) -> Iterator[str]:
    if not findings:
        return
    yield f"{len(findings):,} {'is' if len(findings) == 1 else 'are'} missing:"
    lacks = {finding.lack for finding in findings if finding.lack is not None}
    for lack in sorted(lacks, key=lambda one: (not one.permanent, one.name)):
        own = [finding for finding in findings if finding.lack == lack]
        yield f"  {len(own):,} {'for good' if lack.permanent else 'for now'}, {lack.name}: {lack.meaning}"
        yield f"    {', '.join(finding.record.id for finding in own[:_NAMED])}"
        yield from _more(own)


def _unrecorded(command: Command, report: VerifyReport) -> Iterator[str]:
    """Say whose files these are, and how far they were checked."""
    if not report.unrecorded:
        return
    folders = Counter(finding.record.folder for finding in report.unrecorded)
    yield f"{len(report.unrecorded):,} not known to the journal, and checked by their own beginning and end only:"
    for folder, count in folders.items():
        whole = count == report.present[folder]
        told = "all: another tool filled this folder, or its journal was lost" if whole else "put there by another tool"
        yield f"  {count:,} in {os.path.join(folder, '')}, {told}"
    failed = [finding for finding in report.unrecorded if finding.lack is not None]
    if failed:
        yield f"  {len(failed):,} could not be held against the bucket, e.g. {failed[0].fault}"
    elif not command.online:
        yield "  --online holds them against the bucket's md5s"


def _more(things: Sequence[object]) -> Iterator[str]:
    if len(things) > _NAMED:
        yield f"    and {len(things) - _NAMED:,} more; -v names them all"


def _folders(command: Command) -> list[str]:
    """The words that make a fetch of what was checked."""
    config = command.config
    named = [("--data", config.data), ("--out", config.out)]
    return [*command.selection, *(word for flag, path in named if path is not None for word in (flag, str(path)))]
