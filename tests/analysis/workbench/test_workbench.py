"""The seam: right answers, encode once, bit-equal repeats, sentences for nonsense."""

import math

import numpy as np
import pytest
import torch

from analysis.core.errors import UserError
from analysis.koopman import spectrum
from analysis.workbench.images import GenerateRequest, TrajectoryRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.spectrum import MaskRequest
from analysis.workbench.workbench import Workbench
from foundation import noise
from foundation.data.pictures import to_bytes
from foundation.randomness import MAX_SEED
from koopman_core.edm import SIGMA_MAX, heun_sample, karras_sigmas
from tests.refusals import refuses

pytestmark = pytest.mark.usefixtures("no_backbone")


@pytest.fixture(scope="module")
def bench(models):
    return ModelLibrary(models).get("shapes")


def as_picture(x):
    return to_bytes(x)[0].permute(1, 2, 0).numpy()


def test_generate_is_one_call_a_picture_and_bit_equal_at_any_batch(bench):
    together = bench.generate(GenerateRequest((5, 6, 7)))
    assert together.nfe == 1 and together.pictures.shape == (3, 16, 16, 3) and together.pictures.dtype == np.uint8
    for i, seed in enumerate((5, 6, 7)):
        assert np.array_equal(bench.generate(GenerateRequest((seed,))).pictures[0], together.pictures[i])
        with torch.no_grad():
            assert np.array_equal(as_picture(bench.model.one_step(noise([seed], (3, 16, 16)))), together.pictures[i])


def test_trajectory_against_a_fresh_sampler_run(bench):
    r = bench.trajectory(TrajectoryRequest(3, steps=6))
    assert r.nfe_teacher == 11 and r.nfe_model == 1 and r.lpips is None
    assert r.sigma.tolist() == pytest.approx(karras_sigmas(6).tolist())
    assert r.tau[0] == pytest.approx(1) and r.tau[-1] == pytest.approx(0, abs=1e-9)
    seen = []
    x = SIGMA_MAX * noise([3], (3, 16, 16))
    final = heun_sample(bench.teacher, x, karras_sigmas(6), lambda i, s, x, d: seen.append((s, x, d)))
    with torch.no_grad():
        z = bench.model.encode(x, SIGMA_MAX)
        for i, (sigma, state, denoised) in enumerate(seen):
            path = bench.model.decode(bench.model.evolve(z, 1.0, float(r.tau[i])))
            assert np.abs(as_picture(path).astype(int) - r.koopman[i]).max() <= 1
            assert np.array_equal(as_picture(denoised), r.denoised[i])
            assert np.array_equal(as_picture(state / math.sqrt(1 + sigma**2)), r.state[i])
            assert r.mse[i] == pytest.approx(float((path - denoised).square().mean()), rel=1e-4)
    assert np.array_equal(as_picture(final.x), r.final)


def test_the_path_ends_at_the_one_step_picture(bench):
    r = bench.trajectory(TrajectoryRequest(4, steps=4))
    one = bench.generate(GenerateRequest((4,))).pictures[0]
    assert np.abs(r.koopman[-1].astype(int) - one).max() <= 1


def test_a_slider_encodes_once(bench):
    bench.trajectory(TrajectoryRequest(11, steps=4))
    before = bench.encodes
    for gain in (0.0, 0.3, 0.9):
        bench.mask_bands(MaskRequest(11, gains=(gain, 1.0, 1.0)))
    bench.trajectory(TrajectoryRequest(11, steps=5))
    assert bench.encodes == before


def test_progress_can_cancel_and_nothing_is_kept(bench):
    def stop(share, what):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.trajectory(TrajectoryRequest(21, steps=5), progress=stop)
    seen = []
    bench.trajectory(TrajectoryRequest(21, steps=5), progress=lambda share, what: seen.append(share))
    assert seen == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_full_retention_changes_nothing_and_none_leaves_the_empty_picture(bench):
    whole = bench.mask_bands(MaskRequest(2))
    assert np.array_equal(whole.full, whole.masked) and whole.mse == 0
    none = bench.mask_bands(MaskRequest(2, gains=(0.0, 0.0, 0.0), ablation="zero"))
    with torch.no_grad():
        empty = bench.model.decode([torch.zeros(1, *e.shape) for e in bench.entries])
    assert np.abs(as_picture(empty).astype(int) - none.masked).max() <= 1
    assert none.mse > 0


def test_energy_shares_by_hand(bench):
    r = bench.mask_bands(MaskRequest(2, edges=(0.5,), gains=(1.0, 0.0), entries=(0,)))
    assert r.share.sum() == pytest.approx(1) and r.modes.sum() == bench.entries[0].alpha.numel()
    with torch.no_grad():
        z = bench.model.evolve(bench.model.encode(SIGMA_MAX * noise([2], (3, 16, 16)), SIGMA_MAX), 1.0, 0.0)[0][0]
    pairs = z.view(-1, 2, *z.shape[1:]).square().sum(1).flatten()
    order = torch.argsort(bench.entries[0].alpha.flatten(), stable=True)
    low = order[: round(len(order) / 2)]
    assert r.share[0] == pytest.approx(float(pairs[low].sum() / pairs.sum()), rel=1e-4)


def test_spectrum_is_the_models(bench):
    r = bench.spectrum()
    assert r.warp == "karras" and [e.name for e in r.entries][-1] == "bottleneck"
    for e, operator in zip(r.entries, bench.model.operators, strict=True):
        assert np.allclose(e.beta, operator.beta.detach().numpy())
        assert sorted(e.rank.flatten().tolist()) == list(range(e.alpha.size))


def test_classes_are_checked(models):
    bench = ModelLibrary(models).get("many")
    assert bench.classes == ("a", "b", "c")
    pictures = {label: bench.generate(GenerateRequest((1,), label)).pictures.tobytes() for label in (-1, 0, 2)}
    assert len(set(pictures.values())) == 3
    assert bench.trajectory(TrajectoryRequest(1, label=2)).denoised is None  # it has no teacher
    for label in (3, -2, 1.5, "a", math.nan):
        with refuses("label"):
            bench.generate(GenerateRequest((1,), label))


@pytest.mark.parametrize("seed", [-1, 1e30, 10**400, math.nan, math.inf, "3", None, True, 1.5, MAX_SEED + 1, [1]])
def test_bad_seeds(seed):
    for make in (lambda: GenerateRequest((seed,)), lambda: TrajectoryRequest(seed), lambda: MaskRequest(seed)):
        with pytest.raises(UserError, check=lambda e: e.field in ("seed", "seeds")):
            make()


@pytest.mark.parametrize(
    "bad",
    [
        {"edges": (0.7, 0.3)}, {"edges": (math.nan, 0.5)}, {"edges": ("a", "b")}, {"edges": ()}, {"edges": 0.5},
        {"gains": (1.0, 1.0)}, {"gains": (1.0, -1.0, 1.0)}, {"gains": (1.0, math.inf, 1.0)}, {"gains": None},
        {"order": "size"}, {"entries": (99,)}, {"entries": ("x",)},
        {"entries": None}, {"entries": 3}, {"gains": (10**400, 1, 1)},
    ],
)  # fmt: skip
def test_bad_masks(bad):
    with pytest.raises(UserError):
        MaskRequest(0, **bad)


def test_levels_that_are_not_there(bench):
    with refuses("entries", "levels 0 to 4"):
        bench.mask_bands(MaskRequest(0, entries=(5,)))


def test_too_many_pictures_and_steps():
    with refuses("seeds", "1 to 64"):
        GenerateRequest(tuple(range(65)))
    with refuses("steps", "4 to 40"):
        TrajectoryRequest(0, steps=41)


def test_the_modes_of_a_level_are_sorted_once(bench, monkeypatch):
    sorts, ranks = [], spectrum.ranks
    monkeypatch.setattr(spectrum, "ranks", lambda alpha, order: sorts.append(order) or ranks(alpha, order))
    fresh = Workbench(bench.model)
    for gains in ((0, 1, 1), (1, 1, 0), (1, 0.5, 1)):
        fresh.mask_bands(MaskRequest(3, gains=gains, order="abs"))
    assert sorts == ["abs"] * len(fresh.entries)
