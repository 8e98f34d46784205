"""The verb `retry`: fetch again what failed for now, by the journals, and nothing else."""

from __future__ import annotations

from collections import Counter

from ..engine import each
from ..missing import temporary_failures
from ..records import FetchReport
from .arguments import Command
from .fetch import carry_out, find_annotations, lacks_annotations, tell_plan, warn_of_shortage
from .interrupts import Interrupts
from .words import DONE, tell, tell_json


async def retry(command: Command) -> int:
    """Carry out the verb and return the exit code."""
    with Interrupts() as interrupts:
        if command.dry_run and await lacks_annotations(command):
            return DONE
        wanted = await find_annotations(command)
        records = await temporary_failures(wanted.records(), wanted.config)
        if command.dry_run:
            groups = Counter(record.folder.removesuffix("/images") for record in records)
            return await tell_plan(command, wanted.config, each(records), groups)
        if not records:
            return _nothing(command)
        await warn_of_shortage(command, wanted, records)
        total = min(len(records), wanted.config.limit or len(records))
        return await carry_out(command, wanted.config, records, total, interrupts)


def _nothing(command: Command) -> int:
    if command.json:
        tell_json(FetchReport().as_dict())
    elif not command.quiet:
        tell("Nothing to retry: the journal has no temporary failure. What no run has tried yet, `fetch` fetches.")
    return DONE
