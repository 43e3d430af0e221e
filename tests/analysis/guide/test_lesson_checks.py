"""Replies of the tour follow the numbers: other numbers, other replies."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from analysis.core.errors import UserError
from analysis.flow.points import Flow2DRequest, PointFlows, SweepResult
from analysis.guide import lessons
from analysis.guide.lessons import clarity, growing_mode, linear, missed_least, most_detail, nearest_flow, outline
from analysis.koopman.editing import EditNumbers
from analysis.koopman.spectrum import band_names
from analysis.workbench.editing import EditRequest
from analysis.workbench.images import TrajectoryRequest, TrajectoryResult
from analysis.workbench.library import ModelLibrary
from analysis.workbench.probes import LinearityRequest
from analysis.workbench.spectrum import MaskRequest, SpectrumEntryResult
from tests.refusals import refuses
from tests.sentences import NUMBER, numbers, tells

SIDE, LEVELS = 16, 6
TRAJECTORY = TrajectoryRequest(3, steps=LEVELS)


def frames(seed=0) -> np.ndarray:
    """Pictures whose detail turns from one into another; the last one is the other."""
    rng = np.random.default_rng(seed)
    one, other = rng.uniform(-90, 90, (2, SIDE, SIDE, 3))
    angles = np.linspace(0, np.pi / 2, LEVELS)
    return np.stack([128 + np.cos(a) * one + np.sin(a) * other for a in angles]).clip(0, 255).astype(np.uint8)


def trajectory(pictures):
    sigma = np.geomspace(80, 0.002, len(pictures))
    none = dict.fromkeys(("denoised", "state", "final", "mse", "lpips"))
    result = TrajectoryResult(sigma, np.linspace(1, 0, len(sigma)), pictures, **none, nfe_model=1, nfe_teacher=0)
    return SimpleNamespace(trajectory=lambda request, report=None: result)


def high_pass(picture):
    """Independent of `analysis.koopman.editing`: scipy's Gaussian, normalised at the border."""
    x = picture.astype(np.float64) / 127.5 - 1
    blur = {"sigma": (2, 2, 0), "mode": "constant", "truncate": 12}
    return x - gaussian_filter(x, **blur) / gaussian_filter(np.ones_like(x), **blur)


def test_clarity_is_a_correlation_of_detail():
    pictures = frames()
    expected = [np.corrcoef(high_pass(p).ravel(), high_pass(pictures[-1]).ravel())[0, 1] for p in pictures]
    assert clarity(pictures) == pytest.approx(expected, abs=1e-9)
    assert clarity(np.full((3, SIDE, SIDE, 3), 7, np.uint8)).tolist() == [0, 0, 0]


def test_the_outline():
    bench = trajectory(frames())
    first = int(np.argmax(clarity(frames()) >= 0.5))
    same = outline(bench, TRAJECTORY, first)
    assert same.right and tells(same.text, first + 1, LEVELS, 0.5, first + 1)
    late = outline(bench, TRAJECTORY, first + 1)
    assert late.right and tells(late.text, first + 2, LEVELS, 0.5, first + 1) and numbers(late.text)[-1] == 1
    assert outline(bench, TRAJECTORY, LEVELS - 1).right is None and outline(bench, TRAJECTORY, None).right is None
    flat = trajectory(np.full((4, SIDE, SIDE, 3), 9, np.uint8))
    assert outline(flat, TRAJECTORY, 1).right is None and not numbers(outline(flat, TRAJECTORY, 1).text)
    for bad in (-1, LEVELS, 1.5, "2", True):
        with refuses("level"):
            outline(bench, TRAJECTORY, bad)


def test_far_from_the_outline_is_told():
    pictures = np.concatenate([np.repeat(frames()[:1], 6, 0), frames()[-1:]])
    reply = outline(trajectory(pictures), TRAJECTORY, 1)
    assert reply.right is False and numbers(reply.text)[-1] == 5  # levels too early


def linearity(learned, mse=None, apart=None):
    apart = None if apart is None else {"learned": np.array(apart)}
    result = SimpleNamespace(names=("skip 0", "bottleneck"), learned=np.array(learned), differences=apart, mse=mse)
    return SimpleNamespace(linearity=lambda request, report=None: result)


def test_linearity_names_its_range():
    request = LinearityRequest((2,))
    rough = linearity([[0, 0.6, 0.8], [0, 0.8, 1.0]])
    low, high = np.sqrt((0.36 + 0.64) / 2), np.sqrt((0.64 + 1) / 2)
    reply, middle = linear(rough, request, 0.8), (low + high) / 2
    assert reply.right and tells(reply.text, 0.8, round(middle, 2), round(low, 2), "skip 0", round(high, 2))
    verdicts = {guess: linear(rough, request, guess).right for guess in (0.65, 0.75, 0.9, 0.95)}
    assert verdicts == {0.65: False, 0.75: True, 0.9: True, 0.95: False}  # .1 around the median .806
    assert numbers(reply.text)[-1] == 10 and not tells(reply.text, 10, "skip 0")  # no level, and no pictures
    half = linear(linearity([[0, 0.05, 0.05], [0, 0.5, 0.5]]), request, 0.3)
    assert tells(half.text, 10, "skip 0") and not tells(half.text, 10, "bottleneck")
    shared = linear(linearity([[0, 0.05, 0.05], [0, 0.05, 0.05]], apart=[[0, 0.3, 0.3], [0, 0.08, 0.08]]), request, 0.3)
    assert tells(shared.text, 0.08, "bottleneck", 0.3, "skip 0", 10, "bottleneck")


def test_a_guess_that_was_not_made_is_not_measured():
    silent = SimpleNamespace(linearity=lambda *_: pytest.fail("measured"))
    assert linear(silent, LinearityRequest((2,)), lessons.UNTOUCHED).right is None


def test_linearity_of_pictures_goes_both_ways():
    words = []
    for still in (0.4, 0.5, 0.1):
        mse = {"learned": np.array([9.0, 0.2, 0.2]), "identity": np.array([9.0, still, still])}
        text = linear(linearity([[0, 1, 1], [0, 1, 1]], mse), LinearityRequest((2,)), 1.0).text
        assert tells(text, 10, 0, 0.2, still)  # A = 0
        words.append(NUMBER.sub("", text))
    assert words[0] == words[1] != words[2]


def level(alpha):
    alpha = np.array(alpha, np.float32).reshape(-1, 2, 2)
    return SpectrumEntryResult(
        0, "skip 0", (2 * len(alpha), 2, 2), alpha, np.full_like(alpha, np.pi), np.zeros(alpha.shape)
    )


@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])  # all grow, some do, all fade: the tenth in front is the answer
def test_a_mode_of_the_tenth_that_grows_most(shift):
    alpha = np.random.default_rng(0).permutation(20) / 10 - 0.95 + shift
    right = [growing_mode(level(alpha), i).right for i in range(20)]
    assert sum(right) == 2 and {i for i, r in enumerate(right) if r} == set(np.argsort(alpha)[:2])


def test_what_a_mode_does_is_said():
    entry = level([-0.5, 0.25, 0.0, -1.0])
    grows = growing_mode(entry, 0)
    assert tells(grows.text, -0.5, round(np.exp(0.5), 2), 180, 4, 2, 1, 25)  # of 4 modes 2 grow, 1 more than this one
    assert grows.right is False and growing_mode(entry, 3).right is True
    assert tells(growing_mode(entry, 1).text, 0.25, round(np.exp(-0.25), 2)) and growing_mode(entry, None).right is None
    assert growing_mode(level([0.5] * 4), 1).right is None, "nothing is in front of the others"
    for bad in (4, -1, 0.5):
        with pytest.raises(UserError):
            growing_mode(entry, bad)


@pytest.mark.parametrize("least", [0, 1, 2])
def test_the_band_that_is_missed_least(least):
    asked = []

    def mask(request):
        asked.append(request)
        return SimpleNamespace(mse=0.01 if request.gains[least] == 0 else 0.5)

    bench = SimpleNamespace(mask_bands=mask)
    for away in range(3):
        gains = tuple(0.0 if b == away else 0.75 for b in range(3))
        reply = missed_least(bench, MaskRequest(2, edges=(0.2, 0.9), gains=gains, entries=(1,)))
        names = band_names(3)
        assert reply.right is (away == least) and tells(reply.text, names[least], 0.01, names[away], names[least])
    assert {r.gains for r in asked} == {(0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0)}
    assert {(r.edges, r.entries) for r in asked} == {((0.2, 0.9), (1,))}
    for gains in ((1, 1, 1), (0, 0, 1)):
        assert missed_least(bench, MaskRequest(2, gains=gains)).right is None


@pytest.mark.parametrize("most", [0, 1, 2])
def test_the_band_with_most_detail(most):
    def edit(request, report=None):
        detail = 0.4 if request.bands == (0, 1, 2) else 0.3 if request.bands == (most,) else 0.1
        return SimpleNamespace(numbers=EditNumbers(0.1, detail, 0.02 * len(request.bands)))

    bench = SimpleNamespace(edit=edit)
    for band in range(3):
        reply = most_detail(bench, EditRequest(2, bands=(band,)))
        assert reply.right is (band == most) and tells(reply.text, 0.3, 0.4, 0.02, 0.06)
    assert most_detail(bench, EditRequest(2, bands=(0, 1))).right is None
    flat = SimpleNamespace(edit=lambda request, report=None: SimpleNamespace(numbers=EditNumbers(0.1, None, 0.0)))
    assert most_detail(flat, EditRequest(2)).right is None and not numbers(most_detail(flat, EditRequest(2)).text)


def test_bands_without_detail_have_no_answer_and_even_ones_are_both_right():
    def bench(*detail):
        def edit(request, report=None):
            return SimpleNamespace(numbers=EditNumbers(0.1, detail[sum(request.bands) % 3], 0.02))

        return SimpleNamespace(edit=edit)

    for band in range(3):  # correlations of .03 agree with nobody
        assert most_detail(bench(0.03, 0.01, 0.02), EditRequest(2, bands=(band,))).right is None
    verdicts = [most_detail(bench(0.30, 0.31, 0.20), EditRequest(2, bands=(band,))).right for band in range(3)]
    assert verdicts == [True, True, False]


def sweep(runs, asked=None):
    def answer(request, report=None):
        if asked is not None:
            asked.append(request)
        of = np.array(runs, dtype=float)[:, None]
        none = np.zeros((0,))
        return SweepResult(np.array(request.nfes), of, of[0], none, (), none, none, np.array([0.0, 0.001]), none)

    return SimpleNamespace(sweep=answer)


def test_the_flow_that_comes_nearest():
    settings, names = [Flow2DRequest(nfe=7), Flow2DRequest(nfe=7, sampler="heun")], ["A: one", "B: two"]
    asked = []
    clear = sweep([[0.5, 0.6, 0.4], [0.1, 0.1, 0.2]], asked)
    assert nearest_flow(clear, settings, names, 0).right is False
    reply = nearest_flow(clear, settings, names, 1)
    assert reply.right and tells(reply.text, 7, "A: one", 0.5, "B: two", 0.1333, 0.0005, "B: two")
    assert not tells(reply.text, 0.0005, "A: one")
    assert asked[0].nfes == (7,) and asked[0].gammas == () and len(asked[0].settings) == 2
    near = sweep([[0.1, 0.4, 0.1], [0.2, 0.1, 0.2]])
    assert nearest_flow(near, settings, names, 0).right and nearest_flow(near, settings, names, 1).right
    assert tells(nearest_flow(near, settings, names, 1).text, 0.0005, "B: two", "A: one")  # not told apart
    gone = sweep([[np.nan] * 3, [0.1, 0.1, 0.1]])
    text = nearest_flow(gone, settings, names, 0).text
    assert tells(text, "A: one", "B: two", 0.1, 0.0005) and "nan" not in text
    assert nearest_flow(gone, settings, names, 0).right is False
    assert nearest_flow(sweep([[np.nan] * 3] * 2), settings, names, 0).right is None
    assert nearest_flow(clear, settings, names, None).right is None
    with refuses("choice"):
        nearest_flow(clear, settings, names, 2)


def test_real_models_answer(models):
    bench = ModelLibrary(models, default="shapes").get("shapes")
    request = LinearityRequest((2,), steps=4, dmd_rank=0)
    errors = np.sqrt(np.square(bench.linearity(request).learned[:, 1:]).mean(1))
    assert tells(linear(bench, request, 0.4).text, 0.4, round(errors.min(), 2))
    gains = (1.0, 0.0, 1.0)
    mse = float(f"{bench.mask_bands(MaskRequest(2, gains=gains)).mse:.3g}")
    assert tells(missed_least(bench, MaskRequest(2, gains=gains)).text, "middle α", mse)
    assert len(numbers(most_detail(bench, EditRequest(2, ratio=0.9)).text)) >= 4  # each band, and all of them
    assert outline(bench, TrajectoryRequest(2, steps=6), 1).text


def test_a_real_flow_answers():
    settings = [Flow2DRequest(path="icfm", nfe=n, net="oracle", points=64) for n in (2, 2)]
    settings[1] = replace(settings[1], sampler="heun")
    reply = nearest_flow(PointFlows(), settings, ["A", "B"], 0)
    assert reply.right is not None and tells(reply.text, 2, lessons.FLOW_SEEDS)
