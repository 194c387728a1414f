"""What may happen to a picture before it is shown to a network, and pictures of nothing that it knows: as arrays of pixels.

A change takes an image (32 × 32 × 3, 8 bits) and a generator of random numbers. What comes into sight at a border is the picture's
own mirror image, so that no edge is seen that only a measurement makes.
"""

import colorsys
import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIDE, BORDER = 32, 24


def file(pixels, kind="PNG", **options):
    """The bytes of an image file."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def framed(pixels):
    return np.pad(pixels, ((BORDER, BORDER), (BORDER, BORDER), (0, 0)), "reflect")


def clipped(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def shift(by):
    def change(pixels, random):
        down, right = random.choice([(by, 0), (-by, 0), (0, by), (0, -by)])
        return framed(pixels)[BORDER - down :][:SIDE, BORDER - right :][:, :SIDE]

    return change


def turn(degrees):
    def change(pixels, random):
        if degrees % 90 == 0:
            return np.ascontiguousarray(np.rot90(pixels, degrees // 90))
        wide = Image.fromarray(framed(pixels)).rotate(float(random.choice([-degrees, degrees])), Image.Resampling.BICUBIC)
        return np.asarray(wide)[BORDER : BORDER + SIDE, BORDER : BORDER + SIDE]

    return change


def scale(factor):
    """Above 1 the middle enlarged, below 1 the whole made smaller in its own surroundings."""

    def change(pixels, _):
        half = SIDE / factor / 2
        middle = BORDER + SIDE / 2
        box = (middle - half, middle - half, middle + half, middle + half)
        wide = Image.fromarray(framed(pixels))
        return np.asarray(wide.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box, reducing_gap=None))

    return change


def blur(deviation):
    def change(pixels, _):
        wide = Image.fromarray(framed(pixels)).filter(ImageFilter.GaussianBlur(deviation))
        return np.asarray(wide)[BORDER : BORDER + SIDE, BORDER : BORDER + SIDE]

    return change


def brightness(factor):
    return lambda pixels, _: clipped(pixels.astype(float) * factor)


def noise(deviation):
    return lambda pixels, random: clipped(pixels + random.normal(0, deviation, pixels.shape))


def grey(pixels, _):
    return np.repeat(clipped(pixels @ [0.299, 0.587, 0.114])[..., None], 3, 2)


def hue(degrees):
    """Every colour moved round the circle of hues, its lightness kept: a rotation about the grey axis (YIQ)."""
    to = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    angle = np.deg2rad(degrees)
    about = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    matrix = np.linalg.inv(to) @ about @ to
    return lambda pixels, _: clipped(pixels @ matrix.T)


def mirror(pixels, _):
    return np.ascontiguousarray(pixels[:, ::-1])


def jpeg(quality):
    return lambda pixels, _: np.asarray(Image.open(io.BytesIO(file(pixels, "JPEG", quality=quality))).convert("RGB"))


# What is asked → (how much → change).
CHANGES = {
    "JPEG quality": {f"{quality}": jpeg(quality) for quality in (90, 75, 50, 25, 10)},
    "shifted by": {f"{by} pixels": shift(by) for by in (1, 2, 4, 8)},
    "turned by": {f"{degrees}°": turn(degrees) for degrees in (5, 15, 30, 45, 90, 180)},
    "mirrored": {"left to right": mirror},
    "scaled by": {f"{factor:g}": scale(factor) for factor in (0.5, 0.7, 0.85, 1.2, 1.5, 2)},
    "blurred": {f"σ = {deviation:g} pixels": blur(deviation) for deviation in (0.5, 1, 1.5, 2)},
    "brightness": {f"× {factor:g}": brightness(factor) for factor in (0.3, 0.6, 1.4, 2)},
    "colour": {"grey": grey, "hue by 60°": hue(60), "hue by 180°": hue(180)},
    "noise": {f"σ = {deviation} of 255": noise(deviation) for deviation in (5, 15, 30)},
}


def _noise(random):
    return random.integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def _plain(random):
    return np.broadcast_to(random.integers(0, 256, 3, np.uint8), (SIDE, SIDE, 3)).copy()


def _texture(random):
    """Stripes, checks, waves and clouds of two colours."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    angle, many, phase = random.uniform(0, np.pi), random.uniform(2, 9), random.uniform(0, 6)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kind = random.integers(4)
    if kind == 0:
        share = np.sin(2 * np.pi * many * along + phase) > 0
    elif kind == 1:
        share = (np.sin(2 * np.pi * many * along + phase) > 0) ^ (np.sin(2 * np.pi * many * across + phase) > 0)
    elif kind == 2:
        share = 0.5 + 0.5 * np.sin(2 * np.pi * many * np.hypot(x - 0.5, y - 0.5) + phase)
    else:
        small = Image.fromarray(random.integers(0, 256, (6, 6), np.uint8))
        share = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 255
    one, other = random.integers(0, 256, (2, 3))
    share = np.asarray(share, float)[..., None]
    return clipped(share * one + (1 - share) * other)


def _drawn(large, draw):
    """Drawn at four times the size, as a screenshot that is made small."""
    picture = Image.new("RGB", (large, large), "white")
    draw(ImageDraw.Draw(picture))
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def _text(random):
    font, letters = ImageFont.load_default(12), "etaoinshrdlu cmfwypvbgkjqxz"

    def draw(on):
        for line in range(9):
            text = "".join(random.choice(list(letters), 24))
            on.text((4, 4 + 14 * line), text, (20, 20, 20), font)

    return _drawn(128, draw)


def _drawing(random):
    """A few strokes and shapes of one pen."""

    def draw(on):
        for _ in range(random.integers(2, 6)):
            box = random.integers(8, 120, 4).tolist()
            left, right = sorted(box[::2])
            top, bottom = sorted(box[1::2])
            [on.line, on.ellipse, on.rectangle][random.integers(3)]((left, top, right, bottom), **_pen(random))

    return _drawn(128, draw)


def _pen(random):
    shade = tuple(int(255 * part) for part in colorsys.hsv_to_rgb(random.uniform(), random.uniform(), 0.4))
    return {"fill": shade, "width": 4}


# What it is → one of it.
NOTHING_KNOWN = {
    "noise": _noise,
    "one colour": _plain,
    "stripes, checks, rings, clouds": _texture,
    "text": _text,
    "strokes and shapes": _drawing,
}
