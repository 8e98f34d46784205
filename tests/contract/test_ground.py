"""The ground itself: drawn pictures are pictures, a bucket of them is known by heart, a missing program is named."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from roco_async.records import ImageRecord
from tests.servers import pictures
from tests.servers.bucket import SIZES, DrawnBucket, key_of, noise_jpeg
from tests.servers.programs import require_program


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP"])
def test_the_smallest_pictures_are_pictures(kind: str) -> None:
    """Pillow reads each tiny picture to its end."""
    with Image.open(BytesIO(getattr(pictures, f"tiny_{kind.lower()}")())) as picture:
        picture.load()
        assert (picture.format, picture.size) == (kind, (1, 1))


def test_a_comment_makes_another_file_of_the_same_picture() -> None:
    """Two comments give two files, both of which decode to the same pixel."""
    one, other = pictures.tiny_jpeg(b"one"), pictures.tiny_jpeg(b"other")
    assert one != other
    with Image.open(BytesIO(one)) as first, Image.open(BytesIO(other)) as second:
        assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("size", SIZES)
def test_a_drawn_picture_has_about_its_size(size: int) -> None:
    """Noise is drawn to within a tenth of the wanted size, the same each time, and decodes."""
    drawn = noise_jpeg(size)
    assert abs(len(drawn) - size) < size / 10
    noise_jpeg.cache_clear()
    assert noise_jpeg(size) == drawn
    with Image.open(BytesIO(drawn)) as picture:
        picture.load()


def test_a_drawn_bucket_is_known_by_heart(tmp_path: Path) -> None:
    """Files, objects and digests of a bucket agree, every file is another one, and each is a whole JPEG."""
    records = [ImageRecord(f"R{n}", f"PMC{n // 2}", f"g{n}.jpg") for n in range(30)]
    bucket = DrawnBucket([*records, records[0]])
    bucket.write(tmp_path)
    files = {file.relative_to(tmp_path).as_posix(): file.read_bytes() for file in tmp_path.rglob("*.jpg")}
    assert sorted(files) == sorted(bucket) == sorted(map(key_of, records))
    assert {key: hashlib.md5(data).hexdigest() for key, data in files.items()} == bucket.digests
    assert len(set(bucket.digests.values())) == 30
    assert all(
        bucket[key].data == data and bucket[key].etag == f'"{bucket.digests[key]}"' for key, data in files.items()
    )
    for data in files.values():
        with Image.open(BytesIO(data)) as picture:
            picture.load()


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]) -> None:
    """A test without its program is skipped with program and package named; in CI it fails."""
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match=r"no-such-server.*some-package"):
        require_program("no-such-server", package="some-package")
