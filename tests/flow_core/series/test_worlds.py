"""The worlds: windows and rollouts against the series they are cut from, no leak between splits, normalisation."""

import dataclasses

import numpy as np
import pytest

from flow_core.series import sst, worlds
from flow_core.series.scores import wrap
from flow_core.series.world import WORLD_SPLITS, Segment, World
from foundation.files.locations import DataError
from tests.refusals import refuses

RNG = np.random.default_rng(0)


def counting_world(history=3, **changes):
    """Two runs whose values tell run and frame."""
    t = np.arange(20)
    splits = {"train": (0, 12), "validation": (12, 15), "test": (15, 20)}
    segments = tuple(
        Segment(
            (100 * run + t)[:, None].astype(np.float32) + np.zeros((1, 2), np.float32),
            t.astype(float),
            -t[:, None].astype(np.float32),
            splits,
        )
        for run in (0, 1)
    )
    fields = {
        "name": "counting", "title": "", "variables": ("a", "b"), "unit": "", "dt": 1.0, "time_unit": "", "horizon": 2,
        "shape": (2,), "geometry": "euclidean", "center": np.array([1.0, 2.0]), "scale": np.array([2.0, 4.0]),
        "segments": segments, "licence": "",
    }  # fmt: skip
    return World(history=history, **(fields | changes))


@pytest.fixture(scope="module")
def small_lorenz():
    return worlds.lorenz_world({"train": 3, "validation": 1, "test": 2}, frames=150)


@pytest.fixture
def field_file(monkeypatch):
    """Fields of the right shape without a file: 128 months, land in one corner, a season and an anomaly."""
    months = np.datetime64("2010-01") + np.arange(128)
    latitudes, longitudes = np.arange(62.0, -66, -2), np.arange(140.0, 268, 2)
    anomaly = RNG.normal(0, 0.7, (128, 64, 64))
    values = 15 + 5 * np.cos(sst.season(months))[:, None, None] + anomaly
    values[:, :3, :5] = np.nan
    field = sst.Field(values.astype(np.float32), latitudes, longitudes, months)
    monkeypatch.setattr(sst, "field_path", lambda path: path)
    monkeypatch.setattr(sst, "read_field", lambda path: field)
    return field


@pytest.fixture
def sites(monkeypatch):
    days = np.arange(np.datetime64("2013-01-01"), np.datetime64("2020-01-01"))
    values = 18 + 3 * np.sin(sst.season(days))[:, None] + RNG.normal(0, [0.5, 1, 2], (len(days), 3))
    monkeypatch.setattr(sst, "read_sites", lambda folder: sst.Sites(values, days, sst.SITES))
    return values, days


# -----------------------------------------------------------------------------------------------------------
# What a world offers


@pytest.mark.parametrize("history", [1, 3, 5])
def test_windows_are_the_frames_before_and_the_frame(history):
    world = counting_world(history)
    for split, (begin, end) in world.segments[0].splits.items():
        got = world.windows(split)
        frames = [(run, k) for run in (0, 1) for k in range(max(begin, history), end)]
        assert len(got) == len(frames)
        for row, (run, k) in enumerate(frames):
            past = world.denormalise(got.history[row])
            assert past.tolist() == [[100 * run + k - back] * 2 for back in range(history, 0, -1)]
            assert world.denormalise(got.target[row]).tolist() == [100 * run + k] * 2
            assert got.context[row].tolist() == [-k]
        assert {a.dtype for a in (got.history, got.target, got.context)} == {np.dtype(np.float32)}


def test_targets_of_the_splits_never_meet():
    world = counting_world()
    targets = {s: {tuple(t) for t in world.windows(s).target.tolist()} for s in WORLD_SPLITS}
    assert not (targets["train"] & targets["validation"] or targets["train"] & targets["test"])
    train = world.windows("train")
    latest = world.denormalise(np.concatenate([train.history.reshape(-1, 2), train.target]))[:, 0] % 100
    assert latest.max() == 11  # nothing of what follows is seen in training, as a history either


def test_rollouts_end_in_their_split():
    world = counting_world()
    got = world.rollouts("test", 3)
    assert [(int(s), int(f)) for s, f in zip(got.segment, got.first, strict=True)] == [
        (run, k) for run in (0, 1) for k in (15, 16, 17)
    ]
    for row, (run, k) in enumerate(zip(got.segment, got.first, strict=True)):
        assert world.denormalise(got.truth[row])[:, 0].tolist() == [100 * run + k + lead for lead in range(3)]
        assert world.denormalise(got.history[row])[:, 0].tolist() == [100 * run + k - back for back in (3, 2, 1)]
        assert got.context[row, :, 0].tolist() == [-k - lead for lead in range(3)]
        assert world.times(got, row).tolist() == [k, k + 1, k + 2]
        assert (world.background(got, row) == 0).all() and world.background(got, row).shape == (3, 2)
    assert world.rollouts("test", 2, 3).first.tolist() == [15, 18, 15, 18]
    assert world.rollouts("train").truth.shape[1] == world.horizon


def test_normalisation_is_undone():
    world = counting_world()
    x = RNG.normal(0, 10, (4, 2))
    np.testing.assert_allclose(world.normalise(x), (x - [1, 2]) / [2, 4], rtol=1e-6)
    np.testing.assert_allclose(world.denormalise(world.normalise(x)), x, rtol=1e-6)
    assert world.period is None and world.shape == (2,) and world.context_size == 1


def test_mistakes_get_their_sentence():
    world = counting_world()
    with refuses("split", "all", DataError):
        world.windows("all")
    with refuses("horizon", error=DataError):
        world.rollouts("validation", 4)
    for bad, field in (((0, 1), "horizon"), ((2, 0), "stride")):
        with refuses(field, error=DataError):
            world.rollouts("test", *bad)
    for history in (0, 20, True, 2.0):
        with refuses("history", " 19 ", DataError):
            counting_world(history)
    with pytest.raises(ValueError, match="read-only"):
        world.segments[0].values[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        world.history = 2


def test_fingerprint_sees_what_training_sees():
    world = counting_world()
    assert world.fingerprint() == counting_world().fingerprint() and len(world.fingerprint()) == 64
    other = [
        counting_world(2),
        counting_world(scale=np.array([2.0, 4.1])),
        counting_world(geometry="torus"),
        counting_world(segments=world.segments[:1]),
    ]
    assert len({w.fingerprint() for w in (world, *other)}) == 5


# -----------------------------------------------------------------------------------------------------------
# The worlds themselves


def test_lorenz(small_lorenz):
    world = small_lorenz
    train = world.windows("train")
    assert train.history.shape == (3 * 149, 1, 3) and train.target.shape == (3 * 149, 3) and train.context.shape[1] == 0
    np.testing.assert_allclose(np.concatenate([world.normalise(s.values) for s in world.segments[:3]]).std(0), 1, 1e-5)
    starts = [tuple(s.values[0].tolist()) for s in world.segments]
    assert len(set(starts)) == 6
    again = worlds.lorenz_world({"train": 3, "validation": 1, "test": 2}, frames=150)
    other = worlds.lorenz_world({"train": 3, "validation": 1, "test": 2}, frames=150, seed=1)
    assert again.fingerprint() == world.fingerprint() != other.fingerprint()
    # a target is one frame of the flow after its history
    from flow_core.series import lorenz

    x = world.denormalise(train.history[:, -1])
    np.testing.assert_allclose(lorenz.integrate(x, 1)[:, 1], world.denormalise(train.target), atol=1e-4)


def test_alanine_holds_out_the_end_of_each_run(monkeypatch):
    monkeypatch.delenv("KOOPMAN_DATA", raising=False)
    world = worlds.open_world("alanine", history=5)
    assert world.geometry == "torus" and world.period == pytest.approx(2 * np.pi) and world.context_size == 0
    assert [len(world.windows(s)) for s in WORLD_SPLITS] == [2 * 6995, 2 * 1000, 2 * 2000]
    assert world.segments[0].splits == {"train": (0, 7000), "validation": (7000, 8000), "test": (8000, 10000)}
    test = world.rollouts("test")
    assert test.history.shape[1:] == (5, 2) and test.truth.shape[1:] == (20, 2)
    assert test.first.min() == 8000
    turned = world.normalise(np.array([[4.0, -9.0]]))
    np.testing.assert_allclose(turned, wrap(np.array([[4.0, -9.0]])), rtol=1e-6)


def test_in_sample_protocol_tells_the_frame_and_is_named_so(monkeypatch):
    monkeypatch.delenv("KOOPMAN_DATA", raising=False)
    world = worlds.open_world("alanine_in_sample")
    parts = [world.windows(s) for s in WORLD_SPLITS]
    for part in parts[1:]:
        assert np.array_equal(part.target, parts[0].target)
    t = worlds.IN_SAMPLE_FRAMES
    np.testing.assert_allclose(parts[0].context[:, 0] * t, np.arange(1, t), rtol=1e-5)
    assert len(world.rollouts("test")) == 1


def test_field(field_file):
    world = worlds.open_world("sst")
    assert world.shape == (1, 64, 64) and world.mask.sum() == 64 * 64 - 15
    splits = world.segments[0].splits
    assert splits == {"train": (0, 84), "validation": (84, 108), "test": (108, 128)}
    train = world.windows("train")
    assert train.history.shape == (81, 3, 1, 64, 64) and train.context.shape == (81, 2)
    assert (train.target[..., ~world.mask] == 0).all()
    assert np.isnan(world.denormalise(train.target)[..., ~world.mask]).all()
    # the area-weighted rms of the training anomalies is 1, and they have no mean in any calendar month
    maps = world.normalise(world.segments[0].values[:84]).astype(float)
    assert float(((maps[:, 0] ** 2).mean(0) * world.weights).sum()) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(maps[0:84:12].mean(0), 0, atol=1e-5)
    area = np.cos(np.radians(field_file.latitudes))[:, None] * world.mask
    np.testing.assert_allclose(world.weights, area / area.sum())
    # anomaly and background make up the temperature
    test = world.rollouts("test")
    assert len(test) == 15
    full = world.denormalise(test.truth[4]) + world.background(test, 4)
    np.testing.assert_allclose(full[:, 0], field_file.values[112:118], atol=1e-4)
    assert world.times(test, 4)[0] == np.datetime64("2019-05")
    season = sst.season(world.times(test, 4))
    np.testing.assert_allclose(test.context[4], np.stack([np.sin(season), np.cos(season)], 1), atol=1e-6)


def test_fields_that_end_too_early(field_file, monkeypatch):
    early = dataclasses.replace(field_file, values=field_file.values[:100], months=field_file.months[:100])
    monkeypatch.setattr(sst, "read_field", lambda path: early)
    with refuses("ends", "2018-12", DataError):
        worlds.open_world("sst")


def test_sites(sites):
    values, days = sites
    world = worlds.open_world("sst_sites", history=4)
    assert world.shape == (3,) and world.variables == sst.SITES and world.mask is None
    begin, end = world.segments[0].splits["test"]
    assert days[begin] == np.datetime64("2019-01-01") and end == len(days)
    test = world.rollouts("test", 7, 7)
    full = world.denormalise(test.truth[2]) + world.background(test, 2)
    np.testing.assert_allclose(full, values[begin + 14 : begin + 21], atol=1e-4)
    a, b = world.segments[0].splits["train"]
    np.testing.assert_allclose(world.normalise(world.segments[0].values[a:b]).std(0), 1, atol=1e-5)


@pytest.mark.parametrize("spec", ["", "mars", "lorenz:here", "alanine:", "sst_sites:"])
def test_unknown_worlds(spec):
    with refuses("spec", error=DataError):
        worlds.open_world(spec)
