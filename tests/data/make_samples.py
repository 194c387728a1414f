"""Writes src/http/samples/*.png: `python tests/data/make_samples.py CIFAR-10-BINARY.tar.gz`.

The horse is training image 7, the tutorial's; every other class is its first image in the test set. Three more test images are
taken for something else by the bundled `tutorial`: the bird for an airplane, the ship for an automobile, the dog for a horse.
"""

import pathlib
import struct
import sys
import tarfile
import zlib

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
RECORD = 1 + 3 * 32 * 32
HARD = {"bird-in-the-sky": 9960, "ship-on-wheels": 5628, "dog-on-grass": 6723}


def png(planes: bytes) -> bytes:
    """32×32 RGB, from red, green and blue planes."""
    pixels = bytes(planes[1024 * channel + i] for i in range(1024) for channel in range(3))
    rows = b"".join(b"\0" + pixels[96 * row : 96 * (row + 1)] for row in range(32))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def main() -> None:
    folder = pathlib.Path(__file__).parents[2] / "src/http/samples"
    with tarfile.open(sys.argv[1]) as archive:
        files = {pathlib.PurePath(member.name).name: member for member in archive if member.isfile()}
        read = lambda name: archive.extractfile(files[name]).read()
        train, test = read("data_batch_1.bin"), read("test_batch.bin")
    chosen = {"horse": train[7 * RECORD : 8 * RECORD]}
    for start in range(0, len(test), RECORD):
        record = test[start : start + RECORD]
        chosen.setdefault(CLASSES[record[0]], record)
    chosen |= {name: test[at * RECORD : (at + 1) * RECORD] for name, at in HARD.items()}
    for name, record in chosen.items():
        assert CLASSES[record[0]] == name.partition("-")[0]
        (folder / f"{name}.png").write_bytes(png(record[1:]))


main()
