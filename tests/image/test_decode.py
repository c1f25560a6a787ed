"""Picture files: each kind comes out as the table in decode.py says; each bad one gets a sentence."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from image.made import encode, noise, photographs, sized
from qkv.base.errors import DataError
from qkv.image.decode import FORMATS, MOST_PIXELS, read_picture, read_size

CORNERS = Image.fromarray(np.array([[10, 60, 110], [160, 210, 250]], dtype=np.uint8))  # no turn of it is itself


def levels(data: bytes, n_channels: int = 3) -> np.ndarray:
    return np.asarray(read_picture(data, n_channels=n_channels)).astype(int)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_read(format, tmp_path):
    picture = sized(60, 40)
    data = encode(picture, format)
    (tmp_path / "picture").write_bytes(data)  # the name does not count
    ours = read_picture(tmp_path / "picture")
    assert ours.mode == "RGB" and read_size(tmp_path / "picture") == (40, 60)
    assert np.array_equal(np.asarray(ours), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    assert read_picture(data, n_channels=1).mode == "L"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(orientation, format):
    upright = CORNERS.resize((48, 32), Image.Resampling.NEAREST).convert("RGB")
    turned = {
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.transpose(1, 0, 2),
        6: lambda x: np.rot90(x, 1),
        7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
        8: lambda x: np.rot90(x, -1),
    }[orientation](np.asarray(upright))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {"quality": 100} if format == "JPEG" else {}
    data = encode(Image.fromarray(np.ascontiguousarray(turned)), format, exif=exif, **options)
    ours = levels(data)
    assert ours.shape == (32, 48, 3)
    assert np.abs(ours - np.asarray(upright)).max() <= (3 if format == "JPEG" else 0)


def test_cmyk_becomes_rgb():
    cmyk = sized(64, 48).convert("CMYK")
    assert np.abs(levels(encode(cmyk, "JPEG", quality=100)) - np.asarray(sized(64, 48))).mean() < 3
    assert np.array_equal(levels(encode(cmyk, "TIFF")), np.asarray(cmyk.convert("RGB")))


def test_a_palette_is_looked_up_and_transparency_laid_over_white():
    palette = Image.new("P", (3, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    palette.putdata([0, 1, 2])
    assert levels(encode(palette, "PNG")).tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]
    clear = encode(palette, "PNG", transparency=bytes([0, 128, 255]))
    assert levels(clear).tolist() == [[[255, 255, 255], [127, 255, 127], [0, 0, 255]]]
    assert levels(clear, 1).tolist() == [[255, 202, 29]]


def test_alpha_is_laid_over_white():
    red = Image.new("RGBA", (1, 1), (255, 0, 0, 51))
    assert levels(encode(red, "PNG")).tolist() == [[[255, 204, 204]]]
    assert levels(encode(Image.new("LA", (1, 1), (0, 0)), "PNG"), 1).tolist() == [[255]]
    key = encode(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG", transparency=(1, 2, 3))
    assert levels(key).tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_upper_half(format):
    deep = Image.fromarray(np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16))
    assert deep.mode == "I;16"
    assert levels(encode(deep, format), 1).tolist() == [[0, 0, 1, 128, 255]]
    assert levels(encode(deep, format))[0, 3].tolist() == [128, 128, 128]


def test_one_bit_is_black_and_white():
    assert levels(encode(CORNERS.convert("1", dither=Image.Dither.NONE), "PNG"), 1).tolist() == [[0] * 3, [255] * 3]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_thirty_two_bits_are_refused(mode):
    with pytest.raises(DataError, match="32-bit numbers, whose range nobody states"):
        read_picture(encode(Image.new(mode, (2, 2)), "TIFF"))


def animated(format: str) -> bytes:
    return encode(sized(20, 20), format, save_all=True, append_images=[noise(20, 20)])


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_animations_and_pages_are_refused(format):
    for read in (read_picture, read_size):
        with pytest.raises(DataError, match="several frames or pages"):
            read(animated(format))


def test_a_phones_jpeg_with_a_preview_is_its_first_picture():
    data = encode(sized(40, 30), "MPO", save_all=True, append_images=[noise(20, 20)])
    assert Image.open(io.BytesIO(data)).format == "MPO"
    assert read_picture(data).size == (40, 30)


def bomb(columns: int, rows: int) -> bytes:
    """Return a PNG of a few hundred bytes that declares a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [4900, 10_000, 14_000, 60_000])
def test_bombs_are_refused_by_their_declared_size(side):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for read in (read_picture, read_size):
            with pytest.raises(DataError, match="24 million"):
                read(bomb(side, side))
    assert read_size(bomb(6000, MOST_PIXELS // 6000)) == (4000, 6000)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"empty \(0 bytes\)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer.*git lfs pull"),
        (b"\n <!DOCTYPE html><html>", "HTML page: the download was an error page"),
        (b"<html>404</html>", "HTML page"),
        (b'<?xml version="1.0"?><svg/>', "XML page or drawing"),
        (b"<svg xmlns='x'/>", "drawing"),
        (b"%PDF-1.7", "a PDF"),
        (b"P6 1 1 255 abc", "is no picture that is read here"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no picture that is read here"),
        (b"\x89PNG\r\n\x1a\n", "no picture that is read here"),
        (b"\x00" * 100, "no picture that is read here"),
    ],
)
def test_what_is_no_picture_gets_a_sentence(data, message, tmp_path):
    (tmp_path / "a.jpg").write_bytes(data)
    for read in (read_picture, read_size):
        with pytest.raises(DataError, match=message) as caught:
            read(tmp_path / "a.jpg")
        assert str(caught.value).startswith(str(tmp_path / "a.jpg")) and "\n" not in str(caught.value)


def test_places_without_a_picture(tmp_path):
    (tmp_path / "cat.jpg").write_bytes(encode(sized(8, 8), "JPEG"))
    with pytest.raises(DataError, match=r'no picture .*cat.jpeg. Did you mean "cat.jpg"\?'):
        read_picture(tmp_path / "cat.jpeg")
    with pytest.raises(DataError, match="is a folder"):
        read_picture(tmp_path)
    with pytest.raises(DataError, match="no picture"):
        read_picture(tmp_path / "none" / "a.jpg")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_a_file_cut_short_is_refused(format):
    data = encode(photographs()[0], format)
    for share in (0.3, 0.6, 0.9, 0.99):
        with pytest.raises(DataError):
            read_picture(data[: int(len(data) * share)])


def test_damaged_bytes_name_the_file(tmp_path):
    data = bytearray(encode(photographs()[0], "PNG"))
    data[2000:2100] = bytes(100)
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.png is damaged or cut short: .*Copy or download it again"):
        read_picture(tmp_path / "a.png")


def test_what_pillow_opened_is_turned_upright_and_refused_alike():
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.open(io.BytesIO(encode(sized(40, 30), "PNG", exif=exif)))
    assert lying.size == (40, 30) and read_picture(lying).size == (30, 40)
    with pytest.raises(DataError, match="The picture is damaged or cut short"):
        read_picture(Image.open(io.BytesIO(encode(photographs()[0], "JPEG")[:9000])))
    with pytest.raises(DataError, match="more than 24 million"):
        read_picture(Image.new("1", (6000, 4001)))


def test_files_are_closed(tmp_path):
    (tmp_path / "a.gif").write_bytes(animated("GIF"))
    (tmp_path / "b.tif").write_bytes(encode(sized(9, 9), "TIFF"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        read_picture(tmp_path / "b.tif")
        with pytest.raises(DataError):
            read_picture(tmp_path / "a.gif")
