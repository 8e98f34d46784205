"""Fetch the images of ROCO, and of other lists of PubMed Central figures, with asyncio.

Example:
    >>> async def cell():
    ...     from roco_async import fetch_split
    ...     report = await fetch_split("test", group="radiology", data="data", out="roco")
    ...     report.raise_for_failures()
"""

import importlib as _importlib
import typing as _typing

__version__ = "0.1.0"

if _typing.TYPE_CHECKING:
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
    from .verification import VerifyReport, verify_split

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
    "VerifyReport",
    "Wanted",
    "fetch_split",
    "open_annotations",
    "read_entries",
    "verify_split",
]

_ROOMS = {
    "config": ("FetchConfig",),
    "dataset.annotations": ("Annotations", "Group"),
    "dataset.entries": ("Entry", "SemanticType", "read_entries"),
    "errors": (
        "AnnotationsUnavailable",
        "DiskRefused",
        "FetchIncomplete",
        "Reason",
        "RocoError",
        "TransferError",
        "UsageError",
    ),
    "fetcher": ("Fetcher", "Run"),
    "records": ("FetchReport", "ImageRecord", "Outcome", "Statistics", "Status"),
    "splits": ("Wanted", "fetch_split", "open_annotations"),
    "verification": ("VerifyReport", "verify_split"),
}


def __getattr__(name: str) -> _typing.Any:
    """Import a public name's room when it is first asked for: `--help` need not wait for aiohttp (PEP 562)."""
    for room, names in _ROOMS.items():
        if name in names:
            value = getattr(_importlib.import_module(f".{room}", __name__), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({name for name in globals() if name.startswith("_")} | set(__all__))
