"""Pictures that are drawn: valid, of the promised size, the same every time."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

pytest.importorskip("PIL", reason="the extra `demo` (Pillow) is not installed")

from PIL import Image

from roco_async.demo.casebook import Case, Kind, make_cases
from roco_async.demo.phantoms import draw_case


def one_of_each() -> list[Case]:
    by_kind = {case.kind: case for case in make_cases()}
    assert set(by_kind) == set(Kind)
    return list(by_kind.values())


@pytest.mark.parametrize("case", one_of_each(), ids=lambda case: case.kind)
def test_picture_is_a_whole_jpeg_of_the_promised_size(case: Case) -> None:
    """A drawn picture of each kind decodes as a JPEG to its last byte and has 20 to 200 kB and 420 to 720 pixels."""
    body = draw_case(case)
    assert 20_000 <= len(body) <= 200_000
    assert body.startswith(b"\xff\xd8\xff")
    assert body.endswith(b"\xff\xd9")
    with Image.open(io.BytesIO(body)) as picture:
        picture.load()
        assert picture.format == "JPEG"
        assert picture.mode == ("RGB" if case.kind in (Kind.TISSUE, Kind.FUNDUS) else "L")
        assert all(420 <= side <= 720 for side in picture.size)


@pytest.mark.parametrize("case", one_of_each(), ids=lambda case: case.kind)
def test_same_case_gives_same_bytes(case: Case) -> None:
    """Drawing a case twice gives the same bytes, so that a second run of the demo finds the digests of the first."""
    assert draw_case(case) == draw_case(case)


def test_no_two_pictures_are_the_same() -> None:
    """Cases of the same kind are drawn differently, because each has its own seed."""
    cases = [case for case in make_cases() if case.kind is Kind.HEAD][:6]
    assert len({draw_case(case) for case in cases}) == 6


@pytest.mark.parametrize("case", one_of_each(), ids=lambda case: case.kind)
def test_picture_is_more_than_noise(case: Case, tmp_path: Path) -> None:
    """Shrunk to 16 pixels a side, where noise averages out, a picture of each kind still has light and dark places."""
    with Image.open(io.BytesIO(draw_case(case))) as picture:
        low, high = picture.convert("L").resize((16, 16), Image.Resampling.BOX).getextrema()
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    assert high - low > 40
