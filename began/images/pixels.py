"""From a picture file to uint8 pixels of one size, and from those to the floats that networks take."""

import threading
import warnings
from typing import NamedTuple

import numpy as np
import torch
from PIL import ExifTags, Image
from torch import Tensor

from began.errors import BeganError
from began.images.folder import shown

UPRIGHT = {  # what undoes each orientation of EXIF
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Window(NamedTuple):
    """The square kept of aligned pictures, in pixels of their original width and height."""

    width: int
    height: int
    left: int
    top: int
    side: int


_warning_filters = threading.Lock()


def to_unit(pixels: Tensor) -> Tensor:
    """Map uint8 pixels, 0 to 255, to float32 in [-1, 1]; any shape, on the device they are on.

    >>> to_unit(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([-1.,  1.])
    """
    return pixels.float() / 127.5 - 1


def to_pixels(images: Tensor) -> Tensor:
    """Map floats to uint8 pixels: the inverse of `to_unit`, rounded and clamped to 0 to 255; any shape.

    >>> to_pixels(torch.tensor([-1.0, 0.0, 1.5]))
    tensor([  0, 128, 255], dtype=torch.uint8)
    """
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def read_picture(path: str, window: Window | None, size: int, channels: int) -> Tensor:
    """Decode, crop, resize and turn one picture file: uint8 (channels, size, size); BeganError where that fails."""
    try:
        return _read(path, window, size, channels)
    except Exception as error:  # decoders raise nearly every kind on bad bytes, SyntaxError included
        reason = str(error) if isinstance(error, BeganError) else f"{type(error).__name__}: {error}"
        raise BeganError(f"cannot read {shown(path)} ({reason})") from error


def _read(path: str, window: Window | None, size: int, channels: int) -> Tensor:
    with _open(path) as image:
        # A JPEG decodes at 1/2, 1/4 or 1/8 if 2.5 * size pixels are left: 2 to 4 times faster, 0.5 levels off
        reduced = image.draft(None, (5 * size // 2, 5 * size // 2))
        picture = _plain(image)
        # The exact size: that of a picture at 1/4, say, has its fraction rounded up
        width, height = reduced[1][2:] if reduced else picture.size
        square = picture.resize((size, size), Image.Resampling.LANCZOS, box=_box(width, height, window))
        turn = UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
        return picture_pixels(square if turn is None else square.transpose(turn), channels)


def _open(path: str) -> Image.Image:
    """Open a picture file; raise where Pillow only warns of a decompression bomb, ignore damaged EXIF."""
    with _warning_filters, warnings.catch_warnings():  # all threads have the same filters
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(path)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise BeganError(f"{str(error).partition(',')[0]}: a smaller copy of it will do") from error
        if "exif" in image.info:
            image.getexif()  # kept by the picture, so that it is parsed, and complained about, in here
        return image


def _plain(image: Image.Image) -> Image.Image:
    """Convert any kind of picture to 8-bit grey or RGB."""
    if image.mode.startswith("I"):  # more than 8 bits of grey, which Pillow would clip at 255
        return Image.fromarray((np.asarray(image) / _unit(image)).round().astype(np.uint8))
    if image.mode == "F":
        raise BeganError("a picture of floating-point numbers has no agreed range: save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "L" else image.convert("RGB")


def _unit(image: Image.Image) -> int:
    """Return how many grey levels of a picture of 16 or 32 bits make one of 255; 32 bits may hold 8, 16 or too much."""
    if image.mode != "I" or image.format in ("PNG", "PPM"):  # those scale to 16 bits
        return 257
    low, high = image.getextrema()
    if not 0 <= low <= high <= 65535:  # pyright: ignore[reportOperatorIssue]
        raise BeganError(f"grey levels from {low} to {high} have no agreed range: save it with 8 or 16 bits")
    return 1 if high <= 255 else 257  # pyright: ignore[reportOperatorIssue]


def picture_pixels(image: Image.Image, channels: int) -> Tensor:
    """Turn a grey or RGB picture into uint8 (channels, height, width)."""
    pixels = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1).copy()
    return with_channels(torch.from_numpy(pixels), channels).contiguous()


def _box(width: float, height: float, window: Window | None) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the square to keep of a picture."""
    if window is None:
        side = min(width, height)
        return (width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2
    scale = width / window.width
    if abs(height - scale * window.height) > 1:
        shape = f"{window.width}x{window.height}"
        raise BeganError(f"{width:g}x{height:g} has not the shape of aligned pictures, {shape}: use folder:DIR")
    left, top, side = scale * window.left, scale * window.top, scale * window.side
    return left, top, left + side, top + side


def with_channels(pixels: Tensor, channels: int) -> Tensor:
    """Turn uint8 (..., 1 or 3, S, S) into (..., channels, S, S): luma, or grey repeated."""
    if pixels.shape[-3] == channels:
        return pixels
    if channels == 3:
        return pixels.expand(*pixels.shape[:-3], 3, -1, -1)
    red, green, blue = pixels.float().unbind(-3)
    return (0.299 * red + 0.587 * green + 0.114 * blue).round().to(torch.uint8).unsqueeze(-3)


def pixel_std(images: Tensor) -> float:
    """Return how much images differ: the standard deviation over the batch, averaged over pixels and channels.

    Shape: `(B, C, H, W)`; 0 where all are the same picture.
    """
    return images.std(0).mean().item()
