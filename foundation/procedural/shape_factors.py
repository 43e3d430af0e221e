"""The factors of the procedural pictures in `foundation.procedural.shapes`: what is drawn, before it is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foundation.procedural.colours import hsv, oklab
from foundation.procedural.counter_random import absorb, first_good, index_keys, uniform, uniform_away
from foundation.procedural.factor_changes import (
    BACKGROUND_FIELDS,
    BACKGROUND_GROUP,
    another_background,
    another_colour,
    change_keys,
    check_records,
    set_background,
)

SHAPE_KINDS = ("disc", "square", "triangle", "ring", "cross")
STRIPE_PERIODS = (3 / 32, 4.5 / 32, 7 / 32)  # of textures 1, 2, 3; texture 0 is a plain surface
PLAIN_SHARE = 0.4
STRIPE_DEPTH = 0.62  # the dark tone of a stripe is (1 - STRIPE_DEPTH) times the colour

FACTOR_DTYPE = np.dtype(
    [
        *BACKGROUND_FIELDS,
        ("kind", np.int32),  # index into SHAPE_KINDS
        ("x", np.float32),  # centre of the object, from the left, in PLACE_RANGE
        ("y", np.float32),  # from the top, in PLACE_RANGE
        ("size", np.float32),  # diameter of the circle around the object, in SIZE_RANGE
        ("turn", np.float32),  # radians clockwise, [0, pi / 2); a disc and a ring do not show it
        ("colour", np.float32, 3),  # RGB in [0, 1], the bright tone of the object
        ("texture", np.int32),  # 0 plain, 1..3 stripes of STRIPE_PERIODS
        ("stripe_direction", np.float32),  # radians, [0, pi), across the stripes, in the picture's frame
        ("stripe_phase", np.float32),  # radians, [0, 2 pi), at the object's centre
    ]
)
FACTOR_GROUPS = {
    "background": BACKGROUND_GROUP,
    "kind": ("kind",),
    "place": ("x", "y"),
    "size": ("size",),
    "turn": ("turn",),
    "colour": ("colour",),
    "texture": ("texture", "stripe_direction", "stripe_phase"),
}
# The largest circle fits at every place (10.25 px + 0.5 px margin): place and size are independent factors.
SIZE_RANGE = (13.5 / 32, 20.5 / 32)
PLACE_RANGE = (10.75 / 32, 21.25 / 32)

# Smallest changes that `vary` makes, and the OKLab distances from the object's tones to its background that
# are aimed at: of 40,000 pictures all reach the first, 96 % the second, the other dark tones 0.1 at least.
SIZE_STEP, PLACE_STEP, TURN_STEP = 2.2 / 32, 4.5 / 32, np.pi / 12
BRIGHT_CONTRAST, DARK_CONTRAST = 0.22, 0.15

# -----------------------------------------------------------------------------------------------------------
# Colours


def contrast(factors: np.ndarray) -> np.ndarray:
    """Smallest OKLab distance from the object's bright and dark tone to the gradient, (N, 2)."""
    return _contrast(factors["colour"], factors["background_a"], factors["background_b"])


def _contrast(colour: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    steps = np.linspace(0, 1, 5, dtype=np.float32)[None, :, None]
    ground = oklab(a[:, None] + steps * (b - a)[:, None])
    tones = (oklab(colour), oklab(colour * np.float32(1 - STRIPE_DEPTH)))
    return np.stack([np.linalg.norm(ground - tone[:, None], axis=2).min(1) for tone in tones], axis=1)


def _contrast_score(colour: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """At least 1 where both tones stand out enough."""
    return (_contrast(colour, a, b) / np.array([BRIGHT_CONTRAST, DARK_CONTRAST], np.float32)).min(1)


def _draw_background(key: np.ndarray) -> np.ndarray:
    """(N, 7): two related hues, either both light or both deep, and the direction."""
    hue = uniform(key, 0)
    step = uniform(key, 1, 0.09, 0.28) * np.where(uniform(key, 2) < 0.5, -1, 1)
    deep = uniform(key, 3) < 0.35
    ends = []
    for i, h in enumerate((hue, hue + step)):
        saturation = np.where(deep, uniform(key, 4 + i, 0.55, 0.80), uniform(key, 4 + i, 0.22, 0.48))
        value = np.where(deep, uniform(key, 6 + i, 0.18, 0.34), uniform(key, 6 + i, 0.86, 1.0))
        ends.append(hsv(h % 1, saturation, value))
    return np.concatenate([*ends, uniform(key, 8, 0, 2 * np.pi)[:, None]], axis=1)


def _draw_colour(key: np.ndarray) -> np.ndarray:
    """Vivid colours; blue and violet get some white, or their stripes would vanish in a deep background."""
    rgb = hsv(uniform(key, 0), uniform(key, 1, 0.70, 0.97), uniform(key, 2, 0.88, 1.0))
    lightness = oklab(rgb)[:, :1]
    return rgb + (1 - rgb) * np.maximum(0.62 - lightness, 0) / (1 - lightness)


def _draw_place(key: np.ndarray) -> np.ndarray:
    return np.stack([uniform(key, 0, *PLACE_RANGE), uniform(key, 1, *PLACE_RANGE)], axis=1)


# -----------------------------------------------------------------------------------------------------------
# Factors


def factors(indices: Sequence[int] | np.ndarray, seed: int = 0) -> np.ndarray:
    """What is in the pictures of these indices.

    Args:
        indices: (N,) integers in [0, 2**62).
        seed: another seed gives another, unrelated collection.

    Returns:
        (N,) records of `FACTOR_DTYPE`.

    Raises:
        ValueError: an index is not an integer or out of range.
    """
    key = index_keys(indices, seed)
    out = np.zeros(len(key), FACTOR_DTYPE)
    set_background(out, _draw_background(absorb(key, 100)))
    out["kind"] = uniform(key, 1, 0, len(SHAPE_KINDS)).astype(np.int32)
    out["x"], out["y"] = _draw_place(absorb(key, 101)).T
    out["size"] = uniform(key, 2, *SIZE_RANGE)
    out["turn"] = uniform(key, 3, 0, np.pi / 2)
    out["colour"] = first_good(
        absorb(key, 102),
        _draw_colour,
        lambda c, rows: _contrast_score(c, out["background_a"][rows], out["background_b"][rows]),
    )
    striped = (uniform(key, 4) - PLAIN_SHARE) / (1 - PLAIN_SHARE)  # in [0, 1) for stripes, negative for plain
    out["texture"] = np.where(striped < 0, 0, 1 + np.minimum(striped * 3, 2)).astype(np.int32)
    _set_stripes(out, key)
    return out


def _set_stripes(out: np.ndarray, key: np.ndarray) -> None:
    out["stripe_direction"] = uniform(key, 5, 0, np.pi)
    out["stripe_phase"] = uniform(key, 6, 0, 2 * np.pi)


def vary(factors: np.ndarray, group: str, seed: int) -> np.ndarray:
    """The same pictures with one factor redrawn, really different from before, and all others held.

    The new value depends on the record and the seed only. Colour and background are redrawn such that the
    object still stands out. A new turn changes no pixel of a disc or a ring.

    Args:
        factors: (N,) records of `FACTOR_DTYPE`.
        group: a key of `FACTOR_GROUPS`.
        seed: another seed gives another change.

    Returns:
        (N,) new records.

    Raises:
        ValueError: unknown group.
    """
    old = check(factors)
    out, key = old.copy(), change_keys(old, FACTOR_GROUPS, group, seed)
    if group == "background":
        set_background(
            out,
            another_background(
                old, key, _draw_background, lambda a, b, rows: _contrast_score(old["colour"][rows], a, b)
            ),
        )
    elif group == "kind":
        out["kind"] = (old["kind"] + 1 + uniform(key, 0, 0, len(SHAPE_KINDS) - 1).astype(np.int32)) % len(SHAPE_KINDS)
    elif group == "place":
        centre = np.stack([old["x"], old["y"]], axis=1)
        out["x"], out["y"] = first_good(
            key, _draw_place, lambda place, rows: np.linalg.norm(place - centre[rows], axis=1) / PLACE_STEP
        ).T
    elif group == "size":
        out["size"] = uniform_away(key, 0, old["size"], SIZE_STEP, *SIZE_RANGE)
    elif group == "turn":
        out["turn"] = (old["turn"] + uniform(key, 0, TURN_STEP, np.pi / 2 - TURN_STEP)) % np.float32(np.pi / 2)
    elif group == "colour":
        out["colour"] = another_colour(
            old["colour"],
            key,
            _draw_colour,
            lambda c, rows: _contrast_score(c, old["background_a"][rows], old["background_b"][rows]),
        )
    else:
        out["texture"] = (old["texture"] + 1 + uniform(key, 0, 0, 3).astype(np.int32)) % 4
        _set_stripes(out, key)
    return out


def check(factors: np.ndarray) -> np.ndarray:
    """The factors, if they are a flat array of `FACTOR_DTYPE`; else a ValueError."""
    return check_records(factors, FACTOR_DTYPE, "shapes")
