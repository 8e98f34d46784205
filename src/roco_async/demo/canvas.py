"""The paper that the demo's pictures are drawn on.

With `phantoms.py` one of the two modules that import Pillow (extra `demo`). Noise comes from a seeded generator and not
from `Image.effect_noise`, whose `rand()` cannot be seeded.
"""

from __future__ import annotations

import math
import random
from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageStat

Points = list[tuple[float, float]]
Colour = int | tuple[int, int, int]


class Canvas:
    """A grey or coloured picture whose coordinates run from 0 to 1 in both directions."""

    def __init__(self, rng: random.Random, width: int, height: int, fill: Colour = 0) -> None:
        self.rng = rng
        self.width, self.height = width, height
        self.image = Image.new("L" if isinstance(fill, int) else "RGB", (width, height), fill)
        self.draw = ImageDraw.Draw(self.image)

    def blob(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        fill: Colour,
        *,
        wobble: float = 0.03,
        tilt: float = 0.0,
    ) -> Points:
        """Fill an ellipse that a hand might have drawn; `tilt` in radians. Returns its outline in pixels."""
        points = self.outline(x, y, rx, ry, wobble=wobble, tilt=tilt)
        self.draw.polygon(points, fill=fill)
        return points

    def outline(self, x: float, y: float, rx: float, ry: float, *, wobble: float = 0.0, tilt: float = 0.0) -> Points:
        # Three waves round the ellipse, of 2, 3 and 4 crests; each as a sum of the table's sine and cosine.
        a2, b2, a3, b3, a4, b4 = (self.rng.uniform(-wobble, wobble) for _ in range(6))
        cos_tilt, sin_tilt = math.cos(tilt), math.sin(tilt)
        points = []
        for cos1, sin1, cos2, sin2, cos3, sin3, cos4, sin4 in _circle(28 if max(rx, ry) < 0.12 else 64):
            grow = 1.0 + a2 * cos2 + b2 * sin2 + a3 * cos3 + b3 * sin3 + a4 * cos4 + b4 * sin4
            u, v = rx * grow * cos1, ry * grow * sin1
            px, py = x + u * cos_tilt - v * sin_tilt, y + u * sin_tilt + v * cos_tilt
            points.append((px * self.width, py * self.height))
        return points

    def arc(self, x: float, y: float, rx: float, ry: float, span: tuple[float, float], fill: int, width: float) -> None:
        """Draw a part of an ellipse; `span` in degrees, clockwise from three o'clock."""
        box = ((x - rx) * self.width, (y - ry) * self.height, (x + rx) * self.width, (y + ry) * self.height)
        self.draw.arc(box, *span, fill=fill, width=max(1, round(width * self.width)))

    def mask(self, outline: Points) -> Image.Image:
        mask = Image.new("L", self.image.size, 0)
        ImageDraw.Draw(mask).polygon(outline, fill=255)
        return mask

    def add(self, layer: Image.Image, *, minus: int = 0, mask: Image.Image | None = None) -> None:
        """Add a layer's brightness less `minus`, inside the mask."""
        self.image.paste(ImageChops.add(self.image, layer, 1, -minus), (0, 0), mask)

    def soften(self, radius: float) -> None:
        self.image.paste(self.image.filter(ImageFilter.BoxBlur(radius)))

    def cloud(self, grain: int, height: int) -> Image.Image:
        """Smooth noise with `grain` hills a side, brightness 0 to `height`."""
        hills = Image.frombytes("L", (grain, grain), self.rng.randbytes(grain * grain))
        return _scaled(hills, height).resize(self.image.size, Image.Resampling.BICUBIC)

    def noise(self, height: int) -> Image.Image:
        """A detector's noise, brightness 0 to `height`."""
        grains = Image.frombytes("L", self.image.size, self.rng.randbytes(self.width * self.height))
        return _scaled(grains, height)

    def line(self, start: tuple[float, float], end: tuple[float, float], fill: Colour, *, pixels: float) -> None:
        ends = [(x * self.width, y * self.height) for x, y in (start, end)]
        self.draw.line(ends, fill=fill, width=max(1, round(pixels)))

    def write(self, text: str, x: int, y: int) -> None:
        """Write small letters at a place in pixels, light on dark and dark on light."""
        under = self.image.crop((x, y, x + 60, y + 12)).convert("L")
        grey = 60 if ImageStat.Stat(under).mean[0] > 110 else 190
        self.draw.text((x, y), text, fill=grey if self.image.mode == "L" else (grey, grey, grey), font=_font())


def _scaled(image: Image.Image, height: int) -> Image.Image:
    return image.point([value * height // 255 for value in range(256)])


@lru_cache
def _circle(steps: int) -> list[tuple[float, ...]]:
    """Cosine and sine of once, twice, three and four times the angle, all round."""
    angles = [math.tau * step / steps for step in range(steps)]
    return [tuple(of(n * angle) for n in (1, 2, 3, 4) for of in (math.cos, math.sin)) for angle in angles]


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default()
