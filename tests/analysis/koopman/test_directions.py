"""Directions against full Jacobians, means by loops, and a decoder whose groups are known."""

import numpy as np
import pytest
import torch

from analysis.koopman import directions, jacobian
from analysis.koopman.jacobian import Jacobian, flat, in_region, off_the_rest, principal, regional, sketch, unflat
from analysis.koopman.scenes import DRAWN
from analysis.koopman.spectrum import band_masks
from foundation import noise
from foundation.mistakes import Mistake
from foundation.procedural import shapes
from koopman_core.edm import SIGMA_MAX
from koopman_core.operator import sigma_of_tau
from tests.refusals import refuses


@pytest.fixture(scope="module")
def point(model):
    with torch.no_grad():
        return model.evolve(model.encode(SIGMA_MAX * noise([3], (3, 16, 16)), SIGMA_MAX), 1.0, 0.0)


def smooth(x):
    """(B, 6) -> (B, 1, 2, 4), not linear, with a Jacobian of full rank."""
    mixed = x @ noise([11], (6, 8))[0] + 0.3 * (x**2) @ noise([12], (6, 8))[0]
    return torch.tanh(mixed).view(-1, 1, 2, 4)


def full(f, at):
    return torch.autograd.functional.jacobian(lambda x: f(x[None])[0], at)


def test_products_and_principal_directions_against_the_whole_jacobian():
    at = torch.linspace(-0.4, 0.5, 6)
    everywhere = in_region(smooth, torch.ones(2, 4))
    j, whole = Jacobian(everywhere, at), full(everywhere, at)
    v, u = noise([1], (3, 6))[0], noise([2], (3, 8))[0]
    torch.testing.assert_close(j.times(v), v @ whole.T)
    torch.testing.assert_close(j.transposed_times(u), u @ whole)
    found = principal(j, 3)
    _, s, right = torch.linalg.svd(whole.double())
    torch.testing.assert_close(found.values.double(), s[:3], atol=1e-5, rtol=1e-4)
    alike = (found.directions.double() @ right[:3].T).abs()
    torch.testing.assert_close(alike, torch.eye(3).double(), atol=2e-3, rtol=0)
    for rank in (0, 7):
        with refuses("rank", "1 .* 6", Mistake):
            principal(j, rank)


def test_a_direction_for_a_region_leaves_the_rest():
    at = torch.linspace(-0.4, 0.5, 6)
    region = torch.zeros(2, 4)
    region[:, :1] = 1
    inside, outside = full(in_region(smooth, region), at), full(in_region(smooth, 1 - region), at)
    found = regional(smooth, at, region, rank=1, rest=4)
    rest = torch.linalg.svd(outside.double())[2][:4]
    first = torch.linalg.svd(inside.double())[2][0]
    left = first - rest.T @ (rest @ first)
    assert abs(float(found.directions[0].double() @ left) / float(left.norm())) == pytest.approx(1, abs=1e-3)
    assert float(found.values[0]) == pytest.approx(float(torch.linalg.svdvals(inside.double())[0]), rel=1e-3)
    free = regional(smooth, at, region, rank=1)
    ratio = [float((outside @ d).norm() / (inside @ d).norm()) for d in (found.directions[0], free.directions[0])]
    assert ratio[0] < ratio[1]
    own = torch.eye(6)[:2]
    assert torch.equal(off_the_rest(own, own), torch.zeros(2, 6))


def test_the_decoders_directions_move_its_pictures_as_they_say(model, point):
    region = torch.zeros(16, 16)
    region[8:] = 1
    spread = 0.5 + flat(point)[0].abs()
    values, found = directions.decoder_directions(model, point, region, 2, 0, spread)
    decode, at = directions.flat_decoder(model), flat(point)[0]
    with torch.no_grad():
        for value, d in zip(values, found, strict=True):
            unit = d / (d / spread).norm()  # one standard deviation along it, coordinates measured in theirs
            small = 1e-2
            moved = (decode((at + small * unit)[None]) - decode((at - small * unit)[None]))[0] / (2 * small)
            assert float((moved * region).norm()) == pytest.approx(float(value), rel=0.03)


def test_flat_latents_keep_their_order(model, point):
    shapes_ = [e.shape for e in model.spectrum()]
    assert all(torch.equal(a, b) for a, b in zip(unflat(flat(point), shapes_), point, strict=True))
    columns = directions.pair_columns(model.spectrum())
    assert sorted(columns.tolist()) == list(range(flat(point).shape[1]))
    rows = flat(point)[0][columns].view(-1, 2)
    _, h, w = shapes_[1]
    before = np.prod(shapes_[0]) // 2
    assert torch.equal(rows[before + (2 * h + 1) * w + 3], point[1][0, 4:6, 1, 3])


def test_a_sketch_keeps_lengths_and_angles():
    at = torch.linspace(-0.4, 0.5, 6)
    everywhere = in_region(smooth, torch.ones(2, 4))
    rows = sketch(Jacobian(everywhere, at), 4000)
    whole = full(everywhere, at)
    torch.testing.assert_close(rows.T @ rows, whole.T @ whole, atol=0.1 * float((whole.T @ whole).max()), rtol=0)


def test_modes_with_the_same_effect_are_one_group():
    """20 modes of a linear decoder: seven move picture a, seven picture b, the others next to nothing."""
    a, b = torch.linalg.qr(noise([1], (30, 2))[0].double())[0].T.float()
    effect, kinds = torch.zeros(30, 40), torch.tensor([0] * 7 + [1] * 7 + [-1] * 6)
    size = 1 + torch.arange(20.0) / 20
    for k in range(20):
        direction = {0: a, 1: -b if k % 2 else b, -1: 1e-3 * a}[int(kinds[k])]
        effect[:, 2 * k], effect[:, 2 * k + 1] = 0.6 * size[k] * direction, 0.8 * size[k] * direction
    spread = torch.full((40,), 2.0)
    found = directions.mode_groups(effect, spread, 2)
    assert (found.number[kinds < 0] == -1).all()
    groups = [set(found.number[kinds == k].tolist()) for k in (0, 1)]
    assert all(len(g) == 1 for g in groups) and groups[0] != groups[1]
    for k, picture in ((0, a), (1, b)):
        g = int(found.number[kinds == k][0])
        moved = effect @ found.directions[g]
        assert abs(float(moved @ picture) / float(moved.norm())) == pytest.approx(1, abs=1e-5)
        wanted = float((2.0 * size[kinds == k]).norm())
        assert float(found.effect[g]) == pytest.approx(wanted, rel=1e-4)
    assert found.effect[0] >= found.effect[1]


@pytest.mark.parametrize("contrast", ["size", "colour.1", "kind=2"])
def test_a_factors_direction_is_a_difference_of_means(model, contrast):
    tau, count = 0.4, 48
    found = directions.factor_direction(model, "shapes", contrast, tau, count, seed=7)
    records = shapes.factors(np.arange(count), 7)
    if contrast == "kind=2":
        low, high = np.flatnonzero(records["kind"] != 2), np.flatnonzero(records["kind"] == 2)
    else:
        values = records["size"] if contrast == "size" else records["colour"][:, 1]
        third = np.quantile(values.astype(float), [1 / 3, 2 / 3])
        low, high = np.flatnonzero(values <= third[0]), np.flatnonzero(values >= third[1])
    sigma = float(sigma_of_tau(tau))
    means = []
    with torch.no_grad():
        for rows in (low, high):
            x = torch.from_numpy(shapes.render(records[rows], 16)).permute(0, 3, 1, 2).float() / 127.5 - 1
            z = model.encode(x + sigma * noise([7 + int(i) for i in rows], (3, 16, 16)), sigma)
            means.append(flat(model.evolve(z, tau, 0.0)).double().mean(0))
    torch.testing.assert_close(found.double(), means[1] - means[0], atol=1e-4, rtol=1e-3)


def test_unknown_contrasts_are_refused():
    records = shapes.factors(np.arange(32))
    for data in DRAWN:
        sample = DRAWN[data].factors(np.arange(400))
        assert len(directions.contrasts(data)) > 20
        for contrast in directions.contrasts(data):
            low, high = directions.sides(sample, contrast)
            values = directions.score(sample, contrast)
            assert values[low].max() < values[high].min()
    for bad in ("weather", "size=1.5", "colour", "colour.3", "size.0", "kind=x", ""):
        with refuses("contrast", error=Mistake):
            directions.score(records, bad)
    with refuses("pictures", "size", Mistake):
        directions.sides(np.repeat(records[:1], 8), "size")


def test_where_a_direction_lies(model):
    entries = model.spectrum()
    parts = [torch.zeros(1, *e.shape) for e in entries]
    parts[1][0, ::2] = band_masks(entries[1].alpha, (0.5,))[1].float()
    parts[4][0] = 0.0
    found = directions.placed(flat(parts)[0], entries, (0.5,), "alpha")
    assert found[1, 1] == pytest.approx(1) and float(found.sum()) == pytest.approx(1)


def test_a_step_is_measured_in_standard_deviations():
    d = torch.tensor([3.0, 4.0])
    assert torch.allclose(directions.step(d, 2.0, -1.5), torch.tensor([-1.8, -2.4]))
    assert directions.along(torch.tensor([[1.0, 1.0]]), d).tolist() == pytest.approx([1.4])
    assert jacobian.POWER_ROUNDS >= 1


def test_lines_are_found_whatever_the_signs():
    axes = torch.linalg.qr(noise([4], (5, 3))[0].double())[0].T
    truth = torch.arange(60) % 3
    units = axes[truth] + 0.05 * noise([5], (60, 5))[0].double()
    units = units / units.norm(dim=1, keepdim=True) * torch.where(torch.arange(60) % 2 == 0, 1.0, -1.0)[:, None]
    found = directions.lines(units, torch.ones(60).double(), 3, seed=1)
    assert all(len(set(found[truth == k].tolist())) == 1 for k in range(3)) and len(set(found.tolist())) == 3
