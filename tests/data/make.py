"""Makes the real images the tests use: a subset of CIFAR-10 in its official binary layout, and the tutorial's horse.

    python3 tests/data/make.py path/to/cifar-10-binary.tar.gz

Needs nothing but Python. The archive is the official one, https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz.
Images keep their official order: training image 7, the horse, is image 7 of data_batch_1.
"""

import pathlib
import struct
import sys
import tarfile
import zlib

HERE = pathlib.Path(__file__).parent
SIDE, RECORD = 32, 1 + 3 * 32 * 32  # a label, then a red, a green and a blue plane
FOLDER = "cifar-10-batches-bin"
KEPT = {f"data_batch_{number}.bin": 64 for number in range(1, 6)} | {"test_batch.bin": 200}
HORSE = 7


def png(record: bytes) -> bytes:
    """A record's picture as an 8-bit RGB PNG."""
    plane = SIDE * SIDE
    red, green, blue = (record[1 + plane * channel : 1 + plane * (channel + 1)] for channel in range(3))
    pixels = bytes(value for triple in zip(red, green, blue) for value in triple)
    rows = b"".join(b"\0" + pixels[row : row + 3 * SIDE] for row in range(0, len(pixels), 3 * SIDE))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def main(archive: str) -> None:
    folder = HERE / FOLDER
    folder.mkdir(exist_ok=True)
    with tarfile.open(archive) as tar:
        for name, images in KEPT.items():
            data = tar.extractfile(f"{FOLDER}/{name}").read(images * RECORD)
            (folder / name).write_bytes(data)
        (folder / "batches.meta.txt").write_bytes(tar.extractfile(f"{FOLDER}/batches.meta.txt").read())
    first = (folder / "data_batch_1.bin").read_bytes()
    (HERE / "horse.png").write_bytes(png(first[HORSE * RECORD : (HORSE + 1) * RECORD]))


if __name__ == "__main__":
    main(sys.argv[1])
