"""Questions about flows of pictures, on tiny random nets."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from analysis.core.errors import UserError
from analysis.figures.flow import BETTER, calls_figure
from analysis.flow.image_sweeps import PictureSweepRequest, PictureSweepResult, sweep
from analysis.flow.images import EXACT_NFE, MAX_WORK, FlowPicturesRequest, ImageFlows
from flow_core.model import load
from flow_core.samplers import Diverged
from foundation import noise
from tests.analysis.flow.image_flows import CLASSES
from tests.refusals import refuses


@pytest.fixture(scope="module")
def bench(flows_folder) -> ImageFlows:
    return ImageFlows(flows_folder)


def pixels(x: torch.Tensor) -> np.ndarray:
    """Pictures in [-1, 1] as bytes, written down again."""
    return np.clip(np.floor(127.5 * x.numpy().transpose(0, 2, 3, 1) + 128), 0, 255).astype(np.uint8)


def test_what_there_is(bench, tmp_path):
    kinds = {k.data: k for k in bench.kinds}
    assert list(kinds) == ["shapes", "cifar10", "liar"]  # the broken file is left out
    assert kinds["shapes"].paths == ("idff", "otcfm") and kinds["shapes"].classes == ()
    assert kinds["cifar10"].paths == ("idff",) and kinds["cifar10"].classes == tuple(CLASSES)
    assert ImageFlows(tmp_path).kinds == ()
    with refuses("net"):
        ImageFlows(tmp_path).flow_pictures(FlowPicturesRequest())


def test_euler_against_a_loop_of_its_own(bench, flows_folder):
    r = bench.flow_pictures(FlowPicturesRequest(seeds=(3, 5), nfe=4))
    model, x = load(flows_folder / "images-shapes.flow.safetensors"), noise([3, 5], (3, 16, 16))
    states, expected = [x], []
    for k in range(4):
        t = k / 4
        x1 = model(x, t).x1
        variance = (1 - t) * (1 - t + 0.04 * t)
        x = x + 0.25 * ((x1 - x) / (1 - t) - 0.02 * (t * x1 - x) / variance)
        states.append(x)
        expected.append(x1)
    assert r.nfe == 4 and r.derivatives == 0 and r.seconds > 0 and r.net == "images-shapes"
    assert np.allclose(r.times, [0, 0.25, 0.5, 0.75, 1])
    assert r.states.shape == (5, 2, 16, 16, 3) and r.predictions.shape == (4, 2, 16, 16, 3)
    for made, own in ((r.states, states), (r.predictions, expected)):
        assert np.abs(made.astype(int) - np.stack([pixels(s) for s in own])).max() <= 1
    assert np.array_equal(r.pictures, r.states[-1])


@pytest.mark.parametrize(
    ("sampler", "more", "calls", "derivatives"),
    [
        ("heun", {}, 5, 0), ("rk4", {}, 5, 0), ("taylor2", {}, 5, 0), ("multistep", {}, 5, 0),
        ("published", {}, 5, 0), ("momentum", {"gamma2": 0.3}, 5, 4), ("momentum", {"gamma3": 0.3}, 5, 8),
        ("matched", {}, 5, 0), ("bridge", {}, 5, 0),
    ],
)  # fmt: skip
def test_every_sampler_starts_from_the_same_noise_and_is_counted(bench, sampler, more, calls, derivatives):
    plain = bench.flow_pictures(FlowPicturesRequest(path="otcfm", seeds=(7, 8)))
    r = bench.flow_pictures(FlowPicturesRequest(sampler=sampler, gamma1=0.2, seeds=(7, 8), **more))
    assert (r.nfe, r.derivatives) == (calls, derivatives)
    assert np.array_equal(r.states[0], plain.states[0])
    assert not np.array_equal(r.pictures, plain.pictures)


def test_a_picture_does_not_depend_on_the_others(bench):
    for sampler in ("multistep", "bridge"):
        both = bench.flow_pictures(FlowPicturesRequest(sampler=sampler, seeds=(1, 2))).pictures
        alone = bench.flow_pictures(FlowPicturesRequest(sampler=sampler, seeds=(2,))).pictures
        assert np.abs(both[1].astype(int) - alone[0]).max() <= 1


def test_half_is_no_momentum_and_noise_is_drawn_for_each_seed(bench):
    plain = bench.flow_pictures(FlowPicturesRequest(seeds=(1, 2)))
    assert np.array_equal(
        plain.pictures, bench.flow_pictures(FlowPicturesRequest(sampler="momentum", seeds=(1, 2))).pictures
    )
    matched = FlowPicturesRequest(sampler="matched", gamma1=5.0, seeds=(1, 2))
    again = ImageFlows(bench.folder).flow_pictures(matched)
    assert np.array_equal(bench.flow_pictures(matched).pictures, again.pictures)
    assert not np.array_equal(again.pictures, plain.pictures)


def test_classes(bench):
    made = [bench.flow_pictures(FlowPicturesRequest("cifar10", label=k)).pictures for k in (-1, 0, 2)]
    assert not np.array_equal(made[0], made[1]) and not np.array_equal(made[1], made[2])
    for data, label in (("cifar10", 3), ("shapes", 0)):
        with refuses("label"):
            bench.flow_pictures(FlowPicturesRequest(data, label=label))


def test_distance_is_to_the_nets_own_plain_flow(bench, flows_folder, monkeypatch):
    monkeypatch.delenv("KOOPMAN_LPIPS", raising=False)
    request = FlowPicturesRequest(sampler="published", gamma1=0.2, nfe=2, seeds=(0, 4))
    told = []
    d = bench.distance(request, lambda share, what: told.append((share, what)))
    exact = [share for share, what in told if "images-shapes" in what]
    assert d.nfe == EXACT_NFE and len(exact) == 16 and exact == sorted(exact)
    made = bench.flow_pictures(request).pictures
    gap = (made.astype(float) - d.exact) / 127.5
    assert np.allclose(d.mse, (gap**2).mean(axis=(1, 2, 3))) and np.allclose(d.psnr, 10 * np.log10(4 / d.mse))
    # many small steps of Heun's method end at the same pictures
    fine = bench.flow_pictures(FlowPicturesRequest(sampler="heun", nfe=49, grid="cosine", seeds=(0, 4))).pictures
    assert np.abs(fine.astype(int) - d.exact).mean() < 0.5 < np.abs(made.astype(int) - d.exact).mean()
    assert bench.exact(dataclasses.replace(request, sampler="euler")) is d.exact  # kept


def test_a_run_can_be_given_up(bench):
    class Stop(Exception):
        pass

    def stop(share, what):
        raise Stop

    with pytest.raises(Stop):
        bench.distance(FlowPicturesRequest(seeds=(99,)), stop)
    with pytest.raises(Stop):
        sweep(bench, PictureSweepRequest((FlowPicturesRequest(seeds=(1, 2)),), (1,)), stop)


def test_sweep(bench):
    settings = (
        FlowPicturesRequest(seeds=(0, 1, 2)),
        FlowPicturesRequest(sampler="momentum", gamma3=1.0, seeds=(0, 1, 2)),
    )
    told = []
    r = sweep(bench, PictureSweepRequest(settings, (50, 1, 4)), lambda share, what: told.append(share))
    assert list(r.nfes) == [1, 4, 50] and r.distance.shape == (2, 3, 3) and r.measure in ("LPIPS", "PSNR")
    assert told == sorted(told) and told[0] >= 0 and told[-1] <= 1
    d = bench.distance(FlowPicturesRequest(seeds=(0, 1, 2), nfe=4))
    assert np.allclose(r.distance[0, 1], d.psnr if r.measure == "PSNR" else d.lpips, rtol=1e-3)
    nearer = r.distance[0, 2].mean() - r.distance[0, 0].mean()
    assert nearer > 0 if r.measure == "PSNR" else nearer < 0
    assert np.isfinite(r.distance[1, :2]).all() and np.isnan(r.distance[1, 2]).all()  # 900 calls are too many


def test_a_run_that_diverges_is_a_sentence_and_a_gap(bench, monkeypatch):
    setting = FlowPicturesRequest(seeds=(5, 6), nfe=2)
    bench.exact(setting)
    monkeypatch.setattr("flow_core.samplers.LIMIT", 0.5)
    with pytest.raises(UserError) as refused:
        bench.flow_pictures(setting)
    assert isinstance(refused.value.__context__, Diverged)
    assert np.isnan(sweep(bench, PictureSweepRequest((setting,), (2,))).distance).all()
    monkeypatch.undo()
    assert bench.flow_pictures(setting).nfe == 2  # a failure is not kept


def test_a_sweep_leaves_out_what_is_too_dear():
    setting = FlowPicturesRequest(sampler="momentum", gamma3=1.0, nfe=1, seeds=tuple(range(8)))
    assert PictureSweepRequest.at(setting, 50) is None and PictureSweepRequest.at(setting, 5).nfe == 5


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"nfe": 0}, "nfe"), ({"nfe": 51}, "nfe"), ({"seeds": ()}, "seeds"),
        ({"seeds": tuple(range(9))}, "seeds"), ({"seeds": (-1,)}, "seeds"), ({"gamma1": 1e6}, "gamma1"),
        ({"gamma3": math.nan}, "gamma3"), ({"path": "icfm"}, "path"), ({"sampler": "x"}, "sampler"),
        ({"grid": "x"}, "grid"), ({"label": -2}, "label"), ({"sampler": "matched", "gamma1": -1.0}, "gamma1"),
        ({"sampler": "published", "gamma3": 1.0, "nfe": 50, "seeds": (0, 1, 2, 3)}, "nfe"),
        ({"sampler": "taylor2", "nfe": 50, "seeds": (0, 1, 2, 3)}, "nfe"),
    ],
)  # fmt: skip
def test_questions_that_cannot_be_asked(changes, field):
    with refuses(field):
        FlowPicturesRequest(**changes)


def test_the_dearest_plain_question_is_allowed():
    assert FlowPicturesRequest(nfe=50, seeds=tuple(range(8))).work == 400 <= MAX_WORK
    assert FlowPicturesRequest(sampler="published", gamma2=1.0, gamma3=0.0).gammas == (0.5, 1.0)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"data": "../../etc/passwd"}, "data"),
        ({"data": "cifar10", "path": "otcfm"}, "net"),
        ({"path": "otcfm", "sampler": "published"}, "sampler"),
        ({"path": "otcfm", "sampler": "bridge"}, "sampler"),
        ({"data": "liar"}, "net"),
        ({"sampler": "published", "gamma1": 90.0, "gamma2": 90.0}, ""),
    ],
)  # fmt: skip
def test_what_a_net_cannot_do_is_a_sentence(bench, changes, field):
    with refuses(field):
        bench.flow_pictures(FlowPicturesRequest(**changes))


@pytest.mark.parametrize(
    "changes",
    [{"settings": ()}, {"settings": (1,)}, {"nfes": (0,)}, {"nfes": ()}, {"settings": (FlowPicturesRequest(),)}],
    ids=str,
)
def test_sweeps_that_cannot_be_asked(changes):
    with pytest.raises(UserError):
        PictureSweepRequest(**({"settings": (FlowPicturesRequest(seeds=(0, 1)),)} | changes))


def test_figure():
    distance = np.array([[[1.0, 3.0], [2.0, np.nan], [4.0, 6.0]], [[0.5, 0.7], [0.3, 0.5], [0.1, 0.3]]])
    figure = calls_figure(PictureSweepResult(np.array([1, 2, 5]), distance, "PSNR"), ["first", "second"])
    lines = {t.name: t for t in figure.data if t.name}
    assert np.array_equal(lines["first"].y, np.float32([2, np.nan, 5]), equal_nan=True)
    assert np.allclose(lines["second"].y, [0.6, 0.4, 0.2]) and BETTER["PSNR"] in figure.layout.yaxis.title.text
    band = next(t for t in figure.data if t.fill == "toself" and len(t.y) == 4)
    assert np.allclose(band.y[:2], [2 + np.sqrt(2), 5 + np.sqrt(2)])
