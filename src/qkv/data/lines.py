"""The lines of a text file, read strictly: what is no UTF-8 text is refused with its place."""

import gzip
import zlib
from pathlib import Path

from qkv.base.errors import DataError, nearest
from qkv.base.strays import find_stray

_BOM = b"\xef\xbb\xbf"
_NO_TEXT = {
    b"PK\x03\x04": "a zip archive or a spreadsheet: export it as plain text",
    b"\x1f\x8b": "compressed by gzip: give it a name that ends in .gz",
    b"\xff\xfe": "UTF-16: save it as UTF-8",
    b"\xfe\xff": "UTF-16: save it as UTF-8",
}
_STRAYS = {
    "pointer": "a Git LFS pointer, not the data: run git lfs pull",
    "page": "an HTML page: the download was an error page",
}
_CHUNK = 1 << 22
_FREE_SIZE, _MOST_GROWTH = 1 << 28, 200  # text shrinks to a tenth or so; what grows 200-fold is a bomb


def read_lines(path: Path) -> list[bytes]:
    r"""Return the lines of a file, or of a .gz, without byte-order mark and line ends.

    Lines end at "\n" or "\r\n" and nowhere else: U+2028 or U+0085 inside a text do not shift one file against another.
    A folder, or a missing, empty, binary or damaged file raises DataError.
    """
    return cut_lines(_read(path), str(path))


def cut_lines(data: bytes, name: str) -> list[bytes]:
    """Return the lines of what was read from a file or from stdin, under the same rules."""
    data = data.removeprefix(_BOM)
    if not data:
        raise DataError(f"{name} is empty.")
    if (stray := find_stray(data)) is not None:
        raise DataError(f"{name} is {_STRAYS[stray]}.")
    for sign, what in _NO_TEXT.items():
        if data.startswith(sign):
            raise DataError(f"{name} is {what}.")
    zero = data.find(b"\0")
    if zero >= 0:
        raise DataError(f"{name} is binary, not text: byte {zero + 1:,} is zero.")
    return [line.removesuffix(b"\r") for line in data.removesuffix(b"\n").split(b"\n")]


def decode_line(line: bytes) -> str:
    """Return a line as text; a byte that is not UTF-8 raises DataError with its place in the line, from 1."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        start = error.start
        raise DataError(
            f"byte {start + 1} (0x{line[start]:02x}) is not UTF-8, after {show(line[:start].decode()[-20:])}"
        ) from error


def decode_lines(data: bytes, name: str) -> list[str]:
    """Return bytes as lines of text, none for no bytes; a byte that is not UTF-8 raises DataError with its line."""
    lines = []
    for i, line in enumerate(data.removesuffix(b"\n").split(b"\n") if data else (), 1):
        try:
            lines.append(decode_line(line.removesuffix(b"\r")))
        except DataError as error:
            raise DataError(f"Line {i} of {name}: {error}.") from error
    return lines


def show(text: str, width: int = 60) -> str:
    """Return a text in quotes for a message: on one line, cut to a width, invisible characters spelled out."""
    return repr(text if len(text) <= width else text[: width - 1] + "…")


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder; give a file.")
        if path.suffix == ".gz":
            return _unzip(path)
        return path.read_bytes()
    except FileNotFoundError as error:
        beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"There is no file {path}.{nearest(path.name, beside)}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged or not made by gzip: {error}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _unzip(path: Path) -> bytes:
    limit = max(_FREE_SIZE, _MOST_GROWTH * path.stat().st_size)
    data = bytearray()
    with gzip.open(path) as file:
        while chunk := file.read(_CHUNK):
            data += chunk
            if len(data) > limit:
                raise DataError(
                    f"{path} grows to more than {limit:,} bytes, {_MOST_GROWTH} times its size: no text does."
                )
    return bytes(data)
