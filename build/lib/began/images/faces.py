"""Rendered faces: a data set without a download, whose every attribute is known.

A face is a row of numbers, ATTRIBUTES. The renderer paints it from back to front: wall, hair behind, neck
and clothes, ears, head, beard, nose, mouth, eyes, glasses, hair in front. Each layer is a shape, given by a
signed distance d (negative inside), and its colour c. It is laid over the picture p with a coverage a that
falls from 1 to 0 over one pixel of width w, which smooths the edge and makes the picture differentiable:

    p <- (1 - a) p + a c,        a = clip(1/2 - d/w, 0, 1)

Shapes live in a square around (0, 0), x to the right and y down, whatever the number of pixels: a head is
about one unit wide and the eyes lie on y = -0.06.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor
from tqdm.auto import tqdm


@dataclass(frozen=True)
class Attribute:
    """One column of the attribute tensor.

    A categorical attribute names its `levels` and holds 0, 1, ..., len(levels) - 1. A continuous one has no
    levels and lies in [low, high].
    """

    name: str
    levels: tuple[str, ...]
    low: float
    high: float
    meaning: str


def _number(name: str, low: float, high: float, meaning: str) -> Attribute:
    return Attribute(name, (), low, high, meaning)


def _choice(name: str, levels: str, meaning: str) -> Attribute:
    names = tuple(levels.split())
    return Attribute(name, names, 0, len(names) - 1, meaning)


ATTRIBUTES: tuple[Attribute, ...] = (
    _number("skin_tone", 0, 1, "from very light to very dark"),
    _number("skin_warmth", -1, 1, "undertone, from rosy to golden"),
    _choice("hair_style", "bald crop swept curly long bun", "shape of the hair"),
    _number("hair_colour", 0, 1, "black, brown, chestnut, copper, blond, silver"),
    _number("parting", -1, 1, "where the hair parts, from left to right"),
    _number("face_width", 0.9, 1.1, "width of the head over the average"),
    _number("jaw", -1, 1, "from pointed to square"),
    _number("eye_size", 0.85, 1.2, "width of an eye over the average"),
    _number("eye_spacing", 0.9, 1.1, "distance between the eyes over the average"),
    _number("eye_openness", 0.6, 1.1, "height of an eye over the average"),
    _number("iris_colour", 0, 1, "dark brown, hazel, green, blue, grey"),
    _number("brow_thickness", 0.6, 1.5, "over the average"),
    _number("brow_angle", -1, 1, "from worried (inner ends up) to stern (inner ends down)"),
    _number("nose_width", 0.7, 1.4, "over the average"),
    _number("nose_length", 0.85, 1.15, "over the average"),
    _number("smile", -0.4, 1, "from corners down to a broad smile"),
    _number("mouth_open", 0, 1, "from closed lips to an open mouth"),
    _number("lip_colour", 0, 1, "from natural to red"),
    _choice("beard", "none stubble moustache full", "hair on the lower face"),
    _choice("glasses", "none round square tinted", "kind of glasses"),
    _number("yaw", -25, 25, "degrees, turn to the left or the right of the picture"),
    _number("pitch", -12, 12, "degrees, from looking up to looking down"),
    _number("light", -1, 1, "where the light comes from, from left to right"),
    _number("background", 0, 1, "along a palette of wall colours"),
    _number("background_light", -1, 1, "from dim to bright"),
    _number("clothes", 0, 1, "along a palette of cloth colours"),
)
_NAMES = [attribute.name for attribute in ATTRIBUTES]

# Colours are sRGB in hexadecimal; a palette is a path through its colours.
_SKIN = "f3d2be ecbf9f dfa883 c98c64 a86c47 7f4c32 583323"
_HAIR = "17131a 38241d 5e3722 9a4a24 d9a45b d6cdc4"
_IRIS = "2b1810 5f3b1c 4f6b3c 3d7cab 8a9aa8"
_WALL = "a9c9d8 4f7f95 2f4a63 6d6192 c77f8d e9b49a edd2a4 9fb58d 4c7a68"
_CLOTH = "1f2b45 2c6a78 e4e1d8 c94f4a 3a3438 d9a441 6b8f71 7b4b73"
_DARK, _WHITE, _RED = "1a0d10", "fbf5ee", "b3303f"
_FRAME = 0.93  # half the width and height of the picture, in units of the shapes

# One number for each level of a categorical attribute. Of the hair: is there any; how far it stands out at
# the sides and over the crown; the height where it ends; how it widens on the way down; the size of its
# curls; the radius of a bun; the height of the hairline, how steeply that falls to the sides and how far it
# follows the parting; how much the strands show. Of a beard: the coverage of chin and moustache, how far it
# hangs below the chin, how softly it begins. Of glasses: the coverage of the frame, half the width of the
# rim, how square and how dark the lenses are.
_TABLES = {
    "hair_style": {
        "hair": (0, 1, 1, 1, 1, 1),
        "side": (0, 0.03, 0.06, 0.19, 0.12, 0.03),
        "crown": (0, 0.11, 0.20, 0.22, 0.15, 0.10),
        "end": (-0.30, -0.10, -0.04, 0.14, 0.92, -0.10),
        "flare": (0, 0, 0, 0, 0.12, 0),
        "curl": (0, 0, 0, 0.09, 0, 0),
        "bun": (0, 0, 0, 0, 0, 0.23),
        "line": (-0.60, -0.41, -0.42, -0.40, -0.47, -0.48),
        "fall": (1, 1.2, 1.3, 1.2, 1.9, 1.6),
        "sweep": (0, 0.04, 0.16, 0.04, 0.14, 0),
        "strand": (0, 0.10, 0.18, 0.05, 0.18, 0.16),
    },
    "beard": {
        "chin": (0, 0.42, 0, 0.95),
        "moustache": (0, 0.30, 0.95, 0.95),
        "shag": (0, 0, 0, 0.05),
        "fade": (0.1, 0.16, 0.1, 0.08),
    },
    "glasses": {
        "frame": (0, 0.9, 0.95, 0.9),
        "rim": (0.01, 0.009, 0.018, 0.008),
        "squareness": (0, 0, 0.85, 0.45),
        "tint": (0, 0.05, 0.05, 0.62),
    },
}


# ---------------------------------------------------------------------------------------------- sampling


def sample_attributes(seed: int, indices: Tensor | Sequence[int]) -> Tensor:
    """Draw the attributes of the faces numbered `indices` (B integers): (B, len(ATTRIBUTES)) float32.

    Row i depends on (seed, indices[i]) alone: a uniform number is a hash of (seed, index, column), so any
    face of the data set can be drawn without the others. All columns but three are uniform and independent:
    half of the faces have no beard, half no glasses, and the darker the skin, the darker the hair tends to
    be.
    """
    indices = torch.as_tensor(indices, dtype=torch.int64)
    start = _splitmix64(torch.tensor((seed + 2**63) % 2**64 - 2**63, device=indices.device))
    columns = torch.arange(len(ATTRIBUTES), device=indices.device)
    bits = _splitmix64(_splitmix64(start + indices[:, None]) + columns)
    # the 24 highest bits fill a float32, and a half keeps the number off 0 and 1
    uniform = ((bits >> 40 & 0xFFFFFF).double() + 0.5) / 2**24
    values = []
    for attribute, u in zip(ATTRIBUTES, uniform.unbind(1), strict=True):
        last = len(attribute.levels) - 1
        if attribute.name in ("beard", "glasses"):
            values.append(((2 * u - 1) * last).ceil().clamp(min=0))
        elif attribute.levels:
            values.append((u * (last + 1)).floor())
        else:
            values.append(attribute.low + (attribute.high - attribute.low) * u)
    table = torch.stack(values, 1)
    table[:, _NAMES.index("hair_colour")] *= 1 - 0.7 * table[:, _NAMES.index("skin_tone")]
    return table.float()


def _splitmix64(x: Tensor) -> Tensor:
    """Hash 64-bit integers (Steele, Lea and Flood 2014); int64 products wrap, shifts are made logical."""
    x = x + -0x61C8864680B583EB
    x = (x ^ (x >> 30 & 2**34 - 1)) * -0x40A7B892E31B1A47
    x = (x ^ (x >> 27 & 2**37 - 1)) * -0x6B2FB644ECCEEE15
    return x ^ (x >> 31 & 2**33 - 1)


# ------------------------------------------------------------------------------------- shapes and colours


def _cover(distance: Tensor, width: Tensor | float) -> Tensor:
    """How much of each pixel lies inside a shape: 1 where distance < -width/2, 0 where it is > width/2."""
    return (0.5 - distance / width).clamp(0, 1)


def _within(outline: Tensor, slope: Tensor | float) -> Tensor:
    """The same for a shape whose `outline` is 1 at the edge and grows by 1/slope over a pixel there."""
    return (0.5 + slope - slope * outline).clamp(0, 1)


def _soft(value: Tensor) -> Tensor:
    """A smooth bump for shadows and highlights: 1 at value 0, 0 from value 1 on."""
    return (1 - value).clamp(min=0).square()


def _ellipse(x: Tensor, y: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
    """(x/a)^2 + (y/b)^2: 1 on the ellipse of half-axes a and b."""
    return (x / a).square() + (y / b).square()


def _dome(x: Tensor, y: Tensor) -> Tensor:
    """x^2 + 0.55 y^2 + 0.45 y^4: 1 on an outline through (1, 0) and (0, 1) that is fuller than a circle."""
    y = y.square()
    return x.square() + y * (0.55 + 0.45 * y)


def _almond(x: Tensor, y: Tensor, a: Tensor | float, up: Tensor | float, down: Tensor | float) -> Tensor:
    """Distance to two parabolas that meet at (-a, 0) and (a, 0), `up` above and `down` below that line."""
    arch = 1 - (x / a).square()
    return torch.maximum(-y - up * arch, y - down * arch)


def _rgb(palette: str, like: Tensor) -> Tensor:
    """Read a palette of K colours as (K, 3, 1, 1) in [-1, 1]."""
    values = [[int(colour[i : i + 2], 16) for i in (0, 2, 4)] for colour in palette.split()]
    return like.new_tensor(values)[:, :, None, None] / 127.5 - 1


def _along(palette: str, where: Tensor) -> Tensor:
    """The colour (B, 3, 1, 1) found at `where` (B, 1, 1, 1) in [0, 1] on the way through a palette."""
    colours = _rgb(palette, where)
    knots = torch.arange(len(colours), dtype=where.dtype, device=where.device).view(-1, 1, 1, 1)
    weights = (1 - (where[:, None] * (len(colours) - 1) - knots).abs()).clamp(min=0)
    return (weights * colours).sum(1)


def _shade(colour: Tensor, amount: Tensor | float) -> Tensor:
    """Lighten a colour, or darken it (amount < 0), which takes more from blue and green than from red."""
    warm = colour.new_tensor((0.85, 1.0, 1.05)).view(3, 1, 1)
    return (colour + amount * warm * (colour + 1.25)).clamp(-1, 1)


def _paint(picture: Tensor, dark: Tensor, light: Tensor, lit: Tensor, cover: Tensor) -> Tensor:
    """Lay the colour dark + lit (light - dark), clipped to lit in [0, 1], over the picture."""
    return torch.addcmul(picture.lerp(dark, cover), cover * lit.clamp(0, 1), light - dark)


# ---------------------------------------------------------------------------------------- parts of a face


def _describe(attributes: Tensor, size: int) -> SimpleNamespace:
    """Everything that the parts share, by name: the attributes (B, 1, 1, 1), colours, sizes, the turn."""
    columns = attributes[:, :, None, None, None].unbind(1)
    face = SimpleNamespace(**dict(zip(_NAMES, columns, strict=True)))
    face.pixel = 2 * _FRAME / size
    for name, table in _TABLES.items():
        level = getattr(face, name).detach().long()
        for key, values in table.items():
            setattr(face, key, attributes.new_tensor(values)[level])
    face.dark, face.white, face.red = (_rgb(colour, attributes) for colour in (_DARK, _WHITE, _RED))
    face.skin = _along(_SKIN, face.skin_tone)
    face.skin = face.skin + 0.05 * face.skin_warmth * attributes.new_tensor([0, 0.5, -1]).view(3, 1, 1)
    face.skin_shade, face.skin_light = _shade(face.skin, -0.32), _shade(face.skin, 0.08)
    face.locks = _along(_HAIR, face.hair_colour)
    face.locks_shade, face.locks_light = _shade(face.locks, -0.30), _shade(face.locks, 0.36)
    face.lips = _shade(face.skin, -0.14).lerp(face.red, 0.20 + 0.65 * face.lip_colour)
    face.width = 0.53 * face.face_width
    yaw, pitch = torch.deg2rad(face.yaw), torch.deg2rad(face.pitch)
    face.cos_yaw, face.sin_yaw = yaw.cos(), yaw.sin()
    face.cos_pitch, face.sin_pitch = pitch.cos(), pitch.sin()
    return face


def _surface(face: SimpleNamespace, x: Tensor, y: Tensor, depth: float) -> tuple[Tensor, Tensor]:
    """Coordinates (u, v) on the face, upright and frontal, of what the turned head shows at (x, y).

    A point at height z over the picture turns by yaw to x cos - z sin. The face bulges like a paraboloid,
    z = depth (1 - r^2 / 2): features shift, the far side foreshortens, and the line of the eyes bends.
    """
    x = x - 0.10 * face.sin_yaw
    # z is a sum of a row and a column, and so are u and v: one operation a pixel each
    row, column = depth * (1 - 0.5 * (x / face.width).square()), -0.5 * depth * (y / 0.68).square()
    u = (x * face.cos_yaw - row * face.sin_yaw) - column * face.sin_yaw
    v = (y * face.cos_pitch - column * face.sin_pitch) - row * face.sin_pitch
    return u, v


def _head(face: SimpleNamespace, x: Tensor, y: Tensor, shag: Tensor | float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Coordinates (X, Y) in the head, and its outline, 1 at the edge; `shag` makes the chin longer."""
    y = y - 0.02 - 0.10 * face.sin_pitch
    Y = y.clamp(max=0) / 0.70 + y.clamp(min=0) / (0.63 + shag)
    X = (x - 0.10 * face.sin_yaw) / (face.width * (1 + (0.13 * face.jaw - 0.12) * Y.clamp(min=0)))
    return X, Y, _dome(X, Y)


def _hair_mass(face: SimpleNamespace, x: Tensor, y: Tensor) -> Tensor:
    """The outline of the hair, 1 at the edge: a dome whose sides hang down to `end` and are rounded there."""
    x, y = x - 0.02 * face.sin_yaw, y - 0.05 * face.sin_pitch
    width = (face.width + face.side) * (1 + face.flare * y)
    outline = _dome(x / width, y.clamp(max=0) / (0.70 + face.crown))
    curls = torch.cos(19 * x) * torch.cos(19 * y)
    return outline + ((y - face.end).clamp(min=0) / 0.12).square() + face.curl * curls


def _background(face: SimpleNamespace, x: Tensor, y: Tensor) -> Tensor:
    """A wall lit from the side of the light."""
    wall = _shade(_along(_WALL, face.background), 0.2 * face.background_light)
    dark, light = _shade(wall, -0.40), _shade(wall, 0.10)
    glow = 1 - 0.35 * ((x - 0.6 * face.light).square() + (y + 0.3).square())
    return dark + (light - dark) * glow.clamp(min=0)


def _bun(picture: Tensor, face: SimpleNamespace, x: Tensor, y: Tensor) -> Tensor:
    """A knot of hair on the crown."""
    radius = face.bun + 1e-3  # a radius of 0 would have no outline
    bun = _ellipse(x + 0.10 * face.sin_yaw, y + 0.76 - 0.10 * face.sin_pitch, radius, 0.8 * radius)
    lit = 0.5 - 2.0 * (y + 0.85) + 1.2 * face.light * x
    cover = (face.bun > 0) * _within(bun, 0.1 / face.pixel)
    return _paint(picture, face.locks_shade, face.locks_light, lit, cover)


def _hair_behind(picture: Tensor, face: SimpleNamespace, x: Tensor, y: Tensor) -> Tensor:
    """The hair behind neck and ears, in shadow."""
    return picture.lerp(face.locks_shade, face.hair * _within(_hair_mass(face, x, y), 0.3 / face.pixel))


def _neck(picture: Tensor, face: SimpleNamespace, x: Tensor, y: Tensor) -> Tensor:
    """The neck, with the shadow of the chin on it, and the shoulders in clothes with a round neckline."""
    x = x - 0.04 * face.sin_yaw
    neck = x.abs() - 0.26 * face.face_width - 0.9 * (y - 0.75).clamp(min=0)
    neck = torch.maximum(neck, 0.42 - y)  # it begins behind the head
    lit = 0.75 - 0.9 * _soft((y - 0.55).abs() / 0.42)
    picture = _paint(picture, face.skin_shade, face.skin, lit, _cover(neck, face.pixel))
    shoulders, neckline = _ellipse(x, y - 1.25, 1.05, 0.54), _ellipse(x, y - 0.70, 0.35, 0.17)
    cloth = torch.maximum((shoulders - 1) * 0.3, (1 - neckline) * 0.12)
    lit = 0.5 + 0.4 * face.light * x - 0.9 * (y - 0.85)
    colour = _along(_CLOTH, face.clothes)
    return _paint(picture, _shade(colour, -0.32), _shade(colour, 0.14), lit, _cover(cloth, face.pixel))


def _ears(picture: Tensor, face: SimpleNamespace, x: Tensor, y: Tensor) -> Tensor:
    """Both ears: the head covers the far one as it turns."""
    x = x + 0.06 * face.sin_yaw
    ear = _ellipse(x.abs() - face.width - 0.02, y - 0.02 + 0.05 * face.sin_pitch, 0.085, 0.145)
    picture = picture.lerp(_shade(face.skin, -0.10), _within(ear, 0.05 / face.pixel))
    return picture.lerp(face.skin_shade, 0.8 * _soft(ear / 0.7))


def _skin(picture: Tensor, face: SimpleNamespace, x: Tensor, y: Tensor) -> Tensor:
    """The head, shaded as a ball under a light from above and from one side."""
    X, Y, outline = _head(face, x, y)
    lit = 0.85 + 0.36 * face.light * X - 0.16 * Y - 0.45 * outline
    return _paint(picture, face.skin_shade, face.skin_light, lit, _within(outline, 0.28 / face.pixel))


def _beard(picture: Tensor, face: SimpleNamespace, x: Tensor, y: Tensor) -> Tensor:
    """Beard along jaw and chin, moustache under the nose."""
    u, v = _surface(face, x, y, 0.42)
    X, _, outline = _head(face, x, y, face.shag)
    line = 0.27 - 1.1 * u.square() - v
    beard = face.chin * _within(outline, 0.28 / face.pixel) * _cover(line, face.fade)
    arc = _ellipse(u, v - 0.285 - 0.55 * u.square(), 0.21, 0.062)
    moustache = face.moustache * _within(arc, 0.03 / (face.pixel + 0.02))
    cover = torch.maximum(beard, moustache)
    return _paint(picture, face.locks_shade, face.locks, 0.5 + 0.5 * face.light * X, cover)


def _nose(picture: Tensor, face: SimpleNamespace, x: Tensor, y: Tensor) -> Tensor:
    """Rosy cheeks; a shaded bridge, the shadow under the tip, a lit ridge and tip, two nostrils."""
    u, v = _surface(face, x, y, 0.42)
    picture = picture.lerp(face.red, 0.16 * _soft(_ellipse(u.abs() - 0.27, v - 0.17, 0.18, 0.15)))
    u, v = _surface(face, x, y, 0.56)
    v = v - 0.20 * face.nose_length + 0.02
    width, away = 0.105 * face.nose_width, u + 0.05 * face.light
    picture = picture.lerp(face.skin_shade, 0.35 * _soft(_ellipse(away, v + 0.10, 0.12, 0.24)))
    picture = picture.lerp(face.skin_shade, 0.9 * _soft(_ellipse(u, v - 0.025, 1.3 * width, 0.07)))
    towards = u - 0.03 * face.light
    lit = _soft(_ellipse(towards, v + 0.045, 0.75 * width, 0.07)) + 0.5 * _soft(
        _ellipse(towards, v + 0.17, 0.045, 0.17)
    )
    picture = picture.lerp(_shade(face.skin, 0.24), 0.75 * lit.clamp(max=1))
    nostrils = _ellipse(u.abs() - 0.5 * width, v - 0.03, 0.04, 0.025)
    return picture.lerp(_shade(face.skin, -0.60), 0.8 * _soft(nostrils / 1.4))


def _mouth(picture: Tensor, face: SimpleNamespace, x: Tensor, y: Tensor) -> Tensor:
    """Lips bent by the smile, the mouth between them with its upper teeth, and the shadow below."""
    u, v = _surface(face, x, y, 0.46)
    half, gap = 0.18 + 0.035 * face.smile, 0.085 * face.mouth_open
    v = v - 0.37 + face.smile * 0.08 * ((u / half).square() - 0.6)
    picture = picture.lerp(face.skin_shade, 0.5 * _soft(_ellipse(u, v - 0.11 - gap, 0.13, 0.05)))
    lips = _cover(_almond(u, v, half, 0.048, 0.062 + gap), face.pixel)
    shine = 0.35 * _soft(_ellipse(u - 0.04 * face.light, v - 0.036 - gap, 0.09, 0.022))
    picture = _paint(picture, face.lips, face.white, shine, lips)
    inside = _cover(_almond(u, v, 0.88 * half, 0.004, 0.007 + gap), face.pixel)
    teeth = _cover(v - 0.5 * gap, face.pixel) * (2.5 * face.mouth_open).clamp(max=1)
    return _paint(picture, face.lips.lerp(face.dark, 0.75), face.white, 0.95 * teeth, inside)


def _eyes(picture: Tensor, face: SimpleNamespace, x: Tensor, y: Tensor) -> Tensor:
    """Both eyes at once, as |u| lays one on the other: socket, white, iris, pupil, glint and upper lid."""
    u, v = _surface(face, x, y, 0.38)
    e, v = u.abs() - 0.235 * face.eye_spacing, v + 0.06  # e grows from the centre of an eye to the temple
    half, open_ = 0.128 * face.eye_size, 0.07 * face.eye_size * face.eye_openness
    squint = 0.05 * face.eye_size * (1 - 0.3 * face.smile)
    picture = picture.lerp(face.skin_shade, 0.6 * _soft(_ellipse(e + 0.02, v + 0.035, 0.20, 0.15)))
    tilted = v + 0.10 * e
    eye = _cover(_almond(e, tilted, half, open_, squint), face.pixel)
    lit = 1 - 0.45 * _soft((tilted + open_) / 0.07)
    picture = _paint(picture, face.dark, face.white, lit, eye)
    iris, colour = _ellipse(e, v + 0.01, 0.066, 0.066), _along(_IRIS, face.iris_colour)
    ring = eye * _within(iris, 0.033 / face.pixel)
    picture = _paint(picture, _shade(colour, -0.35), _shade(colour, 0.35), 0.5 + 8 * v, ring)
    picture = picture.lerp(face.dark, eye * _within(iris / 0.22, 0.016 / face.pixel))
    glint = _ellipse(e * u.sign() - 0.024 * face.light, v + 0.034, 0.021, 0.021)
    picture = picture.lerp(face.white, eye * _within(glint, 0.01 / face.pixel))
    lid = (tilted + open_ * (1 - (e / half).square())).abs() - 0.016 - 0.06 * e
    return picture.lerp(face.dark, 0.92 * _cover(torch.maximum(lid, e.abs() - 1.06 * half), face.pixel))


def _brows(picture: Tensor, face: SimpleNamespace, x: Tensor, y: Tensor) -> Tensor:
    """Two arched brows that taper towards the temples."""
    u, v = _surface(face, x, y, 0.38)
    e = u.abs() - 0.24 * face.eye_spacing
    thick = 0.030 * face.brow_thickness * (1 - 2.2 * e).clamp(min=0.2)
    brow = _ellipse(e, v + 0.235 + 0.13 * face.brow_angle * e - 1.9 * (e - 0.03).square(), 0.155, thick)
    cover = _within(brow, 0.5 * thick / face.pixel) * _within(_head(face, x, y)[2], 0.28 / face.pixel)
    return picture.lerp(face.locks_shade, 0.9 * cover)


def _glasses(picture: Tensor, face: SimpleNamespace, x: Tensor, y: Tensor) -> Tensor:
    """Two lenses, round or square, their rims, the bridge and the temples that end at the ears."""
    u, v = _surface(face, x, y, 0.42)
    a, b = ((u.abs() - 0.245) / 0.185).square(), ((v + 0.045) / 0.16).square()
    lens = ((a + b).lerp(a.square() + b.square(), face.squareness) - 1) * 0.085 / (1 + face.squareness)
    picture = picture.lerp(face.dark, face.tint * _cover(lens, face.pixel))
    bar = torch.maximum(torch.maximum((v + 0.075).abs(), -lens), (_head(face, x, y)[2] - 1) * 0.28)
    rim = torch.minimum(lens.abs(), bar) - face.rim
    return picture.lerp(face.dark, face.frame * _cover(rim, face.pixel))


def _hair_in_front(picture: Tensor, face: SimpleNamespace, x: Tensor, y: Tensor) -> Tensor:
    """The hair above the hairline, a curve with its top at the parting, which the strands follow."""
    u, v = _surface(face, x, y, 0.33)
    mass = _hair_mass(face, x, y)
    off = u - face.sweep * face.parting
    square = off.square()
    slope = face.fall * off * (1 + 20 * square)
    line = (v - face.line - face.fall * square * (0.5 + 5 * square)) * torch.rsqrt(1 + slope.square())
    sheen = _soft((mass - 0.55 - 0.25 * face.light * x).abs() / 0.4)
    lit = 0.40 + 0.30 * face.light * x - 0.30 * y + 0.4 * sheen + face.strand * torch.cos(40 * line)
    cover = face.hair * _cover(torch.maximum((mass - 1) * 0.3, line), face.pixel)
    return _paint(picture, face.locks_shade, face.locks_light, lit, cover)


# From back to front: the parts, and the window (left, right, top, bottom) that each never leaves.
_PARTS = (
    (_bun, (-0.4, 0.4, -1, -0.4)),
    (_hair_behind, (-0.9, 0.9, -1, 1)),
    (_neck, (-1, 1, 0.4, 1)),
    (_ears, (-0.8, 0.8, -0.2, 0.25)),
    (_skin, (-0.7, 0.7, -0.75, 0.75)),
    (_beard, (-0.7, 0.7, -0.2, 0.8)),
    (_nose, (-0.65, 0.65, -0.35, 0.5)),
    (_mouth, (-0.5, 0.5, 0.1, 0.75)),
    (_eyes, (-0.7, 0.7, -0.4, 0.25)),
    (_brows, (-0.7, 0.7, -0.5, 0.1)),
    (_glasses, (-0.75, 0.75, -0.4, 0.35)),
    (_hair_in_front, (-0.9, 0.9, -1, 1)),
)


# Pixels drawn at a time: few enough for a layer to stay in the cache of a core, enough to hide the cost of calling
# an operation. Blocks start at multiples of their length, so that a face is computed, and rounded, in the same way
# whatever request it is part of.
_BLOCK_PIXELS = 2**18


def render(attributes: Tensor, size: int) -> Tensor:
    """Draw the faces of `attributes` (B, len(ATTRIBUTES)): (B, 3, size, size) in [-1, 1].

    Differentiable in the continuous columns; keeps the dtype and the device. Raises ValueError for a size
    outside 16 to 256 pixels, a wrong number of columns, or a level that a categorical attribute lacks.
    """
    _check_size(size)
    if attributes.ndim != 2 or attributes.shape[1] != len(ATTRIBUTES):
        raise ValueError(f"attributes must have shape (B, {len(ATTRIBUTES)}), got {tuple(attributes.shape)}")
    for attribute, column in zip(ATTRIBUTES, attributes.detach().unbind(1), strict=True):
        if attribute.levels:
            allowed = torch.arange(len(attribute.levels), device=column.device)
            wrong = column[~torch.isin(column, allowed.to(column))]
            if len(wrong):
                raise ValueError(f"{attribute.name} must be 0 to {len(allowed) - 1}, got {wrong[0].item():g}")
    pixels = torch.arange(size, dtype=attributes.dtype, device=attributes.device)
    centres = ((pixels + 0.5) * 2 / size - 1) * _FRAME
    face = _describe(attributes, size)
    picture = _background(face, centres, centres[:, None])
    for part, window in _PARTS:
        left, right, top, bottom = (round(min(max(edge / _FRAME + 1, 0), 2) / 2 * size) for edge in window)
        patch = picture[:, :, top:bottom, left:right].clone()
        patch = part(patch, face, centres[left:right], centres[top:bottom, None])
        picture[:, :, top:bottom, left:right] = patch
    return picture


def rendered_faces(count: int, size: int, *, seed: int = 0, start: int = 0, progress: bool = False) -> Tensor:
    """Draw faces start, ..., start + count - 1 of the data set `seed`: uint8 (count, 3, size, size).

    The bytes of a face don't depend on start, count or the number of threads. `progress` shows a bar. Raises
    ValueError for a negative count or a size outside 16 to 256 pixels.
    """
    _check_size(size)
    if count < 0:
        raise ValueError(f"count must be at least 0, got {count}")
    faces = torch.empty(count, 3, size, size, dtype=torch.uint8)
    block = max(1, _BLOCK_PIXELS // size**2)

    def draw(first: int) -> None:
        """Draw faces first, ..., first + block - 1 and keep those that were asked for."""
        picture = render(sample_attributes(seed, range(first, first + block)), size)
        low, high = max(first, start), min(first + block, start + count)
        faces[low - start : high - start] = ((picture[low - first : high - first] + 1) * 127.5).round_()

    blocks = range(start - start % block, start + count, block) if count else range(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a thread a block shares the work better than many threads an operation
    try:
        with ThreadPoolExecutor(threads) as pool:
            drawn = pool.map(draw, blocks)
            for _ in tqdm(drawn, total=len(blocks), unit="block", delay=2, disable=not progress):
                pass
    finally:
        torch.set_num_threads(threads)
    return faces


def _check_size(size: int) -> None:
    if not 16 <= size <= 256:
        raise ValueError(f"size must be 16 to 256 pixels, got {size}")
