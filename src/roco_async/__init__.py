"""Fetch the images of ROCO, and of other lists of PubMed Central figures, with asyncio.

Example:
    >>> async def cell():
    ...     from roco_async import fetch_split
    ...     report = await fetch_split("test", group="radiology", data="data", out="roco")
    ...     report.raise_for_failures()
"""

from .config import FetchConfig
from .dataset.annotations import Annotations, Group
from .dataset.entries import Entry, SemanticType, read_entries
from .errors import (
    AnnotationsUnavailable,
    DiskRefused,
    FetchIncomplete,
    Reason,
    RocoError,
    TransferError,
    UsageError,
)
from .fetcher import Fetcher, Run
from .records import FetchReport, ImageRecord, Outcome, Statistics, Status
from .splits import Wanted, fetch_split, open_annotations

__all__ = [
    "Annotations",
    "AnnotationsUnavailable",
    "DiskRefused",
    "Entry",
    "FetchConfig",
    "FetchIncomplete",
    "FetchReport",
    "Fetcher",
    "Group",
    "ImageRecord",
    "Outcome",
    "Reason",
    "RocoError",
    "Run",
    "SemanticType",
    "Statistics",
    "Status",
    "TransferError",
    "UsageError",
    "Wanted",
    "fetch_split",
    "open_annotations",
    "read_entries",
]
