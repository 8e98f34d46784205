"""Does it look like a whole picture: real pictures of every kind, whole and cut, and pages that pose as one."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from roco_async.store.pictures import HEAD, fault, is_page
from tests.servers.pictures import tiny_gif, tiny_jpeg, tiny_png, tiny_tiff, tiny_webp

TINY: dict[str, Callable[[], bytes]] = {
    "jpg": tiny_jpeg, "png": tiny_png, "gif": tiny_gif, "tif": tiny_tiff, "webp": tiny_webp,
}  # fmt: skip
FORMATS = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "tif": "TIFF", "webp": "WEBP", "bmp": "BMP"}


@cache
def drawn(suffix: str, **options: Any) -> bytes:
    """A noisy picture of 72 x 72 as Pillow writes it."""
    noise = random.Random(7).randbytes(72 * 72)
    file = BytesIO()
    Image.frombytes("L", (72, 72), noise).save(file, FORMATS[suffix], **options)
    return file.getvalue()


def ends(content: bytes) -> tuple[bytes, bytes, int]:
    return content[:HEAD], content[-HEAD:], len(content)


def looked_at(content: bytes, name: str = "fig1.jpg") -> str | None:
    return fault(*ends(content), name)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("named", ["fig1.jpg", "FIG1.PNG", "own"])
def test_whole_pictures(suffix: str, named: str) -> None:
    """A whole picture of every kind has no fault, under its own suffix and under another kind's."""
    name = f"fig1.{suffix}" if named == "own" else named
    assert looked_at(drawn(suffix), name) is None
    if suffix in TINY:
        assert looked_at(TINY[suffix](), name) is None


@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"quality": 95}, {"comment": b"a comment"}, {"restart_marker_rows": 1}]
)
def test_jpegs_of_every_sort(options: dict[str, Any]) -> None:
    """Progressive JPEGs, and those with comments or restart markers, are whole."""
    assert looked_at(drawn("jpg", **options)) is None


@pytest.mark.parametrize("padding", [b"\x00", b"\x00" * 1000, b"\n", b"trailer of a camera" * 40])
def test_padding_after_the_end_of_a_jpeg(padding: bytes) -> None:
    """A JPEG that is padded by up to a kilobyte is whole."""
    assert looked_at(drawn("jpg") + padding) is None


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_cut_anywhere(suffix: str) -> None:
    """A JPEG or PNG of a real encoder that lacks as little as its last byte is no whole picture."""
    whole = drawn(suffix)
    assert len(whole) > 2 * HEAD
    assert [size for size in range(len(whole)) if looked_at(whole[:size]) is None] == []


def test_a_gif_cut_anywhere() -> None:
    """A cut GIF is told by its last byte: only a cut behind a byte that is its end mark by chance is not."""
    whole = drawn("gif")
    passed = [size for size in range(1, len(whole)) if looked_at(whole[:size], "a.gif") is None]
    assert all(whole[:size].rstrip(b"\0").endswith(b";") for size in passed)
    assert len(passed) < len(whole) / 64


@pytest.mark.parametrize("suffix", ["webp", "bmp"])
def test_cut_where_the_length_is_written(suffix: str) -> None:
    """A WebP or BMP that is shorter than its own header says is no whole picture."""
    whole = drawn(suffix)
    assert [size for size in range(len(whole)) if looked_at(whole[:size]) is None] == []


def test_nothing() -> None:
    """An empty body is a fault whatever its name."""
    assert [fault(b"", b"", 0, name) for name in ("a.jpg", "a.xyz", "")] == ["empty"] * 3


@pytest.mark.parametrize("content", [b"hello", b"\x00" * 99, b"%PDF-1.4", b"PK\x03\x04", b"\xff", b"\x1f\x8b\x08"])
def test_no_picture(content: bytes) -> None:
    """What begins like no picture is a fault under a picture's suffix, and none under an unknown one."""
    assert looked_at(content) is not None
    assert looked_at(content, "movie.mp4") is None


PAGES = [
    b"<!DOCTYPE html><html>", b"<!doctype HTML>", b"<html>", b"<HTML lang=en>", b"\n\t <html>", b"<head>",
    b"<body bgcolor=red>", b"<title>Log in</title>", b'<?xml version="1.0"?><Error>', b"<Error><Code>NoSuchKey</Code>",
    b"<script>location=1</script>", b"<!-- moved --><html>", b"\xef\xbb\xbf<html>",
    b"\xef\xbb\xbf\r\n<?xml version='1.0'?>",
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", ["fig1.jpg", "fig1.png", "noname", "fig1.xyz"])
def test_pages(page: bytes, name: str) -> None:
    """A page of HTML or XML is told by its beginning, with a byte order mark and blanks before it too."""
    assert is_page(page, name)


@pytest.mark.parametrize("text", ["<html>", "\n <!DOCTYPE html>", "<?xml version='1.0'?>"])
@pytest.mark.parametrize(("coding", "mark"), [("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")])
def test_pages_in_utf_16(text: str, coding: str, mark: bytes) -> None:
    """So is one in UTF-16 of either byte order."""
    assert is_page(mark + text.encode(coding), "fig1.jpg")


@pytest.mark.parametrize("suffix", FORMATS)
def test_pictures_are_no_pages(suffix: str) -> None:
    """No picture is taken for a page."""
    assert not is_page(drawn(suffix), f"fig1.{suffix}")


def test_an_svg_may_be_xml() -> None:
    """An SVG is XML, so under that suffix alone XML is no page."""
    svg = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'
    assert not is_page(svg, "fig1.SVG")
    assert is_page(svg, "fig1.jpg")


@given(
    st.binary(max_size=64), st.sampled_from(["a.jpg", "a.png", "a.gif", "a.webp", "a.bmp", "a.tif", "a.svg", "a", ""])
)
def test_any_bytes(content: bytes, name: str) -> None:
    """Any bytes under any name get an answer, and random ones named like a picture get no praise."""
    is_page(content, name)
    if name.endswith((".jpg", ".png")) and content[:2] not in (
        b"\xff\xd8",
        b"BM",
        b"II",
        b"MM",
        b"GI",
        b"RI",
        b"\x89P",
    ):
        assert looked_at(content, name) is not None
