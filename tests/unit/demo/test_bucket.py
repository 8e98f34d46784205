"""The demo's bucket, asked by a raw client: S3's answers, and the misbehaviour that is promised."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator

import aiohttp
import pytest
from yarl import URL

from roco_async.demo.bucket import Bucket

BODY = bytes(range(256)) * 160  # 40,960 bytes: five chunks
ETAG = f'"{hashlib.md5(BODY).hexdigest()}"'
KEY = "PMC99000001.1/a.jpg"
OBJECTS = {
    KEY: BODY,
    "PMC99000001.2/b & c+d.jpg": b"second",
    "PMC990000011.1/e.jpg": b"another article",
    "PMC99000002.1/f.jpg": b"yet another",
}
S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


@pytest.fixture
async def bucket() -> AsyncIterator[Bucket]:
    async with Bucket(OBJECTS, cut_every=0, latency=0, pace=0) as bucket:
        yield bucket


async def listing(session: aiohttp.ClientSession, bucket: Bucket, **query: str) -> ET.Element:
    async with session.get(bucket.url, params={"list-type": "2", **query}) as answer:
        assert answer.status == 200
        return ET.fromstring(await answer.text())


async def code(answer: aiohttp.ClientResponse) -> str | None:
    return ET.fromstring(await answer.text()).findtext("Code")


async def test_object_comes_whole_with_its_md5_as_etag(session: aiohttp.ClientSession, bucket: Bucket) -> None:
    """An object is answered with 200, its length, and its md5 in quotes as ETag."""
    async with session.get(bucket.url + KEY) as answer:
        assert (answer.status, answer.content_length, answer.headers["ETag"]) == (200, len(BODY), ETAG)
        assert answer.headers["Content-Type"] == "binary/octet-stream"
        assert await answer.read() == BODY


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-", 0, 40960),
        ("bytes=1000-", 1000, 40960),
        ("bytes=10-19", 10, 20),
        ("bytes=40950-99999", 40950, 40960),
        ("bytes=-7", 40953, 40960),
        ("bytes=-99999", 0, 40960),
    ],
)
async def test_range_brings_206_and_that_part(
    session: aiohttp.ClientSession, bucket: Bucket, asked: str, start: int, end: int
) -> None:
    """A range within the object is answered with 206, the right Content-Range and just these bytes."""
    async with session.get(bucket.url + KEY, headers={"Range": asked, "If-Range": ETAG}) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(BODY)}"
        assert answer.headers["ETag"] == ETAG
        assert await answer.read() == BODY[start:end]


@pytest.mark.parametrize("asked", ["bytes=40960-", "bytes=50000-60000", "bytes=-0"])
async def test_range_beyond_the_end_is_refused(session: aiohttp.ClientSession, bucket: Bucket, asked: str) -> None:
    """A range that has no byte of the object is answered with 416 InvalidRange."""
    async with session.get(bucket.url + KEY, headers={"Range": asked}) as answer:
        assert (answer.status, await code(answer)) == (416, "InvalidRange")


@pytest.mark.parametrize("asked", ["bytes=-", "bytes=20-10", "lines=1-2", "bytes=1-2,4-5", "bytes=x-"])
async def test_range_that_makes_no_sense_is_ignored(session: aiohttp.ClientSession, bucket: Bucket, asked: str) -> None:
    """A malformed range, or several at once, is answered with 200 and the whole object."""
    async with session.get(bucket.url + KEY, headers={"Range": asked}) as answer:
        assert answer.status == 200
        assert await answer.read() == BODY


async def test_if_range_of_another_version_brings_the_whole(session: aiohttp.ClientSession, bucket: Bucket) -> None:
    """A range with the validator of another version is answered with 200 and the whole object."""
    headers = {"Range": "bytes=100-", "If-Range": '"00000000000000000000000000000000"'}
    async with session.get(bucket.url + KEY, headers=headers) as answer:
        assert answer.status == 200
        assert await answer.read() == BODY
    assert bucket.counts.resumes == 0


async def test_missing_key_is_404_no_such_key(session: aiohttp.ClientSession, bucket: Bucket) -> None:
    """A key that is not there is answered with 404 and S3's NoSuchKey in XML, and is counted."""
    async with session.get(bucket.url + "PMC99000001.1/gone.jpg") as answer:
        assert (answer.status, await code(answer)) == (404, "NoSuchKey")
        assert answer.content_type == "application/xml"
    assert bucket.counts.missing == 1


async def test_listing_has_all_versions_of_one_article_only(session: aiohttp.ClientSession, bucket: Bucket) -> None:
    """A listing by prefix, dot included, has each version's keys with ETag and size, in S3's namespace."""
    root = await listing(session, bucket, prefix="PMC99000001.")
    assert root.tag == f"{S3}ListBucketResult"
    assert (root.findtext(f"{S3}KeyCount"), root.findtext(f"{S3}IsTruncated")) == ("2", "false")
    found = [
        (item.findtext(f"{S3}Key"), item.findtext(f"{S3}ETag"), item.findtext(f"{S3}Size"))
        for item in root.iter(f"{S3}Contents")
    ]
    other = f'"{hashlib.md5(b"second").hexdigest()}"'
    assert found == [(KEY, ETAG, "40960"), ("PMC99000001.2/b & c+d.jpg", other, "6")]


async def test_listing_of_an_unknown_article_is_200_and_empty(session: aiohttp.ClientSession, bucket: Bucket) -> None:
    """A listing of an article that the bucket does not know is answered with 200 and KeyCount 0, as S3 does."""
    root = await listing(session, bucket, prefix="PMC1.")
    assert root.findtext(f"{S3}KeyCount") == "0"
    assert root.find(f"{S3}Contents") is None


async def test_listing_goes_on_page_by_page(session: aiohttp.ClientSession, bucket: Bucket) -> None:
    """Following NextContinuationToken brings every key once, in order, and ends without a token."""
    keys: list[str | None] = []
    token: dict[str, str] = {}
    for _ in range(len(OBJECTS)):
        root = await listing(session, bucket, **{"max-keys": "1", **token})
        keys += [item.findtext(f"{S3}Key") for item in root.iter(f"{S3}Contents")]
        token = {"continuation-token": root.findtext(f"{S3}NextContinuationToken") or ""}
    assert keys == sorted(OBJECTS)
    assert (token["continuation-token"], root.findtext(f"{S3}IsTruncated")) == ("", "false")


@pytest.mark.parametrize(
    "query", [{}, {"list-type": "1"}, {"max-keys": "many"}, {"continuation-token": "?"}], ids=lambda query: str(query)
)
async def test_listing_in_another_language_is_refused(
    session: aiohttp.ClientSession, bucket: Bucket, query: dict[str, str]
) -> None:
    """A listing that is not ListObjectsV2, or whose numbers make no sense, is answered with 400."""
    base = {} if not query or "list-type" in query else {"list-type": "2"}
    async with session.get(bucket.url, params={**base, **query}) as answer:
        assert (answer.status, await code(answer)) == (400, "InvalidArgument")


async def test_key_with_a_blank_a_plus_and_an_ampersand(session: aiohttp.ClientSession, bucket: Bucket) -> None:
    """A key that has to be percent-encoded is found under its encoded path."""
    url = URL(bucket.url + "PMC99000001.2/b%20%26%20c%2Bd.jpg", encoded=True)
    async with session.get(url) as answer:
        assert await answer.read() == b"second"


async def test_too_many_at_once_are_refused_with_503(session: aiohttp.ClientSession) -> None:
    """Of 20 requests at once a bucket for 12 serves 12 and refuses 8 with SlowDown, and serves again afterwards."""

    async def ask(bucket: Bucket) -> int:
        async with session.get(bucket.url + KEY) as answer:
            if answer.status == 503:
                assert await code(answer) == "SlowDown"
            else:
                assert await answer.read() == BODY
            return answer.status

    async with Bucket(OBJECTS, busy_above=12, cut_every=0, latency=0.3) as bucket:
        statuses = await asyncio.gather(*(ask(bucket) for _ in range(20)))
        assert sorted(statuses) == [200] * 12 + [503] * 8
        assert (bucket.counts.refusals, bucket.counts.most_at_once) == (8, 12)
        assert await ask(bucket) == 200


async def test_every_third_body_is_cut_in_the_middle_and_can_be_resumed(session: aiohttp.ClientSession) -> None:
    """With `cut_every=3` the third body ends at its middle, and a range from there brings the rest, uncut."""
    async with Bucket(OBJECTS, cut_every=3, latency=0, pace=0) as bucket:
        for _ in range(2):
            async with session.get(bucket.url + KEY) as answer:
                assert await answer.read() == BODY
        async with session.get(bucket.url + KEY) as answer:
            taken = await answer.content.readexactly(len(BODY) // 2)
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.content.read()
        assert taken == BODY[: len(BODY) // 2]
        headers = {"Range": f"bytes={len(taken)}-", "If-Range": ETAG}
        for _ in range(3):
            async with session.get(bucket.url + KEY, headers=headers) as answer:
                assert taken + await answer.read() == BODY
        assert (bucket.counts.cuts, bucket.counts.resumes, bucket.counts.requests) == (1, 3, 6)


async def test_client_that_leaves_leaves_no_trace(
    session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that leaves in the middle of a body puts nothing into the log, so that Ctrl-C shows no traceback."""
    async with Bucket(OBJECTS, cut_every=0, latency=0, pace=0.02) as bucket:
        async with session.get(bucket.url + KEY) as answer:
            await answer.content.readany()
        await asyncio.sleep(0.15)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_port_is_closed_after_the_block(session: aiohttp.ClientSession) -> None:
    """Nobody listens any more once the block is left."""
    async with Bucket(OBJECTS) as bucket:
        url = bucket.url
    with pytest.raises(aiohttp.ClientConnectorError):
        await session.get(url)
