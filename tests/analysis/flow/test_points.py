"""PointFlows: numbers against independent recomputations, the same noise everywhere, sentences for bad settings."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.core.errors import UserError
from analysis.figures.flow import POINTS_TRACE, flow_figure, gamma_figure, loss_figure, nfe_figure, preview_figure
from analysis.flow import points
from analysis.flow.nets import TrainRequest
from analysis.flow.points import Flow2DRequest, LikelihoodRequest, PointFlows, SweepRequest
from flow_core.densities.toys import toy
from flow_core.samplers import METHODS
from tests.refusals import refuses

ORACLE = {"net": "oracle", "points": 64}


@pytest.fixture(scope="module")
def bench() -> PointFlows:
    torch.set_num_threads(1)
    return PointFlows()


@pytest.mark.parametrize("sampler", [s for s in METHODS if s != "taylor2"])
@pytest.mark.parametrize("nfe", [1, 5])
def test_every_sampler_spends_what_was_asked(bench, sampler, nfe):
    r = bench.flow_2d(Flow2DRequest(sampler=sampler, nfe=nfe, gamma1=0.2, gamma2=-0.5, **ORACLE))
    assert r.nfe == nfe and r.net == "oracle"
    assert r.trajectories.shape == (64, len(r.times), 2) and r.predictions.shape == (64, len(r.times) - 1, 2)
    assert r.times[0] == 0 and r.times[-1] == 1 and np.isfinite(r.trajectories).all()
    assert np.array_equal(r.points, r.trajectories[:, -1])
    # order 2 costs one derivative a step in which sigma_t is not 0
    assert r.derivatives == (nfe - 1 if sampler in ("published", "momentum") else 0)


def test_euler_on_the_closed_form_by_hand(bench):
    """I-CFM: v = (x1_hat - x)/(1 - t), and x1_hat of a Gaussian mixture by Bayes' rule."""
    r = bench.flow_2d(Flow2DRequest(path="icfm", nfe=3, **ORACLE))
    angle = np.arange(8) * math.pi / 4
    means, var = 5 * np.stack([np.cos(angle), np.sin(angle)], 1), math.sqrt(0.1)
    x = r.trajectories[:, 0].astype(np.float64)
    for k in range(3):
        t = k / 3
        c = t**2 * var + (1 - t) ** 2
        w = np.exp(-((x[:, None] - t * means) ** 2).sum(2) / (2 * c))
        w /= w.sum(1, keepdims=True)
        x1 = (w[:, :, None] * (means + t * var / c * (x[:, None] - t * means))).sum(1)
        assert np.allclose(r.predictions[:, k], x1, atol=1e-4)
        x = x + (x1 - x) / (1 - t) / 3
        assert np.allclose(r.trajectories[:, k + 1], x, atol=1e-4)


def test_what_is_asked_twice_is_run_once(bench, monkeypatch):
    calls = []
    true = points.sample
    monkeypatch.setattr(points, "sample", lambda *args, **more: calls.append(args[0]) or true(*args, **more))
    request = Flow2DRequest(path="icfm", nfe=3, seed=77, **ORACLE)
    first = bench.flow_2d(request)
    assert bench.flow_2d(replace(request)) is first and len(calls) == 1
    assert bench.flow_2d(replace(request, nfe=4)).nfe == 4 and len(calls) == 2
    told = []
    assert bench.flow_2d(replace(request, nfe=4), lambda share, what: told.append(share)).nfe == 4 and not told


def test_another_net_of_the_same_question_answers_anew(bench, tmp_path):
    """Of "auto" a net may come to ship, or be gone, while the app runs."""
    mine, request = PointFlows(tmp_path), Flow2DRequest(path="idff", nfe=2, points=64)
    assert mine.flow_2d(request).net == "oracle"
    name = "toy-8gaussians.flow.safetensors"
    (tmp_path / name).write_bytes((bench.nets.folder / name).read_bytes())
    assert mine.flow_2d(request).net == "toy-8gaussians"


def test_numbers_by_hand(bench):
    """MMD^2 with explicit loops over pairs, W2 of two points by both assignments."""
    request = Flow2DRequest(nfe=2, **ORACLE)
    r = bench.flow_2d(request)
    y = bench.clouds.data(request, 3, 2048).numpy().astype(np.float64)
    x = r.points.astype(np.float64)

    def kernel(a, b):
        return np.exp(-((a[:, None] - b[None]) ** 2).sum(2) / 2)

    n, m = len(x), len(y)
    kxx, kyy, kxy = kernel(x, x), kernel(y, y), kernel(x, y).mean()
    assert math.isclose(r.numbers.mmd2_biased, kxx.mean() + kyy.mean() - 2 * kxy, abs_tol=1e-6)
    off = (kxx.sum() - n) / (n * (n - 1)) + (kyy.sum() - m) / (m * (m - 1)) - 2 * kxy
    assert math.isclose(r.numbers.mmd2, off, abs_tol=1e-6)
    eight = toy("8gaussians").density
    far = np.linalg.norm(x[:, None] - eight.means.numpy(), axis=2).min(1)  # all have one standard deviation
    assert math.isclose(r.numbers.spread, math.sqrt((far**2).mean() / 2), rel_tol=1e-5)
    assert r.numbers.beyond == (far > 3 * float(eight.stds[0])).mean() > r.floor.beyond
    assert r.w2_points == 64 and 0 < r.floor.w2 < 5 and abs(r.floor.mmd2) < 0.02
    assert r.numbers is r.oracle or r.oracle == r.numbers


def test_one_noise_for_all_settings_and_all_counts_of_points(bench):
    starts = [
        bench.flow_2d(Flow2DRequest(path=p, sampler=s, nfe=2, **ORACLE)).trajectories[:, 0]
        for p, s in (("icfm", "euler"), ("idff", "published"), ("idff", "bridge"))
    ]
    assert np.array_equal(starts[0], starts[1]) and np.array_equal(starts[0], starts[2])
    few = bench.flow_2d(Flow2DRequest(nfe=2, net="oracle", points=16)).points
    assert np.allclose(few, bench.flow_2d(Flow2DRequest(nfe=2, **ORACLE)).points[:16], atol=1e-5)
    other = bench.flow_2d(Flow2DRequest(nfe=2, seed=1, **ORACLE)).trajectories[:, 0]
    assert not np.array_equal(starts[0], other)


def test_gamma_one_half_is_the_plain_flow_and_the_multistep_beats_euler(bench):
    def at(**more):
        return bench.flow_2d(Flow2DRequest(net="oracle", points=512, **more))

    plain = at()
    assert np.allclose(at(sampler="momentum", gamma1=0.5).points, plain.points, atol=1e-5)
    assert not np.allclose(at(sampler="momentum", gamma1=5.0).points, plain.points, atol=1e-2)
    assert at(sampler="multistep").numbers.mmd2 < 0.6 * plain.numbers.mmd2
    assert np.array_equal(at(gamma1=3.0).points, plain.points)  # Euler reads no gamma


def test_contours_are_the_density(bench):
    density, axis = bench.contours(Flow2DRequest())
    cell = float(axis[1] - axis[0])
    assert math.isclose(density.sum() * cell**2, 1, abs_tol=1e-3)  # it integrates to 1
    at = torch.tensor([[float(axis[10]), float(axis[70])]], dtype=torch.float64)
    assert math.isclose(density[70, 10], float(toy("8gaussians").density.log_prob(at).exp()), rel_tol=1e-5)


def test_a_drawing_is_filled(bench):
    """All weight in the right upper quarter: all data there, and nearly all points."""
    request = Flow2DRequest(density="drawn", drawing=[[0, 1], [0, 0]], nfe=20, **ORACLE)
    assert (bench.clouds.data(request, 3, 64).numpy() > 0).all()
    assert (bench.flow_2d(request).points > -0.2).mean() > 0.97


BAD = [
    ({"nfe": 0}, "nfe"),
    ({"nfe": 51}, "nfe"),
    ({"nfe": math.nan}, "nfe"),
    ({"gamma1": 1e6}, "gamma1"),
    ({"gamma2": math.nan}, "gamma2"),
    ({"sigma0": 0}, "sigma0"),
    ({"sigma0": math.inf}, "sigma0"),
    ({"points": 4096}, "points"),
    ({"density": "cat"}, "density"),
    ({"density": "drawn"}, "drawing"),
    ({"drawing": [[1, 1], [1, 1]]}, "drawing"),
    ({"density": "drawn", "drawing": [[0, 0], [0, 0]]}, "drawing"),
    ({"density": "drawn", "drawing": [[1, math.nan], [0, 0]]}, "drawing"),
    ({"density": "drawn", "drawing": "x"}, "drawing"),
    ({"path": 3}, "path"),
    ({"sampler": "magic"}, "sampler"),
    ({"sampler": "matched", "gamma1": -1}, "gamma1"),
    ({"sampler": "published", "gamma1": 100.0, "net": "oracle", "sigma0": 1.0}, ""),
    ({"sampler": "momentum", "gamma1": -100.0, "net": "oracle", "sigma0": 2.0, "nfe": 20}, ""),
    ({"net": "trained-0"}, "net"),
    ({"net": 5}, "net"),
    ({"path": "otcfm", "net": "oracle"}, "net"),
    ({"density": "moons", "path": "sbcfm"}, "net"),
    ({"density": "moons", "path": "sbcfm", "net": "shipped"}, "net"),
    ({"seed": -1}, "seed"),
]


@pytest.mark.parametrize(("changes", "field"), BAD, ids=str)
def test_what_cannot_be_asked_names_its_field(bench, changes, field):
    with pytest.raises(UserError) as caught:
        bench.flow_2d(Flow2DRequest(**changes))
    assert caught.value.field == field and str(caught.value).rstrip().endswith(".")


def test_sweep(bench):
    settings = (
        Flow2DRequest(**ORACLE),
        Flow2DRequest(sampler="published", gamma2=0.0, **ORACLE),
        Flow2DRequest(sampler="matched", **ORACLE),
    )
    told = []
    r = bench.sweep(SweepRequest(settings, (2, 5), (-1.0, 2.0), 2), lambda share, what: told.append(share))
    assert r.by_nfe.shape == (3, 2, 2) and r.gamma_settings == (1, 2) and r.by_gamma.shape == (2, 2, 2)
    assert told[0] == 0 and max(told) < 1 and told == sorted(told)
    one = bench.flow_2d(Flow2DRequest(nfe=2, seed=1, **ORACLE)).numbers.mmd2
    assert r.by_nfe[0, 0, 1] == one == r.oracle_by_nfe[0, 1]
    moved = bench.flow_2d(Flow2DRequest(sampler="published", gamma1=2.0, **ORACLE)).numbers.mmd2
    assert r.by_gamma[0, 1, 0] == moved
    assert np.isnan(r.by_gamma[1, 0]).all() and np.isfinite(r.by_gamma[1, 1]).all()  # no matched noise of gamma1 < 0
    heun = bench.flow_2d(Flow2DRequest(sampler="heun", seed=1, **ORACLE)).numbers.mmd2
    assert r.heun_by_gamma.shape == (2, 2) and r.heun_by_gamma[0, 1] == heun == r.heun_by_gamma[1, 1]
    assert r.floor[1] == bench.clouds.floor(Flow2DRequest(seed=1, **ORACLE), 64).mmd2

    names = ["plain", "published", "matched"]
    lines = [t.name for t in nfe_figure(r, names).data if t.name]
    assert lines == [*names, "exact oracle, Euler"]
    drawn = next(t for t in gamma_figure(r, names).data if t.name == "published")
    assert np.allclose(drawn.y, r.by_gamma[0].mean(axis=1))
    controls = [t.y for t in gamma_figure(r, names).data if t.name and "Heun" in t.name]
    assert len(controls) == 2 and np.allclose(controls[0], r.heun_by_gamma[0].mean())


def test_a_sweep_can_be_cancelled_and_checks_what_it_is_asked(bench):
    def stop(share, what):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.sweep(SweepRequest((Flow2DRequest(**ORACLE),)), stop)
    for changes in ({"settings": ()}, {"nfes": (0,)}, {"seeds": 1}, {"gammas": (math.nan,)}, {"settings": (1,)}):
        with pytest.raises(UserError):
            SweepRequest(**({"settings": (Flow2DRequest(),)} | changes))
    with refuses("settings"):
        SweepRequest((Flow2DRequest(), Flow2DRequest(seed=1)))


def test_training_learns_and_its_net_is_kept():
    bench = PointFlows()
    request = TrainRequest("moons", path="icfm", steps=200, width=32)
    looks = list(bench.train_toy(request))
    assert [look.step for look in looks] == [50, 100, 150, 200]
    assert looks[-1].finished and looks[-1].losses.shape == (1, 2)
    assert looks[-1].numbers.mmd2 < 0.5 * looks[0].numbers.mmd2
    (key,) = bench.trained
    assert key == looks[-1].key
    r = bench.flow_2d(Flow2DRequest("moons", path="icfm", sampler="heun", nfe=15, net=key))
    assert r.net == key and r.numbers.mmd2 < 0.5 * looks[0].numbers.mmd2 and r.oracle.mmd2 < r.numbers.mmd2
    with refuses("net"):
        bench.flow_2d(Flow2DRequest("moons", net=key))


def test_a_training_that_is_left_keeps_its_net_and_the_same_training_is_the_same_net():
    points = []
    for _ in range(2):
        bench = PointFlows()
        looks = bench.train_toy(TrainRequest(steps=500, width=16))
        look = next(looks)
        looks.close()
        assert bench.trained == (look.key,) and look.key.endswith("-50") and not look.finished
        points.append(bench.flow_2d(Flow2DRequest(net=look.key, points=32)).points)
    assert np.array_equal(*points)
    with refuses("net", "sigma0 = 0.2"):
        bench.flow_2d(Flow2DRequest(net=look.key, sigma0=0.3))


@pytest.mark.parametrize(
    "changes", [{"steps": 0}, {"steps": 10**9}, {"width": 0}, {"sigma0": 0}, {"path": "x"}], ids=str
)
def test_trainings_that_cannot_be(changes):
    with pytest.raises(UserError):
        TrainRequest(**changes)


def test_figures(bench):
    r = bench.flow_2d(Flow2DRequest(nfe=2, **ORACLE))
    figure = flow_figure(r, 1)
    points = figure.data[POINTS_TRACE]
    assert np.array_equal(points.x, r.points[:, 0]) and points.mode == "markers"
    ways = figure.data[1]
    assert np.allclose(ways.x[:3], r.trajectories[0, :, 0]) and np.isnan(ways.x[3])
    assert len(preview_figure(r.density, r.axis, None).data) == 1
    assert len(preview_figure(r.density, r.axis, r.points).data) == 2
    loss = loss_figure(np.array([[1, 2.0]]), np.zeros((0, 2)), 10)
    assert list(loss.data[0].y) == [2.0] and tuple(loss.layout.xaxis.range) == (0, 10)


def test_shipped_nets_fit_what_they_are_shipped_for():
    bench = PointFlows()
    r = bench.flow_2d(Flow2DRequest(sampler="heun", nfe=19, net="shipped", points=2048))
    assert r.net == "toy-8gaussians" and r.numbers.mmd2 < 0.01


@pytest.mark.parametrize("point", [(5.0, 0.0), (1.0, -2.0)])
def test_the_likelihood_of_a_point_stands_beside_the_exact_density(bench, point):
    r = bench.likelihood(LikelihoodRequest(point=point, net="oracle"))
    want = float(toy("8gaussians").density.log_prob(torch.tensor([point])))
    assert r.exact_log_prob == pytest.approx(want, abs=1e-6)
    assert r.log_prob == pytest.approx(want, abs=0.04) and r.net == "oracle" and r.nfe == 128
    assert r.bits_per_dim == pytest.approx(-r.log_prob / (2 * math.log(2))) and r.latent.shape == (2,)
    trained = bench.likelihood(LikelihoodRequest(point=point, net="shipped", steps=16))
    assert trained.net == "toy-8gaussians" and trained.nfe == 64 and trained.log_prob != r.log_prob


def test_the_likelihood_where_there_is_no_data(bench):
    empty = LikelihoodRequest("drawn", [[0, 1], [0, 0]], point=(-2.0, -2.0), net="oracle", steps=8)
    r = bench.likelihood(empty)
    assert r.exact_log_prob == -math.inf and r.exact_bits_per_dim == math.inf and r.log_prob < -20
    for changes in ({"point": (1.0,)}, {"point": (math.nan, 0.0)}, {"steps": 2}, {"path": "otcfm", "net": "oracle"}):
        with pytest.raises(UserError):
            bench.likelihood(LikelihoodRequest(**changes))


def test_nets_come_from_the_folder_that_is_given(tmp_path):
    empty = PointFlows(tmp_path)
    assert empty.flow_2d(Flow2DRequest(points=16)).net == "oracle"  # "auto" finds no net there
    with pytest.raises(UserError):
        empty.flow_2d(Flow2DRequest(net="shipped"))
