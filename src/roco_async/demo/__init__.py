"""The demo: some 200 drawn pictures in a bucket on the loopback, fetched with the real engine. No network, in seconds.

It is a guest of the house: it comes in by the public door, as any other user does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from .. import DiskRefused, FetchConfig, FetchReport, UsageError, fetch_split
from .bucket import Bucket, BucketCounts
from .casebook import SPLIT, Case, make_cases, write_annotations
from .page import closing_line, write_page

__all__ = ["DEMO_FOLDER", "DemoResult", "Fetch", "run_demo"]

DEMO_FOLDER = Path("roco-demo")

_MARK = "DEMO.txt"
_MARK_TEXT = """This folder was made by `python -m roco_async demo` and may be deleted.
Its pictures are drawn by a program; none shows a person. Its captions, codes and article numbers are made up.
"""

Fetch = Callable[[FetchConfig, aiohttp.ClientSession], Awaitable[FetchReport]]
"""Fetches split `test` with this configuration over this session, and may draw its progress meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What came of the demo.

    Args:
        report: the fetcher's own account.
        counts: what the bucket did meanwhile.
        page: the contact sheet to look at.
        as_planned: whether all is there but what the bucket lacks on purpose.
    """

    report: FetchReport
    counts: BucketCounts
    page: Path
    as_planned: bool

    @property
    def closing_lines(self) -> tuple[str, ...]:
        """What to tell a person at the end, a sentence a line."""
        lines = [closing_line(self.counts)]
        if not self.report.fetched and self.report.skipped:
            lines.append(f"Nothing to fetch: {self.report.skipped} pictures are there already.")
        if self.as_planned and self.report.failed:
            lines.append("What is missing, the bucket lacks on purpose.")
        return (*lines, f"Look at {self.page}")


async def run_demo(
    folder: str | os.PathLike[str] = DEMO_FOLDER,
    *,
    fetch: Fetch | None = None,
    say: Callable[[str], None] | None = None,
) -> DemoResult:
    """Draw phantom pictures, serve them from a bucket that misbehaves, fetch them, and leave a page to look at.

    Run again, it fetches only what is not there any more.

    Args:
        folder: annotation root and output folder in one; new, empty, or left by an earlier demo.
        fetch: how to fetch; the library's own way, without a progress bar, where it is left out.
        say: takes a line before each step that takes a while.

    Returns:
        The report, the bucket's counts, and the path of the page.

    Raises:
        UsageError: Pillow is not installed, or the folder holds something else.
        DiskRefused: the folder cannot be written.

    Example:
        >>> result = await run_demo("roco-demo")  # doctest: +SKIP
        >>> result.report.fetched                 # doctest: +SKIP
        199
    """
    tell = say or _nothing
    draw = await asyncio.to_thread(_painter)
    home = Path(folder)
    cases = make_cases()
    with _disk(home):
        await asyncio.to_thread(_claim, home)
        await asyncio.to_thread(write_annotations, home, cases)
    tell(f"Drawing {len(cases)} phantom pictures ...")
    # One thread hop a picture and not one for all: so a Ctrl-C is heard between two of them.
    pictures = {case.key: await asyncio.to_thread(draw, case) for case in cases if case.published}
    # Every digest is taken when the bucket is made: too much for the loop.
    filled = await asyncio.to_thread(Bucket, _with_texts(cases, pictures))
    async with filled as bucket, _direct_session() as session:
        tell(f"A bucket that pushes back and cuts bodies serves them at {bucket.url}")
        config = FetchConfig(data=home, out=home, cloud_url=bucket.url)
        report = await (fetch or _fetch)(config, session)
    with _disk(home):
        page = await asyncio.to_thread(write_page, home, cases, report, bucket.counts)
    lacking = {case.id for case in cases if not case.published}
    missing = {outcome.record.id for outcome in report.failures}
    as_planned = missing == lacking and report.requested == len(cases)
    return DemoResult(report=report, counts=bucket.counts, page=page, as_planned=as_planned)


def _nothing(_line: str) -> None:
    """Be told something and keep it."""


def _painter() -> Callable[[Case], bytes]:
    try:
        from .phantoms import draw_case
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "PIL":
            raise
        raise UsageError(["the demo draws with Pillow, which is missing: pip install 'roco-async[demo]'"]) from error
    return draw_case


async def _fetch(config: FetchConfig, session: aiohttp.ClientSession) -> FetchReport:
    return await fetch_split(SPLIT, config=config, session=session)


def _direct_session() -> aiohttp.ClientSession:
    # An own session, because the library's would send even the loopback's requests to HTTP_PROXY where that is set.
    # The pool has no limit of its own: the engine's limiter decides.
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    )


def _with_texts(cases: Sequence[Case], pictures: Mapping[str, bytes]) -> dict[str, bytes]:
    """Put each article's XML beside its pictures, as the PMC Cloud Service does."""
    versions = dict.fromkeys((case.pmcid, case.version) for case in cases)
    texts = {
        f"{pmcid}.{version}/{pmcid}.{version}.xml": f"<article><note>{pmcid} is made up</note></article>".encode()
        for pmcid, version in versions
    }
    return {**texts, **pictures}


def _claim(folder: Path) -> None:
    """Make the folder, or take that of an earlier demo; never write over somebody's own annotations."""
    if folder.exists() and not folder.is_dir():
        raise UsageError([f"{folder}: not a folder"])
    if folder.is_dir() and not (folder / _MARK).is_file() and any(folder.iterdir()):
        raise UsageError([f"{folder}: holds something that no demo has made; name a new folder with --out"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).write_text(_MARK_TEXT, encoding="utf-8")


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskRefused(f"{error.filename or folder}: {error.strerror or error}") from error
