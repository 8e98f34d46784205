"""What the header fields of an answer say: RFC 9110's forms, and what servers send instead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roco_async.transport.headers import length, retry_after, s3_md5, span, validator

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def date(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("0", 0), ("7", 7), (" 120 ", 120), ("300", 300), ("301", 300), ("9" * 400, 300)],
    )
    def test_seconds(self, text: str, seconds: float) -> None:
        """Seconds are taken as they are, and five minutes for more."""
        assert retry_after({"Retry-After": text}) == seconds

    @pytest.mark.parametrize(("ahead", "seconds"), [(0, 0), (20, 20), (-3600, 0), (299, 299), (86_400, 300)])
    def test_a_date_by_the_servers_clock(self, ahead: float, seconds: float) -> None:
        """A date is held against the server's own Date, so that a wrong clock here does no harm."""
        assert retry_after({"Retry-After": date(ahead), "Date": date(0)}) == seconds

    def test_a_date_by_our_clock(self) -> None:
        """Without a Date it is held against our clock."""
        wait = retry_after({"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)})
        assert wait is not None
        assert 50 < wait <= 60

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            "soon",
            "-5",
            "1.5",
            "1e3",
            "٣",
            "0x10",
            "Tue, 99 Nov 2026 00:00:00 GMT",
            "Tue, 24 Nov 99999 00:00:00 GMT",
        ],
    )
    def test_absurd(self, text: str) -> None:
        """What is neither seconds nor a date is no wish."""
        assert retry_after({"Retry-After": text}) is None

    def test_absent(self) -> None:
        """Without the field there is no wish."""
        assert retry_after({}) is None

    @given(st.text(max_size=30), st.text(max_size=30))
    def test_any_text(self, text: str, clock: str) -> None:
        """Any text at all is a wait of 0 to 300 seconds, or none."""
        wait = retry_after({"Retry-After": text, "Date": clock})
        assert wait is None or 0 <= wait <= 300


class TestSpan:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("bytes 0-0/1", (0, 0, 1)),
            ("bytes 5-9/10", (5, 9, 10)),
            ("Bytes  5-9/*", (5, 9, None)),
            (" bytes 5-9/10 ", (5, 9, 10)),
        ],
    )
    def test_a_range(self, text: str, found: tuple[int, int, int | None]) -> None:
        """First, last and size are told; an unknown size is None."""
        assert span({"Content-Range": text}) == found

    @pytest.mark.parametrize(
        "text",
        ["", "bytes */10", "bytes 5-/10", "bytes -5/10", "5-9/10", "items 0-1/2", "bytes 5-9", "bytes 5-9/10, 1-2/10",
         "bytes ٣-٤/٥", f"bytes 0-{'9' * 5000}/*"],
    )  # fmt: skip
    def test_no_range(self, text: str) -> None:
        """What is no range of bytes is none, and numbers that no disk could hold are none either."""
        assert span({"Content-Range": text}) is None

    def test_absent(self) -> None:
        """Without the field there is no range."""
        assert span({}) is None

    @given(st.text(max_size=30))
    def test_any_text(self, text: str) -> None:
        """Any text at all raises nothing."""
        found = span({"Content-Range": text})
        assert found is None or found[0] >= 0


class TestLength:
    @pytest.mark.parametrize(("text", "found"), [("0", 0), ("123", 123), ("9" * 18, 10**18 - 1)])
    def test_a_number(self, text: str, found: int) -> None:
        """A number of bytes is one."""
        assert length({"Content-Length": text}) == found

    @pytest.mark.parametrize("text", ["", "-1", "1.0", "1,1", "٣", "9" * 19, "9" * 5000, " 5"])
    def test_none(self, text: str) -> None:
        """Anything else, and what no disk could hold, is unknown."""
        assert length({"Content-Length": text}) is None


class TestValidators:
    @pytest.mark.parametrize("etag", ['"x"', '""', f'"{MD5}"', f'"{MD5}-2"', '"5f3a-62b1"', ' "x" '])
    def test_a_strong_etag(self, etag: str) -> None:
        """An ETag in quotes is a strong validator."""
        assert validator({"ETag": etag}) == etag.strip()

    @pytest.mark.parametrize("etag", ['W/"x"', 'w/"x"', "x", MD5, '"', '"a"b"', '"a\nb"', "", '"a b"'])
    @pytest.mark.parametrize("dated", [True, False])
    def test_a_weak_or_broken_one(self, etag: str, dated: bool) -> None:
        """Weak, without quotes, or broken: no validator, and an old date does not mend that."""
        dates = {"Last-Modified": date(-3600), "Date": date(0)} if dated else {}
        assert validator({"ETag": etag} | dates) is None

    @pytest.mark.parametrize(("age", "strong"), [(0, False), (0.5, False), (1, True), (3600, True), (-60, False)])
    def test_a_date(self, age: float, strong: bool) -> None:
        """Last-Modified is strong from one second before Date on (RFC 9110 §8.8.2.2)."""
        modified = date(-age)
        if age == 0.5:
            modified = date(0)
        assert validator({"Last-Modified": modified, "Date": date(0)}) == (modified if strong else None)

    @pytest.mark.parametrize(
        "headers",
        [{}, {"Last-Modified": date(-60)}, {"Date": date(0)}, {"Last-Modified": "x", "Date": date(0)},
         {"Last-Modified": date(-60), "Date": "x"},
         {"Last-Modified": "Tue, 24 Nov 2026 10:00:00 -0000", "Date": date(0)}],
    )  # fmt: skip
    def test_no_date_to_hold_it_against(self, headers: dict[str, str]) -> None:
        """Without both dates, or with one that is none, there is no validator."""
        assert validator(headers) is None

    @given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
    def test_any_text(self, etag: str, modified: str, clock: str) -> None:
        """Any text at all raises nothing."""
        assert validator({"Last-Modified": modified, "Date": clock}) in (None, modified.strip())
        assert validator({"ETag": etag}) in (None, etag.strip())


@pytest.mark.parametrize(
    ("etag", "md5"),
    [
        (f'"{MD5}"', MD5), (f'"{MD5.upper()}"', MD5), (MD5, None), (f'W/"{MD5}"', None), (f'"{MD5}-3"', None),
        (f'"{MD5[1:]}"', None), (f'"{MD5}0"', None), ('"5f3a-62b1"', None), ("", None),
    ],
)  # fmt: skip
def test_the_md5_of_an_s3_etag(etag: str, md5: str | None) -> None:
    """32 hex digits in quotes are an md5, and every other ETag is opaque."""
    assert s3_md5({"ETag": etag}) == md5
    assert s3_md5({}) is None


@pytest.mark.parametrize(
    ("field", "value", "md5"),
    [
        ("x-amz-server-side-encryption", "aws:kms", None), ("x-amz-server-side-encryption", "aws:kms:dsse", None),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256", None),
        ("x-amz-server-side-encryption", "AES256", MD5),
    ],
)  # fmt: skip
def test_the_etag_of_an_encrypted_s3_object(field: str, value: str, md5: str | None) -> None:
    """An object that is encrypted with a key of KMS or of the customer has an opaque ETag, with S3's own an md5."""
    assert s3_md5({"ETag": f'"{MD5}"', field: value}) == md5
