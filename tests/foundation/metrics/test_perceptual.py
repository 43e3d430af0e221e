"""LPIPS against a float64 recomputation of its formula, on a random backbone with the package's own heads."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from foundation.metrics import perceptual
from foundation.metrics.perceptual import BackboneMissing, PerceptualDistance, available
from foundation.mistakes import Mistake
from tests.refusals import refuses

# (index in torchvision's .features, in, out, kernel, stride, padding), taps after a ReLU, pools of stride 2
ALEX = [(0, 3, 64, 11, 4, 2), "tap", ("pool", 3), (3, 64, 192, 5, 1, 2), "tap", ("pool", 3)]
ALEX += [(6, 192, 384, 3, 1, 1), "tap", (8, 384, 256, 3, 1, 1), "tap", (10, 256, 256, 3, 1, 1), "tap"]
VGG = [(0, 3, 64, 3, 1, 1), (2, 64, 64, 3, 1, 1), "tap", ("pool", 2)]
VGG += [(5, 64, 128, 3, 1, 1), (7, 128, 128, 3, 1, 1), "tap", ("pool", 2)]
VGG += [(10, 128, 256, 3, 1, 1), (12, 256, 256, 3, 1, 1), (14, 256, 256, 3, 1, 1), "tap", ("pool", 2)]
VGG += [(17, 256, 512, 3, 1, 1), (19, 512, 512, 3, 1, 1), (21, 512, 512, 3, 1, 1), "tap", ("pool", 2)]
VGG += [(24, 512, 512, 3, 1, 1), (26, 512, 512, 3, 1, 1), (28, 512, 512, 3, 1, 1), "tap"]
LAYERS = {"alex": ALEX, "vgg": VGG}


def random_backbone(net: str) -> dict[str, np.ndarray]:
    generator = torch.Generator().manual_seed(7)
    state = {}
    for n, c_in, c_out, kernel, *_ in (layer for layer in LAYERS[net] if layer != "tap" and layer[0] != "pool"):
        weight = torch.randn(c_out, c_in, kernel, kernel, generator=generator) * (2 / (c_in * kernel**2)) ** 0.5
        state[f"features.{n}.weight"] = weight.half().numpy()
        state[f"features.{n}.bias"] = (0.1 * torch.randn(c_out, generator=generator)).half().numpy()
    return state


def recompute(net: str, state: dict[str, np.ndarray], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Section 3 of Zhang et al. 2018 in float64, without the lpips package's code."""
    weights = Path(find_spec("lpips").submodule_search_locations[0]) / "weights" / "v0.1" / f"{net}.pth"
    heads = torch.load(weights, map_location="cpu", weights_only=True)
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])

    def taps(h: torch.Tensor) -> list[torch.Tensor]:
        h, found = (h.double() - torch.tensor(shift)[:, None, None]) / torch.tensor(scale)[:, None, None], []
        for layer in LAYERS[net]:
            if layer == "tap":
                found.append(h / (h.pow(2).sum(1, keepdim=True).sqrt() + 1e-10))
            elif layer[0] == "pool":
                h = F.max_pool2d(h, layer[1], 2)
            else:
                n, *_, stride, padding = layer
                w, b = (torch.tensor(state[f"features.{n}.{s}"]).double() for s in ("weight", "bias"))
                h = F.conv2d(h, w, b, stride=stride, padding=padding).relu()
        return found

    total = torch.zeros(len(x), dtype=torch.float64)
    for level, (f_x, f_y) in enumerate(zip(taps(x), taps(y), strict=True)):
        weight = heads[f"lin{level}.model.1.weight"].double().flatten()
        total += torch.einsum("c,bchw->bhw", weight, (f_x - f_y) ** 2).mean(dim=(1, 2))
    return total


def pictures(side: int, count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(side)
    return tuple((2 * torch.rand(count, 3, side, side, generator=generator) - 1) for _ in range(2))


@pytest.fixture(scope="module")
def alex_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("lpips") / "alex.npz"
    np.savez(path, **random_backbone("alex"))
    return path


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    """No environment variable, an empty torchvision cache, and a download that fails as it does offline."""

    def refuse(*args, **kwargs):
        raise perceptual.URLError("no network in tests")

    monkeypatch.delenv(perceptual.BACKBONE_VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch_home"))
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("torch.hub.urlopen", refuse)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_formula(net, tmp_path):
    state = random_backbone(net)
    np.savez(tmp_path / "backbone.npz", **state)
    distance = PerceptualDistance(net, tmp_path / "backbone.npz")
    x, y = pictures(35)
    torch.testing.assert_close(distance(x, y).double(), recompute(net, state, x, y), atol=1e-6, rtol=1e-5)
    assert distance(x, y).shape == (3,)
    assert torch.equal(distance(x, x), torch.zeros(3))
    package = distance.lpips(x, y).flatten()  # the package's own forward pass
    torch.testing.assert_close(distance(x, y), package, atol=1e-6, rtol=1e-5)


def test_side_enlarges_only_smaller_pictures(alex_file):
    state, distance = random_backbone("alex"), PerceptualDistance(backbone=alex_file, side=64)
    x, y = pictures(32)
    # Bilinear by hand: output pixel i sits at (i + 0.5) / 2 - 0.5 of the input, clamped at the edge.
    at = ((torch.arange(64) + 0.5) / 2 - 0.5).clamp(0, 31)
    matrix = (1 - (at[:, None] - torch.arange(32)).abs()).clamp(min=0).double()
    big_x, big_y = (matrix @ p.double() @ matrix.T for p in (x, y))
    torch.testing.assert_close(distance(x, y).double(), recompute("alex", state, big_x, big_y), atol=1e-6, rtol=1e-5)
    plain = PerceptualDistance(backbone=alex_file)
    x, y = pictures(64, 1)
    assert torch.equal(distance(x, y), plain(x, y))
    assert distance.features(x[..., :32, :48])[0].shape[-2:] == (15, 23)  # 64 x 96: ratio kept


def test_target_features_are_reused_and_gradient_flows(alex_file):
    distance = PerceptualDistance(backbone=alex_file, side=64)
    x, y = pictures(32)
    x.requires_grad_()
    features = distance.features(y)
    assert not any(f.requires_grad for f in features)
    assert torch.equal(distance.distance_from(x, features), distance(x, y))
    (gradient,) = torch.autograd.grad(distance(x, y).sum(), x)
    # The slope along a direction, by central differences of the float64 recomputation.
    direction, step = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)), 1e-4
    up = lambda p: F.interpolate(p.double(), size=64, mode="bilinear")  # noqa: E731
    ends = [recompute("alex", random_backbone("alex"), up(x.detach() + s * step * direction), up(y)) for s in (1, -1)]
    slope = (ends[0] - ends[1]).sum() / (2 * step)
    torch.testing.assert_close((gradient * direction).sum().double(), slope, rtol=2e-2, atol=1e-4)
    with refuses("features", error=Mistake):
        distance.distance_from(x[:2], features)


def test_gradient_is_finite_where_all_features_are_dead(tmp_path):
    state = random_backbone("alex")
    state["features.10.bias"] = np.full(256, -1e3, np.float16)
    np.savez(tmp_path / "dead.npz", **state)
    x, y = pictures(32)
    x.requires_grad_()
    PerceptualDistance(backbone=tmp_path / "dead.npz")(x, y).sum().backward()
    assert x.grad.isfinite().all() and x.grad.abs().sum() > 0


def test_frozen_in_evaluation_mode_and_float32_in_autocast(alex_file):
    state = torch.get_rng_state()
    distance = PerceptualDistance(backbone=alex_file)
    assert torch.equal(state, torch.get_rng_state())  # building it does not disturb a seeded run
    parent = torch.nn.ModuleList([distance]).train()
    assert not any(module.training for module in parent[0].modules())
    assert not any(parameter.requires_grad for parameter in distance.parameters())
    x, y = pictures(32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = distance(x, y)
    assert inside.dtype == torch.float32 and torch.equal(inside, distance(x, y))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_state_dicts_and_the_environment_variable(suffix, alex_file, tmp_path, monkeypatch):
    from safetensors.torch import save_file

    state = {name: torch.from_numpy(value) for name, value in random_backbone("alex").items()}
    state["classifier.1.weight"] = torch.zeros(2, 2)  # as in torchvision's whole network
    path = tmp_path / f"alex{suffix}"
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    assert not available()
    monkeypatch.setenv(perceptual.BACKBONE_VARIABLE, str(path))
    assert available() and not available("vgg")
    x, y = pictures(32)
    assert torch.equal(PerceptualDistance()(x, y), PerceptualDistance(backbone=alex_file)(x, y))


def test_torchvision_cache_is_found_without_download(alex_file, tmp_path):
    cache = tmp_path / "torch_home" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    state = {name: torch.from_numpy(value) for name, value in random_backbone("alex").items()}
    torch.save(state, cache / "alexnet-owt-7be5be79.pth")
    assert available() and not available("vgg")
    PerceptualDistance()


def test_missing_backbone_says_the_cure(tmp_path, monkeypatch):
    for arguments in ({}, {"backbone": tmp_path / "nowhere.npz"}):
        assert not available(**arguments)
        with pytest.raises(BackboneMissing, match="KOOPMAN_LPIPS"):
            PerceptualDistance(**arguments)
    monkeypatch.setenv(perceptual.BACKBONE_VARIABLE, str(tmp_path / "gone.pth"))
    with pytest.raises(BackboneMissing, match="KOOPMAN_LPIPS"):
        PerceptualDistance()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("features.3.weight", np.zeros((192, 64, 3, 3), np.float32)),  # another shape
        ("features.8.bias", np.full(256, np.nan, np.float32)),
        ("features.10.weight", None),  # missing
        ("features.12.bias", np.zeros(5, np.float32)),  # does not belong there
        ("features.0.bias", np.zeros(64, np.int64)),
    ],
)
def test_wrong_backbone_is_refused(name, value, tmp_path):
    state = random_backbone("alex") | {name: value}
    np.savez(tmp_path / "wrong.npz", **{key: array for key, array in state.items() if array is not None})
    assert not available(backbone=tmp_path / "wrong.npz")
    with refuses("backbone", name, Mistake):
        PerceptualDistance(backbone=tmp_path / "wrong.npz")


@pytest.mark.parametrize("name", ["broken.npz", "broken.safetensors", "broken.pth", "weights.bin"])
def test_unreadable_backbone_is_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"no weights")
    with refuses("backbone file", error=Mistake):
        PerceptualDistance(backbone=tmp_path / name)


def test_pickles_are_refused(tmp_path):
    torch.save({"features.0.weight": Path}, tmp_path / "pickle.pth")
    with refuses("backbone file", error=Mistake):
        PerceptualDistance(backbone=tmp_path / "pickle.pth")


def test_wrong_pictures_are_refused(alex_file):
    distance = PerceptualDistance(backbone=alex_file)
    x, y = pictures(32)
    for bad in (x[0], x[:, :1], (127 * x).to(torch.uint8)):
        with refuses("pictures", error=Mistake):
            distance(bad, bad)
    with refuses("shape", r"\(3, 3, .*\(1, 3, ", Mistake):
        distance(x, y[:1])
    with refuses("side", "30 x 32", Mistake):
        distance(x[..., :30, :], y[..., :30, :])
    assert distance(x[..., :31, :31], y[..., :31, :31]).isfinite().all()  # the smallest that works
    with refuses("side", "16", Mistake):
        PerceptualDistance(backbone=alex_file, side=16)
    with refuses("net", "alex, vgg", Mistake):
        PerceptualDistance("squeeze")


def test_importing_the_module_does_not_import_torchvision():
    code = "import sys, foundation.metrics.perceptual as p; p.available(); "
    code += "sys.exit(any(name in sys.modules for name in ('torchvision', 'lpips')))"
    root = Path(perceptual.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
