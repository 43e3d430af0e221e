"""What a flow's task draws: pairs of noise and data, and the labels that belong to the data."""

import pytest
import torch

from flow_core.model import FlowConfig, FlowModel
from flow_core.networks import PointConfig
from flow_core.training.objective import FlowTask, ObjectiveConfig

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
