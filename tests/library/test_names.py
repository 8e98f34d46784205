"""The public names, and what they promise by themselves."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import roco_async
from roco_async import (
    FetchConfig,
    Fetcher,
    FetchIncomplete,
    FetchReport,
    ImageRecord,
    Outcome,
    Reason,
    RocoError,
    Status,
    UsageError,
)

CONTRACT = {
    "Fetcher", "FetchConfig", "fetch_split", "ImageRecord", "Outcome", "Status", "Reason", "FetchReport", "Run",
    "Statistics", "RocoError", "UsageError", "DiskRefused", "FetchIncomplete",
}  # fmt: skip
PERMANENT = {"NOT_FOUND", "NO_MEDIA", "NO_MEMBER", "TOO_LARGE", "UNSAFE"}


def test_the_door_has_these_names_and_no_others() -> None:
    """`__all__` is sorted, has the contract's names, and nothing else that is public hangs in the door."""
    named = set(roco_async.__all__)
    assert list(roco_async.__all__) == sorted(roco_async.__all__)
    assert named >= CONTRACT
    public = {name for name in dir(roco_async) if not name.startswith("_")}
    modules = {name for name in public if isinstance(getattr(roco_async, name), type(sys))}
    assert public - modules == named


def test_each_name_has_words_and_types() -> None:
    """Every public name has a docstring, and its annotations resolve but for the session's."""
    for name in roco_async.__all__:
        thing = getattr(roco_async, name)
        assert thing.__doc__, name
        assert "\n" in thing.__doc__ or len(thing.__doc__) > 10, name
    assert get_type_hints(FetchConfig)["timeout"] is float


def test_importing_does_nothing_else() -> None:
    """`import roco_async` sets no signal or log handler, no event loop policy, and prints nothing."""
    code = (
        "import logging, signal, asyncio\n"
        "before = [signal.getsignal(n) for n in (2, 15, 1)], asyncio.get_event_loop_policy().__class__\n"
        "import roco_async\n"
        "after = [signal.getsignal(n) for n in (2, 15, 1)], asyncio.get_event_loop_policy().__class__\n"
        "assert before == after\n"
        "assert not logging.getLogger().handlers\n"
        "assert all(isinstance(h, logging.NullHandler) for h in logging.getLogger('roco_async').handlers)\n"
    )
    sources = str(Path(roco_async.__file__).resolve().parent.parent)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PYTHONPATH": sources},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_each_reason_is_permanent_or_temporary() -> None:
    """The permanent reasons are those of the contract, all others are temporary, and each has a meaning in words."""
    assert {reason.name for reason in Reason if reason.permanent} == PERMANENT
    assert all(reason.meaning and not reason.meaning.endswith(".") for reason in Reason)
    assert len({reason.meaning for reason in Reason}) == len(Reason)


@pytest.mark.parametrize(
    "made", [FetchConfig(), ImageRecord("a", "PMC1", "a.jpg"), Outcome(record=ImageRecord("a", "PMC1", "a.jpg"),
             status=Status.SKIPPED), roco_async.Statistics()], ids=lambda made: type(made).__name__
)  # fmt: skip
def test_what_travels_is_frozen(made: object) -> None:
    """Configuration, record, outcome and statistics cannot be changed."""
    assert dataclasses.is_dataclass(made)
    name = dataclasses.fields(made)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, name, "other")


def test_the_configuration_is_keyword_only() -> None:
    """FetchConfig takes no positional argument."""
    with pytest.raises(TypeError):
        FetchConfig(Path("data"))  # type: ignore[call-arg]


def test_all_faults_of_a_configuration_at_once() -> None:
    """Nine bad values are nine issues of one UsageError, which is a RocoError."""
    with pytest.raises(UsageError) as caught:
        FetchConfig(
            connections=0, attempts=True, timeout=float("nan"), outage=-1, limit=0, limit_rate=-5,
            cloud_url="ftp://x/", annotations_url="nonsense", out=7,  # type: ignore[arg-type]
        )  # fmt: skip
    assert isinstance(caught.value, RocoError)
    assert len(caught.value.issues) == 9
    for name in ("connections", "attempts", "timeout", "outage", "limit_rate", "cloud_url", "annotations_url", "out"):
        assert any(issue.startswith(name) for issue in caught.value.issues), name


def test_a_report_without_failures_raises_nothing() -> None:
    """raise_for_failures of an empty and of a whole report does nothing."""
    report = FetchReport()
    report.raise_for_failures()
    report.add(Outcome(record=ImageRecord("a", "PMC1", "a.jpg"), status=Status.FETCHED, bytes=3))
    report.raise_for_failures()


def test_a_report_with_failures_raises_itself() -> None:
    """raise_for_failures raises FetchIncomplete, which carries the report and says how many and why."""
    report = FetchReport()
    record = ImageRecord("a", "PMC1", "a.jpg")
    report.add(Outcome(record=record, status=Status.FAILED, reason=Reason.NOT_FOUND, error="gone"))
    with pytest.raises(FetchIncomplete) as caught:
        report.raise_for_failures()
    assert caught.value.report is report
    assert "1 of 1" in str(caught.value)
    assert "NOT_FOUND" in str(caught.value)


def test_a_fetcher_can_be_made_without_a_loop() -> None:
    """Making a Fetcher needs no running loop and opens nothing."""
    assert Fetcher(FetchConfig(out=Path("x"))).config.out == Path("x")
