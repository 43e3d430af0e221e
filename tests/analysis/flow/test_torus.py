"""A flow of angles: distances by hand, copies beyond the edges, the drawn density, sentences for what is missing."""

import numpy as np
import pytest
import torch

from analysis.core.errors import UserError
from analysis.flow import torus
from analysis.flow.torus import AnglesRequest, TorusFlows, at_corners, copies
from flow_core import save
from flow_core.model import FlowModel
from flow_core.networks import TorusConfig
from flow_core.samplers import sample
from flow_core.series import alanine
from flow_core.series.scores import jensen_shannon
from flow_core.torus import TORUS_PATH, uniform, wrap
from flow_core.training.torus import TORUS_FLOW
from tests.flow_core.wrapped_mixtures import WrappedMixture
from tests.refusals import refuses

WORLD = WrappedMixture([[3.0, 2.6], [-1.2, -0.5]], [0.3, 0.3], [0.6, 0.4])


def frames(n, seed):
    return WORLD.sample(2 * n, torch.Generator().manual_seed(seed)).float().view(2, n, 2).numpy()


@pytest.fixture
def flows(tmp_path, monkeypatch):
    torch.manual_seed(0)
    save(FlowModel(TORUS_FLOW, TorusConfig(width=8, depth=1)), tmp_path / "torus-alanine.flow.safetensors", {})
    monkeypatch.setattr(torus.alanine, "load", lambda: alanine.Dihedrals(frames(1000, 0), 1.0, "ours"))
    return TorusFlows(tmp_path)


def test_distances_by_hand(flows):
    r = flows.angles(AnglesRequest("euler", 3, 5, 500))
    every = frames(1000, 0)
    train, test = every[:, :700].reshape(-1, 2), every[:, 800:].reshape(-1, 2)
    x = sample("euler", flows.model, uniform(500, 2, torch.Generator().manual_seed(5)), TORUS_PATH, 3).x
    truth = alanine.ramachandran(test)
    assert r.distance == pytest.approx(jensen_shannon(alanine.ramachandran(wrap(x).numpy()), truth))
    assert r.training == pytest.approx(jensen_shannon(alanine.ramachandran(train), truth))
    assert r.nfe == 3 and r.trajectories.shape == (500, 4, 2) and np.abs(r.trajectories[:, 0]).max() <= np.pi
    np.testing.assert_allclose(r.points, wrap(x), atol=1e-5)
    at = np.linspace(-np.pi, np.pi, 721)
    shares = [(v[:, None] <= at).mean(0) for v in (wrap(x).numpy()[:, 1], test[:, 1])]
    assert r.marginals[1] == pytest.approx(np.abs(shares[0] - shares[1]).max(), abs=0.02)


def test_a_perfect_flow_is_near_the_floor_and_even_angles_are_far(flows, monkeypatch):
    monkeypatch.setattr(TorusFlows, "model", property(lambda self: WORLD.oracle()))
    r = flows.angles(AnglesRequest("heun", 40, 0, 400))
    assert r.distance == pytest.approx(r.floor, abs=0.08) and r.flat > r.distance + 0.3
    assert max(r.marginals) < 0.12  # of 400 and 400 samples, 1.63 sqrt(2 / 400) at one per cent


def test_lines_that_leave_the_square_are_seen_on_the_other_side():
    lines = np.array([[[3.0, 0.0], [3.5, 0.0]], [[0.0, 0.0], [1.0, 1.0]], [[3.0, -3.0], [3.5, -3.5]]], np.float32)
    got = copies(lines)
    assert len(got) == 2 + 1 + 2  # over a corner: both ends are inside once
    ends = {tuple(np.round(v, 3)) for v in got.reshape(-1, 2)}
    assert (np.float32(3.5 - 2 * np.pi).round(3), 0.0) in ends
    ways = (got[:, 1] - got[:, 0])[:, None] - (lines[:, 1] - lines[:, 0])[None]
    assert np.abs(ways).max(2).min(1).max() < 1e-5  # each as long and straight as it was


def test_the_drawn_density_is_that_of_the_cells_and_the_same_at_both_edges():
    histogram = np.zeros((36, 36))
    histogram[0, 10] = 1.0  # phi just above -pi
    density, axis = at_corners(histogram)
    assert np.array_equal(density[:, 0], density[:, -1]) and np.array_equal(density[0], density[-1])
    assert density[10, 0] > 0 and density[0, 10] == 0  # rows are psi
    cell = 2 * np.pi / 36
    assert density[:-1, :-1].sum() * cell**2 == pytest.approx(1) and axis[-1] == pytest.approx(np.pi)


def test_what_is_missing_is_a_sentence(tmp_path, flows):
    with refuses("file"):
        TorusFlows(tmp_path / "nothing").angles(AnglesRequest())
    (tmp_path / "other").mkdir()
    save(
        FlowModel(TORUS_FLOW, TorusConfig(dims=3, width=8, depth=1)),
        tmp_path / "other/torus-alanine.flow.safetensors",
        {},
    )
    with refuses("net"):
        TorusFlows(tmp_path / "other").angles(AnglesRequest())
    with pytest.raises(UserError):
        AnglesRequest(sampler="published")
