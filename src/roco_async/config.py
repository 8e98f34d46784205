"""What can be set, once: the fields of `FetchConfig` are the library's keywords and the command line's flags."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .errors import UsageError, redacted

CLOUD_URL = "https://pmc-oa-opendata.s3.amazonaws.com/"
ANNOTATIONS_URL = "https://github.com/razorx89/roco-dataset/archive/a1f0ad6c578ca8801e5a6eccc90af051aee1c326.tar.gz"
PACKAGES_URL = "ftp://ftp.ncbi.nlm.nih.gov"
SOURCES = ("cloud", "packages")
HTTP_CONNECTIONS = 256
FTP_CONNECTIONS = 16

_WEB = ("http", "https")
_MIRRORS = ("ftp", "http", "https", "file")

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def parse_bytes(text: str) -> int:
    """Return a number of bytes; k, M and G are powers of 1,000.

    Raises:
        ValueError: not a positive number with one of these letters.

    Example:
        >>> parse_bytes("1.5M"), parse_bytes("500k")
        (1500000, 500000)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kmg]?)b?", text.strip().lower())
    count = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 1 <= count < math.inf:
        raise ValueError(f"{text!r} is no number of bytes; write for example 500k or 2M")
    return int(count)


def _setting(default: Any, *flags: str, metavar: str, parse: Callable[[str], Any] = str, help: str) -> Any:
    return field(default=default, metadata={"flags": flags, "metavar": metavar, "parse": parse, "help": help})


@dataclass(frozen=True, kw_only=True)
class FetchConfig:
    """How to fetch. Checked when made, all faults at once.

    Raises:
        UsageError: a value is out of range or of the wrong type; `.issues` has one sentence for each.

    Example:
        >>> FetchConfig(connections=32, out="roco").connections
        32
    """

    data: Path | str | None = _setting(
        None, "--data", metavar="DIR", parse=Path,
        help="annotation root: DIR/<split>/<group>/dlinks.txt and its neighbours "
        "(default: ./data, else the cached copy, which is fetched once)",
    )  # fmt: skip
    annotations_url: str = _setting(
        ANNOTATIONS_URL, "--annotations-url", metavar="URL",
        help="the tarball that the annotations are fetched from, once (default: upstream's, at commit a1f0ad6)",
    )  # fmt: skip
    out: Path | str | None = _setting(
        None, "--out", metavar="DIR", parse=Path,
        help="images go to DIR/<split>/<group>/images/<ROCO_ID>.jpg (default: the annotation root)",
    )  # fmt: skip
    cloud_url: str = _setting(
        CLOUD_URL, "--cloud-url", metavar="URL",
        help="base of the bucket (default: %(default)s)",
    )  # fmt: skip
    source: tuple[str, ...] = _setting(
        ("cloud",), "--source", metavar="SOURCE",
        help="cloud or packages; given twice, what the first has lost for good is asked of the second (default: cloud)",
    )  # fmt: skip
    packages_url: str = _setting(
        PACKAGES_URL, "--packages-url", metavar="URL",
        help="a package mirror, ftp, http, https or file, in place of %(default)s in the links",
    )  # fmt: skip
    keep_packages: Path | str | None = _setting(
        None, "-k", "--keep-packages", metavar="DIR", parse=Path,
        help="keep the packages too; file://DIR is then a mirror, and a killed run goes on at their byte",
    )  # fmt: skip
    connections: int | None = _setting(
        None, "-n", "--connections", metavar="N", parse=int,
        help="the most connections to a host; fewer are used where more bring nothing "
        f"(default: {HTTP_CONNECTIONS} over HTTP, {FTP_CONNECTIONS} to an FTP server)",
    )  # fmt: skip
    attempts: int = _setting(
        6, "-r", "--attempts", metavar="N", parse=int,
        help="tries in a row that moved less than 1 MiB an image gets (default: %(default)s)",
    )  # fmt: skip
    timeout: float = _setting(
        30.0, "--timeout", metavar="S", parse=float,
        help="a transfer without a byte for S seconds is broken off and tried again (default: %(default)g)",
    )  # fmt: skip
    outage: float = _setting(
        300.0, "--outage", metavar="S", parse=float,
        help="wait S seconds for a host that answered before and stopped answering (default: %(default)g)",
    )  # fmt: skip
    limit_rate: int | None = _setting(
        None, "--limit-rate", metavar="B", parse=parse_bytes,
        help="at most B bytes a second over all connections; k = 1,000, M = 1,000,000",
    )  # fmt: skip
    limit: int | None = _setting(
        None, "--limit", metavar="N", parse=int,
        help="only the first N images",
    )  # fmt: skip

    def __post_init__(self) -> None:
        issues: list[str] = []
        for name in ("data", "out", "keep_packages"):
            value = getattr(self, name)
            if isinstance(value, str):
                object.__setattr__(self, name, Path(value))
            elif value is not None and not isinstance(value, Path):
                issues.append(f"{name}: a path is wanted, not {value!r}")
        if isinstance(self.source, str):
            object.__setattr__(self, "source", (self.source,))
        issues += self._source_issues()
        issues += self._url_issues("cloud_url", _WEB, query_allowed=False)
        issues += self._url_issues("packages_url", _MIRRORS, query_allowed=False)
        issues += self._url_issues("annotations_url", _WEB, query_allowed=True)
        for name in ("connections", "attempts", "limit_rate", "limit"):
            issues += self._count_issues(name, optional=name != "attempts")
        issues += self._seconds_issues("timeout", above_zero=True)
        issues += self._seconds_issues("outage", above_zero=False)
        if issues:
            raise UsageError(issues)
        if not self.cloud_url.endswith("/"):
            object.__setattr__(self, "cloud_url", self.cloud_url + "/")

    def _count_issues(self, name: str, *, optional: bool) -> list[str]:
        value = getattr(self, name)
        if (value is None and optional) or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
            return []
        return [f"{name}: a whole number of at least 1 is wanted, not {value!r}"]

    def _seconds_issues(self, name: str, *, above_zero: bool) -> list[str]:
        value = getattr(self, name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e12:
            return [f"{name}: a number of seconds is wanted, not {value!r}"]
        if value < 0 or (above_zero and value == 0):
            return [f"{name}: must be {'over' if above_zero else 'at least'} 0 seconds, not {value!r}"]
        return []

    def _source_issues(self) -> list[str]:
        source = self.source
        if not isinstance(source, list | tuple) or not source or any(name not in SOURCES for name in source):
            return [f"source: one or two of {', '.join(SOURCES)} are wanted, not {source!r}"]
        if len(set(source)) < len(source):
            return [f"source: {source[0]} is named twice"]
        object.__setattr__(self, "source", tuple(source))
        return []

    def _url_issues(self, name: str, schemes: tuple[str, ...], *, query_allowed: bool) -> list[str]:
        value = getattr(self, name)
        if not isinstance(value, str):
            return [f"{name}: a URL is wanted, not {value!r}"]
        try:
            parts = urlsplit(value)
            is_file = parts.scheme == "file"
            place = parts.path.startswith("/") and parts.netloc in ("", "localhost") if is_file else parts.hostname
            known = parts.scheme in schemes and place and (parts.port is None or parts.port > 0)
        except ValueError:
            known = False
        if not known or any(ord(letter) <= 32 for letter in value):
            begins = " or ".join(f"{scheme}://" for scheme in schemes)
            return [f"{name}: a URL that begins with {begins} is wanted, not {redacted(value)!r}"]
        if not query_allowed and (parts.query or parts.fragment):
            return [f"{name}: a base without ? and # is wanted, not {redacted(value)!r}"]
        return []

    @property
    def images_root(self) -> Path:
        """The folder that records' folders are relative to."""
        return Path(self.out or self.data or "data")

    @classmethod
    def field_names(cls) -> frozenset[str]:
        return frozenset(item.name for item in fields(cls))
