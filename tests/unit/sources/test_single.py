"""The URL that a list gives an image: what is sent of it, and what is no URL."""

from __future__ import annotations

import pytest

from roco_async.errors import Unsafe
from roco_async.records import ImageRecord
from roco_async.sources.single import own_url

URL = "http://host.example/a.jpg"


def sent(url: str) -> str | None:
    return own_url(ImageRecord("a", "", "a.jpg", url=url))


@pytest.mark.parametrize(
    "url", [f" {URL}", f"{URL} ", f"\t{URL}\r\n", f"\n \0{URL}\x1f", f" {URL}#top ", f"{URL}#a\tb"]
)
def test_what_stands_round_a_url(url: str) -> None:
    """Blanks and control characters before and after a URL are of the list's making, and are left out."""
    assert sent(url) == URL


@pytest.mark.parametrize(
    "url",
    ["ht\ntp://host.example/a.jpg", "http://ho\tst.example/a.jpg", "http://host.example/a\r\nb.jpg",
     "http://host.example/\0a", "http://host.example/a\x7f.jpg", "http://host.example/?a\x1fb"],
)  # fmt: skip
def test_a_control_character_in_a_url(url: str) -> None:
    """A control character within a URL makes it none: nobody knows what was meant."""
    with pytest.raises(Unsafe, match="is no http or https URL"):
        sent(url)


@pytest.mark.parametrize("url", ["http://\ud800.example/a", "http://host.example/\ud800", "http://m\ud800@é.example/"])
def test_half_a_surrogate_pair(url: str) -> None:
    """What cannot be written as UTF-8 can neither be sent nor noted."""
    with pytest.raises(Unsafe):
        sent(url)


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://bücher.example/fig 1é.jpg?ü=ö", "http://bücher.example/fig%201%C3%A9.jpg?%C3%BC=%C3%B6"),
        ("https://mé:pä ss@bücher.example:8080/", "https://m%C3%A9:p%C3%A4%20ss@bücher.example:8080/"),
        ("http://mé@host.example/a", "http://m%C3%A9@host.example/a"),
        ("http://例え.jp", "http://例え.jp"),
        ("http://例え.jp/例え.jp", "http://例え.jp/%E4%BE%8B%E3%81%88.jp"),
    ],
)
def test_a_host_is_no_path(url: str, asked: str) -> None:
    """Path, query and account are percent-encoded; a host's name is not, for DNS has a coding of its own."""
    assert sent(url) == asked
