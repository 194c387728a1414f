"""Folders of two classes as people have them, made of CIFAR-10's images: what training.py sends."""

import io
import unicodedata
import zipfile

from PIL import Image

RECORD = 3073  # bytes of an image in CIFAR-10's files: its class, then red, green and blue


def pictures(data, label, count):
    """The first images of a class, as Pillow has them."""
    records, found = data.joinpath("data_batch_1.bin").read_bytes(), []
    for start in range(0, len(records), RECORD):
        if records[start] == label and len(found) < count:
            planes = [Image.frombytes("L", (32, 32), records[start + 1 + 1024 * at : start + 1 + 1024 * (at + 1)]) for at in range(3)]
            found.append(Image.merge("RGB", planes))
    return found


def encoded(picture, kind):
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()


def as_people_have_it(data):
    """A zip of two classes with everything that is wrong with people's folders, and the names of what no reader can read."""
    composed = unicodedata.normalize("NFC", "Kätzchen")
    files, unreadable = {}, []
    for name, label, names in (("Hund", 5, ["Hund"]), (composed, 3, [composed, unicodedata.normalize("NFD", composed)])):
        drawn = pictures(data, label, 60)
        # In one folder or deeper, with any ending or none, in any format under a wrong one; one class by both its names.
        for number, picture in enumerate(drawn[:48]):
            part = f"train/{names[number % len(names)]}/" + ("images/" if number % 3 == 0 else "")
            ending, kind = [(".jpg", "JPEG"), (".jfif", "JPEG"), (".jpe", "JPEG"), ("", "PNG"), (".jpg", "PNG"), (".jpeg", "BMP"), (".png", "GIF")][number % 7]
            files[f"{part}{number:03}{ending}"] = encoded(picture, kind)
        for number, picture in enumerate(drawn[48:]):
            files[f"val/{names[0]}/{number:03}.jpg"] = encoded(picture, "JPEG")
        whole = encoded(drawn[0], "JPEG")
        for part, what, content in (
            (f"train/{names[0]}", "empty.jpg", b""),
            (f"train/{names[0]}", "cut.jpg", whole[: len(whole) // 2]),
            (f"train/{names[0]}", "page.jpg", b"<!DOCTYPE html><html><body>404</body></html>"),
            (f"val/{names[0]}", "cut.png", encoded(drawn[1], "PNG")[:100]),
        ):
            files[f"{part}/{what}"] = content
            unreadable.append(what)
    for litter in ("._000.jpg", ".DS_Store", "Thumbs.db", "@eaDir/000.jpg", "desktop.ini"):
        files[f"train/Hund/{litter}"] = b"a system's"
    files["__MACOSX/train/Hund/._000.jpg"] = b"a system's"
    files["lost+found/000.jpg"] = b"a system's"
    # Larger than what is read unless the settings say otherwise.
    files["train/Hund/huge.png"] = encoded(Image.new("L", (7300, 7000), 99), "PNG")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"pets/{name}", content)
    return out.getvalue(), sorted(set(unreadable))


def flat(data):
    """Two classes side by side, nothing else."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, label in (("cat", 3), ("dog", 5)):
            for number, picture in enumerate(pictures(data, label, 30)):
                archive.writestr(f"{name}/{number}.jpg", encoded(picture, "JPEG"))
    return out.getvalue()
