"""Makes tests/data/odd: one small file for every way an image can be unusual, and the RGB that Pillow reads from it.

    python3 tests/data/odd-images.py        # needs Pillow and numpy

NAME.EXT is the file, NAME.rgb its pixels as height × width × 3 bytes: alpha composited on white, EXIF orientation applied,
16 bits rounded to 8, first frame of an animation. `resized/FIT.rgb` is photo.png brought to 32 × 32 by Pillow's BILINEAR.
The expected bytes come from Pillow and numpy alone, never from Convscope.
"""

import pathlib

import numpy
from PIL import Image

HERE = pathlib.Path(__file__).parent
ODD = HERE / "odd"
HORSE = Image.open(HERE / "horse.png").convert("RGB")
WIDTH, HEIGHT = 48, 32  # not square and not symmetric, so that a wrong turn shows


def base() -> Image.Image:
    """The horse above a ramp, 48 × 32."""
    picture = HORSE.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    for x in range(16):
        for y in range(8):
            picture.putpixel((x, y), (16 * x, 32 * y, 255 - 16 * x))
    return picture


def expect(name: str, picture: Image.Image) -> None:
    (ODD / f"{name}.rgb").write_bytes(picture.convert("RGB").tobytes())


def on_white(picture: Image.Image) -> Image.Image:
    """Alpha composited on white, rounded once."""
    rgba = numpy.asarray(picture.convert("RGBA"), dtype=numpy.float64)
    alpha = rgba[..., 3:] / 255
    return Image.fromarray(numpy.floor(rgba[..., :3] * alpha + 255 * (1 - alpha) + 0.5).astype(numpy.uint8))


def reread(name: str, suffix: str) -> Image.Image:
    return Image.open(ODD / f"{name}.{suffix}")


def save(name: str, suffix: str, picture: Image.Image, **options) -> None:
    """Writes the file and what Pillow reads back from it."""
    picture.save(ODD / f"{name}.{suffix}", **options)
    expect(name, on_white(reread(name, suffix)))


def ycck(picture: Image.Image) -> None:
    """Adobe's YCCK: Pillow cannot write it, so the planes are converted here and the marker's transform is set to 2."""
    cyan, magenta, yellow, black = (numpy.asarray(band, dtype=numpy.float64) for band in picture.convert("CMYK").split())
    # Adobe stores inks inverted; libjpeg's YCCK is the YCbCr of (255 - stored), which is the ink itself.
    luma = 0.299 * cyan + 0.587 * magenta + 0.114 * yellow
    planes = [luma, (yellow - luma) / 1.772 + 128, (cyan - luma) / 1.402 + 128, 255 - black]
    # Pillow inverts what it writes as CMYK.
    bands = [Image.fromarray(255 - numpy.clip(numpy.rint(plane), 0, 255).astype(numpy.uint8)) for plane in planes]
    path = ODD / "ycck.jpg"
    Image.merge("CMYK", bands).save(path, quality=95)
    data = bytearray(path.read_bytes())
    data[data.index(b"Adobe") + 11] = 2
    path.write_bytes(data)
    expect("ycck", Image.open(path))


def sixteen_bits(picture: Image.Image) -> None:
    """16-bit RGB and grey. Pillow writes only the grey one and clips it when reading, so both are written by hand."""
    import struct
    import zlib

    def png(name: str, samples: numpy.ndarray, colour: int) -> None:
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)

        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, colour, 0, 0, 0)
        body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
        (ODD / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)

    noise = numpy.random.default_rng(7).integers(0, 257, size=(HEIGHT, WIDTH, 3))
    rgb = numpy.minimum(numpy.asarray(picture).astype(numpy.int64) * 257 + noise - 128, 65535).clip(0)
    png("sixteen", rgb, 2)
    expect("sixteen", Image.fromarray(numpy.floor(rgb / 257 + 0.5).astype(numpy.uint8)))
    grey = rgb[..., 1]
    png("sixteen-grey", grey, 0)
    expect("sixteen-grey", Image.fromarray(numpy.floor(grey / 257 + 0.5).astype(numpy.uint8)))


def oriented(picture: Image.Image) -> None:
    """The same upright picture stored in each of EXIF's eight ways."""
    from PIL import ImageOps

    store = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    for number, transposition in store.items():
        exif = Image.Exif()
        exif[0x0112] = number
        name, stored = f"orientation-{number}", picture if transposition is None else picture.transpose(transposition)
        stored.save(ODD / f"{name}.jpg", quality=95, subsampling=0, exif=exif)
        upright = ImageOps.exif_transpose(reread(name, "jpg"))
        assert upright.size == picture.size
        expect(name, upright)


def resized(photo: Image.Image) -> None:
    """photo.png at 32 × 32 by each fit."""
    folder = ODD / "resized"
    folder.mkdir(exist_ok=True)
    photo.save(ODD / "photo.png")
    width, height = photo.size
    left = (width - height) // 2
    small = round(32 * height / width)
    padded = Image.new("RGB", (32, 32), "white")
    padded.paste(photo.resize((32, small), Image.Resampling.BILINEAR), (0, (32 - small) // 2))
    fits = {
        "stretch": photo.resize((32, 32), Image.Resampling.BILINEAR),
        "crop": photo.crop((left, 0, left + height, height)).resize((32, 32), Image.Resampling.BILINEAR),
        "pad": padded,
        "enlarged": HORSE.resize((50, 70), Image.Resampling.BILINEAR),
    }
    for fit, picture in fits.items():
        (folder / f"{fit}.rgb").write_bytes(picture.tobytes())


def large() -> None:
    """Plain pictures, small as files and large in memory, of each kind that decoders need more than the pixels for."""
    folder = ODD / "large"
    folder.mkdir(exist_ok=True)
    picture = Image.new("RGB", (1600, 1200), (200, 120, 40))
    picture.paste((20, 60, 180), (100, 100, 900, 700))
    translucent = picture.copy()
    translucent.putalpha(Image.linear_gradient("L").resize(picture.size))
    again = [picture.transpose(Image.Transpose.ROTATE_180)]
    picture.save(folder / "baseline.jpg")
    picture.save(folder / "progressive.jpg", progressive=True)
    picture.convert("CMYK").save(folder / "progressive-cmyk.jpg", progressive=True)
    picture.resize((60000, 8)).save(folder / "wide.jpg", progressive=True)
    picture.resize((8, 60000)).save(folder / "tall.jpg", progressive=True)
    picture.convert("L").save(folder / "grey.png")
    translucent.convert("LA").save(folder / "grey-alpha.png")
    picture.quantize(4).save(folder / "palette.gif")
    picture.save(folder / "lossless.webp", lossless=True)
    translucent.save(folder / "lossless-alpha.webp", lossless=True)
    translucent.save(folder / "lossy-alpha.webp")
    translucent.save(folder / "animated-alpha.webp", save_all=True, append_images=again, duration=50, lossless=True)


def main() -> None:
    ODD.mkdir(exist_ok=True)
    picture = base()
    ramp = Image.fromarray(numpy.tile(numpy.arange(WIDTH, dtype=numpy.uint8) * 5, (HEIGHT, 1)))
    translucent = picture.copy()
    translucent.putalpha(ramp)
    grey = picture.convert("L")
    grey_alpha = Image.merge("LA", (grey, ramp))
    paletted = picture.quantize(16)

    save("palette", "png", paletted)
    save("palette-transparent", "png", paletted, transparency=3)
    save("bilevel", "png", picture.convert("1"))
    save("alpha", "png", translucent)
    save("grey", "png", grey)
    save("grey-alpha", "png", grey_alpha)
    save("bitmap", "bmp", picture)
    save("bitmap-palette", "bmp", paletted)
    save("plain", "jpg", picture, quality=95, subsampling=0)
    save("grey-jpeg", "jpg", grey, quality=95)
    save("progressive", "jpg", picture, quality=95, subsampling=0, progressive=True)
    save("cmyk", "jpg", picture.convert("CMYK"), quality=95)
    save("still", "gif", paletted)
    save("lossless", "webp", translucent, lossless=True)
    save("lossy", "webp", picture, quality=95)
    frames = [picture.transpose(Image.Transpose.ROTATE_180)]
    save("animated-gif", "gif", paletted, save_all=True, append_images=frames, duration=50)
    save("animated-webp", "webp", picture, save_all=True, append_images=frames, duration=50, lossless=True)
    ycck(picture)
    sixteen_bits(picture)
    oriented(picture)
    large()
    rng = numpy.random.default_rng(11)
    photo = numpy.asarray(picture.resize((120, 90), Image.Resampling.BICUBIC)).astype(int)
    resized(Image.fromarray((photo + rng.integers(-20, 21, photo.shape)).clip(0, 255).astype(numpy.uint8)))


if __name__ == "__main__":
    main()
