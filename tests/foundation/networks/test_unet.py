"""The U-Net against published counts and tables, and its parts against plain recomputations in float64."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from foundation.mistakes import Mistake
from foundation.networks.unet import Block, NoiseEmbedding, UNet, UNetConfig, count_parameters
from tests.refusals import refuses

TINY = UNetConfig(resolution=8, base=8, multipliers=(1, 2), blocks=1, attention=(4,), embedding=16)


def on_meta(config: UNetConfig) -> UNet:
    with torch.device("meta"):
        return UNet(config)


def randomised(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Every parameter drawn anew in float64: EDM starts some near zero, which would hide a mistake."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double().eval()
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64) / math.sqrt(p[0].numel()))
    return module


def draw(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def tiny_net(config: UNetConfig = TINY) -> tuple[UNet, torch.Tensor, torch.Tensor]:
    net = randomised(UNet(config)).float()
    x = draw(3, config.channels, config.resolution, config.resolution, dtype=torch.float32)
    return net, x, torch.tensor([-1.5, 0.1, 1.0])


# --- published sizes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (UNetConfig.edm_cifar10(), 55_733_891),
        (UNetConfig.edm_cifar10(classes=10), 55_735_299),
        (UNetConfig.edm_ffhq(), 61_805_571),
    ],
)
def test_published_parameter_counts(config, expected):
    assert count_parameters(on_meta(config)) == expected


def test_published_counts_of_the_parts():
    net = on_meta(UNetConfig.edm_cifar10())
    assert count_parameters(net.embedding) == 329_856
    assert count_parameters(net.encoder) == 19_302_912
    assert count_parameters(net.decoder) == 36_101_123


def test_skip_table_of_cifar():
    expected = [(128, 32)] + [(256, 32)] * 4 + [(256, 16)] * 5 + [(256, 8)] * 5
    assert len(expected) == 15
    expected.append((256, 8))  # the bottleneck
    shapes = UNetConfig.edm_cifar10().skip_shapes()
    assert shapes == [(c, s, s) for c, s in expected]
    assert sum(math.prod(s) for s in shapes) == 1_605_632  # what a Koopman operator a latent would hold


def test_skip_table_of_ffhq():
    expected = [(128, 64)] * 5 + [(128, 32)] + [(256, 32)] * 4 + [(256, 16)] * 5 + [(256, 8)] * 5
    assert len(expected) == 20
    shapes = UNetConfig.edm_ffhq().skip_shapes()
    assert shapes == [(c, s, s) for c, s in [*expected, (256, 8)]]
    assert sum(math.prod(s) for s in shapes) == 4_210_688 + 16_384


@pytest.mark.parametrize(
    ("config", "inputs"),
    [
        # two entry blocks, five blocks at 8x8, then an upsampling block and five blocks a level
        (UNetConfig.edm_cifar10(), [256] * 2 + [512] * 5 + [256] + [512] * 5 + [256] + [512] * 4 + [384]),
        (
            UNetConfig.edm_ffhq(),
            [256] * 2 + [512] * 5 + [256] + [512] * 5 + [256] + [512] * 4 + [384] + [256, 384] + [256] * 4,
        ),
    ],
)
def test_channels_into_every_decoder_block(config, inputs):
    assert [layer.conv0.in_channels for layer in on_meta(config).decoder.layers] == inputs


def test_attention_sits_at_16x16_and_in_the_bottleneck():
    net = on_meta(UNetConfig.edm_cifar10())
    assert [i for i, layer in enumerate(net.encoder.layers[1:], 1) if layer.attention] == [6, 7, 8, 9]
    # the first bottleneck block, and the last of the five 16x16 blocks (2 + 5 + 1 up + 5 = index 12)
    assert [i for i, layer in enumerate(net.decoder.layers) if layer.attention] == [0, 12]


# --- shapes and wiring -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("patch", [1, 2, 4])
@pytest.mark.parametrize("multipliers", [(1,), (1, 2), (2, 1, 3)])
def test_latents_have_the_promised_shapes(patch, multipliers):
    config = UNetConfig(
        resolution=16, base=4, multipliers=multipliers, blocks=2, attention=(4,), embedding=8, patch_size=patch
    )
    net, x, c_noise = tiny_net(config)
    z = net.encode(x, c_noise)
    assert [tuple(t.shape[1:]) for t in z] == config.skip_shapes()
    assert z[-1] is z[-2]  # the bottleneck is the last skip
    assert net.decode(z, c_noise).shape == x.shape


def test_encode_then_decode_is_forward():
    config = UNetConfig(
        resolution=8, base=8, multipliers=(1, 2), blocks=1, attention=(4,), embedding=16, classes=3, augment=2
    )
    net, x, c_noise = tiny_net(config)
    extras = (torch.tensor([0, -1, 2]), draw(3, 2, dtype=torch.float32))
    z = net.encode(x, c_noise, *extras)
    assert torch.equal(net.decode(z, c_noise, *extras), net(x, c_noise, *extras))


def test_decoder_reads_every_latent_in_its_place():
    net, x, c_noise = tiny_net()
    z = net.encode(x, c_noise)
    full = net.decode(z, c_noise)
    for index in range(len(z)):
        changed = [t + (i == index) * draw(*t.shape, dtype=torch.float32) for i, t in enumerate(z)]
        assert not torch.allclose(net.decode(changed, c_noise), full), f"latent {index} is not used"


def test_decoder_does_not_change_the_list_it_is_given():
    net, x, c_noise = tiny_net()
    z = net.encode(x, c_noise)
    before = [t.clone() for t in z]
    first = net.decode(z, c_noise)
    assert all(torch.equal(a, b) for a, b in zip(z, before, strict=True))
    assert torch.equal(net.decode(z, c_noise), first)


def test_decoder_refuses_another_number_of_latents():
    net, x, c_noise = tiny_net()
    with refuses("z", " 5 ", Mistake):
        net.decode(net.encode(x, c_noise)[:-1], c_noise)


def test_patches_are_pixels_folded_into_channels():
    """A patch-2 network is a patch-1 network between a hand-made unshuffle and shuffle."""
    small = UNetConfig(resolution=4, channels=12, base=8, multipliers=(1, 2), blocks=1, attention=(2,), embedding=16)
    folded = UNetConfig(
        resolution=8, channels=3, base=8, multipliers=(1, 2), blocks=1, attention=(2,), embedding=16, patch_size=2
    )
    net, x, c_noise = tiny_net(folded)
    plain = UNet(small).eval()
    plain.load_state_dict(net.state_dict())
    inside = x.reshape(3, 3, 4, 2, 4, 2).permute(0, 1, 3, 5, 2, 4).reshape(3, 12, 4, 4)
    outside = plain(inside, c_noise).reshape(3, 3, 2, 2, 4, 4).permute(0, 1, 4, 2, 5, 3).reshape(3, 3, 8, 8)
    torch.testing.assert_close(net(x, c_noise), outside)


def test_pictures_of_a_batch_do_not_mix():
    net, x, c_noise = tiny_net()
    alone = torch.cat([net(x[i : i + 1], c_noise[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(net(x, c_noise), alone, atol=1e-5, rtol=1e-4)


def test_dropout_works_in_training_only():
    config = UNetConfig(resolution=8, base=8, multipliers=(1,), blocks=1, attention=(), embedding=8, dropout=0.5)
    net, x, c_noise = tiny_net(config)
    assert torch.equal(net(x, c_noise), net(x, c_noise))
    net.train()
    assert not torch.equal(net(x, c_noise), net(x, c_noise))


def test_gradients_reach_every_parameter():
    net, x, c_noise = tiny_net(
        UNetConfig(resolution=8, base=8, multipliers=(1, 2), blocks=1, attention=(4,), embedding=16, classes=2)
    )
    net(x, c_noise, torch.tensor([0, 1, -1])).square().mean().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


# --- further blocks --------------------------------------------------------------------------------------------

DEEP = replace(TINY, encoder_depth=(0, 2), decoder_depth=(1, 0))


def test_a_deeper_network_starts_as_the_one_whose_weights_it_takes():
    net, x, c_noise = tiny_net()
    deep = UNet(DEEP).eval()
    deep.take(net)
    assert torch.equal(deep(x, c_noise), net(x, c_noise))
    assert all(torch.equal(a, b) for a, b in zip(deep.encode(x, c_noise), net.encode(x, c_noise), strict=True))
    # once trained, the coarse level's blocks move the bottleneck alone, and its skip is what it was
    with torch.no_grad():
        deep.encoder.deeper[1][0].conv1.bias.fill_(1.0)
    z = deep.encode(x, c_noise)
    torch.testing.assert_close(z[-1], z[-2] + 1)
    assert torch.equal(z[-2], net.encode(x, c_noise)[-2])
    assert not torch.allclose(deep.decode(z, c_noise), net(x, c_noise))


def test_further_blocks_sit_where_they_are_asked_for():
    deep = UNet(DEEP)
    assert [len(blocks) for blocks in deep.encoder.deeper] == [0, 2]
    # behind the two blocks in the middle and the two of the coarse level; behind up and the two of the fine one
    assert {int(k): len(blocks) for k, blocks in deep.decoder.deeper.items()} == {3: 0, 6: 1}
    wide, fine = 16, 8  # channels of the two levels
    block = [2 * c + 9 * c * c + c + 16 * c + c + 2 * c + 9 * c * c + c for c in (wide, fine)]
    assert count_parameters(deep) - count_parameters(UNet(TINY)) == 2 * block[0] + block[1]
    assert deep.config.skip_shapes() == TINY.skip_shapes()


def test_gradients_reach_further_blocks_once_they_have_moved():
    net, x, c_noise = tiny_net(DEEP)
    net(x, c_noise).square().mean().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_depth_is_written_only_where_there_is_one():
    assert not {"encoder_depth", "decoder_depth"} & TINY.to_dict().keys()
    assert UNetConfig(**DEEP.to_dict()) == DEEP
    for wrong in ((1,), (1, -1)):
        with refuses("decoder_depth", error=Mistake):
            replace(TINY, decoder_depth=wrong)


def test_weights_are_not_taken_from_another_network():
    for other in (replace(TINY, base=16), DEEP):
        with refuses("other", error=Mistake):
            UNet(TINY).take(UNet(other))


# --- labels ----------------------------------------------------------------------------------------------------

LABELLED = UNetConfig(resolution=8, base=8, multipliers=(1,), blocks=1, attention=(), embedding=16, classes=3)


def test_no_class_is_minus_one_or_none():
    net, x, c_noise = tiny_net(LABELLED)
    none = net(x, c_noise)
    assert torch.equal(net(x, c_noise, torch.full((3,), -1)), none)
    with_labels = net(x, c_noise, torch.tensor([0, -1, 2]))
    assert torch.equal(with_labels[1], none[1])
    assert not torch.allclose(with_labels[0], none[0]) and not torch.allclose(with_labels[2], none[2])


def test_an_unconditional_network_takes_no_class_only():
    net, x, c_noise = tiny_net()
    assert torch.equal(net(x, c_noise, torch.full((3,), -1)), net(x, c_noise))
    with refuses("labels", error=Mistake):
        net(x, c_noise, torch.tensor([0, -1, -1]))


@pytest.mark.parametrize("labels", [[0, 1, 3], [0, 1, -2], [0, 1, 10**12]])
def test_labels_outside_the_configuration_are_refused(labels):
    net, x, c_noise = tiny_net(LABELLED)
    with refuses("labels", " 0 .* 2, .*-1", Mistake):
        net(x, c_noise, torch.tensor(labels))


@pytest.mark.parametrize("labels", [torch.zeros(2, dtype=torch.int64), torch.zeros(3), torch.zeros(3, 3).long()])
def test_labels_of_another_form_are_refused(labels):
    net, x, c_noise = tiny_net(LABELLED)
    with refuses("labels", error=Mistake):
        net(x, c_noise, labels)


# --- parts against plain recomputations ------------------------------------------------------------------------


def group_norm(x: torch.Tensor, norm: torch.nn.GroupNorm) -> torch.Tensor:
    b, c, h, w = x.shape
    groups = x.reshape(b, norm.num_groups, -1)
    mean = groups.mean(2, keepdim=True)
    variance = (groups - mean).square().mean(2, keepdim=True)
    x = ((groups - mean) / (variance + 1e-6).sqrt()).reshape(b, c, h, w)
    return x * norm.weight[:, None, None] + norm.bias[:, None, None]


def convolution(x: torch.Tensor, conv: torch.nn.Conv2d) -> torch.Tensor:
    """A sum over kernel taps of shifted pictures."""
    k = conv.kernel_size[0]
    h, w = x.shape[2:]
    padded = F.pad(x, (k // 2,) * 4)
    out = conv.bias[None, :, None, None]
    for i in range(k):
        for j in range(k):
            out = out + torch.einsum("bchw,oc->bohw", padded[:, :, i : i + h, j : j + w], conv.weight[:, :, i, j])
    return out


def silu(x: torch.Tensor) -> torch.Tensor:
    return x / (1 + (-x).exp())


def resampled(x: torch.Tensor, block: Block) -> torch.Tensor:
    if block.up:
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    if block.down:
        return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4
    return x


@pytest.mark.parametrize(
    ("cin", "cout", "options"),
    [
        (8, 8, {}),
        (8, 16, {}),
        (8, 8, {"up": True}),
        (8, 12, {"down": True}),
        (12, 8, {"attention": True}),
        (8, 8, {"attention": True, "down": True}),
    ],
)
def test_block_against_the_definition(cin, cout, options):
    block = randomised(Block(cin, cout, 6, **options))
    x, emb = draw(2, cin, 4, 4), draw(2, 6, seed=2)
    with torch.no_grad():
        h = convolution(resampled(silu(group_norm(x, block.norm0)), block), block.conv0)
        h = h + (emb @ block.affine.weight.T + block.affine.bias)[:, :, None, None]
        h = convolution(silu(group_norm(h, block.norm1)), block.conv1)
        residual = resampled(x, block)
        if cin != cout or options.get("up") or options.get("down"):
            residual = convolution(residual, block.skip)
        else:
            assert block.skip is None
        expected = (residual + h) / math.sqrt(2)
        if options.get("attention"):
            flat = convolution(group_norm(expected, block.norm2), block.qkv).flatten(2)
            q, k, v = flat[:, :cout], flat[:, cout : 2 * cout], flat[:, 2 * cout :]
            weights = (torch.einsum("bci,bcj->bij", q, k) / math.sqrt(cout)).exp()
            weights = weights / weights.sum(2, keepdim=True)
            seen = torch.einsum("bij,bcj->bci", weights, v).reshape(expected.shape)
            expected = (expected + convolution(seen, block.proj)) / math.sqrt(2)
        torch.testing.assert_close(block(x, emb), expected, rtol=1e-10, atol=1e-10)


def test_noise_embedding_against_the_definition():
    """EDM's mapping: sines before cosines, frequencies 1 to 1e-4, one-hot * sqrt(classes), two SiLU layers."""
    config = UNetConfig(base=8, embedding=6, classes=3, augment=2)
    part = randomised(NoiseEmbedding(config)).float()
    c_noise = torch.tensor([-1.5, 0.25])
    augment = draw(2, 2, dtype=torch.float32)
    weights = {k: v.detach().numpy() for k, v in part.state_dict().items()}
    frequencies = 10_000.0 ** (-np.arange(4) / 3)
    angle = c_noise.numpy()[:, None] * frequencies
    emb = np.concatenate([np.sin(angle), np.cos(angle)], 1)
    one_hot = np.array([[0, 0, 1], [0, 0, 0]]) * np.sqrt(3)
    emb = emb + one_hot @ weights["label.weight"].T + weights["label.bias"]
    emb = emb + augment.numpy() @ weights["augment.weight"].T
    for layer in ("layer0", "layer1"):
        emb = emb @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
        emb = emb / (1 + np.exp(-emb))
    found = part(c_noise, torch.tensor([2, -1]), augment).detach().numpy()
    np.testing.assert_allclose(found, emb, rtol=1e-5, atol=1e-5)


# --- configuration ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "field", "number"),
    [
        ({"resolution": 0}, "resolution", " 1"),
        ({"channels": 0}, "channels", " 1"),
        ({"blocks": 0}, "blocks", " 1"),
        ({"embedding": -4}, "embedding", " 1"),
        ({"patch_size": 0}, "patch_size", " 1"),
        ({"multipliers": ()}, "multipliers", None),
        ({"multipliers": (2, 0)}, "multipliers", " 1"),
        ({"resolution": 30}, "resolution", " 4"),
        ({"resolution": 36, "patch_size": 2}, "resolution", " 8"),
        ({"base": 6}, "base", " 4"),
        ({"dropout": 1.0}, "dropout", None),
        ({"dropout": -0.1}, "dropout", None),
        ({"dropout": math.nan}, "dropout", None),
        ({"classes": -1}, "classes", None),
        ({"augment": -1}, "augment", None),
    ],
)
def test_impossible_configurations_are_refused(options, field, number):
    with refuses(field, number, Mistake):
        UNetConfig(**options)


def test_configuration_round_trip_through_plain_types():
    config = UNetConfig.edm_ffhq()
    plain = config.to_dict()
    assert plain["multipliers"] == [1, 2, 2, 2] and plain["attention"] == [16]
    assert UNetConfig(**plain) == config


def test_augmentation_inputs_that_are_not_given_change_nothing_and_are_trained_along():
    torch.manual_seed(0)
    config = UNetConfig(resolution=8, base=8, multipliers=(1,), blocks=1, attention=(), embedding=16, augment=9)
    net = UNet(config)
    torch.nn.init.normal_(net.decoder.conv.weight)
    x, level = torch.randn(2, 3, 8, 8), torch.zeros(2)
    out = net(x, level)
    plain = UNet(replace(config, augment=0))
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if "augment" not in k})
    assert torch.equal(out, plain(x, level))
    out.sum().backward()
    # several processes wait for a gradient of every parameter
    assert all(p.grad is not None for p in net.parameters())
    assert not net.embedding.augment.weight.grad.any()


def test_augmentation_labels_need_a_network_that_has_them():
    net, x, c_noise = tiny_net()
    with refuses("augment", error=Mistake):
        net(x, c_noise, None, torch.zeros(3, 9))
