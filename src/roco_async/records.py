"""The words that travel: a wanted image, a job, what came of it, and the counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from .errors import FetchIncomplete, Reason

Verified = Literal["md5", "crc", "length"]


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One wanted image, of whatever data set.

    Args:
        id: names the file; unique within `folder`.
        pmcid: the article, `PMC4608653`; may be empty where `url` is given.
        name: the image's original file name, case-sensitive.
        folder: where the file goes, relative to the output folder.
        package_path: path of the article's tar.gz on a package mirror, without a leading slash.
        url: ask for the image here and nowhere else.
        md5: 32 hex digits, where a list knows them.
        size: bytes, where a list knows them.

    Example:
        >>> ImageRecord("ROCO_00001", "PMC4608653", "cro-0008-0385-g01.jpg", "test/radiology/images").pmcid
        'PMC4608653'
    """

    id: str
    pmcid: str
    name: str
    folder: str = "images"
    package_path: str | None = None
    url: str | None = None
    md5: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """Records that one transfer serves: one image of a bucket, all wanted images of a package."""

    key: str
    records: tuple[ImageRecord, ...]


class Status(StrEnum):
    """What came of an image: fetched now, there already, or missing."""

    FETCHED = "FETCHED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one image.

    Args:
        record: the image that was wanted.
        status: FETCHED, SKIPPED (it was there), or FAILED.
        path: the file; None when FAILED.
        bytes: its size.
        md5: its digest, 32 hex digits.
        verified: by what it was checked: a published `md5`, a gzip `crc`, or the declared `length`.
        source: `cloud` or `packages`.
        url: where it came from, or was asked for last.
        attempts: requests made for it, listings included.
        reason: why it is missing; None unless FAILED.
        error: the last error in words; None unless FAILED.
    """

    record: ImageRecord
    status: Status
    path: Path | None = None
    bytes: int = 0
    md5: str | None = None
    verified: Verified | None = None
    source: str | None = None
    url: str | None = None
    attempts: int = 0
    reason: Reason | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """A snapshot of a run. `bytes` are those of fetched images, `elapsed` is in seconds, `in_flight` counts open
    transfers, and `limit` is how many the engine allows itself just now."""

    requested: int = 0
    fetched: int = 0
    skipped: int = 0
    failed: int = 0
    bytes: int = 0
    elapsed: float = 0.0
    in_flight: int = 0
    limit: int = 0


@dataclass(slots=True)
class FetchReport:
    """The account of a run: the counts, and every image that is missing.

    Example:
        >>> report = FetchReport()
        >>> report.add(Outcome(record=ImageRecord("a", "PMC1", "a.jpg"), status=Status.FETCHED, bytes=7))
        >>> report.fetched, report.bytes, report.complete
        (1, 7, True)
    """

    requested: int = 0
    fetched: int = 0
    skipped: int = 0
    failed: int = 0
    bytes: int = 0
    elapsed: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)
    failures: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.requested += 1
        if outcome.status is Status.FETCHED:
            self.fetched += 1
            self.bytes += outcome.bytes
        elif outcome.status is Status.SKIPPED:
            self.skipped += 1
        else:
            self.failed += 1
            self.failures.append(outcome)
            name = str(outcome.reason)
            self.reasons[name] = self.reasons.get(name, 0) + 1

    def extend(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self.add(outcome)

    def close(self, statistics: Statistics) -> None:
        """Take over what only the run counts: its seconds, and images that were there and had no outcome.

        Args:
            statistics: those of the run at its end, all of whose outcomes were added.
        """
        self.elapsed = statistics.elapsed
        self.requested += statistics.skipped - self.skipped
        self.skipped = statistics.skipped

    @property
    def complete(self) -> bool:
        """Whether every requested image is there and verified."""
        return self.failed == 0

    @property
    def only_permanent_losses(self) -> bool:
        """Whether asking again would bring nothing."""
        return all(outcome.reason is not None and outcome.reason.permanent for outcome in self.failures)

    def raise_for_failures(self) -> None:
        """Do nothing when all images are there.

        Raises:
            FetchIncomplete: some are missing; it carries this report.
        """
        if self.failures:
            raise FetchIncomplete(self)

    def as_dict(self) -> dict[str, Any]:
        """The counts as plain values: what `--json` prints."""
        return {
            "requested": self.requested,
            "fetched": self.fetched,
            "skipped": self.skipped,
            "failed": self.failed,
            "bytes": self.bytes,
            "elapsed": round(self.elapsed, 3),
            "reasons": dict(self.reasons),
        }
