"""Next-step flows: what they see, scaling on line and torus, forecasts, counted calls, files."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from flow_core import samplers
from flow_core.fields import Exact, Preserving, Published
from flow_core.model import FlowConfig
from flow_core.networks import PointConfig
from flow_core.samplers import METHODS
from flow_core.series import model as series_model
from flow_core.series.model import ConditionedNet, FrameConfig, SeriesModel
from flow_core.series.world import WORLD_SPLITS, Segment, World
from foundation import noise
from foundation.files import checkpoints
from foundation.mistakes import Mistake
from foundation.randomness import derived_seed
from tests.refusals import refuses

GAMMAS = {"matched": (0.7,), "momentum": (1.0, 0.2), "published": (1.0, 0.2, 0.1)}
NET = PointConfig(dims=2, width=8, depth=2, frequencies=2)


def model(geometry="euclidean", context=0, history=3, flow=None, seed=0):
    torch.manual_seed(seed)
    m = SeriesModel(flow or FlowConfig("idff", 0.4), NET, FrameConfig("x", history, 2, context, geometry, 2))
    m.center.copy_(torch.tensor([0.1, -0.2]))
    m.scale.copy_(torch.tensor([0.5, 2.0]))
    return m.eval().requires_grad_(False)


def windows(n=4, history=3, seed=1):
    return np.random.default_rng(seed).uniform(-3, 3, (n, history, 2)).astype(np.float32)


def small_world(geometry="euclidean", shape=(2,), frames=60):
    rng = np.random.default_rng(0)
    values = rng.uniform(-3, 3, (frames, *shape)).astype(np.float32)
    splits = {"train": (0, 40), "validation": (40, 50), "test": (50, frames)}
    context = rng.standard_normal((frames, 2)).astype(np.float32)
    segment = Segment(values, np.arange(frames) * 1.0, context, splits)
    return World(
        name="small", title="Small", variables=("a", "b"), unit="", dt=1.0, time_unit="steps", history=3, horizon=4,
        shape=shape, geometry=geometry, center=np.zeros(2), scale=np.ones(2), segments=(segment,), licence="ours",
    )  # fmt: skip


def test_network_reads_x_t_and_condition():
    torch.manual_seed(0)
    net = ConditionedNet(PointConfig(dims=2, width=8, depth=1, frequencies=1), 3)
    x, t, c = torch.randn(2, 2), torch.tensor([0.1, 0.9]), torch.randn(2, 3)
    with torch.no_grad():
        h = torch.cat([x, t[:, None], (math.pi * t[:, None]).cos(), (math.pi * t[:, None]).sin(), c], 1)
        torch.testing.assert_close(net(x, t, t, c)[0], net.head(torch.nn.functional.silu(net.body[0](h))))


def test_condition_on_the_line_by_hand():
    m, h, c = model(context=1), torch.from_numpy(windows()), torch.randn(4, 1)
    want = torch.cat([h[:, 2], (h[:, 1] - h[:, 0]) / m.scale, (h[:, 2] - h[:, 1]) / m.scale, c], 1)
    torch.testing.assert_close(m.condition(h, c), want)
    assert want.shape[1] == m.frame.condition


def test_on_the_torus_a_full_turn_changes_nothing():
    m, h, nothing = model("torus"), torch.from_numpy(windows()), torch.zeros(4, 0)
    turned = h + 2 * math.pi * torch.tensor([[[1.0, 0], [0, -1], [2, 1]]])
    torch.testing.assert_close(m.condition(h, nothing), m.condition(turned, nothing), atol=1e-5, rtol=1e-4)
    assert m.condition(h, nothing).shape[1] == m.frame.condition == 2 * (4 + 2)
    a, b = m.condition(h, nothing)[:, :8], h[:, 2]
    want = torch.cat([b.cos(), b.sin(), (2 * b).cos(), (2 * b).sin()], 1)
    torch.testing.assert_close(a, want)


@pytest.mark.parametrize("geometry", ["euclidean", "torus"])
def test_target_and_advance_are_inverse(geometry):
    m, h = model(geometry), torch.from_numpy(windows())
    after = torch.from_numpy(windows(seed=2)[:, 0])
    x1 = m.target(h, after)
    torch.testing.assert_close(m.advance(h, x1), after, atol=1e-5, rtol=1e-5)
    if geometry == "torus":  # across the border from 3 to -3 it is 0.28, not -6
        short = m.target(torch.full((1, 3, 2), 3.0), torch.full((1, 2), -3.0)) * m.scale + m.center
        assert float(short[0, 0]) == pytest.approx(2 * math.pi - 6, abs=1e-5)
        assert float(m.advance(h, 10 * x1).abs().max()) <= math.pi + 1e-6


@pytest.mark.parametrize("geometry", ["euclidean", "torus"])
def test_scales_are_those_of_the_changes_in_training(geometry):
    world = small_world(geometry)
    m = series_model.make(world, "small", FlowConfig("idff", 0.2), replace(NET, dims=7), 2)
    v = world.segments[0].values.astype(np.float64)
    change = v[3:40] - v[2:39]
    if geometry == "torus":
        change = np.angle(np.exp(1j * change))
    np.testing.assert_allclose(m.center, change.mean(0), atol=1e-5)
    np.testing.assert_allclose(m.scale, change.std(0, ddof=1), rtol=1e-4)
    assert m.frame == FrameConfig("small", 3, 2, 2, geometry, 2) and m.config.dims == 2
    again = series_model.make(world, "small", FlowConfig("idff", 0.2), NET, 2)
    assert torch.equal(next(m.parameters()), next(again.parameters()))


def test_a_network_that_knows_the_frame_by_its_number():
    torch.manual_seed(0)
    net = ConditionedNet(PointConfig(dims=2, width=8, depth=1, frequencies=0), 3, 5)
    x, t, c = torch.randn(5, 2), torch.rand(5), torch.randn(5, 3)
    c[:, -1] = torch.arange(5) / 5  # of frame k
    with torch.no_grad():
        h = torch.cat([x, t[:, None], c, net.memory.weight], 1)
        torch.testing.assert_close(net(x, t, t, c)[0], net.head(torch.nn.functional.silu(net.body[0](h))))
        far = torch.cat([c[:, :2], torch.tensor([[7.0]] * 5)], 1)
        assert torch.isfinite(net(x, t, t, far)[0]).all()  # beyond the last frame: its vector


def test_only_a_world_that_tests_on_its_training_frames_is_numbered():
    world = small_world()
    told = (np.arange(60, dtype=np.float32) / 60)[:, None]
    segment = Segment(world.segments[0].values, np.arange(60) * 1.0, told, dict.fromkeys(WORLD_SPLITS, (0, 60)))
    same = replace(world, segments=(segment,))
    assert same.in_sample and not world.in_sample
    for w, numbered in ((same, 60), (world, 0)):
        m = series_model.make(w, "x", FlowConfig(), NET, 2)
        assert m.frame.numbered == numbered and (m.net.memory is not None) == bool(numbered)
    numbers = np.rint(same.windows("train").context[:, 0] * 60).astype(int)
    assert numbers.tolist() == list(range(3, 60))


def test_fields_need_modes():
    with refuses("series.modes", error=Mistake):
        series_model.make(small_world(shape=(2, 2)), "sst", FlowConfig(), NET, 2)


@pytest.mark.parametrize("nfe", [1, 2, 5])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_spends_the_calls_asked_for(method, nfe):
    m = model("torus", flow=FlowConfig("idff", 0.4))
    counted = []
    m.net.register_forward_hook(lambda *_: counted.append(1))
    f = m.forecast(windows(), None, 2, 3, nfe, method, gammas=GAMMAS.get(method, ()))
    assert f.nfe == nfe and f.members.shape == (3, 4, 2, 2) and len(counted) == 2 * nfe
    assert np.abs(f.members).max() <= math.pi + 1e-6 and np.isfinite(f.members).all()
    assert f.derivatives == {"momentum": 1, "published": 2}.get(method, 0) * (nfe - 1)  # no momentum at t = 0


def test_a_rollout_by_hand():
    """Two frames, the second fed with the first: euler, published and matched against the samplers themselves."""
    m, h = model(context=1), windows(2)
    context = np.random.default_rng(3).standard_normal((2, 2, 1)).astype(np.float32)
    seeds = [derived_seed(7, member, row) for member in range(2) for row in range(2)]
    drawn = noise(seeds, (2, 2))
    for method, run in {
        "euler": lambda f, x, k: samplers.euler(f, x, Exact(m.path), 3),
        "published": lambda f, x, k: samplers.euler(f, x, Published(m.path, (2.0,)), 3),
        "matched": lambda f, x, k: samplers.euler_maruyama(
            f, x, Preserving(m.path, 2.0), 3, draw=samplers.step_noise([derived_seed(s, k + 1) for s in seeds], (2,), 3)
        ),
    }.items():
        window, out = torch.from_numpy(h).repeat(2, 1, 1), []
        for k in range(2):
            condition = m.condition(window, torch.from_numpy(context[:, k]).repeat(2, 1))
            x = run(lambda x, t, c=condition: m(x, t, c), drawn[:, k], k).x
            out.append(window[:, -1] + m.center + m.scale * x)
            window = torch.stack([window[:, 1], window[:, 2], out[-1]], 1)
        want = torch.stack(out, 1).reshape(2, 2, 2, 2)
        got = m.forecast(h, context, 2, 2, 3, method, 7, gammas=() if method == "euler" else (2.0,)).members
        np.testing.assert_allclose(got, want, atol=1e-5)


def test_noise_belongs_to_seed_member_and_row():
    m, h = model(), windows(4)
    many = m.forecast(h, None, 3, 4, 2, seed=1).members
    np.testing.assert_allclose(m.forecast(h[:2], None, 3, 2, 2, seed=1).members, many[:2, :2], atol=1e-5)
    assert np.abs(m.forecast(h, None, 3, 4, 2, seed=2).members - many).max() > 0.01
    assert np.abs(many[0] - many[1]).max() > 0.01


def test_gamma_of_one_half_is_not_the_plain_flow_in_the_published_drift_but_in_the_corrected_one():
    m, h = model(), windows()
    plain, corrected, published = (
        m.forecast(h, None, 1, 2, 4, method, gammas=g).members
        for method, g in (("euler", ()), ("momentum", (0.5,)), ("published", (0.5,)))
    )
    np.testing.assert_allclose(plain, corrected, atol=1e-6)
    assert np.abs(plain - published).max() > 1e-3


def test_progress_can_stop_a_forecast():
    seen = []

    def stop(done, of):
        seen.append((done, of))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model().forecast(windows(), None, 5, progress=stop)
    assert seen == [(1, 5), (2, 5)]


@pytest.mark.parametrize("kwargs,field", [
    ({"horizon": 0}, "horizon"), ({"members": 0}, "members"), ({"method": "sde"}, "method"),
    ({"nfe": 0}, "nfe"), ({"gammas": (1.0,)}, "gammas"), ({"method": "matched"}, "gammas"),
    ({"history": windows(history=2)}, "history"), ({"context": np.zeros((4, 1, 3))}, "context"),
    ({"history": np.full((4, 3, 2), np.nan)}, "finite"), ({"horizon": 100_000, "members": 1000}, "size"),
    ({"method": "published", "gammas": (1e6,)}, "gammas"),
    ({"method": "matched", "gammas": (-1.0,)}, "gamma1"),
])  # fmt: skip
def test_settings_that_cannot_be_used_get_a_sentence(kwargs, field):
    with refuses(field, error=Mistake):
        model().forecast(**({"history": windows(), "nfe": 4} | kwargs))


def test_rollouts_that_leave_every_range():
    m = model()
    with pytest.raises(samplers.Diverged):
        m.forecast(windows(), nfe=4, method="momentum", gammas=(1e6,))
    m.center.fill_(6000.0)
    with pytest.raises(samplers.Diverged, match=" 2 .* 5"):
        m.forecast(windows(), None, 5)


@pytest.mark.parametrize("flow,network,field", [
    (FlowConfig("otcfm", 0.0), NET, "predicts"), (FlowConfig(predicts="velocity"), NET, "predicts"),
    (FlowConfig(), replace(NET, dims=3), "dims"),
])  # fmt: skip
def test_flows_that_make_no_sense(flow, network, field):
    with refuses(field, error=Mistake):
        SeriesModel(flow, network, FrameConfig("x", 3, 2))


@pytest.mark.parametrize("kwargs", [{"history": 0}, {"dims": 5000}, {"geometry": "sphere"}, {"harmonics": 0}])
def test_frames_that_make_no_sense(kwargs):
    with refuses(next(iter(kwargs)), error=Mistake):
        FrameConfig(**kwargs)


def test_a_saved_model_is_the_same_model(tmp_path):
    m = model("torus", context=2)
    series_model.save(m, tmp_path / "m.series.safetensors", {"name": "m"})
    back = series_model.load("m", tmp_path)
    assert back.frame == m.frame and back.flow == m.flow and back.config == m.config and back.card == {"name": "m"}
    context = np.ones((4, 3, 2), np.float32)
    a, b = (x.forecast(windows(), context, 3, 2, 3).members for x in (m, back))
    assert np.array_equal(a, b) and not any(p.requires_grad for p in back.parameters())


@pytest.mark.parametrize("kind,config,field", [
    ("flow", {}, "kind"), ("series", {"flow": {}, "points": {}}, "config.series"),
    ("series", {"flow": {}, "points": {"dims": 3}, "series": {"dims": 4}}, "config.dims"),
    ("series", {"flow": {}, "points": {"dims": 3}, "series": {}}, "tensors"),
])  # fmt: skip
def test_files_that_cannot_be_used(tmp_path, kind, config, field):
    checkpoints.save(tmp_path / "m.safetensors", {"a": torch.zeros(1)}, kind=kind, config=config)
    with refuses(field, error=checkpoints.CheckpointError):
        series_model.load(tmp_path / "m.safetensors")


def test_unknown_name(tmp_path):
    with refuses("name", "'x'", checkpoints.CheckpointError):
        series_model.load("x", tmp_path)
