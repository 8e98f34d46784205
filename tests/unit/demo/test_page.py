"""The contact sheet: every picture once, what is missing with its reason, and nothing unescaped."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

from roco_async.demo.bucket import BucketCounts
from roco_async.demo.casebook import Case, make_cases
from roco_async.demo.page import closing_line, picture_path, render_page
from roco_async.errors import Reason
from roco_async.records import FetchReport, ImageRecord, Outcome, Status


class Reader(HTMLParser):
    """Gathers tags, picture sources and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if tag == "img" and name == "src"]

    def handle_data(self, data: str) -> None:
        self.text += data


def failed(case: Case) -> FetchReport:
    record = ImageRecord(case.id, case.pmcid, case.name, f"test/{case.group}/images")
    report = FetchReport()
    report.add(Outcome(record=record, status=Status.FAILED, reason=Reason.NOT_FOUND, error="404"))
    return report


def test_every_fetched_picture_is_shown_once() -> None:
    """The page shows each case that did not fail by one picture, at its path below the folder."""
    cases = make_cases()
    there = [case.id for case in cases if case is not cases[3]]
    reader = Reader(render_page(cases, failed(cases[3]), BucketCounts(), there=there))
    assert reader.sources == [picture_path(case) for case in cases if case is not cases[3]]


def test_missing_picture_is_named_with_its_reason() -> None:
    """The page says of a missing picture which article and file was asked for, the reason, and whether it lasts."""
    case = make_cases()[0]
    text = Reader(render_page([case], failed(case), BucketCounts())).text
    assert f"{case.pmcid}/{case.name}" in text
    assert f"NOT_FOUND: {Reason.NOT_FOUND.meaning} (for good)" in text


def test_picture_that_a_stopped_run_did_not_reach_is_no_broken_image() -> None:
    """A picture that neither failed nor is there is shown as a gap that says the run was stopped."""
    reader = Reader(render_page(make_cases()[:1], FetchReport(), BucketCounts()))
    assert reader.sources == []
    assert "the run was stopped before" in reader.text


def test_page_without_failures_says_so() -> None:
    """Where nothing failed the account is one sentence and no table."""
    reader = Reader(render_page(make_cases()[:2], FetchReport(), BucketCounts()))
    assert "Nothing is missing." in reader.text
    assert "table" not in reader.tags


def test_nothing_of_a_case_becomes_markup() -> None:
    """Markup in a caption, name, licence or id stands on the page as text, and opens no tag."""
    evil = "<script>alert('1')</script>\"&amp;"
    case = replace(make_cases()[0], id=evil, caption=evil, name=evil, licence=evil, pmcid=evil, keywords=(evil,))
    for report, there in ((FetchReport(), [evil]), (failed(case), [])):
        reader = Reader(render_page([case], report, BucketCounts(), there=there))
        assert "script" not in reader.tags
        assert evil in reader.text


def test_closing_line_counts_in_words() -> None:
    """The closing line has every count of the bucket, in the singular where it is one."""
    line = closing_line(BucketCounts(requests=230, listings=1, refusals=7, cuts=22, resumes=21, missing=5))
    assert line == (
        "The bucket took 230 requests: it refused 7 (503), "
        "cut 22 bodies and resumed 21, listed 1 article, lacked 5 keys."
    )
