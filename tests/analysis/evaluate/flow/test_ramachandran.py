"""A flow of angles beside the simulation: distances by hand, the floor of independent draws, whom it fits."""

import numpy as np
import pytest
import torch

from analysis.evaluate import __main__ as evaluate
from analysis.evaluate.flow import ramachandran
from analysis.evaluate.tables.parts import Job
from flow_core.model import FlowModel
from flow_core.networks import TorusConfig
from flow_core.samplers import sample
from flow_core.series import alanine
from flow_core.series.scores import jensen_shannon
from flow_core.torus import TORUS_PATH, uniform, wrap
from flow_core.training.torus import TORUS_FLOW
from tests.analysis.evaluate.flow.test_points import random_flow
from tests.flow_core.wrapped_mixtures import WrappedMixture

WORLD = WrappedMixture([[-1.4, 2.6], [-1.2, -0.5]], [0.3, 0.3], [0.6, 0.4])


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = FlowModel(TORUS_FLOW, TorusConfig(width=8, depth=1)).eval().requires_grad_(False)
    model.card = {"name": "angles", "data": {"name": "alanine"}}
    return model


def data(n, seed):
    return WORLD.sample(n, torch.Generator().manual_seed(seed)).float()


def test_distances_by_hand(model, monkeypatch):
    monkeypatch.setattr(ramachandran, "CALLS", ((1, "euler"), (4, "heun")))
    train, test = data(900, 0), data(300, 1)
    rows, others, floor = ramachandran.measure(model, train, test, 2)
    truth = alanine.ramachandran(test.numpy())
    want = []
    for i in range(2):
        start = uniform(300, 2, torch.Generator().manual_seed(ramachandran.FIRST_SEED + i))
        x = sample("heun", model, start, TORUS_PATH, 4).x
        want.append(jensen_shannon(alanine.ramachandran(wrap(x).numpy()), truth))
    assert rows["flow, Heun, 4 calls"].value == pytest.approx(np.mean(want))
    assert others["training part"] == pytest.approx(jensen_shannon(alanine.ramachandran(train.numpy()), truth))
    # independent data: its own parts differ about as draws do; uniform angles are far away
    assert 0.1 < floor.value < others["training part"] * 1.4 and others["uniform angles"] > 0.6
    blocks = ramachandran.blocks(rows, others, floor, 300, 2)
    assert blocks[-1].figures["floor"] == floor.value


def test_a_perfect_flow_reaches_the_floor():
    """The closed form of a wrapped mixture in place of a net, against independent data of it."""
    test = data(2000, 2)
    start = uniform(2000, 2, torch.Generator().manual_seed(3))
    x = sample("heun", WORLD.oracle(), start, TORUS_PATH, 30).x
    mine = jensen_shannon(alanine.ramachandran(wrap(x).numpy()), alanine.ramachandran(test.numpy()))
    other = jensen_shannon(alanine.ramachandran(data(2000, 4).numpy()), alanine.ramachandran(test.numpy()))
    assert mine == pytest.approx(other, abs=0.03)


def test_whom_it_fits(model):
    assert [n for n, p in evaluate.FLOW_PARTS.items() if p.fits(model)] == ["ramachandran"]
    (block,) = ramachandran.ramachandran(Job(random_flow(), 2)).blocks
    assert isinstance(block, str)
