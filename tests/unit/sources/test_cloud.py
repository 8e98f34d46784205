"""The cloud source over a fake transport: what is asked for, in which order, how often."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from roco_async.errors import Broken, Busy, NotFound, Reason, Refused, Unsafe
from roco_async.protocols import Source
from roco_async.records import ImageRecord, Job, Outcome, Status
from roco_async.sources.articles import LARGEST_LISTING
from roco_async.sources.cloud import CloudSource
from roco_async.store.files import Files
from roco_async.store.shelf import Shelf
from roco_async.transfer.budget import Budget
from tests.servers.pictures import tiny_jpeg
from tests.unit.wire import Answer, Script, Thing, Wire

BASE = "http://bucket/"
LIST = f"{BASE}?list-type=2&prefix=PMC1."
PICTURE = tiny_jpeg()
MD5 = hashlib.md5(PICTURE).hexdigest()
RECORD = ImageRecord("R1", "PMC1", "fig1.jpg")
IMAGE = Thing(PICTURE, f'"{MD5}"', MD5)


async def at_once(seconds: float) -> None:
    pass


def page(*keys: str, token: str | None = None, md5: str = MD5, size: int = len(PICTURE)) -> Thing:
    objects = "".join(
        f"<Contents><Key>{key}</Key><ETag>&quot;{md5}&quot;</ETag><Size>{size}</Size></Contents>" for key in keys
    )
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return Thing(f"<ListBucketResult>{objects}{more}</ListBucketResult>".encode(), None, told=False)


Make = Callable[[Wire], CloudSource]


@pytest.fixture
def source(files: Files, tmp_path: Path) -> Make:
    """Make the source over a wire."""
    shelf = Shelf(tmp_path, files)

    def make(wire: Wire) -> CloudSource:
        return CloudSource(BASE, transport=wire, shelf=shelf, budget=lambda: Budget(6, sleep=at_once))

    return make


async def fetch(source: Source, record: ImageRecord = RECORD) -> Outcome:
    (outcome,) = await source.fetch(Job(record.id, (record,)))
    assert outcome.record is record
    return outcome


async def test_the_guess(source: Make, tmp_path: Path) -> None:
    """Version 1 is guessed: one request, no listing, and the outcome tells all of it."""
    wire = Wire({f"{BASE}PMC1.1/fig1.jpg": IMAGE})
    assert await fetch(source(wire)) == Outcome(
        record=RECORD, status=Status.FETCHED, path=tmp_path / "images" / "R1.jpg", bytes=len(PICTURE), md5=MD5,
        verified="md5", source="cloud", url=f"{BASE}PMC1.1/fig1.jpg", attempts=1,
    )  # fmt: skip
    assert (tmp_path / "images" / "R1.jpg").read_bytes() == PICTURE
    assert len(wire.asked) == 1


async def test_one_job_a_record(source: Make) -> None:
    """Records become jobs of one image each, lazily."""
    taken = 0

    async def records() -> object:
        nonlocal taken
        for number in range(3):
            taken += 1
            yield replace(RECORD, id=str(number))

    jobs = source(Wire({})).jobs(records())  # type: ignore[arg-type]
    first = await anext(jobs)
    assert (first.key, len(first.records), taken) == ("0", 1, 1)
    assert [job.key async for job in jobs] == ["1", "2"]


async def test_another_version(source: Make) -> None:
    """Where version 1 has no such image the listing is asked once, and the lowest version that has it is taken."""
    wire = Wire({LIST: page("PMC1.10/fig1.jpg", "PMC1.2/fig1.jpg", "PMC1.1/x.jpg"), f"{BASE}PMC1.2/fig1.jpg": IMAGE})
    outcome = await fetch(source(wire))
    assert (outcome.status, outcome.url, outcome.attempts) == (Status.FETCHED, f"{BASE}PMC1.2/fig1.jpg", 3)
    assert wire.urls == [f"{BASE}PMC1.1/fig1.jpg", LIST, f"{BASE}PMC1.2/fig1.jpg"]


@pytest.mark.parametrize("at_the_same_time", [True, False])
async def test_a_listing_is_shared(source: Make, at_the_same_time: bool) -> None:
    """An article's images share one listing, at the same time and later; those that know it guess no more."""
    records = [replace(RECORD, id=f"R{number}", name=f"f{number}.jpg") for number in range(20)]
    keys = [f"PMC1.2/{record.name}" for record in records]
    wire = Wire({LIST: page(*keys)} | {BASE + key: IMAGE for key in keys})
    cloud = source(wire)
    if at_the_same_time:
        outcomes = await asyncio.gather(*[fetch(cloud, record) for record in records])
    else:
        outcomes = [await fetch(cloud, record) for record in records]
    assert {outcome.status for outcome in outcomes} == {Status.FETCHED}
    assert wire.urls.count(LIST) == 1
    guesses = sum(url.startswith(f"{BASE}PMC1.1/") for url in wire.urls)
    assert guesses == (20 if at_the_same_time else 1)


async def test_a_listing_that_failed_is_asked_for_again(source: Make) -> None:
    """One image's failed listing is not the next one's: it asks again, with a budget of its own."""
    wire = Wire({LIST: page("PMC1.2/fig1.jpg"), f"{BASE}PMC1.2/fig1.jpg": IMAGE}, [None, *[Busy("503")] * 6])
    cloud = source(wire)
    assert (await fetch(cloud)).reason is Reason.BUSY
    assert (await fetch(cloud)).status is Status.FETCHED


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ([], Reason.NOT_FOUND),
        (["PMC1.1/other.jpg"], Reason.NOT_FOUND),
        (["PMC1.1/FIG1.JPG"], Reason.NOT_FOUND),
        (["PMC1.1/PMC1.1.xml", "PMC1.1/PMC1.1.txt"], Reason.NO_MEDIA),
    ],
)
async def test_lost_for_good(source: Make, keys: list[str], reason: Reason) -> None:
    """An image in no version, or of an article without media, is a permanent loss after one listing."""
    wire = Wire({LIST: page(*keys)})
    outcome = await fetch(source(wire))
    assert (outcome.status, outcome.reason, outcome.attempts) == (Status.FAILED, reason, 2)
    assert reason.permanent
    assert wire.urls == [f"{BASE}PMC1.1/fig1.jpg", LIST]


async def test_listed_and_yet_not_there(source: Make) -> None:
    """A key that the listing names and the bucket has not is NOT_FOUND, and not asked for again."""
    wire = Wire({LIST: page("PMC1.2/fig1.jpg")})
    assert (await fetch(source(wire))).reason is Reason.NOT_FOUND
    assert len(wire.asked) == 3


class TestPages:
    @staticmethod
    def paged(pages: Iterable[Thing]) -> dict[str, Thing]:
        return {f"{LIST}&continuation-token={n}" if n else LIST: thing for n, thing in enumerate(pages)}

    async def test_all_pages(self, source: Make) -> None:
        """The version is picked of all pages together."""
        pages = [page("PMC1.3/fig1.jpg", token="1"), page("PMC1.2/x.jpg", token="2"), page("PMC1.2/fig1.jpg")]
        wire = Wire(self.paged(pages) | {f"{BASE}PMC1.2/fig1.jpg": IMAGE})
        assert (await fetch(source(wire))).url == f"{BASE}PMC1.2/fig1.jpg"

    async def test_a_token_is_encoded(self, source: Make) -> None:
        """A token's letters are encoded in the next URL: `+` and `/` have another meaning there."""
        wire = Wire({LIST: page(token="a+b/c=&amp;"), f"{LIST}&continuation-token=a%2Bb%2Fc%3D%26": page()})
        assert (await fetch(source(wire))).reason is Reason.NOT_FOUND
        assert wire.urls[-1] == f"{LIST}&continuation-token=a%2Bb%2Fc%3D%26"

    async def test_a_repeated_token_ends_it_as_complete(self, source: Make) -> None:
        """A token that comes twice ends the listing, and what was listed counts."""
        pages = [page("PMC1.2/fig1.jpg", token="1"), page(token="1")]
        wire = Wire(self.paged(pages) | {f"{BASE}PMC1.2/fig1.jpg": IMAGE})
        assert (await fetch(source(wire))).status is Status.FETCHED
        assert sum("list-type" in url for url in wire.urls) == 2

    async def test_a_hundred_pages(self, source: Make) -> None:
        """A hundred pages are read; a hundred and one prove nothing: BAD_LISTING, which is temporary."""
        pages = [page(token=str(number + 1)) for number in range(99)]
        hundred = Wire(self.paged([*pages, page("PMC1.2/fig1.jpg")]) | {f"{BASE}PMC1.2/fig1.jpg": IMAGE})
        assert (await fetch(source(hundred))).status is Status.FETCHED
        more = Wire(self.paged([*pages, page(token="100"), page("PMC1.2/fig1.jpg")]))
        outcome = await fetch(source(more))
        assert outcome.reason is Reason.BAD_LISTING
        assert not outcome.reason.permanent

    @pytest.mark.parametrize("in_pages", [1, 4])
    async def test_over_8_mib(self, source: Make, in_pages: int) -> None:
        """A listing over 8 MiB, in one page or in several, is BAD_LISTING."""
        blanks = b" " * (LARGEST_LISTING // in_pages)
        pages = [page(token=str(number + 1)) for number in range(in_pages - 1)] + [page("PMC1.2/fig1.jpg")]
        large = [replace(one, data=one.data.replace(b"</List", blanks + b"</List")) for one in pages]
        wire = Wire(self.paged(large) | {f"{BASE}PMC1.2/fig1.jpg": IMAGE}, piece=1 << 20)
        assert (await fetch(source(wire))).reason is Reason.BAD_LISTING


class TestTemporary:
    @pytest.mark.parametrize("bad", [b"<!DOCTYPE html><html>", b"", b"<Error/>", b"<ListBucketResult>"])
    async def test_html_first_then_a_listing(self, source: Make, bad: bytes) -> None:
        """What is no listing proves nothing: it is asked for again, and the image comes."""
        listing, image = page("PMC1.2/fig1.jpg"), f"{BASE}PMC1.2/fig1.jpg"
        wire = Wire({LIST: listing, image: IMAGE}, [None, Answer(thing=Thing(bad, None)), Answer(thing=listing)])
        outcome = await fetch(source(wire))
        assert (outcome.status, outcome.attempts) == (Status.FETCHED, 4)

    async def test_html_for_ever(self, source: Make) -> None:
        """A bucket that never lists fails with BAD_LISTING after `attempts` tries."""
        wire = Wire({LIST: Thing(b"<html>Log in</html>")})
        assert (await fetch(source(wire))).reason is Reason.BAD_LISTING
        assert wire.urls.count(LIST) == 6

    async def test_no_listing_at_all(self, source: Make) -> None:
        """404 to a listing is no word about the article, so it is BAD_LISTING and temporary."""
        assert (await fetch(source(Wire({})))).reason is Reason.BAD_LISTING

    async def test_guess_and_listing_share_a_budget(self, source: Make) -> None:
        """Tries of the guess, of the listing and of the image are one item's."""
        script: Script = [Broken("a"), Broken("b"), None, Broken("c"), None, Broken("d"), Broken("e"), Broken("f")]
        wire = Wire({LIST: page("PMC1.2/fig1.jpg"), f"{BASE}PMC1.2/fig1.jpg": IMAGE}, script)
        outcome = await fetch(source(wire))
        assert (outcome.reason, outcome.attempts, len(wire.asked)) == (Reason.BROKEN, 8, 8)

    async def test_403_is_no_404(self, source: Make) -> None:
        """A refused guess asks for no listing, and is tried twice."""
        wire = Wire({}, [Refused("403")] * 9)
        assert (await fetch(source(wire))).reason is Reason.REFUSED
        assert wire.urls == [f"{BASE}PMC1.1/fig1.jpg"] * 2

    async def test_the_listings_word_is_held_against_the_image(self, source: Make, tmp_path: Path) -> None:
        """An image that does not fit the listing's md5 is DAMAGED, and nothing is kept."""
        wire = Wire({LIST: page("PMC1.2/fig1.jpg", md5="0" * 32), f"{BASE}PMC1.2/fig1.jpg": Thing(PICTURE)})
        assert (await fetch(source(wire))).reason is Reason.DAMAGED
        assert list(tmp_path.rglob("*.jpg")) == []

    async def test_cancelled(self, source: Make, tmp_path: Path) -> None:
        """A cancelled fetch raises, and leaves no transfer and no file."""
        wire = Wire({}, [Answer(hold=asyncio.Event())])
        task = asyncio.create_task(fetch(source(wire)))
        while not wire.open_now:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (wire.open_now, list(tmp_path.rglob("*"))) == (0, [])


class TestHostile:
    @pytest.mark.parametrize(
        "pmcid", ["", "PMC", "1", "pmc1", "PMC1.", "PMC1/../x", "PMC1&prefix=", "PMC１", "PMC1\n", "PMC" + "1" * 13]
    )
    async def test_pmcids(self, source: Make, pmcid: str) -> None:
        """What is no PMC id is UNSAFE without a request."""
        wire = Wire({})
        outcome = await fetch(source(wire), replace(RECORD, pmcid=pmcid))
        assert (outcome.reason, outcome.attempts, wire.asked) == (Reason.UNSAFE, 0, [])

    @pytest.mark.parametrize("name", ["", ".", "..", "../x.jpg", "a/b.jpg", "a\0.jpg", "a\n.jpg", "a\ud800.jpg"])
    async def test_names(self, source: Make, name: str) -> None:
        """So is a name that is no plain file name."""
        wire = Wire({})
        outcome = await fetch(source(wire), replace(RECORD, name=name))
        assert (outcome.reason, outcome.attempts, wire.asked) == (Reason.UNSAFE, 0, [])

    @pytest.mark.parametrize("folder", ["..", "/etc", ".roco", "a/../.."])
    async def test_folders(self, source: Make, folder: str) -> None:
        """So is a folder that leads out."""
        wire = Wire({})
        outcome = await fetch(source(wire), replace(RECORD, folder=folder))
        assert (outcome.reason, wire.asked) == (Reason.UNSAFE, [])

    @pytest.mark.parametrize(
        "name", ["a+b.jpg", "a%2e.jpg", "a b.jpg", "é.jpg", "a?b#c.jpg", "%2e%2e.jpg", "a&b=c;d.jpg"]
    )
    async def test_odd_names_are_encoded(self, source: Make, name: str) -> None:
        """Every letter of a name that means something in a URL is encoded, so that it reaches the bucket as it is."""
        wire = Wire({LIST: page()})
        await fetch(source(wire), replace(RECORD, name=name))
        asked = wire.urls[0].removeprefix(f"{BASE}PMC1.1/")
        assert not set(asked) & set("+?#&=; /")
        assert unquote(asked) == name


class TestOwnUrl:
    async def test_only_there(self, source: Make) -> None:
        """A record with a URL is asked for there and nowhere else: no guess, no listing, and no PMC id is needed."""
        url = "https://example.org/fig.jpg"
        wire = Wire({url: IMAGE})
        record = replace(RECORD, pmcid="", url=url)
        assert (await fetch(source(wire), record)).url == url
        wire.things.clear()
        assert (await fetch(source(wire), record)).reason is Reason.NOT_FOUND
        assert wire.urls == [url] * 2

    @pytest.mark.parametrize(
        ("url", "sent"),
        [
            ("http://h/a b.jpg", "http://h/a%20b.jpg"),
            ("http://h/é.jpg", "http://h/%C3%A9.jpg"),
            ("http://h/a%20b.jpg?x=1&y=%2F#top", "http://h/a%20b.jpg?x=1&y=%2F"),
            ("HTTP://h/a.jpg", "HTTP://h/a.jpg"),
        ],
    )
    async def test_it_is_made_fit_to_be_sent(self, source: Make, url: str, sent: str) -> None:
        """Blanks and letters beyond ASCII are encoded, what is encoded stays, and a fragment is not sent."""
        wire = Wire({sent: IMAGE})
        assert (await fetch(source(wire), replace(RECORD, url=url))).status is Status.FETCHED

    @pytest.mark.parametrize(
        "url",
        ["", "ftp://h/a.jpg", "file:///etc/passwd", "a.jpg", "javascript:1", "http://[::1/a.jpg", "http://h/\ud800"],
    )
    async def test_no_web_url(self, source: Make, url: str) -> None:
        """What is no http or https URL is UNSAFE without a request."""
        wire = Wire({})
        outcome = await fetch(source(wire), replace(RECORD, url=url))
        assert (outcome.reason, wire.asked) == (Reason.UNSAFE, [])

    async def test_the_lists_md5_and_size_count(self, source: Make) -> None:
        """What a list says of an image is held against it."""
        url = "https://example.org/fig.jpg"
        for fields in ({"md5": "0" * 32}, {"size": len(PICTURE) + 1}):
            outcome = await fetch(source(Wire({url: IMAGE})), replace(RECORD, url=url, **fields))
            assert outcome.reason is Reason.DAMAGED

    @pytest.mark.parametrize("scheme", ["https", "ftp"])
    async def test_a_password_is_told_to_nobody(self, source: Make, scheme: str) -> None:
        """A password in a URL, one that is asked or one that is not, stands in no outcome."""
        url = f"{scheme}://me:secret@example.org/fig.jpg"
        for wire in (Wire({url: IMAGE}), Wire({}), Wire({}, [Unsafe("x", url=url)])):
            assert "secret" not in repr(replace(await fetch(source(wire), replace(RECORD, url=url)), record=RECORD))


async def test_the_error_is_told_in_words(source: Make) -> None:
    """A failed outcome has the URL that was asked for last, and the last error in words."""
    outcome = await fetch(source(Wire({LIST: page("PMC1.2/fig1.jpg")}, [None, None, NotFound("gone", url="u")])))
    assert (outcome.url, outcome.error, outcome.source) == (f"{BASE}PMC1.2/fig1.jpg", "u: gone", "cloud")
