"""Procedural portraits with known factors: one aligned face in front of a smooth background.

Any index gives one picture, always the same, whatever batch it is asked in. Who is drawn (the factors) comes from
`portrait_factors`; how, from here: signed distances, softened over one pixel, painted from back to front.
Lengths are in halves of the side, so that the same factors render at any size; comments give pixels at size 64.

    pictures = images(range(8))                           # uint8 (8, 64, 64, 3)
    people = factors(range(8))                            # structured array, one record a picture
    older = render(vary(people, "hair colour", seed=1))   # other hair colour, everything else held
    between = render(interpolate(people[:1], people[1:2], 0.3))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from foundation.procedural.portrait_factors import (
    FACTOR_DTYPE,
    FACTOR_GROUPS,
    GLASSES,
    HAIR_STYLES,
    check,
    factors,
    interpolate,
    vary,
)

__all__ = [
    "FACTOR_DTYPE",
    "FACTOR_GROUPS",
    "HAIR_STYLES",
    "RECIPE",
    "factors",
    "images",
    "interpolate",
    "render",
    "vary",
]

RECIPE = "portraits-1"  # raise the number whenever a picture would change: fingerprints are made from it
PORTRAITS_AT_ONCE = 32  # pictures of 64 pixels rendered at a time: the working arrays then stay near the caches

SKIN = np.array([[0.97, 0.85, 0.76], [0.89, 0.70, 0.55], [0.70, 0.48, 0.34], [0.40, 0.26, 0.19]], np.float32)
HAIR = np.array(
    [[0.11, 0.09, 0.10], [0.27, 0.17, 0.11], [0.45, 0.27, 0.15], [0.64, 0.30, 0.13], [0.88, 0.70, 0.38],
     [0.74, 0.73, 0.72]], np.float32,
)  # fmt: skip
IRIS = np.array([[0.36, 0.20, 0.10], [0.18, 0.42, 0.78], [0.20, 0.52, 0.30], [0.45, 0.50, 0.55]], np.float32)
GLASSES_FRAMES = np.array([[0, 0, 0], [0.10, 0.10, 0.14], [0.10, 0.10, 0.14], [0.78, 0.12, 0.16]], np.float32)
WHITE, BLACK = np.ones(3, np.float32), np.full(3, 0.06, np.float32)
EYE_X, EYE_Y = 0.205, 0.02  # 7.3 px to each side


class _Canvas:
    """N pictures being painted, or a window of them.

    Attributes:
        rgb: (3, N, h, w) in [0, 1], written in place.
        x, y: (N, h, w) place in the head's frame; body_x, body_y: in the body's, which tilts and turns with nothing.
        pixel: side of a pixel in the head's frame, (N, 1, 1).
    """

    def __init__(self, rgb, x, y, body_x, body_y, pixel):
        self.rgb, self.x, self.y, self.body_x, self.body_y, self.pixel = rgb, x, y, body_x, body_y, pixel

    def window(self, top: float, bottom: float, left: float = -1.0, right: float = 1.0) -> _Canvas:
        """The part of the pictures between these edges, in [-1, 1]; what is painted there lies inside of it."""
        side = self.x.shape[1]
        rows = slice(max(0, int((top + 1) / 2 * side)), int(np.ceil((bottom + 1) / 2 * side)))
        columns = slice(max(0, int((left + 1) / 2 * side)), int(np.ceil((right + 1) / 2 * side)))
        part = (slice(None), rows, columns)
        return _Canvas(
            self.rgb[(slice(None), *part)],
            self.x[part], self.y[part], self.body_x[part], self.body_y[part], self.pixel,
        )  # fmt: skip

    def cover(self, distance: np.ndarray) -> np.ndarray:
        """Share of each pixel inside, from a signed distance in the head's frame."""
        return np.clip(0.5 - distance / self.pixel, 0, 1)

    def paint(self, alpha: np.ndarray, colour: np.ndarray | list[np.ndarray]) -> None:
        """alpha (N, h, w); colour (3,), (N, 3) or three (N, h, w)."""
        if isinstance(colour, np.ndarray):
            colour = colour.T[:, :, None, None] if colour.ndim == 2 else colour[:, None, None, None]
        for channel, value in zip(self.rgb, colour, strict=True):
            channel += alpha * (value - channel)


def _ellipse(x, y, radius_x, radius_y) -> np.ndarray:
    """Signed distance to an axis-parallel ellipse at the origin, exact to first order at its edge."""
    u, v = x / radius_x, y / radius_y
    inside = np.sqrt(u * u + v * v + np.float32(1e-9))
    slope = np.sqrt((u / radius_x) ** 2 + (v / radius_y) ** 2 + np.float32(1e-9))
    return inside * (inside - 1) / slope


def _box(x, y, half_x, half_y, corner) -> np.ndarray:
    """Signed distance to a rectangle at the origin with round corners."""
    u, v = np.abs(x) - half_x + corner, np.abs(y) - half_y + corner
    outside = np.sqrt(np.maximum(u, 0) ** 2 + np.maximum(v, 0) ** 2)
    return outside + np.minimum(np.maximum(u, v), 0) - corner


def _along(table: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Colours (N, 3) at t in [0, 1] along a row of colours."""
    place = np.clip(t, 0, 1) * (len(table) - 1)
    i = np.minimum(place.astype(np.int64), len(table) - 2)
    return (table[i] + (place - i)[:, None] * (table[i + 1] - table[i])).astype(np.float32)


class _Person:
    """Colours and shapes that several parts of a portrait share; numbers have the shape (N, 1, 1)."""

    def __init__(self, f: np.ndarray):
        def column(name: str) -> np.ndarray:
            return f[name][:, None, None]

        self.f = f
        warm = f["undertone"][:, None] * np.array([0.012, 0.0, -0.022], np.float32)
        self.skin = np.clip(_along(SKIN, f["skin"]) + warm, 0, 1)
        self.shade = self.skin * np.float32(0.80)
        self.hair = _along(HAIR, f["hair_colour"])
        self.width, self.jaw, self.yaw = 0.46 * column("width"), column("jaw"), column("yaw")
        self.turn = 0.055 * self.yaw  # how far the middle of the face moves, 1.8 px
        self.light, self.eye = column("light"), column("eye_size")
        self.smile, self.open, self.nose = column("smile"), column("open"), column("nose")

    def face(self, c: _Canvas) -> np.ndarray:
        skull = _ellipse(c.x, c.y + 0.08, self.width, np.float32(0.46))
        chin = _ellipse(c.x, c.y - 0.12, self.width * (0.72 + 0.22 * self.jaw), np.float32(0.42))
        return np.minimum(skull, chin)

    def lit(self, c: _Canvas, colour: np.ndarray, depth: float = 0.15) -> list[np.ndarray]:
        """A colour (N, 3) under the light of this picture: three (N, h, w)."""
        shine = 1 + depth * self.light * c.x / 0.46 - 0.06 * c.y
        return [np.clip(colour[:, i, None, None] * shine, 0, 1) for i in range(3)]


def _hair_tones(p: _Person, c: _Canvas, tone: float) -> list[np.ndarray]:
    """Lit hair with its strands, of `tone` times the hair's colour."""
    strands = p.f["strands"][:, None, None]
    straight = np.sin(np.float32(38) * c.x)  # a period of 5.3 px
    waves = np.sin(np.float32(34) * c.y + 2 * np.sin(np.float32(9) * c.x))
    wave = np.where(strands == 1, straight, waves) * (strands > 0) * np.float32(0.13)
    return [v * (1 + wave) for v in p.lit(c, p.hair * np.float32(tone) + np.float32(0.03), 0.10)]


# (x, y, width, turn, hat) -> signed distance; one (N, h, w), numbers of a person (N, 1, 1)
HairShape = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _by_style(p: _Person, c: _Canvas, shapes: Mapping[str, HairShape]) -> np.ndarray:
    """Coverage (N, h, w) of the hair, each style by its own distance; styles that are not named have none."""
    out = np.zeros(c.x.shape, np.float32)
    for style, shape in shapes.items():
        rows = np.flatnonzero(p.f["hair"] == HAIR_STYLES.index(style))
        if len(rows):
            distance = shape(c.x[rows], c.y[rows], p.width[rows], p.turn[rows], p.f["hat"][rows][:, None, None] > 0)
            out[rows] = np.clip(0.5 - distance / c.pixel[rows], 0, 1)
    return out


def _ripple(x, y, depth: float) -> np.ndarray:
    """Bumps round a head of curls, nine to the half circle."""
    return np.float32(depth) * np.cos(18 * np.arctan2(y, x))


def _curls_behind(x, y, width, turn, hat):
    return _ellipse(x, y + 0.16, width + 0.24, np.where(hat, 0.52, 0.66)) + _ripple(x, y + 0.16, 0.018)


BEHIND = {
    "bob": lambda x, y, width, turn, hat: np.minimum(
        _box(x, y - 0.04, width + 0.15, np.float32(0.42), np.float32(0.22)), _crown(x, y, width, 0.12)
    ),
    "long": lambda x, y, width, turn, hat: np.minimum(
        _box(x, y - 0.38, width + 0.14, np.float32(0.62), np.float32(0.2)), _crown(x, y, width, 0.12)
    ),
    "bun": lambda x, y, width, turn, hat: np.where(hat, 9.0, _ellipse(x + turn, y + 0.66, 0.21, 0.17)),
    "curls": _curls_behind,
    "pigtails": lambda x, y, width, turn, hat: np.minimum(
        _ellipse(np.abs(x) - width - 0.17, y - 0.20, np.float32(0.15), np.float32(0.34)), _crown(x, y, width, 0.07)
    ),
}


def _crown(x, y, width, margin: float):
    return _ellipse(x, y + 0.16, width + margin, np.float32(0.46))


def _less(shape, *holes):
    for hole in holes:
        shape = np.maximum(shape, -hole)
    return shape


HAIR_FRONTS = {
    "crop": lambda x, y, width, turn, hat: _less(
        _crown(x, y, width, 0.03), _ellipse(x - turn, y - 0.16, width * 0.97, np.float32(0.50))
    ),
    "side parting": lambda x, y, width, turn, hat: _less(
        _crown(x, y, width, 0.07), _ellipse(x - turn - 0.14, y - 0.22, width * 1.02, np.float32(0.60))
    ),
    "bob": lambda x, y, width, turn, hat: _less(
        _crown(x, y, width, 0.12), _ellipse(x - turn, y - 0.30, width * 0.96, np.float32(0.54))
    ),
    "long": lambda x, y, width, turn, hat: _less(
        _crown(x, y, width, 0.12),
        np.maximum(
            _ellipse(x - turn - 0.12, y - 0.26, width * 1.08, np.float32(0.72)),
            _ellipse(x - turn + 0.12, y - 0.26, width * 1.08, np.float32(0.72)),
        ),
    ),
    "bun": lambda x, y, width, turn, hat: _less(
        _crown(x, y, width, 0.04), _ellipse(x - turn, y - 0.20, width * 0.98, np.float32(0.58))
    ),
    "curls": lambda x, y, width, turn, hat: _less(
        _ellipse(x, y + 0.22, width + 0.20, np.float32(0.46)),
        _ellipse(x - turn, y - 0.20, width * 0.95, np.float32(0.54)) + _ripple(x - turn, y - 0.20, 0.014),
    ),
    "pigtails": lambda x, y, width, turn, hat: _less(
        _crown(x, y, width, 0.07),
        np.maximum(
            _ellipse(x - turn - 0.20, y - 0.22, width * 1.12, np.float32(0.62)),
            _ellipse(x - turn + 0.20, y - 0.22, width * 1.12, np.float32(0.62)),
        ),
    ),
}


def _background(f: np.ndarray, c: _Canvas, grid: np.ndarray) -> None:
    cos, sin = np.cos(f["gradient"])[:, None], np.sin(f["gradient"])[:, None]
    reach = np.abs(cos) + np.abs(sin)  # the gradient ends in the corners
    blend = ((cos * grid / reach)[:, None, :] + (sin * grid / reach)[:, :, None]) / 2 + np.float32(0.5)
    for i in range(3):
        a, b = (f[name][:, i, None, None] for name in ("background_a", "background_b"))
        c.rgb[i] = a + blend * (b - a)


def _pattern(f: np.ndarray, c: _Canvas) -> np.ndarray:
    """Share of the shirt's light tone, (N, h, w); periods of 7 to 8 px."""
    kind = f["pattern"][:, None, None]
    rows, columns = np.sin(np.float32(29) * c.body_y), np.sin(np.float32(29) * c.body_x)
    checks = np.sin(np.float32(25) * c.body_x) * np.sin(np.float32(25) * c.body_y)
    dots = np.cos(np.float32(25) * c.body_x) + np.cos(np.float32(25) * c.body_y) - np.float32(0.9)
    wave = np.select([kind == 1, kind == 2, kind == 3, kind == 4], [rows, columns, 1.6 * checks, dots], np.float32(-1))
    return np.clip(wave * 2 + np.float32(0.5), 0, 1)


def _body(p: _Person, c: _Canvas) -> None:
    f = p.f
    c = c.window(0.2, 1)
    c.paint(c.cover(_box(c.x, c.y - 0.58, np.float32(0.18), np.float32(0.34), np.float32(0.08))), p.shade)
    shoulders = _ellipse(c.body_x, c.body_y - 1.26, np.float32(0.94), np.float32(0.56))
    light = _pattern(f, c)
    tones = [a + light * (b - a) for a, b in zip(p.lit(c, f["shirt"]), p.lit(c, f["shirt"] * 0.35 + 0.62), strict=True)]
    c.paint(c.cover(shoulders), tones)
    c.paint(c.cover(_ellipse(c.body_x, c.body_y - 0.74, np.float32(0.25), np.float32(0.14))), p.shade)


def _eyes(p: _Person, c: _Canvas, face: np.ndarray) -> None:
    f = p.f
    iris, gaze = IRIS[f["iris"]], f["gaze"][:, None, None] * 0.028 + p.turn * 0.25
    slope, weight = f["brow_slope"][:, None, None], f["brow_weight"][:, None, None]
    brow = np.clip(p.hair * 0.7, 0, 1)
    for side in (-1, 1):
        x, y = c.x - side * EYE_X - 1.25 * p.turn, c.y - EYE_Y
        white = c.cover(_ellipse(x, y, 0.125 * p.eye, 0.102 * p.eye)) * face
        c.paint(white, WHITE)
        c.paint(c.cover(_ellipse(x - gaze, y, 0.079 * p.eye, 0.083 * p.eye)) * white, iris)
        c.paint(c.cover(_ellipse(x - gaze, y, 0.042 * p.eye, 0.044 * p.eye)) * white, BLACK)
        c.paint(c.cover(_ellipse(x - gaze + 0.03, y + 0.03, np.float32(0.021), np.float32(0.021))) * white, WHITE)
        bow = y + 0.175 + 0.16 * slope * side * x + 0.9 * x * x
        c.paint(c.cover(np.maximum(np.abs(bow) - weight, np.abs(x) - 0.125)) * face, brow)


def _mouth(p: _Person, c: _Canvas, face: np.ndarray) -> None:
    f = p.f
    x = c.x - 1.15 * p.turn
    across = x / 0.17
    middle = 0.335 + 0.075 * p.smile * (0.4 - across**2)
    half = 0.021 + 0.075 * p.open * np.maximum(1 - across**2, 0)
    lips = np.maximum(np.abs(c.y - middle - 0.35 * half) - half, np.abs(x) - 0.17)
    red = np.array([0.62, 0.17, 0.20], np.float32) * (0.72 + 0.28 * (1 - f["skin"][:, None]))
    mouth = c.cover(lips) * face
    c.paint(mouth, red)
    teeth = np.maximum(np.abs(c.y - middle + 0.25 * half) - 0.34 * half, np.abs(x) - 0.13)
    c.paint(c.cover(teeth) * mouth * np.clip((p.open - 0.2) / 0.15, 0, 1), WHITE * np.float32(0.97))


def _beard(p: _Person, c: _Canvas, face: np.ndarray) -> None:
    kind = p.f["beard"][:, None, None]
    x = c.x - 1.1 * p.turn
    full = np.maximum(0.16 - c.y, -_ellipse(x, c.y - 0.06, p.width * 0.78, np.float32(0.25)))
    moustache = _ellipse(x, c.y - 0.255 - 0.35 * np.abs(x) ** 1.5, np.float32(0.16), np.float32(0.042))
    chin = np.minimum(moustache, _ellipse(x, c.y - 0.475, np.float32(0.11), np.float32(0.085)))
    distance = np.select([kind == 1, kind == 2, kind == 3], [full, moustache, chin], np.float32(9))
    c.paint(c.cover(distance) * face * np.float32(0.92), _hair_tones(p, c, 0.9))


def _details(p: _Person, c: _Canvas, face: np.ndarray) -> None:
    """Cheeks, freckles and nose."""
    blush = np.array([0.90, 0.40, 0.38], np.float32) * (0.62 + 0.38 * (1 - p.f["skin"][:, None]))
    spots = np.zeros(c.x.shape, np.float32)
    for side in (-1, 1):
        x, y = c.x - side * 0.25 - 1.1 * p.turn, c.y - 0.21
        c.paint(np.float32(0.32) * face * np.clip(1 - (x * x + y * y) / 0.016, 0, 1), blush)
        for dx, dy in ((-0.085, -0.02), (0.0, -0.045), (0.085, -0.015), (-0.04, 0.04), (0.05, 0.045)):
            spots = np.maximum(spots, c.cover(_ellipse(x - dx, y - dy, np.float32(0.02), np.float32(0.02))))
    freckle = p.skin * np.array([0.66, 0.5, 0.42], np.float32)
    c.paint(spots * face * np.float32(0.75) * p.f["freckles"][:, None, None], freckle)
    x, y = c.x - 2.0 * p.turn, c.y - 0.19
    shadow = c.cover(_ellipse(x, y, 0.062 * p.nose, 0.052 * p.nose)) * face
    c.paint(np.float32(0.85) * shadow, p.skin * np.float32(0.78))
    ridge = c.cover(_ellipse(x, y + 0.022, 0.052 * p.nose, 0.046 * p.nose)) * face
    c.paint(ridge, p.lit(c, np.clip(p.skin * 1.04, 0, 1)))


def _glasses(p: _Person, c: _Canvas) -> None:
    kind = p.f["glasses"][:, None, None]
    distance = np.full(c.x.shape, 9, np.float32)
    for side in (-1, 1):
        x, y = c.x - side * EYE_X - 1.25 * p.turn, c.y - EYE_Y
        rim = np.where(
            kind == GLASSES.index("round"),
            _ellipse(x, y, np.float32(0.172), np.float32(0.165)),
            _box(x, y, np.float32(0.175), np.float32(0.135), np.float32(0.05)),
        )
        distance = np.minimum(distance, np.abs(rim))
        temple = np.maximum(np.abs(y + 0.03), np.abs(side * x - 0.24) - 0.065)
        distance = np.minimum(distance, temple)
    bridge = np.maximum(np.abs(c.y - EYE_Y + 0.02), np.abs(c.x - 1.25 * p.turn) - 0.05)
    c.paint(c.cover(np.minimum(distance, bridge) - 0.019) * (kind > 0), GLASSES_FRAMES[p.f["glasses"]])


def _hat(p: _Person, c: _Canvas) -> None:
    kind = p.f["hat"][:, None, None]
    dome = np.maximum(_ellipse(c.x, c.y + 0.26, p.width + 0.13, np.float32(0.52)), c.y + 0.28)
    band = _box(c.x, c.y + 0.30, p.width + 0.14, np.float32(0.075), np.float32(0.05))
    brim = _ellipse(c.x, c.y + 0.28, p.width + 0.36, np.float32(0.075))
    rib = 1 - 0.12 * (np.sin(np.float32(30) * c.x) > 0) * (kind == 1)
    c.paint(c.cover(dome) * (kind > 0), [v * rib for v in p.lit(c, p.f["hat_colour"])])
    ribbon = np.where(kind == 1, band, np.maximum(band, c.y + 0.30))
    c.paint(c.cover(ribbon) * (kind > 0), p.f["hat_colour"] * np.float32(0.62))
    c.paint(c.cover(brim) * (kind == 2), p.lit(c, p.f["hat_colour"] * np.float32(0.92)))


def _render_chunk(f: np.ndarray, size: int, out: np.ndarray) -> None:
    n = len(f)
    grid = (2 * np.arange(size, dtype=np.float32) + 1) / np.float32(size) - 1
    body_x = np.broadcast_to(grid - f["x"][:, None, None], (n, size, size))
    body_y = np.broadcast_to(grid[:, None] - f["y"][:, None, None], (n, size, size))
    cos, sin = np.cos(f["roll"])[:, None, None], np.sin(f["roll"])[:, None, None]
    scale = 1 / f["size"][:, None, None]
    x, y = (cos * body_x + sin * body_y) * scale, (cos * body_y - sin * body_x) * scale
    c = _Canvas(np.empty((3, n, size, size), np.float32), x, y, body_x, body_y, np.float32(2 / size) * scale)
    p = _Person(f)
    _background(f, c, grid)
    behind = _by_style(p, c, BEHIND)
    c.paint(behind, _hair_tones(p, c, 0.78))
    _body(p, c)
    head = c.window(-0.75, 0.85, -0.85, 0.85)
    for side in (-1, 1):
        ear_x, ear_y = head.x - side * p.width + 0.4 * p.turn, head.y - 0.04
        head.paint(head.cover(_ellipse(ear_x, ear_y, np.float32(0.085), np.float32(0.13))), p.shade)
    face = head.cover(p.face(head))
    head.paint(face, p.lit(head, p.skin))
    _details(p, head, face)
    _beard(p, head, face)
    _mouth(p, head, face)
    _eyes(p, head, face)
    top = c.window(-1, 0.75)
    top.paint(_by_style(p, top, HAIR_FRONTS), _hair_tones(p, top, 1.0))
    _hat(p, c.window(-1, 0))
    _glasses(p, c.window(-0.35, 0.4))
    out[:] = (np.clip(c.rgb, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8).transpose(1, 2, 3, 0)


def render(factors: np.ndarray, size: int = 64) -> np.ndarray:
    """Draw the portraits.

    Args:
        factors: (N,) records of `FACTOR_DTYPE`.
        size: side in pixels, 8 to 1024; meant for multiples of 32.

    Returns:
        uint8 sRGB (N, size, size, 3).

    Raises:
        ValueError: a size out of range, or factors of another dtype.
    """
    factors = check(factors)
    if not 8 <= size <= 1024:
        raise ValueError("Use a size of 8 to 1024 pixels.")
    out = np.empty((len(factors), size, size, 3), np.uint8)
    step = max(1, PORTRAITS_AT_ONCE * 4096 // size**2)
    for start in range(0, len(factors), step):
        _render_chunk(factors[start : start + step], size, out[start : start + step])
    return out


def images(indices: Sequence[int] | np.ndarray, size: int = 64, seed: int = 0) -> np.ndarray:
    """The portraits of these indices, uint8 (N, size, size, 3); see `factors` and `render`."""
    return render(factors(indices, seed), size)
