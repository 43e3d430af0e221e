"""What a stranger may send: any JSON, and honest files with some of their bytes or fields changed."""

from __future__ import annotations

import base64
import io
import json
import math
import os
import random
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from PIL import Image


def fuzz(examples: int) -> settings:
    """Settings of a test: the same cases in every run; KOOPMAN_HOSTILE times as many as the test asks for."""
    return settings(
        max_examples=examples * int(os.environ.get("KOOPMAN_HOSTILE", "1")),
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),  # the case as it came: making it smaller takes minutes
        suppress_health_check=list(HealthCheck),
    )


def png(side: int = 16, mode: str = "RGB", kind: str = "PNG", **options) -> bytes:
    """A small honest picture file."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def base64_png(side: int = 16, mode: str = "RGB") -> str:
    return base64.b64encode(png(side, mode)).decode()


def base64_states() -> str:
    """A file of three trajectories, as /dynamics takes it."""
    file = io.BytesIO()
    np.savez(file, states=np.random.default_rng(0).normal(size=(3, 6, 4)))
    return base64.b64encode(file.getvalue()).decode()


DEEP: Any = 1
for _ in range(300):
    DEEP = [DEEP]

NUMBERS = st.sampled_from(
    [
        0, 1, -1, 2, 3, 4, 7, 25, 63, 64, 65, 10**9, 2**31, 2**32 - 1, 2**32, 2**63, 2**64, -(2**63), 10**30, 10**400,
        0.0, -0.0, 0.5, 1.0, 1.5, 1e-300, 1e30, -1e30, 1e308, math.nan, math.inf, -math.inf, True, False,
    ]
)  # fmt: skip
WORDS = st.sampled_from(
    [
        "", " ", "0", "1e9", "NaN", "null", "tiny", "tiny-classes", "own-", "own-tiny-0123456789abcdef", "trained-x",
        "../../etc/passwd", "/etc/passwd", "http://127.0.0.1/", "file:///etc/passwd", "C:\\boot.ini", "\x00", "\ud800",
        "ä" * 50, "<script>alert(1)</script>", "x" * 100_000, "%s%n{0}", "alpha", "abs", "seed", "scene", "picture",
        "noise", "ode", "latent", "painted", "whole", "iterative", "energy", "arc", "everything", "moons", "drawn",
        "icfm", "sbcfm", "idff", "heun", "published", "matched", "bridge", "oracle", "shipped", "cosine",
    ]
)  # fmt: skip
PICTURES = st.sampled_from([base64_png(), base64_png(8), base64_png(16, "L"), base64_png(80), base64_png()[:-60]])
SCALARS = st.none() | NUMBERS | WORDS | PICTURES | st.integers() | st.floats() | st.text(max_size=8)
LISTS = st.one_of(
    st.lists(NUMBERS, max_size=9),
    st.lists(st.floats(0, 1), max_size=9),  # band edges, mostly falling
    st.lists(st.integers(0, 8), max_size=9),
    st.sampled_from([[], [[]], [0] * 10_000, [[0.5] * 3] * 3, [[1, 2], [3]], [None] * 3, ["x" * 10_000] * 3, DEEP]),
)
ANY = (
    SCALARS
    | LISTS
    | st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
        max_leaves=8,
    )
)


def changed_arguments(names: list[str]) -> st.SearchStrategy[dict]:
    """One to three of the arguments, with anything in them."""
    return st.dictionaries(st.sampled_from(names), ANY, min_size=1, max_size=3)


# ---------------------------------------------------------------------------------------------------------------------
# Files

_JUNK = st.binary(max_size=6) | st.sampled_from([b"9", b"-", b"e99", b"null", b'"', b"[", b"NaN", b"\xff\xff\xff\xff"])


@st.composite
def mutated(draw, content: bytes, header: int = 0) -> bytes:
    """Bytes cut, put in and changed at one to four places; half of them within the first `header` bytes."""
    raw = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        end = min(header, len(raw)) if header and draw(st.booleans()) else len(raw)
        at = draw(st.integers(0, max(end - 1, 0)))
        how = draw(st.sampled_from(["flip", "flip", "put", "put", "end", "double"]))
        if how == "flip" and at < len(raw):
            raw[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "end":
            del raw[at:]
        elif how == "double":
            raw[at:at] = raw[at : at + draw(st.integers(1, 64))]
        else:
            raw[at : at + draw(st.integers(0, 4))] = draw(_JUNK)
    return bytes(raw)


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """Where anything is in nested tables and lists, not too deep inside."""
    if len(path) > 20:
        return []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for k, v in inner for p in places(v, (*path, k)))]


@st.composite
def other_fields(draw, honest: dict, values: st.SearchStrategy = ANY) -> Any:
    """A JSON value with one to three of its fields replaced, dropped or joined by an unknown one."""
    root = {"": _copied(honest)}
    where = draw(st.randoms(use_true_random=False))
    for _ in range(draw(st.integers(1, 3))):
        _change(root, where, draw(st.sampled_from(["replace", "replace", "drop", "add"])), _copied(draw(values)))
    return root[""]


def _copied(value: Any) -> Any:
    return json.loads(json.dumps(value))  # what is drawn belongs to all cases, and may be too deep for deepcopy


def _change(root: dict, where: random.Random, how: str, value: Any) -> None:
    *path, last = where.choice([("", *p) for p in places(root[""])])
    target: Any = root
    for key in path:
        target = target[key]
    if how == "drop" and target is not root:
        del target[last]
    elif how == "add" and isinstance(target[last], dict):
        target[last]["unknown"] = value
    else:
        target[last] = value
