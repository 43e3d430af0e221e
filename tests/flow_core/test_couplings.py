"""Couplings: plans against all permutations and against long plain Sinkhorn, sizes of batches, labels."""

import itertools
import math

import pytest
import torch

from flow_core.couplings import COUPLINGS, entropic_plan, exact_plan
from flow_core.paths import ICFM, IDFF, OTCFM, SBCFM


def test_the_exact_plan_is_the_best_permutation():
    generator = torch.Generator().manual_seed(1)
    x0, x1 = torch.randn(6, 3, generator=generator), 2 * torch.randn(6, 3, generator=generator)
    plan = exact_plan(x0, x1)
    best = min(
        itertools.permutations(range(6)),
        key=lambda p: sum(float((x0[i] - x1[j]).square().sum()) for i, j in enumerate(p)),
    )
    assert plan.tolist() == list(best)
    assert torch.equal(OTCFM(0.0).couple(x0, x1), plan) and torch.equal(SBCFM(0.1).couple(x0, x1), plan)
    assert ICFM().couple(x0, x1).tolist() == list(range(6))


def test_the_entropic_plan_has_its_marginals_and_its_form():
    generator = torch.Generator().manual_seed(2)
    x0, x1 = torch.randn(8, 2, generator=generator), torch.randn(8, 2, generator=generator) + 1
    plan = entropic_plan(x0, x1, 0.5).exp()
    torch.testing.assert_close(plan.sum(0), torch.full((8,), 1 / 8, dtype=torch.float64))
    torch.testing.assert_close(plan.sum(1), torch.full((8,), 1 / 8, dtype=torch.float64), rtol=0, atol=1e-8)
    # an entropic plan is a product a_i exp(-c_ij / r) b_j: every 2 x 2 minor of plan * exp(c / r) vanishes
    scaled = (plan * (torch.cdist(x0, x1).double().square() / 0.5).exp()).log()
    minor = scaled[1:, 1:] - scaled[:1, 1:] - scaled[1:, :1] + scaled[0, 0]
    assert float(minor.abs().max()) < 1e-5
    # little regularisation: the permutation of the exact plan
    assert torch.equal(entropic_plan(x0, x1, 0.01).argmax(1), exact_plan(x0, x1))


def test_entropic_pairs_are_drawn_from_the_plan_by_the_generator():
    x0, x1 = torch.randn(50, 2), torch.randn(50, 2)
    path = IDFF(0.5, "entropic")
    draw = [path.couple(x0, x1, torch.Generator().manual_seed(s)) for s in (3, 3, 4)]
    assert torch.equal(draw[0], draw[1]) and not torch.equal(draw[0], draw[2])
    far = torch.tensor([[-50.0, 0], [50, 0]])
    assert IDFF(1.0, "entropic").couple(far, far.flip(0)).tolist() == [1, 0]


@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.3])
def test_the_entropic_plan_has_converged_at_little_regularisation(sigma):
    """Marginals and form say which plan it is; 1000 plain rounds leave 7 % of the mass elsewhere at sigma .1."""
    generator = torch.Generator().manual_seed(0)
    x0 = torch.randn(48, 2, generator=generator, dtype=torch.float64)
    angle = torch.randint(8, (48,), generator=generator) * math.pi / 4
    x1 = 5 * torch.stack([angle.cos(), angle.sin()], 1) + 0.5 * torch.randn(48, 2, generator=generator)
    x1 = x1.double()
    regularisation = 2 * sigma**2
    plan = entropic_plan(x0, x1, regularisation)
    for axis in (0, 1):
        assert float((plan.exp().sum(axis) - 1 / 48).abs().sum()) / 2 < 2e-8
    scaled = plan + torch.cdist(x0, x1).square() / regularisation
    minor = scaled[1:, 1:] - scaled[:1, 1:] - scaled[1:, :1] + scaled[0, 0]
    assert float(minor.abs().max()) < 1e-12 * float(scaled.abs().max())


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_batches_of_other_sizes_are_refused(coupling):
    path = IDFF(0.5, coupling)
    for n, m in ((3, 4), (4, 3), (1, 0)):
        with pytest.raises(ValueError):
            path.couple(torch.zeros(n, 2), torch.zeros(m, 2))
    with pytest.raises(ValueError):
        path.couple(torch.zeros(3, 2), torch.zeros(3, 3))


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("n", [1, 2, 6, 129])
def test_every_size_of_a_batch_is_paired(n, coupling):
    generator = torch.Generator().manual_seed(n)
    x0, x1 = torch.randn(n, 2, generator=generator), torch.randn(n, 2, generator=generator)
    index = IDFF(0.5, coupling).couple(x0, x1, generator)
    assert index.shape == (n,) and index.dtype == torch.int64 and 0 <= int(index.min()) <= int(index.max()) < n
    if coupling == "exact":
        assert sorted(index.tolist()) == list(range(n))


@pytest.mark.parametrize("n", [6, 129])
def test_points_that_are_there_twice_are_each_used_once(n):
    generator = torch.Generator().manual_seed(n)
    x0, x1 = torch.randn(n, 2, generator=generator), torch.randn(n, 2, generator=generator)[torch.arange(n) // 3]
    index = IDFF(0.5, "exact").couple(x0, x1, generator)
    assert sorted(index.tolist()) == list(range(n))
    pairs = IDFF(0.5, "entropic").couple(x0, torch.zeros(n, 2), generator)  # all of them the same
    assert pairs.shape == (n,) and 0 <= int(pairs.min()) <= int(pairs.max()) < n
