"""The tree of errors: as it is drawn, so it is; and no password is ever shown."""

from __future__ import annotations

import re
from string import ascii_letters
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from roco_async import errors
from roco_async.errors import (
    FetchIncomplete,
    Grace,
    PermanentError,
    Reason,
    RocoError,
    TemporaryError,
    TransferError,
    UsageError,
    redacted,
)
from roco_async.records import FetchReport, ImageRecord, Outcome, Status


def descendants(kind: type[Any]) -> list[type[Any]]:
    return [found for child in kind.__subclasses__() for found in (child, *descendants(child))]


KINDS = [
    kind
    for kind in descendants(TransferError)
    if kind.__module__ == errors.__name__ and kind not in (PermanentError, TemporaryError)
]


def drawn() -> dict[str, str | None]:
    """Read the module's tree: name → its parent's name."""
    parents: dict[str, str | None] = {}
    path: list[tuple[int, str]] = []
    for line in str(errors.__doc__).splitlines():
        found = re.match(r"^( {4}[ │├└─]*)([A-Z]\w+)(?: {2,}|$)", line)
        if not found:
            continue
        depth = len(found[1])
        while path and path[-1][0] >= depth:
            path.pop()
        parents[found[2]] = path[-1][1] if path else None
        path.append((depth, found[2]))
    return parents


def test_the_tree_is_as_it_is_drawn() -> None:
    """Each class of the module stands in the docstring under its own parent, and no other does."""
    kinds = [kind for kind in descendants(RocoError) if kind.__module__ == errors.__name__]
    real = {kind.__name__: ", ".join(parent.__name__ for parent in kind.__bases__) for kind in kinds}
    assert drawn() == {"RocoError": None} | real


def test_each_reason_has_a_meaning() -> None:
    """Every Reason says in one short sentence what it means, and no two say the same."""
    meanings = [reason.meaning for reason in Reason]
    assert all(meaning and "\n" not in meaning and len(meaning) < 100 for meaning in meanings)
    assert len(set(meanings)) == len(Reason)


def test_each_reason_is_named_by_itself() -> None:
    """A Reason's value is its name: reports and journals have it."""
    assert [reason.value for reason in Reason] == [reason.name for reason in Reason]


@pytest.mark.parametrize("kind", KINDS)
def test_permanent_and_temporary(kind: type[TransferError]) -> None:
    """An error is permanent exactly if its Reason is."""
    assert kind.reason.permanent is issubclass(kind, PermanentError)
    assert issubclass(kind, PermanentError) is not issubclass(kind, TemporaryError)


def test_each_reason_has_one_error() -> None:
    """Each Reason is some error's own, and no two errors have the same."""
    assert sorted(kind.reason for kind in KINDS) == sorted(Reason)


@pytest.mark.parametrize(
    "reason", [Reason.NOT_FOUND, Reason.NO_MEDIA, Reason.NO_MEMBER, Reason.TOO_LARGE, Reason.UNSAFE]
)
def test_the_permanent_ones(reason: Reason) -> None:
    """Exactly five reasons are permanent (design §3, §4)."""
    assert reason.permanent
    assert sum(other.permanent for other in Reason) == 5


def test_what_tells_of_overload() -> None:
    """Push-backs and silence tell of overload, a fault of the item does not, and a single error can say otherwise."""
    loud = {kind.__name__ for kind in KINDS if getattr(kind, "overload", False)}
    assert loud == {"Unreachable", "Broken", "Stalled", "Busy", "ServerError"}
    assert not errors.Broken("idle", overload=False).overload
    assert errors.Stale("odd", overload=True).overload
    assert errors.Broken("x").grace is Grace.NONE


def test_an_error_in_words() -> None:
    """Operation, URL and message stand in a row, without what is not known."""
    assert str(errors.Busy("503 SlowDown", operation="GET", url="http://h/a")) == "GET http://h/a: 503 SlowDown"
    assert str(errors.Stale("changed", operation="check")) == "check: changed"
    assert str(errors.Stale("changed")) == "changed"


def test_usage_errors_have_all_issues() -> None:
    """Every fault is an issue, and all stand in the text."""
    error = UsageError(["a: bad", "b: worse"])
    assert (error.issues, str(error)) == (("a: bad", "b: worse"), "a: bad\nb: worse")


def test_incomplete_says_how_many_and_why() -> None:
    """`FetchIncomplete` carries its report and counts by reason; a complete report raises nothing."""
    report = FetchReport()
    report.raise_for_failures()
    record = ImageRecord("a", "PMC1", "a.jpg")
    report.extend(Outcome(record=record, status=Status.FAILED, reason=reason) for reason in (Reason.BUSY, Reason.BUSY))
    report.add(Outcome(record=record, status=Status.FETCHED, bytes=7))
    with pytest.raises(FetchIncomplete, match="2 of 3 images are missing: 2 BUSY") as raised:
        report.raise_for_failures()
    assert raised.value.report is report
    assert not report.only_permanent_losses


SECRET = "s3cr3t"
odd = st.text(st.sampled_from(ascii_letters + "0123456789!$&'()*+,;=:@%#?/[]\\ <>\"^`{|}\n\té"), max_size=8)


@given(
    scheme=st.sampled_from(["http", "https", "ftp", "HTTP", "file", "s3"]),
    user=st.text(st.sampled_from(ascii_letters + "0123456789._-%"), max_size=5),
    before=odd,
    after=odd,
    host=st.sampled_from(["mirror.example", "mirror.example:8080", "[::1]:80", "127.0.0.1", ""]),
    path=st.sampled_from(["", "/", "/a/b.tar.gz", "/a@b.jpg", "/?x=1#y"]),
)
@example("http", "me", "/", "", "h", "/")
@example("http", "me", "?", "#", "h", "/")
@example("http", "me", "@", "/", "h", "/")
def test_no_password_is_shown(scheme: str, user: str, before: str, after: str, host: str, path: str) -> None:
    """Whatever letters a password has, encoded or not, `redacted` never lets it through.

    One password cannot be told from a port: up to five digits and then a slash, question mark or hash.
    """
    if re.match(r"\d{1,5}[/?#]", before):
        before = f"x{before}"
    secret = f"{before}{SECRET}{after}"
    for password in (secret, quote(secret, safe="")):
        url = f"{scheme}://{user}:{password}@{host}{path}"
        assert SECRET not in redacted(url)
        assert SECRET not in str(TransferError("broken", operation="GET", url=url))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ftp://me:secret@mirror.example/pub/a.tar.gz", "ftp://***@mirror.example/pub/a.tar.gz"),
        ("http://me@h/a", "http://***@h/a"),
        ("http://me:12345@h:80/a?b=c@d#e", "http://***@d#e"),
        ("me:secret@h/a", "***@h/a"),
        ("http:/me:secret@h/a", "http:/***@h/a"),
        ("http:///me:secret@h/a", "http:///***@h/a"),
        (" http://me:secret@[bad/a", " http://***@[bad/a"),
    ],
)
def test_redacted(url: str, shown: str) -> None:
    """Name and password become three stars, in what is no proper URL too."""
    assert redacted(url) == shown


@pytest.mark.parametrize(
    "url",
    ["", "http://h/a@b.jpg", "https://h:8080/a:b@c", "http://[::1]:80/a@b", "file:///a@b", "/a@b", "a.jpg", "http://h/?q=a@b",
     "http://h", "https://pmc-oa-opendata.s3.amazonaws.com/PMC1.1/a.jpg"],
)  # fmt: skip
def test_what_has_no_password_is_left(url: str) -> None:
    """An @ in a path or a query is none of a name's."""
    assert redacted(url) == url
