"""Flow models: preconditioning, saving and loading, refusals; the networks inside."""

import math

import pytest
import torch

import flow_core
from flow_core.fields import Prediction, score
from flow_core.model import FlowConfig, FlowModel
from flow_core.networks import PictureNet, PointConfig, PointNet
from foundation.files import checkpoints
from foundation.mistakes import Mistake
from foundation.networks.unet import UNetConfig
from tests.refusals import refuses

SMALL = PointConfig(width=8, depth=2, frequencies=2)
TINY = UNetConfig(resolution=8, base=8, multipliers=(1, 2), blocks=1, attention=(), embedding=16, classes=3)


def model(predicts="x1", path="idff", sigma=0.3, network=SMALL, **kwargs):
    torch.manual_seed(0)
    return FlowModel(FlowConfig(path, sigma, predicts=predicts, data_std=2.5, **kwargs), network).eval()


def test_preconditioning_by_hand():
    m, x, t = model(), torch.randn(4, 2), torch.tensor([0.0, 0.2, 0.7, 0.99])
    with torch.no_grad():
        got = m(x, t).x1
        for i, u in enumerate(t.tolist()):
            v0 = (1 - u) ** 2 + 0.09 * u * (1 - u)
            c = u * u * 6.25 + v0
            f = m.net(x[i : i + 1] / math.sqrt(c), t[i : i + 1], None)[0]
            want = u * 6.25 / c * x[i] + 2.5 * math.sqrt(v0 / c) * f[0]
            torch.testing.assert_close(got[i], want, rtol=1e-4, atol=1e-5)


def test_targets_have_unit_size_for_gaussian_data():
    """(x1 - c_skip x) / c_out has variance 1 and is uncorrelated with x."""
    m, n = model(), 200_000
    g = torch.Generator().manual_seed(0)
    x1, x0, eps = 2.5 * torch.randn(n, 1, generator=g), torch.randn(n, 1, generator=g), torch.randn(n, 1, generator=g)
    for u in (0.1, 0.6, 0.95):
        x = m.path.sample(x0, x1, torch.tensor(u), eps)
        c_in, skip, out = m.scales(torch.tensor(u))
        target = (x1 - skip * x) / out
        assert float((c_in * x).std()) == pytest.approx(1, abs=0.01)
        assert float(target.std()) == pytest.approx(1, abs=0.01) and abs(float((target * x).mean())) < 0.02


def test_heads():
    x, t = torch.randn(3, 2), torch.tensor(0.4)
    with torch.no_grad():
        one, two, v = model()(x, t), model("x1+eps", coupling="exact")(x, t), model("velocity", "otcfm", 0.0)(x, t)
    assert one.eps is None and two.eps.shape == two.x1.shape == (3, 2) and v.x1 is None and v.velocity.shape == (3, 2)
    torch.testing.assert_close(
        score(model("x1+eps", coupling="exact").path, x, t, two), -two.eps / (0.3 * math.sqrt(0.24))
    )


def test_one_time_for_all_is_the_same_time_for_each():
    m, x = model(), torch.randn(3, 2)
    with torch.no_grad():
        torch.testing.assert_close(m(x, 0.3).x1, m(x, torch.full((3,), 0.3)).x1)


def test_pictures_are_told_the_noise_to_data_ratio():
    m = model(network=TINY)
    m.net.unet.decoder.conv.reset_parameters()
    x, labels = torch.randn(2, 3, 8, 8), torch.tensor([1, -1])
    with torch.no_grad():
        got = m(x, 0.6, labels).x1
        v0 = 0.4**2 + 0.09 * 0.24
        c = 0.36 * 6.25 + v0
        level = torch.full((2,), math.log(math.sqrt(v0) / 0.6) / 4)
        want = 0.6 * 6.25 / c * x + 2.5 * math.sqrt(v0 / c) * m.net.unet(x / math.sqrt(c), level, labels)
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
        assert bool(torch.isfinite(m(x, 0.0, labels).x1).all()) and m.sample_shape == (3, 8, 8)
    with refuses("predicts", error=Mistake):
        PictureNet(TINY, heads=2)


def test_point_network_reads_x_and_t():
    torch.manual_seed(0)
    net = PointNet(PointConfig(dims=3, width=8, depth=1, frequencies=1))
    x, t = torch.randn(2, 3), torch.tensor([0.1, 0.9])
    with torch.no_grad():
        h = torch.cat([x, t[:, None], (math.pi * t[:, None]).cos(), (math.pi * t[:, None]).sin()], 1)
        want = net.head(torch.nn.functional.silu(net.body[0](h)))
        torch.testing.assert_close(net(x, t, t)[0], want)


@pytest.mark.parametrize("predicts,path,network", [("x1", "idff", SMALL), ("velocity", "icfm", TINY)])
def test_a_saved_model_is_the_same_model(tmp_path, predicts, path, network):
    m = model(predicts, path, network=network)
    flow_core.save(m, tmp_path / "m.safetensors", {"name": "m"}, dtype=torch.float32)
    back = flow_core.load(tmp_path / "m.safetensors")
    assert back.flow == m.flow and back.config == m.config and back.card == {"name": "m"} and back.path == m.path
    x = torch.randn(2, *m.sample_shape)
    with torch.no_grad():
        for a, b in zip(m(x, 0.5), back(x, 0.5), strict=True):
            assert a is b is None or torch.equal(a, b)
    assert not any(p.requires_grad for p in back.parameters())


@pytest.mark.parametrize(
    "kind,config,field",
    [
        ("hkd", {}, "kind"),
        ("flow", {"flow": {"path": "x"}, "points": {}}, "config.flow.path"),
        ("flow", {"flow": {}, "points": {"width": 10**6}}, "config.points.width"),
        ("flow", {"flow": {}, "points": {"wide": 3}}, "config.points.wide"),
        ("flow", {"flow": {}, "unet": {"base": 100_000}}, "config.unet"),
        ("flow", {"flow": {}}, "config.unet"),
        ("flow", {"flow": {}, "points": {}}, "tensors"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, kind, config, field):
    checkpoints.save(tmp_path / "m.safetensors", {"a": torch.zeros(1)}, kind=kind, config=config)
    with refuses(field, error=checkpoints.CheckpointError):
        flow_core.load(tmp_path / "m.safetensors")


def test_unknown_name():
    with refuses("name", "'nothing'", checkpoints.CheckpointError):
        flow_core.load("nothing")


@pytest.mark.parametrize(
    "kwargs,field",
    [
        ({"predicts": "x0"}, "predicts"),
        ({"coupling": "exact"}, "predicts"),
        ({"data_std": 0.0}, "data_std"),
        ({"sigma": -1.0}, "sigma"),
    ],
)
def test_configurations_that_make_no_sense(kwargs, field):
    with refuses(field, error=Mistake):
        FlowConfig(**kwargs)


def test_a_prediction_is_empty_by_default():
    assert Prediction() == (None, None, None)
