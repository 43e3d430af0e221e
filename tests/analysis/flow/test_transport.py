"""Minibatch transport by batch size: pairs by hand, laws of the pairs, what can be asked."""

import numpy as np
import pytest
import torch

from analysis.core.errors import UserError
from analysis.figures.flow import transport_figure
from analysis.flow import transport
from analysis.flow.points import PointFlows
from analysis.flow.transport import TransportRequest
from flow_core.densities.mixtures import GaussianMixture
from flow_core.densities.toys import Toy

FAR = Toy("far", GaussianMixture([[9.0, 0.0], [-9.0, 0.0]], 0.1), 10.0)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, value in {"NOISES": 32, "PAIRINGS": 6, "REFERENCE": 200}.items():
        monkeypatch.setattr(transport, name, value)


@pytest.mark.parametrize("size", [8, 32, 64])
def test_pairs_of_every_noise_in_every_batch(size):
    x0 = torch.randn(32, 2, generator=torch.Generator().manual_seed(0))
    x1 = transport.partners(x0, FAR, size, 5, torch.Generator().manual_seed(1))
    assert x1.shape == (5, 32, 2) and bool((x1[..., 0].abs() > 8).all())
    again = transport.partners(x0, FAR, size, 5, torch.Generator().manual_seed(1))
    assert torch.equal(x1, again)
    agree = ((x1[..., 0] > 0) == (x0[:, 0] > 0)).float().mean()
    assert float(agree) > 0.7  # halves: but for the luck of a batch's shares, sign goes to sign


def test_batches_of_one_pair_at_random_and_larger_ones_cost_less():
    r = transport.measure_transport(FAR, 100, 2, sizes=(1, 8, 64))
    cost = r.cost.mean(1)
    assert r.sizes.tolist() == [1, 8, 64] and r.cost.shape == r.mmd2.shape == r.scatter.shape == (3, 2)
    assert cost[0] > cost[1] > cost[2]
    # independent: |x1 - x0|^2 has mean 81 + 2 + .02
    assert cost[0] == pytest.approx(83, abs=4)
    # at random the mean of six partners is often near the middle, where no data are
    assert r.mmd2[0].mean() > r.mmd2[2].mean() and r.scatter[0].mean() > 5 > r.scatter[2].mean()


def test_a_question_of_any_density_and_its_figure():
    flows, told = PointFlows(), []
    asked = TransportRequest("drawn", ((0, 1), (1, 0)), (2, 16), seed=4)
    r = flows.transport(asked, lambda share, what: told.append((share, what)))
    assert np.array_equal(r.cost, flows.transport(asked).cost)
    assert not np.array_equal(r.cost, flows.transport(TransportRequest("drawn", ((0, 1), (1, 0)), (2, 16), 5)).cost)
    assert TransportRequest(sizes=(16, 2, 16)).sizes == (2, 16)
    assert np.isnan(r.spread).all() and np.isfinite(r.mmd2).all()  # a grid has no modes
    assert told == sorted(told, key=lambda t: t[0]) and told[-1][0] == pytest.approx(1)
    mmd2, cost = transport_figure(r).data
    assert np.allclose(mmd2.y, r.mmd2.mean(1)) and np.allclose(cost.y, r.cost.mean(1)) and cost.yaxis == "y2"
    assert np.allclose(mmd2.error_y.array, r.mmd2.std(1, ddof=1)) and list(mmd2.x) == [2, 16]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"density": "x"}, "density"), ({"density": "drawn"}, "drawing"), ({"drawing": ((1, 1), (1, 1))}, "drawing"),
        ({"sizes": ()}, "sizes"), ({"sizes": (0,)}, "sizes"), ({"sizes": (2048,)}, "sizes"),
        ({"sizes": tuple(range(1, 10))}, "sizes"), ({"seed": -1}, "seed"),
        ({"seeds": 1}, "seeds"), ({"seeds": 9}, "seeds"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_asked_names_its_field(changes, field):
    with pytest.raises(UserError) as caught:
        TransportRequest(**changes)
    assert caught.value.field == field
