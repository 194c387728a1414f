"""Makes tests/data/odd/jpeg: one small JPEG for every layout that decoders get wrong, and the RGB that Pillow reads from it.

    python3 tests/data/odd-jpegs.py              # needs Pillow and libjpeg-turbo's cjpeg
    python3 tests/data/odd-jpegs.py matrix DIR   # every size, subsampling and layout, some 2,400 files, into DIR

NAME.jpg is the file, NAME.rgb its pixels. The matrix is compared by `JPEG_MATRIX=DIR cargo test --test it jpeg_matrix -- --ignored`.
"""

import itertools
import pathlib
import subprocess
import sys
import tempfile

from PIL import Image

HERE = pathlib.Path(__file__).parent
HORSE = Image.open(HERE / "horse.png").convert("RGB")
SCANS = {
    "each": "0;\n1;\n2;\n",
    "turned": "2;\n0;\n1;\n",
    "colours": "0;\n1 2;\n",
    "pair": "0 1;\n2;\n",
    "spectral": "0 1 2: 0-0, 0, 0;\n0: 1-5, 0, 0;\n2: 1-63, 0, 0;\n1: 1-63, 0, 0;\n0: 6-63, 0, 0;\n",
    "lone-dc": "0: 0-0, 0, 1;\n1: 0-0, 0, 1;\n2: 0-0, 0, 1;\n0: 1-63, 0, 0;\n2: 1-63, 0, 0;\n1: 1-63, 0, 0;\n"
    "0: 0-0, 1, 0;\n1: 0-0, 1, 0;\n2: 0-0, 1, 0;\n",
    "pair-dc": "0 1: 0-0, 0, 0;\n2: 0-0, 0, 0;\n0: 1-63, 0, 0;\n2: 1-63, 0, 0;\n1: 1-63, 0, 0;\n",
}
KINDS = {
    "baseline": [],
    "progressive": ["-progressive"],
    "restart": ["-restart", "1B"],
    "restart-row": ["-restart", "1"],
    "optimised": ["-optimize"],
    "rgb": ["-rgb"],
    "poor": ["-quality", "5"],
    **{name: ["-scans", name] for name in SCANS},
    "each-restart": ["-scans", "each", "-restart", "1B"],
    "pair-dc-restart": ["-scans", "pair-dc", "-restart", "5B"],
}
USUAL = {"444": "1x1", "422": "2x1", "420": "2x2", "440": "1x2", "411": "4x1", "410": "4x2"}
RARE = ["1x1,2x2,2x2", "1x1,2x1,1x1", "2x2,1x2,2x1", "2x2,2x1,2x1", "2x2,1x2,1x2", "2x1,1x1,2x1", "1x2,1x1,1x2", "3x1,1x1,1x1"]
RARE += ["1x3,1x1,1x1", "4x4,1x1,1x1", "1x4,1x1,1x1", "2x4", "4x2,2x2,2x2", "2x2,2x2,2x2", "3x3,1x1,1x1", "2x2,2x2,1x1"]
SIZES = [(1, 1), (2, 3), (7, 9), (8, 8), (9, 7), (15, 17), (16, 16), (17, 33), (31, 15), (40, 24), (48, 32), (65, 63), (100, 5)]


def write(path: pathlib.Path, size: tuple[int, int], sampling: str, options: list[str], grey: bool = False) -> bool:
    """Whether cjpeg can write it and Pillow read it."""
    with tempfile.TemporaryDirectory() as work:
        picture = HORSE.resize(size, Image.Resampling.BICUBIC)
        plain = pathlib.Path(work) / "plain.ppm"
        picture.save(plain)
        for name, script in SCANS.items():
            (pathlib.Path(work) / name).write_text(script)
        command = ["cjpeg", "-quality", "92", "-sample", sampling, *options, *(["-grayscale"] if grey else [])]
        if subprocess.run([*command, "-outfile", path.absolute(), plain], cwd=work, capture_output=True).returncode:
            path.unlink(missing_ok=True)
            return False
    expect(path)
    return True


def expect(path: pathlib.Path) -> None:
    path.with_suffix(".rgb").write_bytes(Image.open(path).convert("RGB").tobytes())


def photoshop(path: pathlib.Path) -> None:
    """Adobe's marker with transform 0, as Photoshop writes it into grey files."""
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0" + data[2:])
    expect(path)


def small() -> None:
    folder = HERE / "odd" / "jpeg"
    folder.mkdir(exist_ok=True)
    for name in ["444", "422", "420", "440"]:
        for kind in ["baseline", "progressive", "each", "pair"]:
            assert write(folder / f"{name}-{kind}.jpg", (23, 17), USUAL[name], KINDS[kind])
    assert write(folder / "420-each-restart.jpg", (23, 17), "2x2", KINDS["each-restart"])
    assert write(folder / "fine-colour.jpg", (23, 17), "1x1,2x2,2x2", [])
    assert write(folder / "threefold.jpg", (23, 17), "3x1,1x1,1x1", [])
    # Refused: its pixels are nobody's.
    assert write(folder / "misread.jpg", (65, 63), "4x2,2x2,2x2", KINDS["each"])
    (folder / "misread.rgb").unlink()
    for kind in ["baseline", "progressive"]:
        path = folder / f"photoshop-grey-{kind}.jpg"
        assert write(path, (23, 17), "1x1", KINDS[kind], grey=True)
        photoshop(path)
    assert write(HERE / "odd" / "large" / "scans.jpg", (900, 700), "2x2", [*KINDS["each"], "-quality", "10"])
    (HERE / "odd" / "large" / "scans.rgb").unlink()


def matrix(folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    samplings = [*USUAL.items(), *((sampling.replace(",", "_"), sampling) for sampling in RARE)]
    for size, (name, sampling), (kind, options) in itertools.product(SIZES, samplings, KINDS.items()):
        count += write(folder / f"{size[0]}x{size[1]}-{name}-{kind}.jpg", size, sampling, options)
    for size, kind in itertools.product(SIZES, ["baseline", "progressive", "restart"]):
        path = folder / f"{size[0]}x{size[1]}-grey-{kind}.jpg"
        count += write(path, size, "2x2", KINDS[kind], grey=True)
        adobe = folder / f"{size[0]}x{size[1]}-photoshop-{kind}.jpg"
        adobe.write_bytes(path.read_bytes())
        photoshop(adobe)
        count += 1
    for size, subsampling, progressive in itertools.product(SIZES, [0, 1, 2], [False, True]):
        path = folder / f"{size[0]}x{size[1]}-cmyk{subsampling}-{'progressive' if progressive else 'baseline'}.jpg"
        picture = HORSE.resize(size, Image.Resampling.BICUBIC).convert("CMYK")
        picture.save(path, quality=92, subsampling=subsampling, progressive=progressive)
        expect(path)
        count += 1
    print(count, "files")


if __name__ == "__main__":
    matrix(pathlib.Path(sys.argv[2])) if sys.argv[1:2] == ["matrix"] else small()
