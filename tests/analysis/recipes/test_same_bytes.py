"""What the README promises of recipes, and its exception: the same bytes in any company, one level elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.core.images import as_pictures
from analysis.recipes import recipe as recipes
from analysis.workbench.images import GenerateRequest
from analysis.workbench.library import ModelLibrary
from foundation import noise

SEEDS = tuple(range(16))


@pytest.fixture(scope="module")
def bench():
    return ModelLibrary().get("shapes")


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def drawn(bench, seeds) -> np.ndarray:
    return bench.generate(GenerateRequest(tuple(seeds))).pictures


@pytest.mark.parametrize("count", [1, 2, 4])
def test_together_singly_reversed_and_again(bench, threads, count):
    threads(count)
    together = drawn(bench, SEEDS)
    assert np.array_equal(drawn(bench, SEEDS[::-1])[::-1], together)
    assert np.array_equal(np.concatenate([drawn(bench, [s]) for s in SEEDS]), together)
    recipe = recipes.from_json(recipes.to_json(recipes.describe(GenerateRequest(SEEDS), bench)))
    assert np.array_equal(recipes.replay(recipe, bench).pictures, together)


def test_the_exception_is_one_level(bench, threads):
    """Other threads, and one batch of all: what README and docs/reliability.md except."""
    threads(1)
    alone = drawn(bench, SEEDS).astype(int)
    threads(4)
    assert np.abs(drawn(bench, SEEDS).astype(int) - alone).max() <= 1
    with torch.inference_mode():
        batch = as_pictures(bench.model.one_step(noise(SEEDS, bench.model.picture_shape)))
    assert np.abs(batch.astype(int) - alone).max() <= 1
