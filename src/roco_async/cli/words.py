"""What a person reads: the summary, the dry run, faults. Pure but for `say` and `tell`."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..config import FetchConfig
from ..errors import Reason, UsageError, redacted
from .streams import settle

if TYPE_CHECKING:  # `--help` need not wait for what a run imports
    from ..records import FetchReport, Outcome
    from ..survey import Survey

DONE: Final = 0
USAGE: Final = 2
PERMANENT: Final = 3
TEMPORARY: Final = 4
DISK: Final = 5

_NAMED: Final = 10
"""Missing images that the summary names for each reason; the journal has them all."""


def say(text: str) -> None:
    """Write a line for a person to stderr; a reader that left costs nothing."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")  # at once: other processes may write to the same log
        sys.stderr.flush()


def tell(text: str) -> None:
    """Write a result to stdout, after what stderr was given; a reader that left costs nothing."""
    settle()
    with contextlib.suppress(OSError, ValueError):
        print(text, flush=True)


def tell_json(value: dict[str, Any]) -> None:
    tell(json.dumps(value, separators=(", ", ": ")))


def usage_faults(error: UsageError) -> Iterator[str]:
    """Name settings by their flags."""
    flags = {field.name: field.metadata["flags"][-1] for field in fields(FetchConfig)}
    for issue in error.issues:
        name, colon, rest = issue.partition(":")
        yield f"{flags[name]}:{rest}" if colon and name in flags else issue


class Account(Protocol):
    """What says whether all is there, and whether asking again would bring more."""

    @property
    def complete(self) -> bool: ...

    @property
    def only_permanent_losses(self) -> bool: ...


def exit_code(report: Account) -> int:
    """The code of a run that went to its end."""
    if report.complete:
        return DONE
    return PERMANENT if report.only_permanent_losses else TEMPORARY


def size(count: int) -> str:
    """Return bytes as people write them.

    Example:
        >>> size(834_100_000), size(950)
        ('834.1 MB', '950 bytes')
    """
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"


def bytes_to_come(found: Survey) -> str:
    """Say what the images to be asked for will take; an estimate is told by `about`.

    Example:
        >>> bytes_to_come(Survey(to_fetch=2, bytes_estimated=191_000))
        'about 191.0 kB for 2 images'
    """
    about = "about " if found.bytes_estimated else ""
    return f"{about}{size(found.needed)} for {found.to_fetch:,} image{'' if found.to_fetch == 1 else 's'}"


def room(found: Survey, out: Path) -> str:
    """Say what is needed and what is free, and whether that is too little."""
    if found.free is None:
        return f"{bytes_to_come(found)}; free in {out}: unknown"
    is_certain = found.bytes_known > found.free
    verdict = f", which {'is' if is_certain else 'may be'} too little" if found.is_short else ""
    return f"{bytes_to_come(found)}; free in {out}: {size(found.free)}{verdict}"


def warning_of_room(found: Survey, out: Path) -> str:
    """Say before a run that its disk has too little room, and what to do; the run goes on."""
    return f"Room is needed: {room(found, out)}. Make some, or name another folder with --out."


def summary(report: FetchReport, *, words: Sequence[str], journal: Path | None, interrupted: bool) -> str:
    """Say success in words, or exactly what is missing and how to go on.

    Args:
        report: the account.
        words: the command line, to be given again.
        journal: has every image of this run; None where the run had nothing to note.
        interrupted: whether the run was stopped before its end.
    """
    there = report.fetched + report.skipped
    lines = []
    brought = f"{report.fetched:,} fetched ({size(report.bytes)}), {report.skipped:,} were there"
    if interrupted:
        lines.append(f"Stopped: {brought}, in {report.elapsed:.1f} s.")
    elif report.complete:
        return f"All {report.requested:,} images are there and verified: {brought}, in {report.elapsed:.1f} s."
    else:
        lines.append(f"{there:,} of {report.requested:,} images are there: {brought}, in {report.elapsed:.1f} s.")
    if report.failures:
        lines.append(f"{report.failed:,} {'is' if report.failed == 1 else 'are'} missing:")
        for reason in sorted(set(_reasons(report)), key=lambda item: (not item.permanent, item)):
            lines += _missing(reason, [outcome for outcome in report.failures if outcome.reason is reason])
    if journal is not None and report.failures:
        lines.append(f"Each with its reason: {journal}")
    if interrupted or not report.only_permanent_losses:
        lines.append("To go on, give the same command again; what is there is not asked for again:")
        lines.append(f"  {shlex.join(['python', '-m', 'roco_async', *words])}")
    return "\n".join(lines)


def _reasons(report: FetchReport) -> Iterator[Reason]:
    return (outcome.reason for outcome in report.failures if outcome.reason is not None)


def _missing(reason: Reason, outcomes: Sequence[Outcome]) -> Iterator[str]:
    kind = "for good" if reason.permanent else "for now"
    yield f"  {len(outcomes):,} {kind}, {reason}: {reason.meaning}"
    named = ", ".join(outcome.record.id for outcome in outcomes[:_NAMED])
    more = f" and {len(outcomes) - _NAMED:,} more" if len(outcomes) > _NAMED else ""
    yield f"    {named}{more}"
    yield f"    e.g. {outcomes[0].error}"


def settings(config: FetchConfig) -> dict[str, Any]:
    """The settings of a run as plain values, without passwords."""
    values = {field.name: getattr(config, field.name) for field in fields(FetchConfig)}
    return {name: redacted(str(value)) if isinstance(value, str | Path) else value for name, value in values.items()}
