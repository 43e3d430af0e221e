"""The factors of the procedural faces in `foundation.procedural.portraits`: what is drawn, before it is drawn.

Lengths are in halves of the picture's side (the picture spans [-1, 1] both ways, y down), angles in radians. Every
factor is drawn on its own: no feature of a face goes with another, and skin and hair cover their ranges evenly. Only
the shirt looks at the background, from which it must stand out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foundation.procedural.colours import hsv, oklab
from foundation.procedural.counter_random import absorb, choice, first_good, index_keys, uniform, uniform_away
from foundation.procedural.factor_changes import (
    BACKGROUND_FIELDS,
    BACKGROUND_GROUP,
    another_background,
    another_colour,
    change_keys,
    check_records,
    set_background,
)

HAIR_STYLES = ("none", "crop", "side parting", "bob", "long", "bun", "curls", "pigtails")
HAIR_TEXTURES = ("plain", "straight", "waves")
IRISES = ("brown", "blue", "green", "grey")
GLASSES = ("none", "round", "square", "red")
BEARDS = ("none", "full", "moustache", "goatee")
HATS = ("none", "beanie", "brim")
PATTERNS = ("plain", "rows", "columns", "checks", "dots")

FACTOR_DTYPE = np.dtype(
    [
        *BACKGROUND_FIELDS,
        ("x", np.float32),  # centre of the head, to the right
        ("y", np.float32),  # downwards
        ("size", np.float32),  # of the head
        ("yaw", np.float32),  # [-1, 1], the face turned to the left or right of the picture
        ("roll", np.float32),  # the head tilted, clockwise
        ("skin", np.float32),  # [0, 1], light to deep
        ("undertone", np.float32),  # [-1, 1], cool to warm
        ("width", np.float32),  # of the face, 1 on average
        ("jaw", np.float32),  # [0, 1], narrow to broad
        ("hair", np.int32),  # index into HAIR_STYLES
        ("hair_colour", np.float32),  # [0, 1], black, brown, auburn, blond, grey
        ("strands", np.int32),  # index into HAIR_TEXTURES
        ("eye_size", np.float32),  # 1 on average
        ("iris", np.int32),  # index into IRISES
        ("gaze", np.float32),  # [-1, 1], to the left or right of the picture
        ("brow_slope", np.float32),  # [-1, 1], inner ends low to high
        ("brow_weight", np.float32),  # half the thickness
        ("smile", np.float32),  # [-1, 1], corners down to up
        ("open", np.float32),  # [0, 1], the mouth; half of all are closed
        ("nose", np.float32),  # size, 1 on average
        ("glasses", np.int32),  # index into GLASSES
        ("beard", np.int32),  # index into BEARDS
        ("hat", np.int32),  # index into HATS
        ("hat_colour", np.float32, 3),  # RGB in [0, 1]; shows with a hat only
        ("shirt", np.float32, 3),  # RGB in [0, 1]
        ("pattern", np.int32),  # index into PATTERNS
        ("light", np.float32),  # [-1, 1], from the left or right of the picture
        ("freckles", np.int32),  # 0 or 1
    ]
)
FACTOR_GROUPS = {
    "background": BACKGROUND_GROUP,
    "place": ("x", "y", "size"),
    "pose": ("yaw", "roll"),
    "skin": ("skin", "undertone"),
    "face": ("width", "jaw"),
    "hair": ("hair",),
    "hair colour": ("hair_colour",),
    "hair texture": ("strands",),
    "eyes": ("eye_size", "iris", "gaze"),
    "brows": ("brow_slope", "brow_weight"),
    "mouth": ("smile", "open"),
    "nose": ("nose",),
    "glasses": ("glasses",),
    "beard": ("beard",),
    "hat": ("hat", "hat_colour"),
    "shirt": ("shirt",),
    "pattern": ("pattern",),
    "light": ("light",),
    "freckles": ("freckles",),
}

RANGES = {  # of the factors that are a length, a share or an angle, all uniform
    "gradient": (0.0, 2 * np.pi),
    "x": (-0.06, 0.06), "y": (-0.06, 0.02), "size": (1.01, 1.12),
    "yaw": (-1.0, 1.0), "roll": (-0.08, 0.08),
    "skin": (0.0, 1.0), "undertone": (-1.0, 1.0),
    "width": (0.92, 1.08), "jaw": (0.0, 1.0),
    "hair_colour": (0.0, 1.0),
    "eye_size": (0.88, 1.12), "gaze": (-1.0, 1.0),
    "brow_slope": (-1.0, 1.0), "brow_weight": (0.022, 0.042),
    "smile": (-1.0, 1.0), "open": (0.0, 1.0),
    "nose": (0.8, 1.2),
    "light": (-1.0, 1.0),
}  # fmt: skip
SHARES = {  # of the factors that are a kind
    "hair": (1 / 8,) * 8,
    "strands": (0.4, 0.3, 0.3),
    "iris": (0.25,) * 4,
    "glasses": (0.46, 0.18, 0.18, 0.18),
    "beard": (0.55, 0.15, 0.15, 0.15),
    "hat": (0.76, 0.12, 0.12),
    "pattern": (0.28, 0.18, 0.18, 0.18, 0.18),
    "freckles": (0.7, 0.3),
}
# Smallest changes that `vary` makes: of one number of the group, the others are drawn anew.
LEAST_CHANGES = {
    "place": ("x", 0.03), "pose": ("yaw", 0.5), "skin": ("skin", 0.25), "face": ("jaw", 0.35),
    "hair colour": ("hair_colour", 0.2), "brows": ("brow_slope", 0.5), "mouth": ("smile", 0.5), "nose": ("nose", 0.12),
    "light": ("light", 0.6),
}  # fmt: skip
KINDS_CHANGED = {  # the kind that `vary` changes for sure
    "hair": "hair", "hair texture": "strands", "eyes": "iris", "glasses": "glasses", "beard": "beard", "hat": "hat",
    "pattern": "pattern", "freckles": "freckles",
}  # fmt: skip
SHIRT_CONTRAST = 0.14  # OKLab distance of the shirt from both ends of the background that is aimed at
FIELDS: tuple[str, ...] = FACTOR_DTYPE.names or ()  # a dtype without fields would have None
FIELD_NUMBER = {name: i for i, name in enumerate(FIELDS)}


def _draw_background(key: np.ndarray) -> np.ndarray:
    """(N, 7): two related hues from green by blue to pink, which neither skin nor hair has; and the direction."""
    hue = uniform(key, 0, 0.24, 0.94)
    step = uniform(key, 1, 0.03, 0.10) * np.where(uniform(key, 2) < 0.5, -1, 1)
    deep = uniform(key, 3) < 0.35
    ends = []
    for i, h in enumerate((hue, np.clip(hue + step, 0.24, 0.94))):
        saturation = np.where(deep, uniform(key, 4 + i, 0.40, 0.62), uniform(key, 4 + i, 0.16, 0.42))
        value = np.where(deep, uniform(key, 6 + i, 0.36, 0.52), uniform(key, 6 + i, 0.80, 0.97))
        ends.append(hsv(h, saturation, value))
    return np.concatenate([*ends, uniform(key, 8, *RANGES["gradient"])[:, None]], axis=1)


def _draw_cloth(key: np.ndarray) -> np.ndarray:
    """(N, 3): colours of cloth."""
    return hsv(uniform(key, 0), uniform(key, 1, 0.50, 0.85), uniform(key, 2, 0.50, 0.95))


def _shirt_score(colour: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """At least 1 where the shirt stands out from both ends of the background."""
    shirt = oklab(colour)
    return np.minimum(*(np.linalg.norm(oklab(end) - shirt, axis=1) for end in (a, b))) / SHIRT_CONTRAST


def _draw_field(key: np.ndarray, name: str) -> np.ndarray:
    number = FIELD_NUMBER[name]
    if name in SHARES:
        return choice(key, number, SHARES[name])
    if name == "open":  # half of all mouths are closed
        return np.maximum(2 * uniform(key, number) - 1, 0)
    return uniform(key, number, *RANGES[name])


def factors(indices: Sequence[int] | np.ndarray, seed: int = 0) -> np.ndarray:
    """Who is in the pictures of these indices.

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
    out["shirt"] = first_good(
        absorb(key, 101),
        _draw_cloth,
        lambda c, rows: _shirt_score(c, out["background_a"][rows], out["background_b"][rows]),
    )
    out["hat_colour"] = _draw_cloth(absorb(key, 102))
    for name in FIELDS:
        if name in SHARES or (name in RANGES and name != "gradient"):
            out[name] = _draw_field(key, name)
    return out


def vary(factors: np.ndarray, group: str, seed: int) -> np.ndarray:
    """The same faces with one group of factors redrawn, really different from before, and all others held.

    One number of the group changes by at least its step in `LEAST_CHANGES`, one kind to another kind, a colour by
    `COLOUR_STEP` of `factor_changes`; what else the group holds is drawn anew. The new value depends on the record and
    the seed only.

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
    for name in FACTOR_GROUPS[group]:
        if name in SHARES or name in RANGES:
            out[name] = _draw_field(key, name)
    if group in KINDS_CHANGED:
        name = KINDS_CHANGED[group]
        count = len(SHARES[name])
        out[name] = (old[name] + 1 + choice(key, 300, (1 / (count - 1),) * (count - 1))) % count
    if group in LEAST_CHANGES:
        name, step = LEAST_CHANGES[group]
        out[name] = uniform_away(key, 301, old[name], step, *RANGES[name])
    if group == "background":
        set_background(
            out,
            another_background(old, key, _draw_background, lambda a, b, rows: _shirt_score(old["shirt"][rows], a, b)),
        )
    elif group == "shirt":
        out["shirt"] = another_colour(
            old["shirt"],
            key,
            _draw_cloth,
            lambda c, rows: _shirt_score(c, old["background_a"][rows], old["background_b"][rows]),
        )
    elif group == "hat":
        out["hat_colour"] = _draw_cloth(absorb(key, 302))
    return out


def interpolate(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """Faces between two faces: numbers and colours on a straight line, the gradient by the shorter way round.

    A kind (hair, glasses, ...) cannot lie between two; it changes at the middle.

    Args:
        a, b: (N,) records of `FACTOR_DTYPE`.
        share: 0 gives a, 1 gives b.

    Returns:
        (N,) records.

    Raises:
        ValueError: not records, not equally many, or a share outside [0, 1].
    """
    a, b = check(a), check(b)
    if len(a) != len(b) or not 0 <= share <= 1:
        raise ValueError("Interpolate between equally many faces, with a share from 0 to 1.")
    out = (a if share < 0.5 else b).copy()
    for name in FIELDS:
        if out[name].dtype == np.float32:
            out[name] = (1 - share) * a[name] + share * b[name]
    turn = (b["gradient"] - a["gradient"] + np.pi) % (2 * np.pi) - np.pi
    out["gradient"] = (a["gradient"] + share * turn) % np.float32(2 * np.pi)
    return out


def check(factors: np.ndarray) -> np.ndarray:
    """The factors, if they are a flat array of `FACTOR_DTYPE`; else a ValueError."""
    return check_records(factors, FACTOR_DTYPE, "portraits")
