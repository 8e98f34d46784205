"""Draws the demo's pictures with Pillow: slices, chest films, sector scans, sections and fundi.

Pillow comes with the extra `demo`, so this module is imported late. All work per pixel is left to Pillow's C code: 200
pictures take about two seconds of one core.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .canvas import Canvas
from .casebook import Case, Kind


def draw_case(case: Case) -> bytes:
    """Draw one picture; the same case gives the same bytes with the same Pillow.

    Args:
        case: what to draw; its `seed` varies all that it leaves open.

    Returns:
        A JPEG of 20 to 200 kB, grey or in colour, 420 to 720 pixels wide.

    Example:
        >>> from roco_async.demo.casebook import make_cases
        >>> draw_case(make_cases()[0])[:3]
        b'\\xff\\xd8\\xff'
    """
    rng = random.Random(case.seed)
    canvas = _PAINTERS[case.kind](rng, case)
    # A picture that looks like a patient's must say that it is none.
    canvas.write(f"PHANTOM {case.id}", 10, 8)
    canvas.write("drawn, not a patient", 10, canvas.height - 20)
    memory = io.BytesIO()
    canvas.image.save(memory, "JPEG", quality=rng.choice((86, 88, 90)))
    return memory.getvalue()


def _beside(case: Case, distance: float) -> float:
    return 0.5 - distance if case.side == "left" else 0.5 + distance


def _slice(rng: random.Random) -> Canvas:
    side = rng.choice((448, 512, 512, 560))
    return Canvas(rng, side, side)


def _table(canvas: Canvas, y: float) -> None:
    for rise, grey in ((0.0, 70), (0.018, 45)):
        canvas.arc(0.5, y - 0.5 + rise, 0.62, 0.5, (58, 122), grey, 0.006)


def _head(rng: random.Random, case: Case) -> Canvas:
    canvas = _slice(rng)
    rx, ry, tilt = rng.uniform(0.30, 0.34), rng.uniform(0.38, 0.42), rng.uniform(-0.08, 0.08)
    canvas.blob(0.5, 0.5, rx + 0.035, ry + 0.035, 88, wobble=0.008, tilt=tilt)
    canvas.blob(0.5, 0.5, rx + 0.018, ry + 0.018, 245, wobble=0.004, tilt=tilt)
    brain = canvas.blob(0.5, 0.5, rx - 0.012, ry - 0.012, 96, wobble=0.008, tilt=tilt)
    inside = canvas.mask(brain)
    # Folds: dark seams where two smooth noises are equal, near the rim only.
    seams = ImageChops.difference(canvas.cloud(18, 255), canvas.cloud(18, 255)).point(
        [34 if value < 14 else 0 for value in range(256)]
    )
    rim = ImageChops.subtract(
        inside, canvas.mask(canvas.outline(0.5, 0.5, rx * 0.72, ry * 0.76, wobble=0.05, tilt=tilt))
    )
    canvas.image.paste(ImageChops.subtract(canvas.image, seams), (0, 0), rim)
    canvas.blob(0.5, 0.5, rx * 0.62, ry * 0.66, 112, wobble=0.05, tilt=tilt)
    for hand in (-1, 1):
        canvas.blob(0.5 + hand * 0.055, 0.42, 0.026, 0.085, 42, wobble=0.06, tilt=hand * -0.28 + tilt)
        canvas.blob(0.5 + hand * 0.075, 0.62, 0.022, 0.075, 42, wobble=0.06, tilt=hand * 0.35 + tilt)
        canvas.blob(0.5 + hand * 0.10, 0.50, 0.045, 0.07, 124, wobble=0.06, tilt=hand * 0.2)
    canvas.blob(0.5, 0.52, 0.012, 0.06, 48, wobble=0.05)
    for start, end in ((0.5 - ry + 0.03, 0.30), (0.70, 0.5 + ry - 0.03)):
        lean = math.sin(tilt)
        canvas.line((0.5 - (start - 0.5) * lean, start), (0.5 - (end - 0.5) * lean, end), 160, pixels=3)
    if case.finding:
        size = 0.012 + case.finding * 0.0032
        where = _beside(case, rng.uniform(0.13, 0.19)), rng.uniform(0.36, 0.64)
        canvas.blob(*where, size * 1.7, size * 1.6, 74, wobble=0.10)
        canvas.blob(*where, size, size, rng.choice((190, 205, 56)), wobble=0.08)
    canvas.soften(1.2)
    canvas.add(canvas.cloud(40, 18), minus=9, mask=inside)
    canvas.add(canvas.noise(34), minus=20)
    return canvas


def _spine(canvas: Canvas, x: float, y: float) -> None:
    canvas.draw.polygon(
        [(px * canvas.width, py * canvas.height) for px, py in (
            (x - 0.10, y + 0.085), (x - 0.03, y + 0.05), (x + 0.03, y + 0.05), (x + 0.10, y + 0.085),
            (x + 0.025, y + 0.095), (x, y + 0.16), (x - 0.025, y + 0.095),
        )],
        fill=205,
    )  # fmt: skip
    canvas.blob(x, y, 0.058, 0.045, 222, wobble=0.02)
    canvas.blob(x, y, 0.044, 0.033, 178, wobble=0.02)
    canvas.blob(x, y + 0.058, 0.023, 0.019, 104, wobble=0.02)


def _ribs(canvas: Canvas, rx: float, ry: float) -> None:
    angle = canvas.rng.uniform(0, 20)
    while angle < 360:
        length = canvas.rng.uniform(13, 24)
        # Nothing in front, where the cartilage is, nor behind, where the spine is.
        if not any(angle + length > start and angle < end for start, end in ((250, 290), (72, 108))):
            canvas.arc(0.5, 0.5, rx, ry, (angle, angle + length), 226, 0.020)
            canvas.arc(0.5, 0.5, rx - 0.006, ry - 0.006, (angle + 2, angle + length - 2), 172, 0.008)
        angle += length + canvas.rng.uniform(10, 17)


def _trunk(canvas: Canvas, rx: float, ry: float) -> Image.Image:
    skin = canvas.blob(0.5, 0.5, rx, ry, 66, wobble=0.012)
    canvas.blob(0.5, 0.5, rx - 0.035, ry - 0.035, 128, wobble=0.012)
    return canvas.mask(skin)


def _chest(rng: random.Random, case: Case) -> Canvas:
    canvas = _slice(rng)
    _table(canvas, 0.93)
    rx, ry = rng.uniform(0.43, 0.46), rng.uniform(0.31, 0.34)
    body = _trunk(canvas, rx, ry)
    breath = rng.uniform(0.92, 1.05)
    for hand in (-1, 1):
        lung = 0.5 + hand * 0.215, 0.49
        canvas.blob(*lung, 0.146 * breath, 0.205 * breath, 22, wobble=0.03, tilt=hand * 0.16)
        _vessels(canvas, 0.5 + hand * 0.09, 0.5, hand)
    _ribs(canvas, rx - 0.048, ry - 0.044)
    canvas.blob(0.5, 0.45, 0.10, 0.14, 126, wobble=0.05)
    canvas.blob(0.545, 0.415, 0.125, 0.105, 142, wobble=0.05, tilt=0.5)
    canvas.blob(0.56, 0.42, 0.06, 0.05, 166, wobble=0.08, tilt=0.5)
    canvas.blob(0.548, 0.575, 0.030, 0.030, 164, wobble=0.02)
    canvas.blob(0.492, 0.535, 0.024, 0.020, 12, wobble=0.04)
    _spine(canvas, 0.5, 0.645)
    canvas.blob(0.5, 0.245, 0.05, 0.017, 200, wobble=0.05)
    if case.finding:
        size = 0.008 + case.finding * 0.0017
        canvas.blob(_beside(case, rng.uniform(0.19, 0.27)), rng.uniform(0.40, 0.60), size, size, 156, wobble=0.06)
    canvas.soften(1.0)
    canvas.add(canvas.cloud(56, 16), minus=8, mask=body)
    canvas.add(canvas.noise(36), minus=21)
    return canvas


def _vessels(canvas: Canvas, x: float, y: float, hand: int) -> None:
    for _ in range(11):
        angle = canvas.rng.uniform(-1.15, 1.15)
        px, py, width = x, y, 5.0
        while width > 1.0:
            angle += canvas.rng.uniform(-0.35, 0.35)
            nx, ny = px + hand * 0.028 * math.cos(angle), py + 0.034 * math.sin(angle)
            canvas.line((px, py), (nx, ny), round(60 + 14 * width), pixels=width)
            px, py, width = nx, ny, width * 0.76


def _abdomen(rng: random.Random, case: Case) -> Canvas:
    canvas = _slice(rng)
    _table(canvas, 0.92)
    rx, ry = rng.uniform(0.42, 0.46), rng.uniform(0.30, 0.34)
    body = _trunk(canvas, rx, ry)
    _ribs(canvas, rx - 0.05, ry - 0.045)
    canvas.blob(0.5, 0.485, rx - 0.085, ry - 0.08, 74, wobble=0.02)
    canvas.blob(0.345, 0.44, 0.180, 0.150, 148, wobble=0.06, tilt=-0.35)
    canvas.blob(0.735, 0.50, 0.070, 0.125, 158, wobble=0.05, tilt=-0.2)
    canvas.blob(0.615, 0.39, 0.115, 0.085, 118, wobble=0.07, tilt=0.3)
    canvas.blob(0.625, 0.355, 0.075, 0.030, 6, wobble=0.06, tilt=0.2)
    for hand in (-1, 1):
        kidney = 0.5 + hand * 0.185, 0.625
        canvas.blob(*kidney, 0.062, 0.072, 182, wobble=0.05, tilt=hand * 0.4)
        canvas.blob(kidney[0] - hand * 0.018, kidney[1], 0.030, 0.036, 104, wobble=0.12, tilt=hand * 0.4)
        canvas.blob(0.5 + hand * 0.085, 0.70, 0.036, 0.045, 126, wobble=0.05)
    canvas.blob(0.53, 0.575, 0.029, 0.029, 188, wobble=0.02)
    canvas.blob(0.465, 0.57, 0.033, 0.022, 172, wobble=0.03)
    for _ in range(7):
        x, y, size = rng.uniform(0.40, 0.66), rng.uniform(0.46, 0.55), rng.uniform(0.020, 0.036)
        canvas.blob(x, y, size * 1.3, size, 128, wobble=0.10)
        canvas.blob(x, y - size * 0.3, size * 0.7, size * 0.4, rng.choice((4, 96, 150)), wobble=0.10)
    for _ in range(14):
        x, y = rng.uniform(0.23, 0.44), rng.uniform(0.36, 0.52)
        canvas.blob(x, y, 0.011, 0.006, 172, wobble=0.2, tilt=rng.uniform(0, 3))
    _spine(canvas, 0.5, 0.655)
    if case.finding:
        size = 0.012 + case.finding * 0.0022
        x = rng.uniform(0.27, 0.40) if case.side == "left" else rng.uniform(0.72, 0.745)
        canvas.blob(x, rng.uniform(0.40, 0.50), size, size * 0.9, 92, wobble=0.06)
    canvas.soften(1.1)
    canvas.add(canvas.cloud(64, 16), minus=8, mask=body)
    canvas.add(canvas.noise(40), minus=24)
    return canvas


def _xray(rng: random.Random, case: Case) -> Canvas:
    width = rng.choice((480, 540, 600))
    canvas = Canvas(rng, width, round(width * rng.uniform(1.0, 1.15)), 14)
    canvas.blob(0.5, 0.78, 0.47, 0.62, 150, wobble=0.015)
    canvas.blob(0.5, 0.10, 0.13, 0.22, 140, wobble=0.02)
    for hand in (-1, 1):
        canvas.blob(0.5 + hand * 0.42, 0.25, 0.12, 0.085, 112, wobble=0.04, tilt=hand * 0.35)
        canvas.blob(0.5 + hand * 0.215, 0.47, 0.155, 0.34, 46, wobble=0.03, tilt=hand * -0.10)
        canvas.blob(0.5 + hand * 0.215, 0.90, 0.215, 0.16, 176, wobble=0.015)
    canvas.soften(7)
    canvas.blob(0.5, 0.50, 0.060, 0.55, 150, wobble=0.02)
    canvas.blob(0.555, 0.64, 0.165, 0.155, 178, wobble=0.03, tilt=0.55)
    canvas.blob(0.545, 0.40, 0.055, 0.06, 160, wobble=0.04)
    for hand in (-1, 1):
        _vessels(canvas, 0.5 + hand * 0.06, 0.50, hand)
    canvas.soften(4)
    bones = Canvas(rng, canvas.width, canvas.height)
    for n in range(10):
        y, reach = 0.235 + n * 0.068, 0.20 + 0.15 * math.sin(0.35 + n * 0.24)
        for hand in (-1, 1):
            behind = (184, 300) if hand < 0 else (240, 356)
            before = (92, 176) if hand < 0 else (4, 88)
            bones.arc(0.5 + hand * reach * 0.62, y + 0.085, reach * 0.62 + 0.03, 0.11, behind, 44, 0.019)
            bones.arc(0.5 + hand * reach * 0.66, y + 0.02, reach * 0.60 + 0.03, 0.13, before, 24, 0.021)
    for n in range(17):
        y = 0.04 + n * 0.058
        box = (0.452 * canvas.width, y * canvas.height, 0.548 * canvas.width, (y + 0.046) * canvas.height)
        bones.draw.rounded_rectangle(box, radius=6, fill=24)
        bones.blob(0.5, y + 0.03, 0.007, 0.016, 44, wobble=0.04)
    bones.arc(0.26, 0.245, 0.22, 0.085, (200, 335), 62, 0.022)
    bones.arc(0.74, 0.245, 0.22, 0.085, (205, 340), 62, 0.022)
    bones.soften(1.6)
    canvas.add(bones.image)
    if case.finding:
        spot = Canvas(rng, canvas.width, canvas.height)
        size = 0.010 + case.finding * 0.0021
        spot.blob(_beside(case, rng.uniform(0.19, 0.27)), rng.uniform(0.36, 0.60), size, size, 96, wobble=0.06)
        spot.soften(2.5)
        canvas.add(spot.image)
    canvas.write("L", canvas.width - 44, 40)
    canvas.add(canvas.cloud(24, 12), minus=6)
    canvas.add(canvas.noise(26), minus=14)
    return canvas


def _ultrasound(rng: random.Random, case: Case) -> Canvas:
    # Speckle is drawn in the probe's own coordinates (angle across, depth down), so that it widens with depth.
    echo = Canvas(rng, 300, 300, 78)
    for _ in range(5):
        y, grey = rng.uniform(0.15, 0.95), rng.randrange(96, 150)
        echo.arc(rng.uniform(0.3, 0.7), y + 0.4, rng.uniform(0.5, 0.9), 0.4, (200, 340), grey, 0.012)
    for _ in range(4):
        x, y, size = rng.uniform(0.1, 0.9), rng.uniform(0.3, 0.9), rng.uniform(0.05, 0.16)
        echo.blob(x, y, size, size * 0.7, rng.choice((44, 60, 104, 122)), wobble=0.10)
    if case.finding:
        size = 0.05 + case.finding * 0.004
        x, y = _beside(case, rng.uniform(0.10, 0.20)), rng.uniform(0.42, 0.60)
        # Fluid swallows no sound: what lies behind a cyst is brighter.
        echo.draw.polygon(
            [(px * 300, py * 300) for px, py in ((x - size, y), (x + size, y), (x + size, 1), (x - size, 1))], fill=128
        )
        echo.blob(x, y, size, size, 186, wobble=0.04)
        echo.blob(x, y, size * 0.9, size * 0.9, 5, wobble=0.04)
    echo.soften(1.5)
    echo.add(echo.cloud(14, 50), minus=25)
    speckle = echo.noise(255).filter(ImageFilter.BoxBlur((1.1, 0.5))).point([min(255, v * v // 72) for v in range(256)])
    echo.image.paste(ImageChops.multiply(echo.image, speckle.point([min(255, v + 24) for v in range(256)])))
    echo.image.paste(echo.image.point([min(255, v * 2) for v in range(256)]))
    echo.arc(0.5, 0.0, 0.9, 0.012, (0, 360), 210, 0.01)
    width = rng.choice((560, 600, 640))
    canvas = Canvas(rng, width, round(width * 0.76), 8)
    _fan(canvas, echo.image, spread=rng.uniform(0.55, 0.78))
    for n in range(6):
        canvas.line((0.975, 0.12 + n * 0.15), (0.985, 0.12 + n * 0.15), 150, pixels=1)
    canvas.draw.rectangle((12, canvas.height * 0.3, 18, canvas.height * 0.6), outline=120)
    canvas.add(canvas.noise(12), minus=2)
    return canvas


def _fan(canvas: Canvas, echo: Image.Image, *, spread: float) -> None:
    """Bend the echo picture into a sector of ±`spread` radians."""
    width, height = canvas.image.size
    top, near, far = height * -0.08, height * 0.16, height * 1.03
    cell = 28

    def source(x: float, y: float) -> tuple[float, float]:
        angle, depth = math.atan2(x - width / 2, y - top), math.hypot(x - width / 2, y - top)
        across, down = (angle / spread + 1) / 2, (depth - near) / (far - near)
        return min(1.2, max(-0.2, across)) * echo.width, min(1.2, max(-0.2, down)) * echo.height

    mesh = []
    for x in range(0, width, cell):
        for y in range(0, height, cell):
            right, bottom = min(x + cell, width), min(y + cell, height)
            corners = source(x, y), source(x, bottom), source(right, bottom), source(right, y)
            mesh.append(((x, y, right, bottom), tuple(value for corner in corners for value in corner)))
    bent = echo.transform(canvas.image.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
    mask = Image.new("L", canvas.image.size, 0)
    pen = ImageDraw.Draw(mask)
    degrees = math.degrees(spread)
    for radius, fill in ((far, 255), (near, 0)):
        box = (width / 2 - radius, top - radius, width / 2 + radius, top + radius)
        pen.pieslice(box, 90 - degrees, 90 + degrees, fill=fill)
    canvas.image.paste(bent, (0, 0), mask.filter(ImageFilter.BoxBlur(1)))


def _tissue(rng: random.Random, case: Case) -> Canvas:
    canvas = Canvas(rng, rng.choice((480, 560)), 420, (232, 188, 208))
    nucleus = (96, 62, 142)
    for _ in range(9):
        x, y, size = rng.random(), rng.random(), rng.uniform(0.06, 0.13)
        canvas.blob(x, y, size, size * 1.2, (214, 150, 186), wobble=0.08)
        canvas.blob(x, y, size * 0.5, size * 0.6, (246, 240, 244), wobble=0.15)
        for n in range(26):
            angle = math.tau * n / 26
            px, py = x + size * 0.82 * math.cos(angle), y + size * 0.98 * math.sin(angle)
            canvas.blob(px, py, 0.0095, 0.0135, nucleus, wobble=0.10, tilt=angle)
    where = _beside(case, 0.25), rng.uniform(0.35, 0.65)
    for _ in range(90 + case.finding * 10):
        near = case.finding and rng.random() < 0.7
        x, y = (rng.gauss(where[0], 0.05), rng.gauss(where[1], 0.06)) if near else (rng.random(), rng.random())
        left, top, size = x * canvas.width, y * canvas.height, rng.uniform(4, 7)
        canvas.draw.ellipse((left, top, left + size * 1.4, top + size), fill=nucleus)
    canvas.soften(1.0)
    _grain(canvas, hills=48, cloud=36, noise=22)
    return canvas


def _fundus(rng: random.Random, case: Case) -> Canvas:
    side = rng.choice((448, 512))
    canvas = Canvas(rng, side, side, (6, 5, 6))
    canvas.blob(0.5, 0.5, 0.46, 0.46, (148, 66, 34), wobble=0.0)
    canvas.soften(9)
    canvas.blob(0.5, 0.5, 0.37, 0.37, (172, 82, 42), wobble=0.02)
    disc = _beside(case, -0.20), rng.uniform(0.47, 0.53)
    canvas.blob(_beside(case, 0.12), 0.52, 0.085, 0.08, (128, 50, 30), wobble=0.04)
    canvas.soften(14)
    for n in range(8):
        _branch(canvas, *disc, angle=math.tau * n / 8 + rng.uniform(-0.3, 0.3), width=7.0)
    canvas.blob(*disc, 0.058, 0.066, (238, 184, 110), wobble=0.03)
    canvas.blob(*disc, 0.026, 0.030, (250, 222, 164), wobble=0.05)
    for _ in range(case.finding):
        x, y = _beside(case, 0.14) + rng.gauss(0, 0.05), 0.5 + rng.gauss(0, 0.07)
        canvas.blob(x, y, 0.007, 0.006, (240, 214, 120), wobble=0.2)
    canvas.soften(1.4)
    eye = canvas.mask(canvas.outline(0.5, 0.5, 0.46, 0.46))
    canvas.image.paste((6, 5, 6), (0, 0), ImageChops.invert(eye))
    _grain(canvas, hills=40, cloud=20, noise=26)
    return canvas


def _branch(canvas: Canvas, x: float, y: float, *, angle: float, width: float) -> None:
    while width > 1.2 and math.hypot(x - 0.5, y - 0.5) < 0.46:
        angle += canvas.rng.uniform(-0.22, 0.22)
        nx, ny = x + 0.022 * math.cos(angle), y + 0.022 * math.sin(angle)
        canvas.line((x, y), (nx, ny), (118, 30, 24), pixels=width)
        x, y, width = nx, ny, width * 0.95
        if canvas.rng.random() < 0.10:
            _branch(canvas, x, y, angle=angle + canvas.rng.choice((-0.7, 0.7)), width=width * 0.7)


def _grain(canvas: Canvas, *, hills: int, cloud: int, noise: int) -> None:
    # Grey grain on colour: one layer for all three bands.
    layer = ImageChops.add(canvas.cloud(hills, cloud), canvas.noise(noise))
    canvas.add(Image.merge("RGB", (layer, layer, layer)), minus=(cloud + noise) // 2)


_PAINTERS: dict[Kind, Callable[[random.Random, Case], Canvas]] = {
    Kind.HEAD: _head,
    Kind.CHEST: _chest,
    Kind.ABDOMEN: _abdomen,
    Kind.XRAY: _xray,
    Kind.ULTRASOUND: _ultrasound,
    Kind.TISSUE: _tissue,
    Kind.FUNDUS: _fundus,
}
