"""Minibatch transport by batch size: pairs by hand, laws of the pairs, the table."""

import pytest
import torch

from analysis.evaluate import __main__ as evaluate
from analysis.evaluate.flow import transport
from analysis.evaluate.tables.markdown import Table
from analysis.evaluate.tables.parts import Job
from flow_core.densities.mixtures import GaussianMixture
from flow_core.densities.toys import Toy, toy
from tests.analysis.evaluate.flow.test_points import random_flow

FAR = Toy("far", GaussianMixture([[9.0, 0.0], [-9.0, 0.0]], 0.1), 10.0)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, value in {"POINTS": 32, "PAIRINGS": 6, "TARGET_DATA": 200}.items():
        monkeypatch.setattr(transport, name, value)


@pytest.mark.parametrize("size", [8, 32, 64])
def test_pairs_of_every_noise_in_every_batch(size):
    x0 = torch.randn(32, 2, generator=torch.Generator().manual_seed(0))
    x1 = transport.partners(x0, FAR, size, 5, torch.Generator().manual_seed(1))
    assert x1.shape == (5, 32, 2) and bool((x1[..., 0].abs() > 8).all())
    if size <= 32:  # by optimality a noise on the far right of its batch never goes to the left of one on its left
        again = transport.partners(x0, FAR, size, 5, torch.Generator().manual_seed(1))
        assert torch.equal(x1, again)
    agree = ((x1[..., 0] > 0) == (x0[:, 0] > 0)).float().mean()
    assert float(agree) > 0.7  # halves: but for the luck of a batch's shares, sign goes to sign


def test_batches_of_one_pair_at_random_and_larger_ones_cost_less():
    rows = transport.measure_transport(FAR, 2, sizes=(1, 8, 64))
    assert [r.size for r in rows] == [1, 8, 64]
    costs = [r.cost.value for r in rows]
    assert costs[0] > costs[1] > costs[2]
    # independent: |x1 - x0|^2 has mean 81 + 2 + .02
    assert costs[0] == pytest.approx(83, abs=4)
    # at random the mean of six partners is often near the middle, where no data are
    assert rows[0].mmd2.value > rows[2].mmd2.value and rows[0].scatter.value > 5 > rows[2].scatter.value


def test_the_table_and_whom_it_fits():
    model = random_flow("otcfm", 0.0, "velocity")
    model.card["recipe"] = {"training": {"batch": 256}}
    rows = transport.measure_transport(toy("8gaussians"), 2, sizes=(4, 16))
    blocks = transport.transport_blocks(rows, transport.net_mmd2(model, toy("8gaussians"), 2), 256, "8gaussians", 2)
    table = next(b for b in blocks if isinstance(b, Table))
    assert len(table.rows) == 2 and blocks[-1].figures["cost"] == [r.cost.value for r in rows]
    assert [n for n, p in evaluate.FLOW_PARTS.items() if p.fits(model)] == ["quality", "transport"]
    assert not transport.transported(random_flow())
    (block,) = transport.transport(Job(random_flow(), 2)).blocks
    assert isinstance(block, str)
