"""The Workbench's restorations: what is known stays, and other questions get through between the steps."""

import math
import threading

import numpy as np
import pytest
import torch

from analysis.koopman import restoration
from analysis.workbench.library import ModelLibrary
from analysis.workbench.restoration import ColorizeRequest, InpaintRequest
from analysis.workbench.workbench import Workbench
from koopman_core.edm import SIGMA_MAX
from tests.analysis.workbench.test_editing import as_picture, hole, scene

pytestmark = pytest.mark.usefixtures("no_backbone")


@pytest.fixture(scope="module")
def bench(models):
    plain = ModelLibrary(models).get("shapes")
    return Workbench(plain.model, plain.teacher, "shapes")


@pytest.mark.parametrize("method", ["iterative", "latent"])
def test_inpainting_keeps_what_is_known(bench, method):
    r = bench.inpaint(InpaintRequest(scene(), hole(), seed=2, steps=3, method=method))
    assert np.array_equal(r.picture[~hole()], scene()[~hole()]) and np.array_equal(r.given[~hole()], scene()[~hole()])
    assert (r.given[hole()] == 128).all() and not np.array_equal(r.picture, scene())
    assert np.array_equal(r.frames[-1], r.picture) and len(r.frames) == len(r.sigma) == (
        3 if method == "iterative" else 1
    )
    assert math.isfinite(r.numbers.psnr) and r.numbers.lpips is None
    hidden = scene().copy()
    hidden[hole()] = 99
    other = bench.inpaint(InpaintRequest(hidden, hole(), seed=2, steps=3, method=method, truth=False))
    assert np.array_equal(other.picture, r.picture) and other.numbers is None


def test_inpainting_is_the_pure_function(bench):
    x = torch.from_numpy(scene().transpose(2, 0, 1).copy())[None].float() / 127.5 - 1
    expected = restoration.inpaint(bench.model, x, torch.from_numpy(hole()), 4, [9])
    r = bench.inpaint(InpaintRequest(scene(), hole(), seed=9, steps=4))
    assert np.array_equal(r.picture, as_picture(expected.x)) and r.nfe == 4
    assert r.sigma.tolist() == list(expected.sigmas) and r.sigma[0] == SIGMA_MAX


def test_progress_shows_every_step_and_stop_keeps_them(bench):
    seen = []

    def stop(share, picture):
        seen.append((share, picture))
        if share >= 0.5:
            raise restoration.Stop

    for ask, request in (
        (bench.inpaint, InpaintRequest(scene(), hole(), steps=4)),
        (bench.colorize, ColorizeRequest(scene(), steps=4)),
    ):
        seen.clear()
        r = ask(request, stop)
        assert [s for s, _ in seen] == [0.25, 0.5] and r.stopped and r.nfe == 2
        assert np.array_equal(r.frames, np.stack([p for _, p in seen])) and np.array_equal(r.picture, seen[-1][1])


def test_other_questions_get_through_between_the_steps(bench):
    free = []

    def look(share, picture):
        other = threading.Thread(
            target=lambda: free.append(bench.lock.acquire(timeout=5) and (bench.lock.release() or True))
        )
        other.start()
        other.join()

    bench.inpaint(InpaintRequest(scene(), hole(), steps=2), look)
    assert free == [True, True]


def test_colours_keep_the_luma(bench):
    r = bench.colorize(ColorizeRequest(scene(), seed=4, steps=3))
    weights = np.array([0.2989, 0.5870, 0.1140])
    for shown in (*r.frames, r.given):
        assert np.abs(shown @ weights - scene() @ weights).max() < 1.0  # rounding to bytes
    assert (r.given == r.given[..., :1]).all() and r.numbers is not None
    grey = bench.colorize(ColorizeRequest(r.given, seed=4, steps=3, truth=False))
    assert np.abs(grey.picture.astype(int) - r.picture).max() <= 8 and grey.numbers is None
