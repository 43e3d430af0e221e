"""The named densities and drawings."""

import math

import pytest
import torch

from flow_core.densities.toys import TOYS, drawn, toy
from foundation.mistakes import Mistake
from tests.refusals import refuses


@pytest.mark.parametrize("name", TOYS)
def test_density_holds_mass_one_and_its_samples(name):
    t = toy(name)
    n = 160
    line = ((torch.arange(n) + 0.5) / n * 2 - 1) * t.extent
    grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), 2).reshape(-1, 2)
    area = (2 * t.extent / n) ** 2
    p = t.density.log_prob(grid).exp()
    assert float(p.sum()) * area == pytest.approx(1, abs=0.01)
    # shares of 8 x 8 boxes: density against samples
    samples = t.sample(20_000, 0)
    box = lambda x: ((x / t.extent + 1) * 4).floor().long().clamp(0, 7)  # noqa: E731
    index = lambda x: box(x)[:, 1] * 8 + box(x)[:, 0]  # noqa: E731
    expected = torch.zeros(64, dtype=torch.float64).index_add_(0, index(grid), p * area)
    found = torch.bincount(index(samples), minlength=64) / 20_000
    assert float((expected - found).abs().max()) < 0.012


@pytest.mark.parametrize("name", TOYS)
def test_the_same_seed_gives_the_same_points(name):
    a, b, c = toy(name).sample(100, 1), toy(name).sample(100, 1), toy(name).sample(100, 2)
    assert a.shape == (100, 2) and a.dtype == torch.float32
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_eight_gaussians_and_the_checkerboard_are_the_published_ones():
    x = toy("8gaussians").density
    assert x.means.norm(dim=1).tolist() == pytest.approx([5.0] * 8) and float(x.stds[0]) ** 2 == pytest.approx(0.1**0.5)
    board = toy("checkerboard").density
    inside = board.log_prob(torch.tensor([[-1.0, 3.0], [1, 3], [3.9, 3.9], [-3, -1], [5, 0]]))
    assert inside.isfinite().tolist() == [True, False, True, False, False]  # neighbours differ, nothing outside
    assert float(inside.max()) == pytest.approx(-math.log(32))  # eight cells of side 2


def test_curves_are_smooth():
    """Components lie closer than their std, so no ripple is left along the arm."""
    for name in ("moons", "spirals", "pinwheel"):
        mixture = toy(name).density
        nearest = torch.cdist(mixture.means, mixture.means).fill_diagonal_(9).min(1).values
        assert float((nearest / mixture.stds).median()) < 1


def test_a_drawing():
    cells = torch.zeros(4, 4)
    cells[0, 3] = 1  # top right
    x = drawn(cells).sample(500, 0)
    assert float(x.min()) >= 2 and float(x.max()) <= 4
    with refuses("cells", error=Mistake):
        drawn(torch.zeros(4, 4))


def test_unknown_name():
    with refuses("name", "8gaussians", Mistake):
        toy("cat")
