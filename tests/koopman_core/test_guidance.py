"""Guided denoisers: the formula, the interval, and counted calls."""

import math

import numpy as np
import pytest
import torch

from foundation.networks.unet import UNetConfig
from koopman_core.edm import EDM
from koopman_core.guidance import GuidanceConfig, Guided
from koopman_core.trajectories import Trajectories, TrajectoryConfig, write_trajectories

TINY = UNetConfig(resolution=8, base=8, multipliers=(1, 2), blocks=1, attention=(), embedding=16, classes=3)


def net(seed, classes=3):
    torch.manual_seed(seed)
    model = EDM(UNetConfig(**{**TINY.to_dict(), "classes": classes})).eval().requires_grad_(False)
    torch.nn.init.normal_(model.net.decoder.conv.weight, std=0.1)
    return model


@pytest.fixture(scope="module")
def x():
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


LABELS = torch.tensor([0, 1, 2, -1])


@pytest.mark.parametrize("guided_by_itself", [True, False])
def test_formula_inside_and_the_teacher_outside_of_the_interval(x, guided_by_itself):
    teacher, guide = net(0), None if guided_by_itself else net(1)
    denoise = Guided(teacher, GuidanceConfig(scale=2.5, low=0.5, high=4.0), guide)
    for sigma, inside in ((0.4, False), (0.5, True), (2.0, True), (4.0, True), (4.1, False)):
        level = torch.tensor(sigma)
        with torch.no_grad():
            good = teacher(x, level, LABELS)
            bad = teacher(x, level, None) if guided_by_itself else guide(x, level, LABELS)
            got = denoise(x, level, LABELS)
        torch.testing.assert_close(got, good * 2.5 - bad * 1.5 if inside else good, atol=1e-5, rtol=1e-5)
        if guided_by_itself:  # what has no class is led nowhere
            torch.testing.assert_close(got[3], good[3], atol=1e-5, rtol=1e-5)
    assert denoise.calls == 5 + 3


def test_scale_one_is_the_teacher_at_its_own_cost(x):
    denoise = Guided(net(0), GuidanceConfig(), net(1))
    assert torch.equal(denoise(x, torch.tensor(1.0), LABELS), net(0)(x, torch.tensor(1.0), LABELS))
    assert denoise.calls == 1


@pytest.mark.parametrize("bad", [{"scale": -1.0}, {"scale": math.nan}, {"low": 2.0, "high": 1.0}, {"low": -1.0}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValueError):
        GuidanceConfig(**bad)


def test_guides_that_cannot_lead_are_refused():
    with pytest.raises(ValueError):
        Guided(net(0, classes=0), GuidanceConfig(scale=2.0))
    with pytest.raises(ValueError):
        Guided(net(0), GuidanceConfig(scale=2.0), net(1, classes=0))


def test_guided_trajectories_are_their_own_and_say_so(tmp_path):
    teacher, guide = net(0), net(1)
    config = TrajectoryConfig(count=4, steps=4, shard_size=4, batch=2)
    guided = Guided(teacher, GuidanceConfig(scale=3.0, low=0.01, high=5.0), guide)
    write_trajectories(teacher, config, tmp_path / "guided", guided=guided)
    write_trajectories(teacher, config, tmp_path / "plain")
    one, two = Trajectories(tmp_path / "guided"), Trajectories(tmp_path / "plain")
    assert one.teacher == two.teacher
    assert one.index["guidance"]["scale"] == 3.0 and "guidance" not in two.index
    rows, first, third = np.arange(4), np.zeros(4, np.int64), np.full(4, 2)
    assert torch.equal(one.denoised(rows, first), two.denoised(rows, first))  # sigma = 80 lies outside
    x, sigma, labels = one.states(rows, third), one.sigmas[2].float(), one.labels(rows)
    with torch.no_grad():
        want = 3 * teacher(x, sigma, labels) - 2 * guide(x, sigma, labels)
    torch.testing.assert_close(one.denoised(rows, third), want, atol=1e-3, rtol=1e-3)
    with pytest.raises(ValueError):
        write_trajectories(teacher, config, tmp_path / "guided")
