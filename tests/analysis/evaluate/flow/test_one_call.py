"""The table of one call: what is in it, paired by seed, and its verdict from the figures."""

import pytest

from analysis.evaluate import __main__ as evaluate
from analysis.evaluate.flow import one_call
from analysis.evaluate.flow import points as flow_points
from analysis.evaluate.tables.markdown import Table, Verdict
from analysis.evaluate.tables.parts import Job
from flow_core.densities.distances import MMD, blur
from flow_core.densities.toys import toy
from flow_core.model import FlowConfig, save
from flow_core.samplers import sample
from flow_core.training.points import toy_task
from tests.analysis.evaluate.flow.test_points import few, random_flow  # noqa: F401


@pytest.fixture
def mean():
    model = toy_task(toy("8gaussians"), FlowConfig("meanflow", 0.0, predicts="average"), random_flow().config).model
    model.card = {"name": "mean", "data": {"name": "8gaussians"}}
    return model.eval()


def test_the_rows_are_the_nets_at_the_calls_they_are_made_for(mean, tmp_path):
    save(random_flow("otcfm", 0.0, "velocity"), tmp_path / "toy-8gaussians-otcfm.flow.safetensors", {})
    density = toy("8gaussians")
    others = one_call.companions(mean, density, tmp_path)
    assert list(others) == ["OT-CFM"] and others["OT-CFM"].flow.path == "otcfm"
    rows, data = one_call.measure_one_call(mean, density, others, 2)
    assert {r.name: r.calls for r in rows} == {
        "MeanFlow, 1 call": 1, "MeanFlow, 2 calls": 2, "MeanFlow, 5 calls": 5,
        "MeanFlow, its velocity by Heun, 40 calls": 40, one_call.ONE: 1, one_call.FEW: 5,
        "exact mean velocity, 1 call": 1,
    }  # fmt: skip
    split = flow_points.split_of(mean, density, True, 2)
    by_hand = {n: sample("euler", net, split.start, net.path, 1).x for n, net in {"mine": mean, **others}.items()}
    values = {n: split.distances(x) for n, x in by_hand.items()}
    mine = rows[0]
    assert mine.mmd2.value == pytest.approx(float(values["mine"].mean()))
    assert mine.less[one_call.ONE].value == pytest.approx(float((values["mine"] - values["OT-CFM"]).mean()))
    spread = [blur(density.density, c).spread for c in by_hand["mine"].view(2, -1, 2)]
    assert mine.blur.spread.value == pytest.approx(sum(spread) / 2) and data.calls == 0
    # a perfect training ends at the data, up to the noise of so few points
    perfect = rows[-1]
    assert perfect.mmd2.value < 0.2 * mine.mmd2.value and isinstance(split.references[0], MMD)


def test_the_verdict_follows_from_the_paired_differences(mean):
    density = toy("8gaussians")
    rows, data = one_call.measure_one_call(mean, density, {"OT-CFM": random_flow("otcfm", 0.0, "velocity")}, 3)
    blocks = one_call.one_call_blocks(rows, data, "8gaussians", 3)
    verdict, table = blocks[-1], next(b for b in blocks if isinstance(b, Table))
    assert isinstance(verdict, Verdict) and len(table.rows) == len(rows) + 1
    assert verdict.figures["less"] == {o: rows[0].less[o].sign for o in (one_call.ONE, one_call.FEW)}


def test_it_is_a_part_of_mean_velocities_alone(mean):
    fits = [name for name, p in evaluate.FLOW_PARTS.items() if p.fits(mean)]
    assert fits == ["quality", "one-call"]
    (block,) = one_call.one_call(Job(random_flow(), 2)).blocks
    assert isinstance(block, str)
