"""Walks between two noises, and the teacher at few calls."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from analysis.core.errors import UserError
from analysis.core.images import as_pictures
from analysis.workbench.images import GenerateRequest, TrajectoryRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.walks import FewCallsRequest, WalkRequest
from foundation import noise


@pytest.fixture(scope="module")
def bench(models):
    return ModelLibrary(models, default="shapes").get("shapes")


def test_a_walk_begins_and_ends_with_the_pictures_of_its_seeds(bench):
    ends = bench.generate(GenerateRequest((3, 8))).pictures
    result = bench.walk(WalkRequest(3, 8, frames=5))
    assert result.pictures.shape[0] == 5 and result.nfe == 1
    np.testing.assert_array_equal(result.pictures[[0, -1]], ends)


def test_the_middle_of_a_walk_is_the_mean_of_the_noises_times_root_two(bench):
    x, y = noise([3], bench.model.picture_shape), noise([8], bench.model.picture_shape)
    with torch.inference_mode():
        middle = as_pictures(bench.model.one_step((x + y) / math.sqrt(2), None))[0]
    result = bench.walk(WalkRequest(3, 8, frames=3))
    assert np.abs(result.pictures[1].astype(int) - middle).max() <= 1


def test_a_walk_reports_every_picture(bench):
    shares = []
    bench.walk(WalkRequest(0, 1, frames=4), lambda share, what: shares.append(share))
    np.testing.assert_allclose(shares, [0, 1 / 3, 2 / 3, 1])


def test_the_teacher_makes_as_many_calls_as_are_asked_for(bench):
    result = bench.few_calls(FewCallsRequest(2, calls=(1, 5, 7)))
    assert result.calls.tolist() == [1, 5, 7]
    # seven calls are four levels: the teacher's own picture of a trajectory
    np.testing.assert_array_equal(result.pictures[2], bench.trajectory(TrajectoryRequest(2, steps=4)).final)


def test_eulers_method_by_hand(bench):
    x = 80 * noise([2], bench.model.picture_shape)
    with torch.inference_mode():  # two levels: 80, 0.002, and 0
        for now, after in ((80.0, 0.002), (0.002, 0.0)):
            x = x + (after - now) * (x - bench.teacher(x, torch.tensor(now), None)) / now
    result = bench.few_calls(FewCallsRequest(2, calls=(2,), method="euler"))
    assert result.calls.tolist() == [2] and np.abs(result.pictures[0].astype(int) - as_pictures(x)[0]).max() <= 1


def test_one_call_of_the_teacher_is_its_denoised_noise(bench):
    with torch.inference_mode():
        x = 80 * noise([2], bench.model.picture_shape)
        once = as_pictures(bench.teacher(x, torch.tensor(80.0), None))[0]
    found = bench.few_calls(FewCallsRequest(2, calls=(1,))).pictures[0]
    assert np.abs(found.astype(int) - once).max() <= 1  # in another order of rounding


def test_what_cannot_be_asked():
    with pytest.raises(UserError):
        FewCallsRequest(0, calls=(1, 4))
    with pytest.raises(UserError):
        WalkRequest(0, 1, frames=1)
