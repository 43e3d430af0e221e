"""The part of minibatch transport by batch size: its table, and whom it fits."""

import numpy as np
import pytest

from analysis.evaluate import __main__ as evaluate
from analysis.evaluate.flow import transport
from analysis.evaluate.tables.markdown import Table
from analysis.evaluate.tables.parts import Job
from analysis.flow import transport as pairs
from flow_core.densities.toys import toy
from foundation.randomness import FIRST_SEED
from tests.analysis.evaluate.flow.test_points import random_flow


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, value in {"NOISES": 32, "PAIRINGS": 6, "REFERENCE": 200}.items():
        monkeypatch.setattr(pairs, name, value)


def test_the_table_and_whom_it_fits():
    model = random_flow("otcfm", 0.0, "velocity")
    model.card["recipe"] = {"training": {"batch": 256}}
    rows = transport.measure_transport(toy("8gaussians"), 2, sizes=(4, 16))
    blocks = transport.transport_blocks(rows, transport.net_mmd2(model, toy("8gaussians"), 2), 256, "8gaussians", 2)
    again = pairs.measure_transport(toy("8gaussians"), FIRST_SEED, 2, sizes=(4, 16))
    assert np.allclose([r.mmd2.value for r in rows], again.mmd2.mean(1))
    table = next(b for b in blocks if isinstance(b, Table))
    assert len(table.rows) == 2 and blocks[-1].figures["cost"] == [r.cost.value for r in rows]
    assert [n for n, p in evaluate.FLOW_PARTS.items() if p.fits(model)] == ["quality", "transport"]
    assert not transport.transported(random_flow())
    (block,) = transport.transport(Job(random_flow(), 2)).blocks
    assert isinstance(block, str)
