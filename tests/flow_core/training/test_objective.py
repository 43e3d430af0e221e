"""What a flow's task draws: pairs of noise and data, and the labels that belong to the data."""

import pytest
import torch

from flow_core.densities.mixtures import GaussianMixture
from flow_core.densities.toys import Toy, toy
from flow_core.model import FlowConfig, FlowModel
from flow_core.networks import PointConfig
from flow_core.training.objective import FlowTask, ObjectiveConfig
from flow_core.training.points import toy_task
from foundation.mistakes import Mistake
from tests.refusals import refuses

CENTRES = torch.tensor([[-4.0, 0.0], [0.0, 4.0], [4.0, 0.0]])


def draw_data(n, generator):
    labels = torch.randint(3, (n,), generator=generator)
    return CENTRES[labels] + 0.1 * torch.randn(n, 2, generator=generator), labels


def task(path, draw=draw_data, **objective):
    model = FlowModel(FlowConfig(path, 0.0, predicts="velocity"), PointConfig(width=4, depth=1))
    return FlowTask(model, draw, ObjectiveConfig(**objective))


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("n", [1, 2, 6, 129])
def test_labels_travel_with_the_data_that_transport_pairs(n, within):
    x0, x1, _, _, labels = task("otcfm", within_classes=within).draw(0, n, torch.Generator().manual_seed(n))
    assert torch.equal(torch.cdist(x1, CENTRES).argmin(1), labels)
    assert len({tuple(p) for p in x1.tolist()}) == n and x0.shape == x1.shape


@pytest.mark.parametrize("within,shift", [(False, 0.5), (True, 0.15)])
def test_transport_within_classes_leaves_each_class_standard_normal_noise(within, shift):
    """Over all classes, the class on the left gets the noise of the left: its mean is far from 0."""
    x0, _, _, _, labels = task("otcfm", within_classes=within).draw(0, 600, torch.Generator().manual_seed(0))
    left = x0[labels == 0].mean(0)
    assert (float(left.norm()) > shift) is not within  # standard error of a mean here: .07 a coordinate
    cost = {}
    for flag in (False, True):
        a, b, *_ = task("otcfm", within_classes=flag).draw(0, 600, torch.Generator().manual_seed(0))
        cost[flag] = float((a - b).square().sum(1).mean())
    independent, b, *_ = task("icfm").draw(0, 600, torch.Generator().manual_seed(0))
    assert cost[False] < cost[True] < float((independent - b).square().sum(1).mean())


def test_within_classes_needs_labels():
    with pytest.raises(ValueError):
        task("otcfm", lambda n, g: draw_data(n, g)[:1], within_classes=True).draw(0, 4, torch.Generator())


# ---------------------------------------------------------------------------------------------------------------------
# Sources


def test_pairs_begin_at_the_source():
    source = Toy("two", GaussianMixture([[-6.0, 0.0], [6.0, 0.0]], 0.1), 8.0)
    for path, predicts in (("icfm", "velocity"), ("otcfm", "velocity"), ("meanflow", "average")):
        flow = FlowConfig(path, 0.0, predicts=predicts)
        made = toy_task(toy("moons"), flow, PointConfig(width=4, depth=1), source=source)
        x0, x1, *_ = made.draw(0, 40, torch.Generator().manual_seed(0))
        assert float((x0[:, 0].abs() - 6).abs().max()) < 0.5 and float(x0[:, 1].abs().max()) < 0.5
        assert float((x1[:, 0].abs() - 6).abs().min()) < float((x1[:, 0].abs() - 6).abs().max()) - 1
        assert made.model.flow.source == "two" and made.model.flow.source_std == pytest.approx(18.01**0.5, rel=1e-3)
        if path == "otcfm":  # transport from there: sides do not cross
            left, right = x1[x0[:, 0] < 0, 0], x1[x0[:, 0] > 0, 0]
            assert float(left.mean()) < float(right.mean())


def test_inputs_and_targets_of_a_wide_source_have_unit_size():
    """For Gaussian ends of spread 3 and 2.5: what the network sees, and what it is asked for, at every t."""
    g, n = torch.Generator().manual_seed(0), 100_000
    x0, x1 = 3 * torch.randn(n, 1, generator=g), 2.5 * torch.randn(n, 1, generator=g)
    flow = FlowConfig("icfm", 0.0, predicts="x1", data_std=2.5, source="wide", source_std=3.0)
    model = FlowModel(flow, PointConfig(dims=1, width=4, depth=1))
    for t in (0.1, 0.5, 0.9):
        x = t * x1 + (1 - t) * x0
        c_in, skip, out = model.scales(torch.tensor(t))
        target = (x1 - skip * x) / out
        assert float((c_in * x).std()) == pytest.approx(1, abs=0.01)
        assert float(target.std()) == pytest.approx(1, abs=0.01) and abs(float((target * x).mean())) < 0.05
    # the mean velocity is (x1 - x) / (1 - t) of the same x1, by hand
    mean = FlowModel(FlowConfig("meanflow", 0.0, predicts="average", data_std=2.5, source="wide", source_std=3.0),
                     PointConfig(dims=1, width=4, depth=1))  # fmt: skip
    x, t, end = x0[:5], torch.full((5,), 0.3), torch.full((5,), 0.8)
    with torch.no_grad():
        _, skip, out = mean.scales(t[:, None])
        f = mean.raw(x, t, interval=end - t)[0]
        torch.testing.assert_close(mean.average(x, t, end), (skip * x + out * f - x) / 0.7, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wrong,field", [
    ({"path": "idff", "sigma": 0.2}, "source"), ({"path": "vp", "sigma": 0.0}, "source"),
    ({"path": "icfm", "sigma": 0.0, "source": "normal"}, "source_std"),
    ({"path": "icfm", "sigma": 0.0, "source_std": 0.0}, "source_std"),
])  # fmt: skip
def test_sources_that_make_no_sense(wrong, field):
    with refuses(field, error=Mistake):
        FlowConfig(**{"source": "moons", "source_std": 2.0, "predicts": "x1", **wrong})
