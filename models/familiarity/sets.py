"""Pictures that a network of CIFAR-10's ten classes was never trained on, and test images changed so little that they must stay
familiar. Each set is made from a seed: the same pictures every time, and others for choosing than for reporting.

A set is uint8, images × 32 × 32 × 3. What is larger is cut to its centre square and brought to 32 × 32 by an antialiased triangle
filter, as the program does. Pictures come from what scikit-image and scikit-learn ship; text is drawn in Pillow's own font.
"""

import io
from pathlib import Path

import numpy as np
import skimage.data
import sklearn.datasets
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIDE = 32
WORDS = """the of and a to in is you that it he was for on are as with his they at be this have from or one had by word but not what
all were we when your can said there use an each which she do how their if will up other about out many then them these so some her
would make like him into time has look two more write go see number no way could people my than first water been call who oil its now
find long down day did get come made may part over new sound take only little work know place year live me back give most very after
thing our just name good sentence man think say great where help through much before line right too mean old any same tell boy follow
came want show also around form three small set put end does another well large must big even such because turn here why ask went men
read need land different home us move try kind hand picture again change off play spell air away animal house point page letter mother
answer found study still learn should world 0 1 2 3 17 42 128 2026 fn let mut return if else for while match struct""".split()


def shrink(picture):
    picture = picture.convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(picture.crop(box).resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def colour(rng):
    return tuple(int(c) for c in rng.integers(0, 256, 3))


def apart(rng):
    """A light colour and a dark one, either way round; often white paper."""
    dark, light = rng.integers(0, 90, 3), rng.integers(170, 256, 3)
    if rng.random() < 0.6:
        dark, light = np.full(3, rng.integers(0, 60)), np.full(3, rng.integers(235, 256))
    pair = [tuple(map(int, dark)), tuple(map(int, light))]
    return pair if rng.random() < 0.75 else pair[::-1]


def text(rng):
    """A page or a part of one: from forty lines to two large words."""
    ink, paper = apart(rng)
    page = Image.new("RGB", (256, 256), paper)
    draw, size = ImageDraw.Draw(page), int(rng.choice([8, 10, 12, 16, 24, 40, 72]))
    font = ImageFont.load_default(size)
    margin, y = int(rng.integers(0, 24)), int(rng.integers(-size, 24))
    while y < 256:
        x = margin + (4 * size if rng.random() < 0.1 else 0)
        last = 256 - margin if rng.random() < 0.85 else int(rng.integers(margin, 256))
        while x < last:
            word = str(rng.choice(WORDS))
            draw.text((x, y), word, ink, font)
            x += int(font.getlength(word + " "))
        y += int(size * 1.35) * (1 if rng.random() < 0.92 else 2)
    return shrink(page)


def uniform_noise(rng):
    return rng.integers(0, 256, (SIDE, SIDE, 3))


def gaussian_noise(rng):
    grey = rng.random() < 0.3
    noise = rng.normal(0, rng.uniform(20, 90), (SIDE, SIDE, 1 if grey else 3))
    return np.clip(rng.uniform(70, 185, 3) + noise, 0, 255)


def smooth_noise(rng):
    """1/f^a: from sand to clouds."""
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    f[0, 0] = np.inf
    waves = rng.normal(size=(3, SIDE, SIDE)) + 1j * rng.normal(size=(3, SIDE, SIDE))
    values = np.fft.ifft2(waves / f ** rng.uniform(0.3, 2.0)).real
    values = rng.uniform(80, 175, (3, 1, 1)) + rng.uniform(25, 65) * values / values.std()
    return np.clip(values.transpose(1, 2, 0), 0, 255)


def pattern(rng):
    """Stripes, checks, dots, waves, cells: what repeats."""
    a, b = (np.array(colour(rng), float) for _ in range(2))
    y, x = np.mgrid[0:256, 0:256] / 256
    turn, step = rng.uniform(0, np.pi), rng.uniform(3, 24)
    u, v = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    kind = rng.integers(5)
    if kind == 0:
        mix = (u * step) % 1 < rng.uniform(0.2, 0.8)
    elif kind == 1:
        mix = ((u * step) % 1 < 0.5) ^ ((v * step) % 1 < 0.5)
    elif kind == 2:
        mix = np.hypot((u * step) % 1 - 0.5, (v * step) % 1 - 0.5) < rng.uniform(0.15, 0.45)
    elif kind == 3:
        mix = 0.5 + 0.5 * np.sin(2 * np.pi * step * (u + rng.uniform(0, 0.1) * np.sin(2 * np.pi * rng.uniform(1, 4) * v)))
    else:
        places = rng.uniform(size=(int(rng.integers(10, 120)), 2))
        far = np.hypot(x[..., None] - places[:, 0], y[..., None] - places[:, 1])
        near = np.sort(far, -1)
        mix = np.clip((near[..., 1] - near[..., 0]) * rng.uniform(10, 40), 0, 1)
    values = a + (b - a) * np.asarray(mix, float)[..., None]
    return shrink(Image.fromarray(np.clip(values + rng.normal(0, 4, values.shape), 0, 255).astype(np.uint8)))


def drawing(rng):
    """Strokes, outlines and filled shapes on paper."""
    ink, paper = apart(rng)
    page = Image.new("RGB", (256, 256), paper)
    draw = ImageDraw.Draw(page)
    for _ in range(int(rng.integers(1, 7))):
        line, width = (ink if rng.random() < 0.6 else colour(rng)), int(rng.integers(3, 14))
        (x, y), (w, h) = rng.integers(10, 200, 2), rng.integers(30, 140, 2)
        box, fill = [int(x), int(y), int(x + w), int(y + h)], (colour(rng) if rng.random() < 0.35 else None)
        kind = rng.integers(5)
        if kind == 0:
            draw.ellipse(box, fill, line, width)
        elif kind == 1:
            draw.rectangle(box, fill, line, width)
        elif kind == 2:
            corners = rng.integers(10, 246, (int(rng.integers(3, 7)), 2))
            draw.polygon([tuple(map(int, corner)) for corner in corners], fill, line, width)
        elif kind == 3:
            walk = np.cumsum(rng.normal(0, 22, (int(rng.integers(4, 30)), 2)), 0) + rng.integers(60, 200, 2)
            draw.line([tuple(map(int, point)) for point in walk], line, width, "curve")
        else:
            draw.arc(box, int(rng.integers(0, 360)), int(rng.integers(360, 700)), line, width)
    return shrink(page)


def plain(rng):
    """One colour, or a gradient between two."""
    a, b = np.array(colour(rng), float), np.array(colour(rng), float)
    if rng.random() < 0.4:
        b = a
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
    turn = rng.uniform(0, 2 * np.pi)
    along = np.cos(turn) * (x - 0.5) + np.sin(turn) * (y - 0.5) + 0.5
    values = a + (b - a) * np.clip(along, 0, 1)[..., None]
    return np.clip(values + rng.normal(0, rng.choice([0.0, 2.0]), values.shape), 0, 255)


def shipped(name):
    return Image.open(Path(skimage.data.__file__).parent / name).convert("RGB")


def patch(rng, picture):
    """A square of it: from a detail to nearly all."""
    most = min(picture.size)
    side = int(np.exp(rng.uniform(np.log(min(40, most)), np.log(most))))
    left, top = int(rng.integers(0, picture.width - side + 1)), int(rng.integers(0, picture.height - side + 1))
    return shrink(picture.crop((left, top, left + side, top + side)))


def patches(rng, count, pictures):
    return [patch(rng, pictures[i % len(pictures)]) for i in range(count)]


# A cat, a horse's outline, an airliner's like: left out, since they are of the ten.
THINGS = ["astronaut.png", "camera.png", "coffee.png", "coins.png", "moon.png", "retina.jpg", "rocket.jpg", "motorcycle_left.png"]
MATERIALS = ["brick.png", "grass.png", "gravel.png", "ihc.png", "hubble_deep_field.jpg", "cell.png", "page.png", "text.png"]


def things(rng, count):
    own = [shipped(name) for name in THINGS]
    own += [Image.fromarray(sklearn.datasets.load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]
    return patches(rng, count, own)


def materials(rng, count):
    return patches(rng, count, [shipped(name) for name in MATERIALS[:-2]])


def scans(rng, count):
    return patches(rng, count, [shipped(name) for name in MATERIALS[-2:]])


def faces(rng, count):
    all_faces = skimage.data.lfw_subset()[:100]
    chosen = (all_faces[rng.integers(0, 100, count)] * 255).clip(0, 255).astype(np.uint8)
    return [shrink(Image.fromarray(face)) for face in chosen]


def digits(rng, count):
    """Handwritten, in ink on paper and the other way round."""
    numbers = sklearn.datasets.load_digits().images
    pictures = []
    for number in numbers[rng.integers(0, len(numbers), count)]:
        ink, paper = (np.array(c, float) for c in apart(rng))
        values = paper + (ink - paper) * (number / 16)[..., None]
        pictures.append(np.asarray(Image.fromarray(values.astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
    return pictures


def made(one):
    return lambda rng, count: [one(rng) for _ in range(count)]


# Pictures of none of the ten classes.
STRANGE = {
    "text, drawn": made(text),
    "text, scanned": scans,
    "noise, uniform": made(uniform_noise),
    "noise, gaussian": made(gaussian_noise),
    "noise, smooth": made(smooth_noise),
    "patterns": made(pattern),
    "textures": materials,
    "drawings": made(drawing),
    "digits": digits,
    "faces": faces,
    "photos of other things": things,
    "plain colours, gradients": made(plain),
}


def shuffled(rng, images):
    flat = images.reshape(len(images), -1, 3)
    return np.stack([image[rng.permutation(SIDE * SIDE)] for image in flat]).reshape(images.shape)


def each(change):
    return lambda rng, images: np.stack([np.asarray(change(Image.fromarray(image))) for image in images])


def jpeg(quality, side=SIDE):
    def change(picture):
        file = io.BytesIO()
        picture.resize((side, side), Image.Resampling.BICUBIC).save(file, "JPEG", quality=quality)
        return shrink(Image.open(file))

    return each(change)


# Test images that must stay familiar.
FAMILIAR = {
    "enlarged to 256 pixels": each(lambda p: shrink(p.resize((256, 256), Image.Resampling.BICUBIC))),
    "a JPEG of 256 pixels, quality 75": jpeg(75, 256),
    "a JPEG of 32 pixels, quality 90": jpeg(90),
    "a JPEG of 32 pixels, quality 75": jpeg(75),
    "blurred by 0.5 pixel": each(lambda p: p.filter(ImageFilter.GaussianBlur(0.5))),
    "blurred by 1 pixel": each(lambda p: p.filter(ImageFilter.GaussianBlur(1.0))),
    "turned grey": each(lambda p: p.convert("L").convert("RGB")),
    "mirrored": each(lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    "cropped to its middle 28 pixels": each(lambda p: p.crop((2, 2, 30, 30)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)),
}


def strange(seed, count, images):
    """All strange sets, by name."""
    sets = {name: make(np.random.default_rng([seed, i]), count) for i, (name, make) in enumerate(STRANGE.items())}
    sets = {name: np.stack([np.asarray(p) for p in pictures]).astype(np.uint8) for name, pictures in sets.items()}
    sets["pixels shuffled"] = shuffled(np.random.default_rng([seed, 99]), images[:count])
    return sets


def familiar(images):
    """All changed sets, by name."""
    return {name: change(None, images).astype(np.uint8) for name, change in FAMILIAR.items()}
