"""Noise that depends on its seed only."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from foundation.mistakes import Mistake
from foundation.randomness import MAX_SEED, mix_seed, noise
from tests.refusals import refuses


def test_batch_does_not_change_a_sample():
    together = noise([7, 3, 7, 12], (3, 4, 4))
    assert together.shape == (4, 3, 4, 4) and together.dtype == torch.float32
    for row, seed in zip(together, [7, 3, 7, 12], strict=True):
        assert torch.equal(row, noise([seed], (3, 4, 4))[0])
    assert torch.equal(together[0], together[2]) and not torch.equal(together[0], together[1])


def test_the_global_generator_is_neither_read_nor_moved():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = noise([5], (8,))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(noise([5], (8,)), first)


def test_noise_is_standard_normal():
    x = noise(range(50), (2000,)).double()
    n = x.numel()
    assert abs(x.mean()) < 5 / math.sqrt(n)
    assert abs(x.var() - 1) < 5 * math.sqrt(2 / n)
    assert abs((x**4).mean() - 3) < 5 * math.sqrt(96 / n)  # Var(x^4) = 105 - 9
    correlation = torch.corrcoef(x).fill_diagonal_(0)
    assert correlation.abs().max() < 6 / math.sqrt(2000)  # seeds next to each other are unrelated


def test_whole_numbers_of_every_kind_are_seeds():
    expected = noise([3], (5,))
    for seed in (np.int64(3), np.uint8(3), torch.tensor(3), 3.0):
        assert torch.equal(noise([seed], (5,)), expected)
    assert noise(range(2), (5,)).shape == (2, 5)
    assert noise(np.arange(2), (5,)).shape == (2, 5)
    assert noise([0, MAX_SEED], (5,)).isfinite().all()


BAD_SEEDS = [-1, MAX_SEED + 1, 2**64, 1.5, math.nan, math.inf, "3", "x", None, True, [1], 1j]


@pytest.mark.parametrize("seed", BAD_SEEDS, ids=repr)
def test_bad_seeds_are_refused_in_a_sentence(seed):
    with refuses("seed", error=Mistake):
        noise([0, seed], (2,))


def test_no_seed_is_refused():
    with refuses("seeds", error=Mistake):
        noise([], (2,))


def test_mixed_seeds_are_in_range_and_apart():
    mixed = {
        mix_seed(seed, part, step, rank) for seed in (0, 1) for part in (2, 3) for step in range(50) for rank in (0, 1)
    }
    assert len(mixed) == 2 * 2 * 50 * 2
    assert all(0 <= s < 2**63 for s in mixed)
    assert mix_seed(1, 2) != mix_seed(2, 1) != mix_seed(2, 1, 0)
    assert mix_seed(1, 2) == mix_seed(1, 2)
    assert 0 <= mix_seed(-1) < 2**63


def test_mixed_seeds_are_splitmix64():
    """The first output of splitmix64 from state 0, a published test value, without its top bit."""
    assert mix_seed(0) == 0xE220A8397B1DCDAF & (2**63 - 1)


def test_mixed_seeds_change_about_half_of_the_bits():
    flips = [bin(mix_seed(0, k) ^ mix_seed(0, k + 1)).count("1") for k in range(500)]
    assert abs(np.mean(flips) - 31.5) < 1.5


def test_no_two_seeds_share_their_noise():
    # torch's CPU generator reads 32 bits of a seed: 2**32 + 7 would be 7 again, so it is refused
    assert not noise([MAX_SEED], (8,)).equal(noise([MAX_SEED - 2**31], (8,)))
    with refuses("seed", error=Mistake):
        noise([2**32 + 7], (8,))
