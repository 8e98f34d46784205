"""The verb `demo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..config import FetchConfig
from ..demo import DEMO_FOLDER, run_demo
from ..fetcher import Fetcher
from ..progress import drawn
from ..records import FetchReport
from ..splits import open_annotations
from .arguments import Command
from .fetch import drawer
from .interrupts import Interrupts
from .words import DONE, exit_code, say, summary, tell, tell_json

if TYPE_CHECKING:
    import aiohttp


async def demo(command: Command) -> int:
    """Carry out the verb; 0 if all is there but what the demo's bucket lacks on purpose."""

    async def fetch(config: FetchConfig, session: aiohttp.ClientSession) -> FetchReport:
        wanted = await open_annotations(["test"], config, session=session)
        report = FetchReport()
        async with Fetcher(wanted.config, session=session) as fetcher:
            run = fetcher.iter_fetch(wanted.records(), skipped=False)
            interrupts.watch(run)
            async with drawn(run.statistics, drawer(command, wanted.total)):
                async for outcome in run:
                    report.add(outcome)
            report.close(run.statistics())
        if not command.json:
            tell(summary(report, words=command.words, journal=run.journal, interrupted=interrupts.code is not None))
        return report

    with Interrupts() as interrupts:
        result = await run_demo(
            command.config.out or DEMO_FOLDER, fetch=fetch, say=None if command.quiet or command.json else say
        )
    if command.json:
        tell_json(result.report.as_dict())
    else:
        tell("\n".join(result.closing_lines))
    if interrupts.code is not None:
        return interrupts.code
    return DONE if result.as_planned else exit_code(result.report)
