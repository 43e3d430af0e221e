"""The computed costs against counts by hand."""

import pytest
import torch

from foundation.metrics._torchvision import import_torchvision
from foundation.networks.unet import UNetConfig
from koopman_core import scale


def test_convolutions_of_vgg_by_hand():
    # 13 convolutions of 3 x 3: side, channels in and out
    by_hand = [(224, 3, 64), (224, 64, 64), (112, 64, 128), (112, 128, 128), (56, 128, 256), *[(56, 256, 256)] * 2]
    by_hand += [(28, 256, 512), *[(28, 512, 512)] * 2, *[(14, 512, 512)] * 3]
    assert scale.vgg_flops(224) == pytest.approx(sum(2 * 9 * a * b * s * s for s, a, b in by_hand) / 1e9)


def test_a_small_network_by_hand():
    config = UNetConfig(resolution=4, base=4, multipliers=(1,), blocks=1, attention=(), embedding=8)
    # 3x3 convolutions at 4 x 4: in, block 2x, decoder in0 and in1 2x each, two blocks of 8 channels in, out
    convolutions = [(3, 4), *[(4, 4)] * 2, *[(4, 4)] * 4, *[(8, 4), (4, 4)] * 2, (4, 3)]
    total = sum(2 * 9 * a * b * 16 for a, b in convolutions)
    total += 2 * (2 * 8 * 4 * 16)  # 1x1 shortcuts of the two blocks with 8 channels in
    total += 2 * (4 * 12 + 4 * 4) * 16 + 2 * 2 * 16 * 16 * 4  # attention in in0: qkv, proj, scores and their sum
    total += 2 * (4 * 8 + 8 * 8) + 5 * 2 * 8 * 4  # mapping, and what each of five blocks takes of it
    assert scale.network_flops(config, backward=False) == pytest.approx(total / 1e9, rel=0.02)
    assert scale.network_flops(config, backward=True) == pytest.approx(3 * total / 1e9, rel=0.1)


def test_memory_against_the_tensors_of_a_real_pass():
    """By hand for a network of two layers; LPIPS against torchvision's network without numbers."""
    net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))
    x = torch.zeros(7, 3)
    assert scale.saved_bytes(lambda: net(x), net) == 4 * 7 * (3 + 5)  # input of each layer; tanh keeps its output
    with torch.device("meta"):
        vgg = import_torchvision().models.vgg16().features[:30].requires_grad_(False)
        x, targets = torch.zeros(1, 3, 224, 224, requires_grad=True), []

    def forward():
        loss, h, after = 0, x, (3, 8, 15, 22, 29)  # the last ReLU of every width
        for i, layer in enumerate(vgg):
            h = layer(h)
            if i in after:
                targets.append(torch.zeros_like(h))
                f = h / (torch.linalg.vector_norm(h, dim=1, keepdim=True) + 1e-10)
                loss = (
                    loss
                    + torch.nn.functional.conv2d((f - targets[-1]).square(), h.new_zeros(1, h.shape[1], 1, 1)).mean()
                )
        return loss

    held = scale.saved_bytes(forward, vgg) + sum(4 * t.numel() for t in targets)
    assert scale.vgg_bytes(224) == pytest.approx(held, rel=0.1)


def test_memory_of_devices_by_hand():
    c = scale.cost("ffhq")
    state = 20 * (61_805_571 + sum(a * h * w for a, h, w in UNetConfig.edm_ffhq().skip_shapes()))
    assert c.state == state and c.batch == 64
    assert c.memory(8) == pytest.approx((state + 8 * c.activations) / 1e9)


def test_the_table_follows_from_the_settings(capsys):
    c = scale.cost("cifar10", bf16=100.0, fp32=10.0)
    assert c.forward == pytest.approx(42.4, abs=0.1) and c.lpips == pytest.approx(92, abs=0.5)
    assert c.samples == pytest.approx(100e3 / (c.training + c.lpips))
    assert c.training_hours == pytest.approx(50e6 / c.samples / 3600)
    assert c.trajectory_hours == pytest.approx(50_000 * 35 * c.forward / 10e3 / 3600)
    assert c.teacher_hours == pytest.approx(200e6 * c.training / 100e3 / 3600)
    assert c.disk == 4 * 3 * 32 * 32 * 50_000 * 19
    assert scale.main([]) == 0
    assert "| network forward, GFLOP a sample | 42.4 | 83.7 |" in capsys.readouterr().out
