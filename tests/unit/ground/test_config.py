"""The configuration: every bad value is found, all at once, and every field is a flag that something reads."""

from __future__ import annotations

import contextlib
import math
import re
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roco_async.config import FetchConfig, parse_bytes
from roco_async.errors import UsageError

SOURCES = Path(__file__).parents[3] / "src" / "roco_async"

COUNTS = [0, -1, 1.5, 2.0, "8", True, False, math.nan, b"1", []]
SECONDS = [-1, -0.001, math.nan, math.inf, -math.inf, "30", True, None, [], 10**400]
URLS = [
    "", "pmc-oa-opendata.s3.amazonaws.com", "/data", "http://", "http:///a", "://h/", "http://h:99999/", "http://h:0/",
    "http://h:x/", "http://[::1/", "http://me:pw@[::1/", "http://h/a b", "http://h/\n", " http://h/", "gopher://h/",
    "javascript:1", None, 7, b"http://h/", Path("http://h/"),
]  # fmt: skip
BAD: dict[str, list[Any]] = {
    "data": [7, b"data", []],
    "out": [7, b"out", []],
    "keep_packages": [7, b"out", []],
    "annotations_url": [*URLS, "ftp://h/a.tar.gz", "file:///a.tar.gz"],
    "cloud_url": [*URLS, "ftp://h/", "file:///a", "http://h/?a=b", "http://h/#top"],
    "packages_url": [*URLS, "ftps://h/", "file://", "ftp://h/?a", "ftp://h/#top"],
    "source": ["", "s3", (), [], ("cloud", "s3"), ("cloud", "cloud"), None, 7, {"cloud"}],
    "connections": COUNTS,
    "attempts": [*COUNTS, None],
    "limit_rate": COUNTS,
    "limit": COUNTS,
    "timeout": [*SECONDS, 0, 0.0],
    "outage": SECONDS,
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_bad_value(name: str, value: Any) -> None:
    """A value that is out of range or of the wrong type is a UsageError, which names the field."""
    with pytest.raises(UsageError) as raised:
        FetchConfig(**{name: value})
    assert [issue.partition(":")[0] for issue in raised.value.issues] == [name]


def test_every_field_can_be_bad() -> None:
    """No field is left out of the table above."""
    assert set(BAD) == FetchConfig.field_names()


def test_all_faults_at_once() -> None:
    """Every bad field is named in one error."""
    with pytest.raises(UsageError) as raised:
        FetchConfig(**{name: values[0] for name, values in BAD.items()})
    assert {issue.partition(":")[0] for issue in raised.value.issues} == set(BAD)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", 0.001), ("timeout", 1), ("outage", 0), ("outage", 1e6), ("connections", 1), ("connections", None),
        ("attempts", 1), ("limit", None), ("limit_rate", 1), ("source", ("packages", "cloud")), ("data", None),
        ("cloud_url", "http://127.0.0.1:9/"), ("cloud_url", "https://me:pw@h/a/b/"), ("cloud_url", "HTTP://h/"),
        ("packages_url", "ftp://h"), ("packages_url", "file:///mirror"), ("packages_url", "https://h/pub"),
        ("annotations_url", "https://h/a.tar.gz?token=1"),
    ],
)  # fmt: skip
def test_a_good_value(name: str, value: Any) -> None:
    """A good value, at the edge of its range too, is taken as it is."""
    assert getattr(FetchConfig(**{name: value}), name) == value


def test_what_is_made_plain() -> None:
    """Texts become paths, one source a tuple, and the bucket's base ends with a slash."""
    config = FetchConfig(data="data", out="out", keep_packages="k", source="packages", cloud_url="http://h/bucket")  # type: ignore[arg-type]
    assert (config.data, config.out, config.keep_packages) == (Path("data"), Path("out"), Path("k"))
    assert (config.source, config.cloud_url) == (("packages",), "http://h/bucket/")


def test_it_stays_as_it_was_made() -> None:
    """A configuration is frozen, and takes keywords only."""
    with pytest.raises(FrozenInstanceError):
        FetchConfig().limit = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        FetchConfig(Path("data"))  # type: ignore[call-arg]


def test_a_password_stands_in_no_issue() -> None:
    """A wrong URL is shown without its password."""
    for url in ("http://me:secret@h/?a=b", "http://me:sec?secret@h/", "me:secret@h", "http://me:secret@[::1"):
        with pytest.raises(UsageError) as raised:
            FetchConfig(cloud_url=url)
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize("item", fields(FetchConfig), ids=lambda item: item.name)
def test_each_field_is_a_flag(item: Any) -> None:
    """Each field carries a flag of its own name, a metavar and a help, and its default is what the docs say."""
    flags = item.metadata["flags"]
    assert f"--{item.name.replace('_', '-')}" in flags
    assert all(re.fullmatch(r"-[a-z]|--[a-z]+(-[a-z]+)*", flag) for flag in flags)
    assert item.metadata["metavar"].isupper()
    assert len(item.metadata["help"]) > 10
    assert callable(item.metadata["parse"])


def test_no_flag_twice() -> None:
    """No two fields share a flag."""
    flags = [flag for item in fields(FetchConfig) for flag in item.metadata["flags"]]
    assert len(flags) == len(set(flags))


@pytest.mark.parametrize("name", sorted(FetchConfig.field_names()))
def test_each_field_is_read_somewhere(name: str) -> None:
    """A setting that nothing reads is no setting: each is read by some room."""
    code = "\n".join(path.read_text() for path in SOURCES.rglob("*.py") if path.name != "config.py")
    assert re.search(rf"\bconfig\.{name}\b", code)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1", 1),
        ("500k", 500_000),
        ("1.5M", 1_500_000),
        ("2G", 2 * 10**9),
        (" 10kB ", 10_000),
        ("7b", 7),
        ("0.5k", 500),
        ("1.9", 1),
    ],
)
def test_bytes_in_words(text: str, count: int) -> None:
    """k, M and G are powers of 1,000, in either case, with or without a B."""
    assert parse_bytes(text) == count


@pytest.mark.parametrize(
    "text", ["", "k", "-1", "1 k", "1kk", "1e3", "0x10", "nan", "inf", "1.", ".5", "0", "0.4", "9" * 400, "1T", "1,5M"]
)
def test_no_number_of_bytes(text: str) -> None:
    """Anything else, nothing and too much included, is a ValueError that shows how to write it."""
    with pytest.raises(ValueError, match="500k"):
        parse_bytes(text)


@given(st.integers(1, 10**9), st.sampled_from(["", "k", "M", "G"]), st.sampled_from(["", "b", "B"]))
def test_whole_numbers_are_exact(number: int, unit: str, b: str) -> None:
    """A whole number with any unit is exact."""
    assert parse_bytes(f"{number}{unit}{b}") == number * {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}[unit]


@given(st.text(max_size=12))
def test_any_text(text: str) -> None:
    """Any text is at least one byte, or a ValueError and nothing else."""
    with contextlib.suppress(ValueError):
        assert parse_bytes(text) >= 1
