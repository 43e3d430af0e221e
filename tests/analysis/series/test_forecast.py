"""SeriesForecasts: forecasts against independent recomputations on tiny worlds, and sentences for what cannot be."""

import dataclasses
import math

import numpy as np
import pytest

from analysis.core.cache import ByteLRU
from analysis.core.errors import UserError
from analysis.series import loaded
from analysis.series.forecast import QUANTILES, ForecastRequest, SeriesForecasts, unbeaten
from analysis.series.long_run import LongRunRequest
from flow_core.samplers import METHODS, Diverged
from flow_core.series.baselines import strong_baselines
from flow_core.series.model import SeriesModel
from flow_core.series.scores import crps, crps_gaussian
from tests.analysis.series.forecasts import bench_on, field
from tests.analysis.series.tiny_worlds import line, random_model, torus
from tests.refusals import refuses


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield bench_on(tmp_path_factory.mktemp("series"), patch)


def test_the_list_is_what_can_be_read_and_known_worlds_come_first(bench):
    assert [m.name for m in bench.models] == ["lorenz", "alanine", "field", "small"]
    assert [m.title for m in bench.models] == ["Lorenz-63", "Small world", "Small field", "Small world"]
    assert bench.info("").name == "lorenz" and bench.info("small").world == "small" and bench.info("small").needs == ""
    with refuses("model", "lorenz, alanine, field, small"):
        bench.info("../small")


def test_members_and_truth_are_those_of_model_and_series(bench):
    r = bench.forecast(ForecastRequest("small", 0.5, 4, 6, 3, "euler", seed=5))
    world, model = line(), random_model(line())
    assert (r.starts, r.start) == (75 - 6 + 1, 34)  # bound: twice the horizon of 3; round(0.5 * 69) is even
    first = 225 + r.start
    segment = world.segments[0]
    history = world.normalise(segment.values[first - 2 : first])[None]
    made = model.forecast(history, segment.context[first : first + 4][None].copy(), 4, 6, 3, "euler", 5).members[:, 0]
    assert np.allclose(r.members, made.astype(np.float64) * world.scale + world.center)
    assert np.allclose(r.truth, segment.values[first : first + 4], atol=1e-6)
    assert np.allclose(r.past, segment.values[first - 2 : first], atol=1e-6) and r.seen == 2
    assert r.times.tolist() == [1, 2, 3, 4] and r.past_times.tolist() == [-1, 0]
    assert np.allclose(r.mean, r.members.mean(0)) and np.allclose(r.quantiles, np.quantile(r.members, QUANTILES, 0))
    inside = (r.truth >= r.quantiles[0]) & (r.truth <= r.quantiles[-1])
    assert r.same_data and not r.in_sample and not r.anomaly
    assert r.inside == inside.mean() and (r.nfe, r.derivatives) == (3, 0) and r.seconds > 0


def test_scores_by_hand(bench):
    r = bench.forecast(ForecastRequest("small", 0.9, 4, 5))
    world = line()
    x, y = ((v - world.center) / world.scale for v in (r.members, r.truth))
    mine = r.marks["this model"]
    by_hand = np.zeros(4)
    for k in range(4):
        for d in range(2):
            pairs = [abs(a - b) for a in x[:, k, d] for b in x[:, k, d]]
            by_hand[k] += (abs(x[:, k, d] - y[k, d]).mean() - sum(pairs) / (2 * 5 * 4)) / 2
    assert np.allclose(mine.by_lead, by_hand) and math.isclose(mine.crps_fair, by_hand.mean())
    assert math.isclose(mine.rmse, np.sqrt(((x.mean(0) - y) ** 2).mean()))
    assert math.isclose(mine.spread, np.sqrt(x.var(0).mean())) and mine.crps > mine.crps_fair


def test_baselines_by_hand(bench):
    r = bench.forecast(ForecastRequest("small", 0.2, 3))
    world = line()
    train = (world.segments[0].values[:150].astype(np.float64) - world.center) / world.scale
    last = (r.past[-1] - world.center) / world.scale
    y = (r.truth - world.center) / world.scale
    for k in range(3):
        ends = np.arange(2, 150 - 6 + 1)  # starts from which the longest horizon still ends in the training part
        after, before = train[ends + k], train[ends - 1]
        damping = (after * before).sum(0) / (before**2).sum(0)
        for kind, a in (("climatology", 0.0), ("persistence", 1.0), ("damped persistence", damping)):
            assert np.allclose((r.baselines[kind][k] - world.center) / world.scale, a * last, atol=1e-5)
            std = np.sqrt(((after - a * before) ** 2).mean(0))
            grid = np.linspace(-12, 12, 48001)
            crps = []
            for d in range(2):  # integral of (F - step)^2
                z = (grid - (a * last)[d]) / std[d]
                cdf = 0.5 * (1 + np.vectorize(math.erf)(z[::10] / math.sqrt(2)))
                crps.append(((cdf - (grid[::10] >= y[k, d])) ** 2).sum() * (grid[10] - grid[0]))
            assert math.isclose(r.marks[kind].by_lead[k], np.mean(crps), abs_tol=6e-3)
    assert r.reference == "damped persistence"
    assert r.usual == {"this model": 0.25, "damped persistence": 0.5}


def card(**usual):
    """A card with fair CRPS of names, spaces as underscores."""
    return {"metrics": {name.replace("_", " "): {"crps_fair": v} for name, v in usual.items()}}


def test_a_model_that_no_card_shows_to_be_better_is_named_with_what_it_does_not_beat(bench):
    assert bench.forecast(ForecastRequest("small", 0.2, 3)).unbeaten == "" and unbeaten({}) == ""
    assert unbeaten(card(this_model=0.3)) == "" and unbeaten(card(persistence=0.3)) == ""
    scores = {"persistence": 0.5, "vector_autoregression": 0.3, "climatology": 0.9}
    found = [unbeaten(card(**scores, this_model=mine)) for mine in (0.29, 0.3, 0.4)]
    assert found == ["", "vector autoregression", "vector autoregression"]


@pytest.mark.parametrize(("high", "expected"), [(-0.01, ""), (0.0, "nearest analogs"), (0.02, "nearest analogs")])
def test_better_by_less_than_its_interval_is_not_shown_to_be_better(high, expected):
    made = card(this_model=0.29, nearest_analogs=0.3, persistence=0.5)
    made["metrics"]["crps_fair_less"] = {
        "nearest analogs": {"value": -0.01, "low": -0.05, "high": high},
        "persistence": {"value": 0, "low": 0, "high": 1},
    }
    assert unbeaten(made) == expected


@pytest.mark.parametrize("kind", ["level-damped persistence", "vector autoregression", "nearest analogs"])
def test_the_strongest_baseline_of_the_card_is_forecast_and_is_the_one_to_beat(bench, monkeypatch, kind):
    world, model = line(), random_model(line())
    model.card = {"metrics": {"this model": {"crps_fair": 0.2}, "persistence": {"crps_fair": 0.5},
                              kind: {"crps_fair": 0.3}}}  # fmt: skip
    monkeypatch.setitem(bench._opened, "small", loaded.load_series(model, world))
    monkeypatch.setattr(bench, "_answers", ByteLRU(2**20))
    r = bench.forecast(ForecastRequest("small", 0.3, 3, 5))
    test = world.rollouts("test", 3)
    row = int(np.flatnonzero(test.first == 225 + r.start)[0])
    guess = strong_baselines(world, test, 5)[kind]
    mean = guess[:, row].mean(0) if isinstance(guess, np.ndarray) else guess.mean[row]
    assert r.reference == kind and set(r.baselines) == {"climatology", "persistence", "damped persistence", kind}
    assert np.allclose((r.baselines[kind] - world.center) / world.scale, mean)
    if isinstance(guess, np.ndarray):
        single = crps(guess[:, row : row + 1], test.truth[row : row + 1], fair=True)[0]
    else:
        std = np.broadcast_to(guess.std, guess.mean.shape)[row]
        single = crps_gaussian(mean, std, test.truth[row].astype(np.float64))
    assert np.allclose(r.marks[kind].by_lead, single.mean(1))


def test_angles(bench):
    r = bench.forecast(ForecastRequest("alanine", 0.4, 2, 7))
    assert r.period == 2 * np.pi and set(r.baselines) == {"climatology", "persistence"} and r.plane.pair == (0, 1)
    assert math.isclose(r.plane.density.sum(), 1) and r.plane.density.shape == (72, 72)
    z = np.exp(1j * r.members)
    assert np.allclose(r.mean, np.angle(z.mean(0)))
    off = np.angle(z / np.exp(1j * r.mean))
    assert np.allclose(r.quantiles, r.mean + np.quantile(off, QUANTILES, 0))
    error = np.abs(np.angle(z / np.exp(1j * r.truth))).mean(0)
    pairs = np.abs(np.angle(z[:, None] / z[None])).sum((0, 1)) / (2 * 7 * 6)
    assert np.allclose(r.marks["this model"].by_lead, (error - pairs).mean(1))
    at = bench.open("alanine")
    moved = at.baselines(r.start, 2)["persistence"].members - at.drawn["persistence"][:, :2]
    assert np.allclose(np.exp(1j * moved), np.exp(1j * r.past[-1]))  # changes of the training part, from here on
    changes = torus().segments[0].values[:200]
    drawn = np.exp(1j * at.drawn["persistence"][:, 0])
    pool = np.exp(1j * np.concatenate([s.values[2:200] - s.values[1:199] for s in torus().segments]))
    assert changes.shape == (200, 2) and all(np.abs(pool - one).sum(1).min() < 1e-5 for one in drawn)


def test_a_field(bench):
    r = bench.forecast(ForecastRequest("field", 0.0, 2, 4))
    world = field()
    sea = world.segments[0].values[90:92, 0].astype(np.float64)
    cosine = np.cos(np.radians(world.latitudes))[:, None] * world.mask
    assert r.variables == ("area mean, sst anomaly",) and r.plane is None and r.anomaly
    assert np.allclose(r.truth[:, 0], (sea * cosine).sum((1, 2)) / cosine.sum(), atol=1e-6)
    assert str(r.times[0]) == "2017-07" and str(r.past_times[-1]) == "2017-06"
    assert np.isnan(r.maps.mean[:, 1, 2]).all() and np.isfinite(r.maps.mean[:, world.mask]).all()
    assert np.allclose(r.maps.truth[:, world.mask], sea[:, world.mask], atol=1e-5)
    assert np.allclose(r.maps.error, r.maps.mean - r.maps.truth, equal_nan=True)
    weights = (cosine / cosine.sum())[world.mask]
    error = (((r.maps.error / 2) ** 2)[:, world.mask] @ weights).mean()
    assert math.isclose(r.marks["this model"].rmse, math.sqrt(error), rel_tol=1e-5)
    mean_of_members = (r.maps.mean[:, world.mask]) @ weights
    assert np.allclose(r.mean[:, 0], mean_of_members, atol=1e-5)


def test_the_attractor_is_drawn_of_the_test_part(bench):
    plane = bench.open("lorenz").plane
    world = bench.open("lorenz").world
    x, z = np.concatenate([s.values for s in world.segments if "test" in s.splits])[:, [0, 2]].T
    at = np.searchsorted(plane.edges[0], x[5]) - 1, np.searchsorted(plane.edges[1], z[5]) - 1
    there = [(a >= e[i]) & (a < e[i + 1]) for a, e, i in zip((x, z), plane.edges, at, strict=True)]
    assert plane.pair == (0, 2) and math.isclose(plane.density[at], (there[0] & there[1]).sum() / len(x))


def test_every_method_spends_what_was_asked_and_what_is_asked_twice_is_kept(bench):
    for method in METHODS:
        r = bench.forecast(ForecastRequest("small", horizon=2, members=3, nfe=4, method=method, gammas=(0.2, -0.5)))
        assert r.nfe == 4 and np.isfinite(r.members).all()
        assert (r.derivatives > 0) == (method in ("momentum", "published"))
    request = ForecastRequest("small", horizon=2)
    assert bench.forecast(request) is bench.forecast(dataclasses.replace(request))


def test_gammas_are_read_where_the_method_reads_them():
    assert ForecastRequest().weights == () and ForecastRequest(method="published").weights == (0.5,)
    assert ForecastRequest(method="matched", gammas=(1, 2, 3)).weights == (1,)
    assert ForecastRequest(method="momentum", gammas=[1, 2, 3]).weights == (1, 2, 3)


BAD = [
    ({"start": 1.5}, "start"),
    ({"start": math.nan}, "start"),
    ({"horizon": 201}, "horizon"),
    ({"horizon": 7}, "horizon"),
    ({"members": 1}, "members"),
    ({"members": 10**9}, "members"),
    ({"nfe": 0}, "nfe"),
    ({"nfe": True}, "nfe"),
    ({"method": "magic"}, "method"),
    ({"gammas": ()}, "gammas"),
    ({"gammas": (math.inf,)}, "gammas"),
    ({"gammas": "x"}, "gammas"),
    ({"method": "matched", "gammas": (-1,)}, "gamma1"),
    ({"method": "published", "gammas": (100, 100, 100)}, ""),
    ({"seed": -1}, "seed"),
    ({"model": "../x"}, "model"),
    ({"model": 5}, "model"),
]


@pytest.mark.parametrize(("changes", "field"), BAD, ids=str)
def test_what_cannot_be_asked_names_its_field(bench, changes, field):
    with pytest.raises(UserError) as caught:
        bench.forecast(ForecastRequest(**{"model": "small", **changes}))
    assert caught.value.field == field and str(caught.value).rstrip().endswith(".")


def test_frames_of_free_runs_are_bounded():
    for frames in (10, 10**6, 100.5):
        with pytest.raises(UserError) as caught:
            LongRunRequest("small", frames)
        assert caught.value.field == "frames"


def test_divergence_and_impatience_are_sentences(bench, monkeypatch):
    with refuses("patience", "-1 s"):
        bench.forecast(ForecastRequest("small", 0.11), patience=-1)

    def diverge(*_, **__):
        raise Diverged("The rollouts diverged at frame 1 of 3: forecast fewer frames.")

    monkeypatch.setattr(SeriesModel, "forecast", diverge)
    with pytest.raises(UserError) as refused:
        bench.forecast(ForecastRequest("small", 0.12))
    assert isinstance(refused.value.__context__, Diverged)


def test_a_folder_without_models(tmp_path):
    with refuses("model"):
        SeriesForecasts(tmp_path).info()


def test_files_that_are_missing_are_named_and_nothing_is_downloaded(bench, tmp_path, monkeypatch):
    import pooch

    monkeypatch.delenv("KOOPMAN_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache")
    monkeypatch.setattr(pooch, "retrieve", lambda *_, **__: pytest.fail("a download"))
    assert "sst_WA.csv, sst_NW_Atl.csv, sst_Med.csv" in loaded.missing_files("sst_sites")
    assert "sst.mnmean.nc" in loaded.missing_files("sst") and "sst.mnmean.nc" in loaded.missing_files("sst_global")
    assert {loaded.missing_files(s) for s in ("lorenz", "alanine", "sst_sites:x", "sst:x")} == {""}
    (tmp_path / "sst").mkdir()
    for name in ("sst_WA.csv", "sst_NW_Atl.csv", "sst_Med.csv", "sst.mnmean.nc"):
        (tmp_path / "sst" / name).touch()
    monkeypatch.setenv("KOOPMAN_DATA", str(tmp_path))
    assert loaded.missing_files("sst_sites") == loaded.missing_files("sst") == ""


def test_a_world_that_lacks_files_comes_last_and_says_so(tmp_path, monkeypatch):
    bench = bench_on(tmp_path, monkeypatch)
    monkeypatch.setattr(
        "analysis.series.forecast.missing_files", lambda spec: "Put x there." if spec == "lorenz" else ""
    )
    assert [m.name for m in bench.models] == ["alanine", "field", "small", "lorenz"]
    with refuses("model"):
        bench.open("lorenz")
    damaged = tmp_path / "small.series.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-8])
    with pytest.raises(UserError):
        bench.open("small")


def test_a_protocol_that_trains_on_its_test_is_told(bench, monkeypatch):
    parts = [dataclasses.replace(s, splits=dict.fromkeys(s.splits, (0, len(s.values)))) for s in line().segments]
    whole = dataclasses.replace(line(), segments=tuple(parts))
    at = loaded.load_series(random_model(whole), whole)
    monkeypatch.setitem(bench._opened, "small", at)
    assert bench.forecast(ForecastRequest("small", 0.77)).in_sample and not at.same_data


def test_of_many_training_runs_some_are_taken(monkeypatch):
    world = torus()
    assert loaded._lighter(world, 3) is world
    monkeypatch.setattr(loaded, "FIT_NUMBERS", 1500)
    assert loaded._lighter(world, 3).segments == world.segments[:1]
