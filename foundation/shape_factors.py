"""The factors of the procedural pictures in `foundation.shapes`: what is drawn, before it is drawn.

Every random number is a hash of (seed, index, field), never the next draw of a generator: picture i does not
depend on the batch it is asked in, and picture 2**60 costs what picture 0 costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from foundation.colours import hsv, oklab

KINDS = ("disc", "square", "triangle", "ring", "cross")
STRIPE_PERIODS = (3 / 32, 4.5 / 32, 7 / 32)  # of textures 1, 2, 3; texture 0 is a plain surface
PLAIN_SHARE = 0.4
STRIPE_DEPTH = 0.62  # the dark tone of a stripe is (1 - STRIPE_DEPTH) times the colour

FACTOR_DTYPE = np.dtype(
    [
        ("background_a", np.float32, 3),  # RGB in [0, 1], where the gradient starts
        ("background_b", np.float32, 3),  # RGB in [0, 1], where it ends
        ("gradient", np.float32),  # direction from a to b in radians, [0, 2 pi), clockwise from the right
        ("kind", np.int32),  # index into KINDS
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
    "background": ("background_a", "background_b", "gradient"),
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
SIZE_STEP, PLACE_STEP, TURN_STEP, COLOUR_STEP = 2.2 / 32, 4.5 / 32, np.pi / 12, 0.15
BRIGHT_CONTRAST, DARK_CONTRAST = 0.22, 0.15
CANDIDATES = 64

U64 = np.uint64
MAX_INDEX = 2**62


# -----------------------------------------------------------------------------------------------------------
# Counter-based random numbers


def _mix(x: np.ndarray) -> np.ndarray:
    """The splitmix64 finaliser, a bijection of 64-bit words (Steele et al. 2014)."""
    x = (x ^ (x >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> U64(27))) * U64(0x94D049BB133111EB)
    return x ^ (x >> U64(31))


def _absorb(key: np.ndarray, word: np.ndarray | int) -> np.ndarray:
    """A new key from a key and one more word; the odd constant keeps zero words from being a fixed point."""
    return _mix(key * U64(0xD1342543DE82EF95) + np.asarray(word, U64) + U64(0x9E3779B97F4A7C15))


def _seed_key(seed: int, n: int) -> np.ndarray:
    return _absorb(np.zeros(n, U64), int(seed) % 2**64)


def _uniform(key: np.ndarray, field: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """float32 uniform in [low, high), one a key."""
    unit = (_absorb(key, field) >> U64(40)).astype(np.float32) * np.float32(2**-24)
    # Rounding up could give `high` itself, which is out of range for an angle.
    below_high = np.nextafter(np.float32(high), np.float32(low))
    return np.minimum(np.float32(low) + unit * np.float32(high - low), below_high)


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


def _changed_first(change: np.ndarray, fits: np.ndarray) -> np.ndarray:
    """A score in which no contrast makes up for a change that is too small to count as one."""
    return np.where(change >= COLOUR_STEP, fits, change - 1)


def _draw_background(key: np.ndarray) -> np.ndarray:
    """(N, 7): two related hues, either both light or both deep, and the direction."""
    hue = _uniform(key, 0)
    step = _uniform(key, 1, 0.09, 0.28) * np.where(_uniform(key, 2) < 0.5, -1, 1)
    deep = _uniform(key, 3) < 0.35
    ends = []
    for i, h in enumerate((hue, hue + step)):
        saturation = np.where(deep, _uniform(key, 4 + i, 0.55, 0.80), _uniform(key, 4 + i, 0.22, 0.48))
        value = np.where(deep, _uniform(key, 6 + i, 0.18, 0.34), _uniform(key, 6 + i, 0.86, 1.0))
        ends.append(hsv(h % 1, saturation, value))
    return np.concatenate([*ends, _uniform(key, 8, 0, 2 * np.pi)[:, None]], axis=1)


def _draw_colour(key: np.ndarray) -> np.ndarray:
    """Vivid colours; blue and violet get some white, or their stripes would vanish in a deep background."""
    rgb = hsv(_uniform(key, 0), _uniform(key, 1, 0.70, 0.97), _uniform(key, 2, 0.88, 1.0))
    lightness = oklab(rgb)[:, :1]
    return rgb + (1 - rgb) * np.maximum(0.62 - lightness, 0) / (1 - lightness)


def _draw_place(key: np.ndarray) -> np.ndarray:
    return np.stack([_uniform(key, 0, *PLACE_RANGE), _uniform(key, 1, *PLACE_RANGE)], axis=1)


def _first_good(
    key: np.ndarray,
    draw: Callable[[np.ndarray], np.ndarray],
    score: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """For each key the first of its candidates with a score of at least 1, else its best one.

    Args:
        key: (N,) random keys.
        draw: keys (M,) to candidates (M, D).
        score: candidates (M, D) and the rows (M,) they belong to, to scores (M,).
    """
    chosen = draw(_absorb(key, 0))
    best = score(chosen, np.arange(len(key)))
    for attempt in range(1, CANDIDATES):
        rows = np.flatnonzero(best < 1)
        if not len(rows):
            break
        candidate = draw(_absorb(key[rows], attempt))
        value = score(candidate, rows)
        better = value > best[rows]
        chosen[rows[better]], best[rows[better]] = candidate[better], value[better]
    return chosen


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
    indices = np.asarray(indices)
    if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
        raise ValueError("Indices must be a flat list of integers; pass [index] for one picture.")
    if indices.size and (indices.min() < 0 or indices.max() >= MAX_INDEX):
        raise ValueError("An index is out of range; use 0 <= index < 2**62.")
    key = _absorb(_seed_key(seed, len(indices)), indices.astype(U64))
    out = np.zeros(len(indices), FACTOR_DTYPE)
    _set_background(out, _draw_background(_absorb(key, 100)))
    out["kind"] = _uniform(key, 1, 0, len(KINDS)).astype(np.int32)
    out["x"], out["y"] = _draw_place(_absorb(key, 101)).T
    out["size"] = _uniform(key, 2, *SIZE_RANGE)
    out["turn"] = _uniform(key, 3, 0, np.pi / 2)
    out["colour"] = _first_good(
        _absorb(key, 102),
        _draw_colour,
        lambda c, rows: _contrast_score(c, out["background_a"][rows], out["background_b"][rows]),
    )
    striped = (_uniform(key, 4) - PLAIN_SHARE) / (1 - PLAIN_SHARE)  # in [0, 1) for stripes, negative for plain
    out["texture"] = np.where(striped < 0, 0, 1 + np.minimum(striped * 3, 2)).astype(np.int32)
    _set_stripes(out, key)
    return out


def _set_background(out: np.ndarray, drawn: np.ndarray) -> None:
    out["background_a"], out["background_b"], out["gradient"] = drawn[:, :3], drawn[:, 3:6], drawn[:, 6]


def _set_stripes(out: np.ndarray, key: np.ndarray) -> None:
    out["stripe_direction"] = _uniform(key, 5, 0, np.pi)
    out["stripe_phase"] = _uniform(key, 6, 0, 2 * np.pi)


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
    if group not in FACTOR_GROUPS:
        raise ValueError(f"Unknown factor {group!r}; use one of {', '.join(FACTOR_GROUPS)}.")
    old = check(factors)
    out = old.copy()
    key = _absorb(_seed_key(seed, len(old)), 200 + list(FACTOR_GROUPS).index(group))
    for word in np.ascontiguousarray(old).view(np.uint32).reshape(len(old), FACTOR_DTYPE.itemsize // 4).T:
        key = _absorb(key, word)
    if group == "background":
        was = oklab(old["background_a"]), oklab(old["background_b"])

        def score(drawn: np.ndarray, rows: np.ndarray) -> np.ndarray:
            a, b = drawn[:, :3], drawn[:, 3:6]
            # Each new end must differ from both old ones, or a swapped gradient would count as another one.
            change = [np.linalg.norm(oklab(new) - end[rows], axis=1) for new in (a, b) for end in was]
            return _changed_first(np.min(change, axis=0), _contrast_score(old["colour"][rows], a, b))

        _set_background(out, _first_good(key, _draw_background, score))
    elif group == "kind":
        out["kind"] = (old["kind"] + 1 + _uniform(key, 0, 0, len(KINDS) - 1).astype(np.int32)) % len(KINDS)
    elif group == "place":
        was = np.stack([old["x"], old["y"]], axis=1)
        out["x"], out["y"] = _first_good(
            key, _draw_place, lambda place, rows: np.linalg.norm(place - was[rows], axis=1) / PLACE_STEP
        ).T
    elif group == "size":
        # Uniform over the range less the interval around the old size.
        below = np.maximum(old["size"] - SIZE_STEP - SIZE_RANGE[0], 0)
        above = np.maximum(SIZE_RANGE[1] - old["size"] - SIZE_STEP, 0)
        drawn = _uniform(key, 0) * (below + above)
        out["size"] = np.where(drawn < below, SIZE_RANGE[0] + drawn, SIZE_RANGE[1] - (drawn - below))
    elif group == "turn":
        out["turn"] = (old["turn"] + _uniform(key, 0, TURN_STEP, np.pi / 2 - TURN_STEP)) % np.float32(np.pi / 2)
    elif group == "colour":
        was = oklab(old["colour"])

        def score(drawn: np.ndarray, rows: np.ndarray) -> np.ndarray:
            change = np.linalg.norm(oklab(drawn) - was[rows], axis=1)
            return _changed_first(change, _contrast_score(drawn, old["background_a"][rows], old["background_b"][rows]))

        out["colour"] = _first_good(key, _draw_colour, score)
    else:
        out["texture"] = (old["texture"] + 1 + _uniform(key, 0, 0, 3).astype(np.int32)) % 4
        _set_stripes(out, key)
    return out


def check(factors: np.ndarray) -> np.ndarray:
    """The factors, if they are a flat array of `FACTOR_DTYPE`; else a ValueError."""
    factors = np.asarray(factors)
    if factors.dtype != FACTOR_DTYPE or factors.ndim != 1:
        raise ValueError("Factors must be a flat array of FACTOR_DTYPE; make them with shapes.factors().")
    return factors
