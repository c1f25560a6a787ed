"""Two thousand damaged picture files: each gives a picture or our error, nothing else, and soon."""

import random
import time
import warnings

import pytest
from PIL import Image

from image.made import encode, noise, sized
from qkv.base.errors import DataError
from qkv.image.decode import FORMATS, read_picture, read_size


def seeds() -> list[bytes]:
    """Return small sound files of every format and kind."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    picture = sized(96, 64)
    found = [encode(picture, format) for format in FORMATS]
    found += [encode(picture, format, exif=exif) for format in ("JPEG", "PNG", "WEBP", "TIFF")]
    found += [encode(picture.convert("CMYK"), format) for format in ("JPEG", "TIFF")]
    found += [encode(picture, "JPEG", progressive=True), encode(picture, "TIFF", compression="tiff_lzw")]
    found += [encode(picture.convert("P"), "PNG", transparency=bytes(range(256))), encode(picture.convert("1"), "PNG")]
    found += [encode(Image.new("I;16", (40, 30), 777), format) for format in ("PNG", "TIFF")]
    found += [encode(picture, "TIFF", compression=kind) for kind in ("jpeg", "tiff_deflate")]
    found += [encode(picture, format, save_all=True, append_images=[noise(96, 64)]) for format in ("GIF", "MPO", "PNG")]
    return found


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Flip, overwrite, cut, insert, double or swap bytes; mostly near the start, where headers are."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = min(int(rng.expovariate(8) * len(changed)), len(changed) - 1) if len(changed) > 1 else 0
        n = rng.choice((1, 2, 4, 16, 200))
        match rng.randrange(6):
            case 0:
                changed[at : at + 1] = bytes([changed[at] ^ (1 << rng.randrange(8))])
            case 1:
                changed[at : at + n] = rng.choice((bytes(n), b"\xff" * n, rng.randbytes(n)))
            case 2:
                del changed[at + 1 : at + 1 + n]
            case 3:
                changed[at:at] = rng.randbytes(n)
            case 4:
                changed[at:at] = changed[at : at + n]
            case 5:
                del changed[rng.randrange(1, len(changed) + 1) :]
    return bytes(changed)


@pytest.mark.parametrize("part", range(4))
def test_damaged_files_give_a_picture_or_our_error(part):
    rng = random.Random(part)
    sound, refused = seeds(), 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i in range(500):
            data = mutate(rng.choice(sound), rng)
            start = time.perf_counter()
            try:
                assert read_picture(data, n_channels=rng.choice((1, 3))).mode in ("L", "RGB")
                assert min(read_size(data)) > 0
            except DataError as error:
                refused += 1
                assert "\n" not in str(error) and len(str(error)) < 300
            assert time.perf_counter() - start < 2, i
    assert 150 < refused < 480
