"""The comparison itself: what it forgives, and what it does not."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from tests.recorded.cases import png
from tests.recorded.reduction import differences, reduced

IMAGE = np.random.default_rng(0).integers(0, 200, (32, 32, 3), dtype=np.uint8)
ANSWER = {
    "picture": png(IMAGE), "mse": 0.25, "nfe": 5, "seconds": 0.5, "net": "toy", "title": "Points", "lpips": None,
    "table": [[1.0, None], [2.0, 400.0]], "long": np.linspace(-1, 3, 200).tolist(), "flag": True,
    "card": {"metrics": {}, "name": "toy"},
}  # fmt: skip


def _changed(**values) -> list[str]:
    answer = copy.deepcopy(ANSWER) | values
    return differences(reduced(ANSWER), reduced(answer))


@pytest.mark.parametrize(
    "values",
    [
        {}, {"seconds": 9.0}, {"title": "Other words"}, {"lpips": 0.5}, {"mse": 0.25 * (1 + 9e-4)},
        {"picture": png(IMAGE + np.uint8(1))}, {"table": [[1.0005, None], [2.0, 400.2]]},
        {"card": {"metrics": {"mse": 1}, "name": "toy", "note": ""}},
    ],
    ids=str,
)  # fmt: skip
def test_what_differs_from_run_to_run_is_forgiven(values):
    assert _changed(**values) == []


@pytest.mark.parametrize(
    "values",
    [
        {"mse": 0.25 * (1 + 2e-3)}, {"nfe": 6}, {"net": "other"}, {"title": None}, {"flag": 1}, {"flag": False},
        {"seconds": None}, {"more": 1}, {"mse": None}, {"picture": png(IMAGE + np.uint8(4))},
        {"picture": png(IMAGE[:, ::-1])}, {"picture": png(IMAGE[:16])}, {"table": [[1.0, None], [2.0, 402.0]]},
        {"table": [[1.01, None], [2.0, 400.0]]}, {"table": [[1.0, 0.0], [2.0, 400.0]]}, {"table": [[1.0, None]]},
        {"long": np.linspace(-1, 3.01, 200).tolist()}, {"long": [0.0] * 199}, {"card": {"name": "toy"}},
    ],
    ids=lambda v: str(v)[:40],
)  # fmt: skip
def test_what_is_another_answer_is_not(values):
    lines = _changed(**values)
    assert lines and all(next(iter(values)) in line or "keys" in line for line in lines)
