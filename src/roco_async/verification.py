"""Is what is on the disk still what was fetched? Every file is read, and the bucket's listings are asked on demand."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Collection, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from .config import FetchConfig
from .errors import DiskRefused, TransferError
from .fetcher import Fetcher
from .progress import drawn, for_notebook
from .records import ImageRecord, Statistics
from .sources.articles import Articles
from .sources.listing import Entry
from .splits import open_annotations, selected
from .store.inventory import Inventory, Lack, lack_of
from .store.verify import Finding, State, Verifier, note
from .transfer.budget import Budget

if TYPE_CHECKING:
    from pathlib import Path

    import aiohttp

log = logging.getLogger("roco_async")


@dataclass(slots=True)
class VerifyReport:
    """The account of a check; `requested` is the sum of verified, unrecorded, damaged and missing.

    `unrecorded` are whole by their own beginning and end, and neither a journal nor a list nor the bucket vouches for
    them: another tool put them there, or the journal was lost. `unknown` are files that no image is named for.

    Example:
        >>> VerifyReport().complete
        True
    """

    requested: int = 0
    verified: int = 0
    repaired: int = 0
    bytes: int = 0
    elapsed: float = 0.0
    damaged: list[Finding] = field(default_factory=list)
    missing: list[Finding] = field(default_factory=list)
    unrecorded: list[Finding] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    present: Counter[str] = field(default_factory=Counter)
    journal: Path | None = None

    def add(self, finding: Finding) -> None:
        self.requested += 1
        self.bytes += finding.size
        if finding.state is not State.MISSING:
            self.present[finding.record.folder] += 1
        if finding.state is State.VERIFIED:
            self.verified += 1
        else:
            {State.DAMAGED: self.damaged, State.MISSING: self.missing, State.UNRECORDED: self.unrecorded}[
                finding.state
            ].append(finding)

    def take_damaged(self) -> list[Finding]:
        """Take the damaged out of the account, to be looked at again."""
        suspects, self.damaged = self.damaged, []
        self.requested -= len(suspects)
        for finding in suspects:
            self.bytes -= finding.size
            self.present[finding.record.folder] -= 1
        return suspects

    def mended(self, records: Collection[ImageRecord]) -> None:
        """Take note that damaged files were fetched again."""
        left = [finding for finding in self.damaged if finding.record not in records]
        count = len(self.damaged) - len(left)
        self.damaged = left
        self.repaired += count
        self.verified += count

    @property
    def lacks(self) -> Counter[Lack]:
        """Why images are missing, or could not be held against the bucket."""
        return Counter(one.lack for one in (*self.missing, *self.unrecorded) if one.lack is not None)

    @property
    def complete(self) -> bool:
        """Whether every image is there, and whole as far as anybody knows."""
        return not self.damaged and not self.lacks

    @property
    def only_permanent_losses(self) -> bool:
        """Whether a fetch would bring nothing."""
        return not self.damaged and all(lack.permanent for lack in self.lacks)

    @property
    def reasons(self) -> dict[str, int]:
        """Name → count, damaged files included."""
        damaged = {"DAMAGED": len(self.damaged)} if self.damaged else {}
        return dict(Counter({lack.name: count for lack, count in self.lacks.items()}) + Counter(damaged))

    def as_dict(self) -> dict[str, Any]:
        """The counts as plain values: what `--json` prints."""
        return {
            "requested": self.requested,
            "verified": self.verified,
            "unrecorded": len(self.unrecorded),
            "damaged": len(self.damaged),
            "missing": len(self.missing),
            "repaired": self.repaired,
            "unknown": len(self.unknown),
            "bytes": self.bytes,
            "elapsed": round(self.elapsed, 3),
            "reasons": self.reasons,
        }


class Verification:
    """One check of an output folder.

    Args:
        fetcher: entered; its config tells the folder, its connections are used where the bucket is asked.
        online: ask the bucket's listings about files that neither a former fetch nor a list vouches for.

    Example:
        >>> async def check(fetcher, records):
        ...     return await Verification(fetcher).run(records)
    """

    def __init__(self, fetcher: Fetcher, *, online: bool = False) -> None:
        self._fetcher = fetcher
        self._config = fetcher.config
        self._online = online
        self._inventory: Inventory | None = None
        self._verifier: Verifier | None = None
        self._draining = False
        self._began: float | None = None
        self._good: list[Finding] = []  # and the journal does not say so yet
        self._unheard: dict[str, list[Finding]] = {}  # by article: the bucket has still to be asked
        self.report = VerifyReport()

    def drain(self) -> None:
        """Look at no further image; what is under way is finished."""
        self._draining = True
        if self._verifier is not None:
            self._verifier.drain()

    def statistics(self) -> Statistics:
        """Return a snapshot, for a progress bar: what was found good counts as fetched."""
        report, paced = self.report, self._fetcher.paced
        return Statistics(
            requested=report.requested,
            fetched=report.verified + len(report.unrecorded),
            failed=len(report.damaged) + len(report.missing),
            bytes=report.bytes,
            elapsed=self._elapsed,
            in_flight=paced.in_flight,
            limit=paced.limit,
        )

    @property
    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self._began if self._began is not None else 0.0

    async def run(self, records: AsyncIterable[ImageRecord]) -> VerifyReport:
        """Look at all images, and note in the journal what the next fetch has to know.

        What was found is noted however the check ends.

        Raises:
            DiskRefused: a folder cannot be read, or damage cannot be noted; `report` has what was found all the same.
        """
        self._began = asyncio.get_running_loop().time()
        try:
            async with self._accounted():
                await self._read_all(records)
                if self.report.damaged and not self._draining:
                    await self._look_again()
                if self._unheard:
                    with suppress(DiskRefused):  # the end meets the same disk and tells
                        await self._note()  # a fetch that mends it while the bucket is asked has the last word
                    await self._ask_the_bucket()
        finally:
            self.report.elapsed = self._elapsed
        return self.report

    async def look_again(self) -> None:
        """Read once more what was found damaged, after somebody else may have mended it, and note what still is.

        Raises:
            DiskRefused: as for `run`.
        """
        async with self._accounted():
            await self._look_again()

    @asynccontextmanager
    async def _accounted(self) -> AsyncIterator[None]:
        """Bring what was found into the account and into the journal, however the block ends."""
        has_ended = False
        try:
            yield
            has_ended = True
        finally:
            for finding in chain.from_iterable(self._unheard.values()):
                self.report.add(finding)
            self._unheard.clear()
            try:
                await self._note()
            except DiskRefused as refusal:
                if has_ended and not all(finding.noted for finding in self.report.damaged):
                    raise
                log.warning("What was found could not be noted: %s", refusal)

    def _reading(self, inventory: Inventory) -> Verifier:
        """Make the Verifier of what is looked at now."""
        self._inventory, self._verifier = inventory, Verifier(inventory)
        if self._draining:
            self._verifier.drain()
        return self._verifier

    async def _read_all(self, records: AsyncIterable[ImageRecord]) -> None:
        inventory = Inventory(self._config.images_root, self._fetcher.files)
        await inventory.open()
        verifier = self._reading(inventory)
        async with aclosing(verifier.findings(_first(records, self._config.limit))) as findings:
            async for finding in findings:
                self._take(finding)
        if self._config.limit is None and not self._draining:
            self.report.unknown = inventory.unnamed()

    def _take(self, finding: Finding) -> None:
        if self._online and finding.record.url is None:
            if finding.state is State.VERIFIED and finding.adopted:
                finding = replace(finding, state=State.UNRECORDED, noted=False)  # what it is worth the bucket will say
            if finding.state is State.UNRECORDED:
                self._unheard.setdefault(finding.record.pmcid, []).append(finding)
                return
        self.report.add(finding)
        if finding.state is State.VERIFIED and not finding.noted:
            self._good.append(finding)

    async def _look_again(self) -> None:
        """Read what seems damaged once more, by the journals as they are now: a fetch that runs may have mended it.

        What is not looked at again, as a drain or a cancellation came before it, stays damaged in the account.
        """
        suspects = self.report.take_damaged()
        left = Counter(finding.record for finding in suspects)
        inventory = Inventory(self._config.images_root, self._fetcher.files)
        try:
            await inventory.open()
            async with aclosing(self._reading(inventory).findings(_each(suspects))) as findings:
                async for finding in findings:
                    left[finding.record] -= 1
                    self._take(finding)
        finally:
            for finding in suspects:
                if left[finding.record] > 0:
                    left[finding.record] -= 1
                    self.report.add(finding)

    async def _ask_the_bucket(self) -> None:
        """Hold files against the md5s of the bucket's listings: one listing an article, and no image."""
        articles = Articles(self._config.cloud_url, transport=self._fetcher.paced)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._fetcher.connections, len(self._unheard))):
                group.create_task(self._ask(articles))

    async def _ask(self, articles: Articles) -> None:
        while self._unheard and not self._draining:
            pmcid, findings = self._unheard.popitem()
            try:
                article = await articles.article(pmcid, Budget(self._config.attempts))
            except TransferError as error:
                lack = lack_of(error.reason)
                heard = [replace(finding, lack=lack, fault=str(error)) for finding in findings]
            except BaseException:
                self._unheard[pmcid] = findings
                raise
            else:
                heard = [compare(finding, article.versions(finding.record.name)) for finding in findings]
            for finding in heard:
                self.report.add(finding)
                if finding.state is State.VERIFIED:
                    self._good.append(finding)

    async def _note(self) -> None:
        """Write into the journal what it does not say yet."""
        damaged = self.report.damaged
        found = [finding for finding in (*damaged, *self._good) if not finding.noted]
        if not found or self._inventory is None:
            return
        try:
            self.report.journal = await self._fetcher.files.call(note, self._inventory, found)
        except TransferError as error:  # no descriptor for it
            raise DiskRefused(f"{self._inventory.journals}: {error.message}") from error
        self.report.damaged = [finding if finding.noted else replace(finding, noted=True) for finding in damaged]
        self._good.clear()


def compare(finding: Finding, published: Sequence[Entry]) -> Finding:
    """Hold a file that nobody vouches for against what the bucket has under its name, in any version; pure.

    A version without an md5 (its ETag is opaque) can prove a file wrong by its size, and right by nothing.

    Example:
        >>> found = Finding(record=ImageRecord("a", "PMC1", "a.jpg"), state=State.UNRECORDED, size=3, md5="ab" * 16)
        >>> compare(found, [Entry("PMC1.1/a.jpg", 3, "ab" * 16)]).state
        <State.VERIFIED: 'VERIFIED'>
    """
    if any(entry.md5 == finding.md5 for entry in published):
        return replace(finding, state=State.VERIFIED)
    if not published or any(entry.md5 is None and entry.size in (None, finding.size) for entry in published):
        return finding
    has = ", ".join(entry.md5 or f"{entry.size:,} bytes" for entry in published)
    fault = f"md5 {finding.md5}, {finding.size:,} bytes; the bucket has {has}"
    return replace(finding, state=State.DAMAGED, fault=fault)


async def verify_split(
    split: str | Sequence[str] = (),
    *,
    group: str | None = None,
    config: FetchConfig | None = None,
    online: bool = False,
    session: aiohttp.ClientSession | None = None,
    **fields: Any,
) -> VerifyReport:
    """Read the images of a split of ROCO again, and hold them against the md5s of when they came.

    What is damaged is noted in the journal, so that the next `fetch_split` mends it; nothing is removed.

    Args:
        split: as for `fetch_split`.
        group: likewise.
        config: likewise; `data` and `out` matter, and for `online` what a transfer needs.
        online: hold files that another tool brought against the bucket's listings.
        session: an aiohttp session to use; it is not closed.
        fields: fields of `FetchConfig` by name, instead of or on top of `config`.

    Returns:
        The account: counts, and each damaged or missing image.

    Raises:
        UsageError: bad settings or annotations.
        AnnotationsUnavailable: there are none here and they could not be fetched.
        DiskRefused: a folder cannot be read, or damage cannot be noted.

    Example:
        >>> async def cell():
        ...     report = await verify_split("test", group="radiology", data="data", out="roco")
        ...     return [finding.record.id for finding in report.damaged]
    """
    words, config = selected(split, group, config, fields)
    wanted = await open_annotations(words, config, session=session)
    async with Fetcher(wanted.config, session=session) as fetcher:
        verification = Verification(fetcher, online=online)
        async with drawn(verification.statistics, for_notebook(wanted.total)):
            return await verification.run(wanted.records())


async def _first(records: AsyncIterable[ImageRecord], limit: int | None) -> AsyncIterator[ImageRecord]:
    left = limit
    async for record in records:
        yield record
        if left is not None:
            left -= 1
            if not left:
                return


async def _each(findings: Sequence[Finding]) -> AsyncIterator[ImageRecord]:
    for finding in findings:
        yield finding.record
