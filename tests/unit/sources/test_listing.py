"""A bucket's listing read: what S3 and its look-alikes write, what is none, and which version has the image."""

from __future__ import annotations

import contextlib
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from roco_async.errors import BadListing
from roco_async.sources.listing import Article, Entry, Page, parse_page

S3 = "http://s3.amazonaws.com/doc/2006-03-01/"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def contents(key: str, *, size: str = "7", etag: str = f'"{MD5}"') -> str:
    return f"<Contents><Key>{escape(key)}</Key><ETag>{escape(etag)}</ETag><Size>{size}</Size></Contents>"


def listing(*objects: str, rest: str = "", root: str = f'ListBucketResult xmlns="{S3}"') -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>{"".join(objects)}{rest}</{root.split()[0]}>'.encode()


def article(*keys: str, pmcid: str = "PMC1") -> Article:
    return Article(pmcid, [Entry(key, None, None) for key in keys])


def key_of(found: Entry | None) -> str | None:
    return found.key if found else None


class TestParse:
    @pytest.mark.parametrize(
        "root",
        [
            "ListBucketResult",
            f'ListBucketResult xmlns="{S3}"',
            'ListBucketResult xmlns="http://doc.s3.amazonaws.com/2006-03-01"',
            f's3:ListBucketResult xmlns:s3="{S3}"',
        ],
    )
    def test_any_namespace(self, root: str) -> None:
        """Element names count without their namespace, be it S3's, another's or none."""
        assert parse_page(listing(contents("PMC1.1/a.jpg"), root=root)) == Page([Entry("PMC1.1/a.jpg", 7, MD5)])

    def test_prefixed_children(self) -> None:
        """Prefixes on the children are taken off too."""
        page = f'<a:ListBucketResult xmlns:a="{S3}"><a:Contents><a:Key>k</a:Key></a:Contents></a:ListBucketResult>'
        assert parse_page(page.encode()).entries == [Entry("k", None, None)]

    @pytest.mark.parametrize(
        ("etag", "md5"),
        [
            (f'"{MD5}"', MD5),
            (f'"{MD5.upper()}"', MD5),
            (MD5, MD5),
            (f" \n{MD5} ", MD5),
            (f'"{MD5}-2"', None),
            (f'W/"{MD5}"', None),
            ('"5f3a-62b1"', None),
            ("", None),
            (MD5[:-1], None),
        ],
    )
    def test_the_md5_of_an_etag(self, etag: str, md5: str | None) -> None:
        """32 hex digits, in quotes or not, are an md5; of several parts, weak, or of another form it is opaque."""
        assert parse_page(listing(contents("k", etag=etag))).entries == [Entry("k", 7, md5)]

    @pytest.mark.parametrize("quote", ["&#34;", "&quot;", "&#x22;", '"'])
    def test_quotes_as_look_alikes_write_them(self, quote: str) -> None:
        """Quotes written as entities are quotes (SeaweedFS)."""
        page = f"<ListBucketResult><Contents><Key>k</Key><ETag>{quote}{MD5}{quote}</ETag></Contents></ListBucketResult>"
        assert parse_page(page.encode()).entries == [Entry("k", None, MD5)]

    @pytest.mark.parametrize(
        ("size", "known"),
        [("0", 0), ("123", 123), (" 7 ", 7), ("", None), ("-1", None), ("1.5", None), ("9" * 5000, None)],
    )
    def test_sizes(self, size: str, known: int | None) -> None:
        """A size that is no number, or none that a disk could hold, is unknown."""
        assert parse_page(listing(contents("k", size=size))).entries == [Entry("k", known, MD5)]

    def test_nothing_found(self) -> None:
        """An unknown article is a listing without objects."""
        assert parse_page(listing(rest="<KeyCount>0</KeyCount><IsTruncated>false</IsTruncated>")) == Page()

    @pytest.mark.parametrize(
        ("rest", "token"),
        [
            ("<IsTruncated>true</IsTruncated><NextContinuationToken>a/b+c=</NextContinuationToken>", "a/b+c="),
            ("<NextContinuationToken>t</NextContinuationToken><IsTruncated>true</IsTruncated>", "t"),
            ("<IsTruncated> TRUE </IsTruncated><NextContinuationToken>t</NextContinuationToken>", "t"),
            ("<IsTruncated>false</IsTruncated><NextContinuationToken>t</NextContinuationToken>", None),
            ("<NextContinuationToken>t</NextContinuationToken>", None),
        ],
    )
    def test_the_next_page(self, rest: str, token: str | None) -> None:
        """There is a next page where the listing is truncated and has a token of its own, in either order."""
        assert parse_page(listing(contents("k"), rest=rest)).next_token == token

    @pytest.mark.parametrize("other", ["", "<Other><NextContinuationToken>t</NextContinuationToken></Other>"])
    def test_truncated_without_a_token(self, other: str) -> None:
        """A listing that says it goes on and not where proves nothing about what it does not show."""
        with pytest.raises(BadListing, match="next page"):
            parse_page(listing(contents("k"), rest=f"{other}<IsTruncated>true</IsTruncated>"))

    def test_what_stands_elsewhere_is_no_object(self) -> None:
        """Keys in other places, and elements inside a field, are not taken for an object's."""
        rest = "<CommonPrefixes><Contents><Key>no</Key></Contents></CommonPrefixes><Key>no</Key>"
        owner = "<Contents><Key>yes</Key><Owner><ID>1</ID><Key>no</Key></Owner><Size>3</Size></Contents>"
        assert parse_page(listing(owner, rest=rest)).entries == [Entry("yes", 3, None)]

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b" ",
            b"hello",
            b"<html><body>Log in</body></html>",
            b"<!DOCTYPE html><html></html>",
            b"<Error><Code>SlowDown</Code></Error>",
            b"<ListAllMyBucketsResult/>",
            b"<ListBucketResult>",
            b"<ListBucketResult></ListBucketResult>x",
            b"<ListBucketResult><Contents></ListBucketResult>",
            b"<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
            b"<ListBucketResult><Contents><Key></Key></Contents></ListBucketResult>",
            b"<ListBucketResult>&undefined;</ListBucketResult>",
            b"<ListBucketResult>\xff</ListBucketResult>",
            b"<?xml version='1.0' encoding='no-such-thing'?><ListBucketResult/>",
            b"<?xml version='1.0' encoding='utf-7'?><ListBucketResult/>",
            b"<?xml version='1.0' encoding='gb18030'?><ListBucketResult/>",
            b'<!DOCTYPE ListBucketResult [<!ENTITY a "b">]><ListBucketResult>&a;</ListBucketResult>',
            b'<!DOCTYPE r SYSTEM "file:///etc/passwd"><ListBucketResult/>',
        ],
    )
    def test_no_listing(self, content: bytes) -> None:
        """What is broken, something else, in an unknown coding, or has a DOCTYPE, is a BadListing and nothing else."""
        with pytest.raises(BadListing):
            parse_page(content)

    def test_a_bomb_of_entities(self) -> None:
        """A billion laughs end at the DOCTYPE."""
        bomb = b'<!DOCTYPE r [<!ENTITY a "aaaa">' + b"".join(
            b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 9) for n in range(9)
        )
        with pytest.raises(BadListing, match="DOCTYPE"):
            parse_page(bomb + b"]><ListBucketResult>&j;</ListBucketResult>")

    def test_a_cut_listing_anywhere(self) -> None:
        """A listing that lacks as little as its last byte is a BadListing."""
        whole = listing(contents("PMC1.1/a.jpg"), contents("PMC1.1/b.jpg"))
        for size in range(len(whole)):
            with pytest.raises(BadListing):
                parse_page(whole[:size])

    @given(st.binary(max_size=80))
    @example(b"<ListBucketResult " + b"x" * 50)
    def test_any_bytes(self, content: bytes) -> None:
        """Any bytes at all are a Page or a BadListing."""
        with contextlib.suppress(BadListing):
            assert isinstance(parse_page(b"<ListBucketResult>" + content + b"</ListBucketResult>"), Page)

    keys = st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), min_size=1
    )

    @given(st.lists(st.tuples(keys, st.integers(0, 10**12)), max_size=8))
    def test_any_keys(self, objects: list[tuple[str, int]]) -> None:
        """Whatever keys a bucket has, each is read as it was written."""
        page = parse_page(listing(*[contents(key, size=str(size)) for key, size in objects]))
        assert [(entry.key, entry.size) for entry in page.entries] == objects


class TestPick:
    def test_the_lowest_version_that_has_it(self) -> None:
        """Of several versions with the name the lowest is taken, and a version is a number."""
        found = article("PMC1.10/a.jpg", "PMC1.9/a.jpg", "PMC1.11/a.jpg", "PMC1.2/b.jpg")
        assert key_of(found.pick("a.jpg")) == "PMC1.9/a.jpg"
        assert key_of(found.pick("b.jpg")) == "PMC1.2/b.jpg"

    def test_by_exact_name(self) -> None:
        """Names are case-sensitive and whole."""
        found = article("PMC1.1/Fig1.JPG", "PMC1.1/xa.jpg")
        assert [found.pick(name) for name in ("fig1.jpg", "a.jpg", "Fig1", "")] == [None] * 4
        assert key_of(found.pick("Fig1.JPG")) == "PMC1.1/Fig1.JPG"

    @pytest.mark.parametrize(
        "key",
        ["PMC11.1/a.jpg", "PMC1/a.jpg", "PMC1.x/a.jpg", "PMC1./a.jpg", "xPMC1.1/a.jpg", "PMC1.1/sub/a.jpg",
         "PMC1.1a.jpg", "PMC1.1.1/a.jpg", "pmc1.1/a.jpg", "PMC1x1/a.jpg", "PMC1.1/", "PMC1.1234567890/a.jpg"],
    )  # fmt: skip
    def test_other_keys(self, key: str) -> None:
        """Keys of other articles, deeper keys, and those without a version's number have no image of this one."""
        found = article(key)
        assert found.pick("a.jpg") is None
        assert not found.has_media

    def test_known_and_without_media(self) -> None:
        """An article with text only is known and has no media; one without any object is not known."""
        text = article(
            "PMC1.1/PMC1.1.xml", "PMC1.1/PMC1.1.txt", "PMC1.1/main.PDF", "PMC1.1/a.nxml", "PMC1.1/PMC1.1.json"
        )
        assert (text.known, text.has_media) == (True, False)
        assert (article().known, article().has_media) == (False, False)
        assert article("PMC1.1/a.jpg").has_media

    versions = st.lists(st.tuples(st.integers(0, 120), st.sampled_from(["a.jpg", "b.jpg", "A.jpg"])), max_size=12)

    @given(versions)
    def test_in_any_order(self, objects: list[tuple[int, str]]) -> None:
        """Whatever the order of the keys, each name is found in the lowest version that has it."""
        found = article(*[f"PMC1.{version}/{name}" for version, name in objects])
        for name in ("a.jpg", "b.jpg", "A.jpg"):
            having = [version for version, other in objects if other == name]
            assert key_of(found.pick(name)) == (f"PMC1.{min(having)}/{name}" if having else None)
