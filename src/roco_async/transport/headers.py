"""What the header fields of an answer say. Pure (RFC 9110)."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

_LONGEST_RETRY_AFTER: Final = 300.0
_S3_MD5 = re.compile(r'"([0-9a-fA-F]{32})"')
_STRONG_ETAG = re.compile(r'"[^"\x00-\x20\x7f]*"')
_CONTENT_RANGE = re.compile(r"\s*bytes\s+([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)\s*", re.IGNORECASE)


def s3_md5(headers: Mapping[str, str]) -> str | None:
    """The md5 that the ETag of a single-part S3 object is; any other ETag is opaque.

    So is that of an object encrypted with a key of KMS or of the customer (SSE-KMS, DSSE-KMS, SSE-C), which has the
    same form (Amazon S3 API Reference, "Object", ETag; User Guide, "Checking object integrity").

    Example:
        >>> s3_md5({"ETag": '"D41D8CD98F00B204E9800998ECF8427E"'}), s3_md5({"ETag": 'W/"d41d8cd98f00b204"'})
        ('d41d8cd98f00b204e9800998ecf8427e', None)
    """
    match = _S3_MD5.fullmatch(headers.get("ETag", ""))
    if not match or "x-amz-server-side-encryption-customer-algorithm" in headers:
        return None
    if headers.get("x-amz-server-side-encryption", "").startswith("aws:kms"):
        return None
    return match[1].lower()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait (RFC 9110 §10.2.3: seconds or a date), at most five minutes; None if absent or absurd."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isdecimal() and text.isascii():
        return min(float(text[:10]), _LONGEST_RETRY_AFTER)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        then = parsedate_to_datetime(text)
        now = parsedate_to_datetime(headers["Date"]) if "Date" in headers else None
        wait = (then - now).total_seconds() if now else then.timestamp() - time.time()
        return min(max(wait, 0.0), _LONGEST_RETRY_AFTER)
    return None


def length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("Content-Length", "")
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 19 else None


def span(headers: Mapping[str, str]) -> tuple[int, int, int | None] | None:
    """First byte, last byte and whole size of a Content-Range (RFC 9110 §14.4)."""
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    if not match:
        return None
    return int(match[1]), int(match[2]), None if match[3] == "*" else int(match[3])


def validator(headers: Mapping[str, str]) -> str | None:
    """The strong validator of an answer (RFC 9110 §8.8): a strong ETag, else a Last-Modified old enough to be one."""
    etag = headers.get("ETag")
    if etag is not None:
        etag = etag.strip()
        return etag if _STRONG_ETAG.fullmatch(etag) else None
    modified, date = headers.get("Last-Modified"), headers.get("Date")
    if modified and date:
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            if (parsedate_to_datetime(date) - parsedate_to_datetime(modified)).total_seconds() >= 1:
                return modified.strip()
    return None
