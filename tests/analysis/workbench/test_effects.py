"""The Workbench's answers about effects, modes, validity and labels: against the pure functions and brute force."""

import math

import numpy as np
import pytest
import torch

from analysis.core.errors import UserError
from analysis.koopman import effects, scenes
from analysis.workbench.effects import EffectRequest
from analysis.workbench.probes import AttributionRequest, BandLabelsRequest, LinearityRequest
from analysis.workbench.spectrum import ModeRequest, SurgeryRequest
from analysis.workbench.workbench import Workbench
from foundation import noise
from foundation.networks.unet import UNetConfig
from foundation.randomness import FIRST_SEED, MAX_SEED
from koopman_core.edm import SIGMA_MAX
from koopman_core.model import KoopmanConfig, KoopmanDiffusion
from tests.analysis.conftest import NETWORK, random_pair
from tests.refusals import refuses

pytestmark = pytest.mark.usefixtures("no_backbone")


@pytest.fixture(scope="module")
def bench():
    return Workbench(*random_pair())


def started(bench, seeds):
    with torch.no_grad():
        return bench.model.encode(SIGMA_MAX * noise(seeds, (3, 16, 16)), SIGMA_MAX)


def stop(share, what):
    raise KeyboardInterrupt


def test_cumulative_effect_is_the_mean_over_seeds(bench):
    r = bench.cumulative_effect(EffectRequest((1, 2, 3), times=5))
    e = effects.cumulative_effect(started(bench, [1, 2, 3]), bench.entries, torch.linspace(1, 0, 5))
    np.testing.assert_allclose(r.joint, e.share.mean(0).numpy(), rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(r.bands, r.joint.sum(0))
    np.testing.assert_allclose(r.levels, r.joint.sum(1))
    assert r.bands[:, 0].tolist() == [0, 0, 0] and r.bands[:, -1].sum() == pytest.approx(1) and r.moves
    assert r.tau.tolist() == [1, 0.75, 0.5, 0.25, 0] and r.sigma[0] == 80 and r.sigma[-1] == pytest.approx(0.002)
    assert r.names[-1] == "bottleneck" and r.decoded_bands is None and np.isfinite(r.bands_sd).all()
    assert np.isnan(bench.cumulative_effect(EffectRequest((1,), times=3)).bands_sd).all()


def test_a_slider_over_bands_encodes_nothing_again(bench):
    bench.cumulative_effect(EffectRequest((4, 5)))
    before = bench.encodes
    for edge in (0.2, 0.4):
        bench.cumulative_effect(EffectRequest((4, 5), edges=(edge,), kind="energy"))
    assert bench.encodes == before


def test_decoded_effect_and_its_progress(bench):
    told = []
    request = EffectRequest((1, 2), times=3, decoded_times=2)
    with pytest.raises(KeyboardInterrupt):
        bench.cumulative_effect(request, progress=stop)
    r = bench.cumulative_effect(request, progress=lambda share, what: told.append(share))
    assert r.decoded_tau.tolist() == [1, 0] and r.decoded_bands.shape == (3, 2) and r.decoded_levels.shape == (5, 2)
    assert (r.decoded_levels > 0).any() and told == sorted(told) and told[-1] == 1 and len(told) > 4
    assert bench.cumulative_effect(request, progress=stop) is r  # kept
    assert bench.cumulative_effect(EffectRequest((1,), decoded_times=1)).decoded_tau.tolist() == [0]


def test_an_idle_model_does_not_move():
    model = KoopmanDiffusion(UNetConfig(**NETWORK), KoopmanConfig(evolved="none"))
    torch.nn.init.normal_(model.operators[0].a)  # an operator that the ablation holds still
    r = Workbench(model).cumulative_effect(EffectRequest((1,), times=4))
    assert not r.moves and not r.bands.any()


def test_mode_card(bench):
    r = bench.mode(ModeRequest(7, entry=1, modes=(9, 2, 9), times=3, ablation="zero"))
    e = bench.entries[1]
    assert r.name == "skip 1" and r.index.tolist() == [2, 9]
    for n, index in enumerate((2, 9)):
        place = np.unravel_index(index, e.alpha.shape)
        assert (r.pair[n], r.row[n], r.column[n]) == place and r.alpha[n] == pytest.approx(float(e.alpha[place]))
        assert r.half_life[n] == pytest.approx(math.log(2) / abs(r.alpha[n]))
        assert r.period[n] == pytest.approx(2 * math.pi / abs(float(e.beta[place])))
    with torch.no_grad():
        z = bench.model.evolve(started(bench, [7]), 1.0, 0.0)
        full = bench.model.decode(z)
        for index in (2, 9):
            k, i, j = np.unravel_index(index, e.alpha.shape)
            z[1][0, 2 * k : 2 * k + 2, i, j] = 0
        difference = (full - bench.model.decode(z))[0]
    assert r.energy.shape == (2, 3) and 0 < r.share[-1] < 1
    assert r.mse == pytest.approx(float(difference.square().mean()), rel=1e-2)
    shown = (r.contribution.astype(float) - 128) / 127.5 / r.magnification
    assert np.abs(shown - difference.permute(1, 2, 0).numpy()).max() <= 1.05 / 127.5 / r.magnification + 1e-5


def test_surgery(bench):
    same = bench.surgery(SurgeryRequest(3))
    assert np.array_equal(same.full, same.altered) and same.mse == 0 and same.held == 0 and same.magnification == 1
    assert same.modes.sum() == sum(e.alpha.numel() for e in bench.entries)
    with torch.no_grad():  # all rates times 0: the model with A = 0
        idle = bench.model.decode(started(bench, [3]))
    r = bench.surgery(SurgeryRequest(3, alpha_scale=(0.0,) * 3, beta_scale=(0.0,) * 3, ablation="zero"))
    expected = ((idle[0].permute(1, 2, 0).clamp(-1, 1) * 127.5) + 128).clamp(0, 255).numpy().astype(np.uint8)
    assert np.abs(r.altered.astype(int) - expected).max() <= 1 and r.mse > 0 and r.growth == 1
    far = bench.surgery(SurgeryRequest(3, edges=(0.5,), alpha_shift=(-8.0, 0.0), entries=(4,)))
    assert far.held > 0 and far.growth == pytest.approx(math.exp(8), rel=1e-5)
    assert far.modes.sum() == bench.entries[4].alpha.numel()


def test_linearity(bench):
    told = []
    request = LinearityRequest((1, 2), steps=4, dmd_rank=3)
    with pytest.raises(KeyboardInterrupt):
        bench.linearity(request, progress=stop)
    r = bench.linearity(request, progress=lambda share, what: told.append(share))
    assert r.learned.shape == r.identity.shape == r.fitted.shape == r.spread.shape == (5, 4)
    assert r.differences["fitted"].shape == r.common.shape == (5, 4) and (r.common < 1).all()
    assert np.allclose(r.learned[:, 0], 0, atol=1e-5) and np.isfinite(r.learned).all() and r.lpips is None
    assert ((r.fitted**2).sum(1) <= (r.learned**2).sum(1) + 1e-9).all()
    assert ((r.fitted**2).sum(1) <= (r.identity**2).sum(1) + 1e-9).all()
    assert r.fitted_alpha[2].shape == tuple(bench.entries[2].alpha.shape) and r.mse["learned"].shape == (4,)
    assert len(r.dmd) == 5 and 1 <= len(r.dmd[0].alpha) <= 3 and 0 < r.dmd[0].captured <= 1
    assert told == sorted(told) and told[-1] == pytest.approx(1)
    assert bench.linearity(request, progress=stop) is r
    assert bench.linearity(LinearityRequest((1,), steps=4, dmd_rank=0, decoded=False)).dmd is None


def test_linearity_needs_a_teacher_and_dmd_an_even_grid():
    model, teacher = random_pair()
    with refuses("teacher"):
        Workbench(model).linearity(LinearityRequest((1,)))
    other = KoopmanDiffusion(UNetConfig(**NETWORK), KoopmanConfig(warp="log"))
    assert Workbench(other, teacher).linearity(LinearityRequest((1,), steps=4, decoded=False)).dmd is None


def test_attribution(bench):
    request = AttributionRequest(pairs=8, sigma=1.0, rows=("place", "colour"), draws=100, seed=0, measure="latent")
    with pytest.raises(KeyboardInterrupt):
        bench.attribution(request, progress=stop)
    r = bench.attribution(request)
    assert r.rows == ("place", "colour") and r.share.shape == (2, 5, 3) and r.names[0] == "skip 0"
    assert r.bands.sum(1) == pytest.approx([1, 1]) and r.levels.sum(1) == pytest.approx([1, 1])
    assert (r.levels_low <= r.levels + 1e-9).all() and (r.levels <= r.levels_high + 1e-9).all()
    before, after = scenes.scene_pairs("place", 8)
    level = noise(range(8), (3, 16, 16))
    with torch.no_grad():
        a, b = (bench.model.encode(scenes.draw("shapes", x, 16) + level, 1.0) for x in (before, after))
    squares = torch.stack([(x - y).square().sum((1, 2, 3)) for x, y in zip(a, b, strict=True)], 1)
    np.testing.assert_allclose(r.levels[0], (squares / squares.sum(1, keepdim=True)).mean(0), rtol=1e-3)
    assert AttributionRequest().rows == () and AttributionRequest().seed == FIRST_SEED
    carried = bench.attribution(
        AttributionRequest(pairs=8, sigma=1.0, carried=True, rows=("place",), draws=100, seed=0, measure="latent")
    )
    assert np.abs(carried.levels[0] - r.levels[0]).max() > 1e-4


def test_band_labels(bench):
    request = BandLabelsRequest((1, 2, 3), edges=(0.5,), draws=100)
    with pytest.raises(KeyboardInterrupt):
        bench.band_labels(request, progress=stop)
    r = bench.band_labels(request)
    assert r.power.shape == (2, len(r.frequency)) and sorted(r.coarse_to_fine) == [0, 1] and len(r.distinct) == 1
    assert (r.low <= r.centroid + 1e-9).all() and (r.centroid <= r.high + 1e-9).all() and (r.change > 0).all()


def test_classes_reach_every_answer():
    model, _ = random_pair(1, classes=3)
    bench = Workbench(model)
    pictures = {label: bench.mode(ModeRequest(1, 0, (0,), label=label)).full.tobytes() for label in (-1, 0, 2)}
    assert len(set(pictures.values())) == 3
    bench.cumulative_effect(EffectRequest((1, 2), label=1, times=2, decoded_times=2))
    bench.surgery(SurgeryRequest(1, label=1))
    bench.band_labels(BandLabelsRequest((1,), label=2, draws=100))
    bench.attribution(AttributionRequest(pairs=8, rows=("size",), draws=100))
    for label in (3, "a", math.nan):
        with refuses("label"):
            bench.cumulative_effect(EffectRequest((1,), label=label))


def test_levels_and_modes_that_are_not_there(bench):
    with refuses("entry", "levels 0 to 4"):
        bench.mode(ModeRequest(1, 5, (0,)))
    with refuses("entries", "levels 0 to 4"):
        bench.surgery(SurgeryRequest(1, entries=(5,)))
    with refuses("modes", "modes 0 to"):
        bench.mode(ModeRequest(1, 4, (10**6,)))


@pytest.mark.parametrize("seed", [-1, math.nan, "3", None, True, 1.5, MAX_SEED + 1, [1]])
def test_bad_seeds(seed):
    for make in (
        lambda: EffectRequest((seed,)), lambda: ModeRequest(seed, 0, (0,)), lambda: SurgeryRequest(seed),
        lambda: LinearityRequest((seed,)), lambda: AttributionRequest(seed=seed), lambda: BandLabelsRequest((seed,)),
    ):  # fmt: skip
        with pytest.raises(UserError, check=lambda e: e.field in ("seed", "seeds")):
            make()


@pytest.mark.parametrize(
    ("request_of", "bad"),
    [
        *((EffectRequest, {"seeds": (1,), **b}) for b in (
            {"edges": (0.7, 0.3)}, {"order": "size"}, {"kind": "work"}, {"kind": 3}, {"times": 1}, {"times": 1e9},
            {"decoded_times": 17}, {"seeds": ()}, {"seeds": tuple(range(65))},
            {"seeds": tuple(range(64)), "decoded_times": 3},
        )),
        *((ModeRequest, {"seed": 1, "entry": 0, "modes": (0,), **b}) for b in (
            {"modes": ()}, {"modes": (-1,)}, {"modes": tuple(range(4097))}, {"modes": 3}, {"modes": ("a",)},
            {"entry": -1}, {"entry": None}, {"tau": 1.1}, {"tau": math.nan}, {"times": 257},
        )),
        *((SurgeryRequest, {"seed": 1, **b}) for b in (
            {"alpha_scale": (1.0,)}, {"alpha_scale": (1, 1, 5)}, {"alpha_shift": (0, 0, -9)}, {"beta_scale": 2},
            {"beta_shift": (0, 0, math.inf)}, {"entries": (99,)}, {"entries": None}, {"tau": -0.1}, {"edges": "a"},
        )),
        *((LinearityRequest, {"seeds": (1,), **b}) for b in (
            {"steps": 3}, {"steps": 25}, {"decoded": 1}, {"dmd_rank": 65}, {"dmd_rank": -1},
        )),
        *((AttributionRequest, b) for b in (
            {"pairs": 7}, {"pairs": 513}, {"sigma": 0}, {"sigma": 81}, {"carried": "yes"}, {"rows": ("mood",)},
            {"rows": ([],)}, {"draws": 99}, {"rows": "size"},
        )),
        *((BandLabelsRequest, b) for b in ({"draws": 20_000}, {"edges": ()}, {"order": None})),
    ],
)  # fmt: skip
def test_nonsense_is_answered_with_a_sentence(request_of, bad):
    with pytest.raises(UserError) as told:
        request_of(**bad)
    assert str(told.value).endswith(".")


def test_a_models_own_scenes_are_those_that_it_learned():
    model, _ = random_pair()
    model.card = {"name": "faces", "data": {"spec": "portraits"}}
    bench = Workbench(model)
    found = bench.attribution(AttributionRequest(8, rows=("everything", "mouth")))
    assert found.rows == ("mouth", "everything") and found.bands.shape == (2, 3)
    with refuses("rows", "hair colour"):
        bench.attribution(AttributionRequest(8, rows=("turn",)))
