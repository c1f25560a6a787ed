"""Picture files, decoded: upright, in RGB or grey, or refused with a sentence.

| in the file | what happens |
|--|--|
| EXIF orientation | the picture is turned upright |
| palette | its colours are looked up |
| alpha, transparent colour | laid over white |
| 16 bits per channel | the upper 8 are kept |
| 32 bits per channel | refused: no one says what is black and what is white |
| CMYK, YCbCr | turned into RGB by the plain formula; colour profiles are not applied |
| grey, for a model of colours | the grey in each of three channels |
| colours, for a model of grey | luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601) |
| several frames or pages | refused |

So do transformers and Pillow, but that they show 16-bit grey as white and leave pictures lying on their side.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from qkv.base.errors import DataError, QkvError, nearest
from qkv.base.strays import find_stray

MOST_PIXELS = 24_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # those that Pillow reads by itself, without a program outside
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_STRAYS = {
    "pointer": "a Git LFS pointer, not the picture: run git lfs pull",
    "page": "an HTML page: the download was an error page",
}
_NO_PICTURE = {
    b"<svg": "a drawing (SVG), not a picture of pixels: export it as PNG",
    b"<?xml": "an XML page or drawing, not a picture of pixels",
    b"%pdf": "a PDF: export its page as PNG",
}


def read_picture(source: str | Path | bytes | Image.Image, *, n_channels: int = 3) -> Image.Image:
    """Decode a file, the bytes of one, or what Pillow opened: upright, in mode RGB for 3 channels or L for 1.

    Any file that is missing, empty, cut short, damaged, animated, no picture, or of more than 24 megapixels raises
    DataError; its size is read from the header before anything is decoded.
    """
    with _opened(source) as (picture, name):
        picture.load()
        turn = _TURNS.get(picture.getexif().get(_ORIENTATION, 1))
        upright = picture if turn is None else picture.transpose(turn)
        return _to_mode(upright, "L" if n_channels == 1 else "RGB", name)


def read_size(source: str | Path | bytes) -> tuple[int, int]:
    """Return rows and columns, as stored, from the header alone; what `read_picture` refuses there raises DataError."""
    with _opened(source) as (picture, _):
        return picture.height, picture.width


def check_pixels(name: str, rows: int, columns: int) -> None:
    """Raise DataError for a picture too large to be met by accident."""
    if rows * columns > MOST_PIXELS:
        raise DataError(
            f"{name} has {columns:,} x {rows:,} pixels, more than {MOST_PIXELS // 10**6} million: scale it down first."
        )


@contextmanager
def _opened(source: str | Path | bytes | Image.Image) -> Iterator[tuple[Image.Image, str]]:
    """Yield a picture whose header was read, and its name; whatever goes wrong inside is a DataError that names it."""
    name = str(source) if isinstance(source, str | Path) else "The picture"
    try:
        with warnings.catch_warnings(), ExitStack() as files:
            warnings.simplefilter("ignore")  # Pillow's own, of bombs and bad metadata: refused or without effect here
            given = isinstance(source, Image.Image)
            picture = source if given else _open(files.enter_context(_stream(source)), name)
            check_pixels(name, picture.height, picture.width)
            yield picture, name
    except QkvError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(
            f"{name} is no picture that is read here ({', '.join(FORMATS)}), or its start is damaged."
        ) from error
    except Image.DecompressionBombError as error:
        most = MOST_PIXELS // 10**6
        raise DataError(f"{name} declares far more than {most} million pixels: scale it down first.") from error
    except Exception as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(f"{name} is damaged or cut short: {why}. Copy or download it again.") from error


def _open(file: io.BytesIO | io.BufferedReader, name: str) -> Image.Image:
    _check_start(file.read(64), name)
    picture = Image.open(file, formats=FORMATS)
    check_pixels(name, picture.height, picture.width)  # before a second frame is looked for
    if getattr(picture, "is_animated", False) and picture.format != "MPO":  # a phone's JPEG with a preview
        raise DataError(f"{name} has several frames or pages: save the one you mean as a picture of its own.")
    return picture


def _stream(source: str | Path | bytes) -> io.BytesIO | io.BufferedReader:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    path = Path(source)
    if path.is_dir():
        raise DataError(f"{path} is a folder; give a picture.")
    if not path.is_file():
        beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"There is no picture {path}.{nearest(path.name, beside)}")
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _check_start(start: bytes, name: str) -> None:
    if not start:
        raise DataError(f"{name} is empty (0 bytes).")
    if (stray := find_stray(start)) is not None:
        raise DataError(f"{name} is {_STRAYS[stray]}.")
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for sign, what in _NO_PICTURE.items():
        if text.startswith(sign):
            raise DataError(f"{name} is {what}.")


def _to_mode(picture: Image.Image, mode: str, name: str) -> Image.Image:
    """Return the picture in mode RGB or L, as this module's table says."""
    if picture.mode in ("I", "F"):
        raise DataError(f"{name} stores 32-bit numbers, whose range nobody states: save it with 8 or 16 bits.")
    if picture.mode.startswith("I;16"):
        picture = Image.fromarray((np.asarray(picture).astype(np.uint16) >> 8).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture).convert("RGB")
    return picture if picture.mode == mode else picture.convert(mode)
