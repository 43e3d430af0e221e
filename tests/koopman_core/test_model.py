"""The HKD network: parameter counts, consistency with the teacher, strict loading."""

from dataclasses import replace

import pytest
import torch

import koopman_core
from foundation import noise
from foundation.files import checkpoints
from foundation.files.settings import SettingsError
from foundation.mistakes import Mistake
from foundation.networks.unet import UNet, UNetConfig
from koopman_core.edm import EDM, SIGMA_MAX
from koopman_core.model import KoopmanConfig, KoopmanDiffusion
from koopman_core.recipes import take_operators
from tests.refusals import refuses

TINY = UNetConfig(resolution=16, base=16, multipliers=(1, 2), blocks=1, attention=(), embedding=32, patch_size=2)


def trained_looking(koopman=None, config=TINY, seed=0):
    torch.manual_seed(seed)
    model = KoopmanDiffusion(config, koopman).eval()
    for p in model.parameters():  # EDM starts its last layers at almost zero: nothing would show
        torch.nn.init.normal_(p, std=0.1)
    return model


@pytest.mark.parametrize("config,net,a", [("edm_cifar10", 55_733_891, 1_605_632), ("edm_ffhq", 61_805_571, 4_227_072)])
def test_the_papers_networks(config, net, a):
    with torch.device("meta"):
        model = KoopmanDiffusion(getattr(UNetConfig, config)())
    assert sum(p.numel() for p in model.net.parameters()) == net
    assert sum(p.numel() for p in model.operators.parameters()) == a


def test_zero_operator_and_equal_levels_give_the_plain_network():
    model = KoopmanDiffusion(TINY).eval()
    torch.nn.init.normal_(model.net.decoder.conv.weight)
    plain = UNet(TINY).eval()
    plain.load_state_dict(model.net.state_dict())
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        got = model(x, 0.002)  # the decoder is told sigma_min, so the encoder must be too
        c_noise = torch.full((2,), 0.002).log() / 4
        want = 0.5 * plain(x / (0.002**2 + 0.25) ** 0.5, c_noise)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


def test_one_step_is_encode_evolve_decode_in_one_call():
    model = trained_looking()
    eps = noise([3, 4], model.picture_shape)
    calls = []
    model.net.encoder.register_forward_hook(lambda *_: calls.append("E"))
    model.net.decoder.register_forward_hook(lambda *_: calls.append("D"))
    with torch.no_grad():
        got = model.one_step(eps)
        assert calls == ["E", "D"]
        z = model.encode(SIGMA_MAX * eps, SIGMA_MAX)
        half = model.evolve(model.evolve(z, 1.0, 0.4), 0.4, 0.0)
        torch.testing.assert_close(model.decode(half), got, rtol=1e-4, atol=1e-4)


def test_student_starts_at_the_teacher():
    teacher = EDM(TINY).eval()
    student = KoopmanDiffusion.from_teacher(teacher)
    assert all(torch.equal(a, b) for a, b in zip(student.net.state_dict().values(), teacher.net.state_dict().values(),
                                                 strict=True))  # fmt: skip
    assert all(not e.alpha.any() and not e.beta.any() for e in student.spectrum())


@pytest.mark.parametrize(
    "name,told_min,told_max", [("shapes", (2.0, 3.2), (0.004, 0.02)), ("cifar10", (0.5, 0.9), (0.01, 0.03))]
)
def test_only_a_decoder_told_sigma_max_starts_at_the_teachers_picture(name, told_min, told_max):
    """The figures of docs/decisions.md: RMS of student - D(x; 80) before any training, over the std of D."""
    teacher = koopman_core.load_teacher(name)
    x = SIGMA_MAX * noise(range(16), teacher.picture_shape)
    labels = torch.arange(16) % teacher.classes if teacher.classes else None
    with torch.no_grad():
        want = teacher(x, SIGMA_MAX, labels)
        for choice, (low, high) in {"min": told_min, "max": told_max}.items():
            student = KoopmanDiffusion.from_teacher(teacher, KoopmanConfig(decoder_sigma=choice)).eval()
            gap = float((student(x, SIGMA_MAX, labels) - want).square().mean().sqrt() / want.std())
            assert low < gap < high, (choice, gap)


def test_decoder_sigma_is_saved_and_old_files_go_without(tmp_path):
    assert "decoder_sigma" not in KoopmanConfig().to_dict()
    model = trained_looking(KoopmanConfig(decoder_sigma="max"))
    koopman_core.save(model, tmp_path / "m.safetensors", {}, dtype=None)
    again = koopman_core.load(tmp_path / "m.safetensors")
    z = [torch.randn(1, *s) for s in TINY.skip_shapes()]
    with torch.no_grad():
        want = 0.5 * model.net.decode(z, torch.tensor([80.0]).log() / 4)
        torch.testing.assert_close(again.decode(z), want, rtol=1e-5, atol=1e-5)
    assert koopman_core.load("shapes").koopman.decoder_sigma == "min"
    with refuses("decoder_sigma", error=Mistake):
        KoopmanConfig(decoder_sigma="80")


def test_dropout_of_the_student_is_its_own():
    teacher = EDM(replace(TINY, dropout=0.13))
    assert KoopmanDiffusion.from_teacher(teacher, dropout=0.0).config.dropout == 0.0
    assert KoopmanDiffusion.from_teacher(teacher).config.dropout == 0.13


def test_a_deeper_student_goes_on_from_another(tmp_path):
    model = trained_looking(KoopmanConfig(decoder_sigma="max"))
    deep = KoopmanDiffusion(replace(TINY, encoder_depth=(1,) * len(TINY.multipliers)), model.koopman).eval()
    deep.take(model)
    x = noise([3], model.picture_shape)
    with torch.no_grad():
        assert torch.equal(deep.one_step(x), model.one_step(x))
    koopman_core.save(deep, tmp_path / "deep.safetensors", {}, dtype=None)
    assert koopman_core.load(tmp_path / "deep.safetensors").config == deep.config
    with refuses("koopman", error=Mistake):
        KoopmanDiffusion(TINY).take(model)


@pytest.mark.parametrize("evolved,moving", [("all", None), ("bottleneck", 1), ("none", 0)])
def test_ablation_switch_freezes_operators(evolved, moving):
    model = trained_looking(KoopmanConfig(evolved=evolved))
    z = [torch.randn(1, *s) for s in TINY.skip_shapes()]
    with torch.no_grad():
        out = model.evolve(z, 1.0, 0.0)
    moved = [not torch.equal(a, b) for a, b in zip(z, out, strict=True)]
    n = len(moved) if moving is None else moving
    assert moved == [False] * (len(moved) - n) + [True] * n
    trainable = [o.a.requires_grad for o in model.operators]
    assert trainable == moved


def test_picture_does_not_depend_on_the_batch():
    model = trained_looking()
    with torch.no_grad():
        alone = model.one_step(noise([7], model.picture_shape))
        among = model.one_step(noise([5, 6, 7], model.picture_shape))[2:]
    torch.testing.assert_close(alone, among, rtol=1e-5, atol=1e-5)


def test_spectrum_lists_skips_then_bottleneck():
    entries = trained_looking().spectrum()
    assert [e.name for e in entries] == ["skip 0", "skip 1", "skip 2", "skip 3", "bottleneck"]
    assert [e.shape for e in entries] == TINY.skip_shapes()
    assert all(e.alpha.shape == (e.shape[0] // 2, *e.shape[1:]) == e.beta.shape for e in entries)


def test_round_trip_keeps_pictures_and_card(tmp_path):
    model = trained_looking(KoopmanConfig(warp="log", evolved="bottleneck"))
    koopman_core.save(model, tmp_path / "m.safetensors", {"name": "m"}, dtype=None)
    again = koopman_core.load(tmp_path / "m.safetensors")
    assert again.card == {"name": "m"} and again.koopman == model.koopman and again.config == model.config
    eps = noise([1], model.picture_shape)
    with torch.no_grad():
        assert torch.equal(again.one_step(eps), model.one_step(eps))


def test_teacher_round_trip_and_wrong_kind(tmp_path):
    teacher = EDM(TINY).eval()
    koopman_core.save(teacher, tmp_path / "t.safetensors", {"name": "t"})
    assert koopman_core.load_teacher(tmp_path / "t.safetensors").card == {"name": "t"}
    with refuses("kind", "'teacher'.*'hkd'", checkpoints.CheckpointError):
        koopman_core.load(tmp_path / "t.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        {"network": {"base": 10**6}}, {"network": {"resolution": 4096}}, {"network": {"embedding": 10**9}},
        {"network": {"no_such_key": 1}}, {"network": []},
        {"koopman": {"warp": "linear"}}, {"koopman": {"alpha_max": "x"}},
        {"network": {"base": -4}}, {"network": {"multipliers": "abc"}}, {"network": {"patch_size": 3}},
    ],
)  # fmt: skip
def test_hostile_configurations_are_refused(tmp_path, change):
    model = trained_looking()
    config = {"network": TINY.to_dict(), "koopman": {}}
    for key, value in change.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    checkpoints.save(tmp_path / "m.safetensors", model.state_dict(), kind="hkd", config=config)
    with pytest.raises(checkpoints.CheckpointError):
        koopman_core.load(tmp_path / "m.safetensors")


def test_unknown_name_lists_what_there_is():
    with refuses("name", "'nothing'", checkpoints.CheckpointError):
        koopman_core.load("nothing")


@pytest.mark.parametrize("sign", [1, -1])
def test_an_operator_far_from_any_training_is_refused_at_loading(tmp_path, sign):
    model = KoopmanDiffusion(TINY)
    koopman_core.save(model, tmp_path / "a.hkd.safetensors")
    assert koopman_core.load(tmp_path / "a.hkd.safetensors")  # A = 0 is where a student starts
    with torch.no_grad():
        model.operators[1].a.fill_(sign * 60_000)
    koopman_core.save(model, tmp_path / "b.hkd.safetensors")
    with refuses("operators.1.a", error=checkpoints.CheckpointError):
        koopman_core.load(tmp_path / "b.hkd.safetensors")


def test_a_network_of_zeros_is_refused_at_loading_whatever_its_operators(tmp_path):
    model = KoopmanDiffusion(TINY)
    with torch.no_grad():
        for p in model.net.parameters():
            p.zero_()
        model.operators[0].a.fill_(1)
    koopman_core.save(model, tmp_path / "a.hkd.safetensors")
    with pytest.raises(checkpoints.CheckpointError):
        koopman_core.load(tmp_path / "a.hkd.safetensors")


def test_eigenvalues_are_taken_from_a_model_with_the_same_levels():
    mine, theirs = trained_looking(seed=0), trained_looking(seed=1)
    take_operators(mine, theirs)
    for a, b in zip(mine.operators, theirs.operators, strict=True):
        assert torch.equal(a.a, b.a) and a.a.data_ptr() != b.a.data_ptr()
    with torch.no_grad():
        theirs.operators[0].a.zero_()
    assert bool(mine.operators[0].a.any())
    for other in (
        trained_looking(config=replace(TINY, multipliers=(1, 2, 2))),
        trained_looking(KoopmanConfig(evolved="bottleneck")),
    ):
        before = [o.a.clone() for o in mine.operators]
        with pytest.raises(SettingsError):
            take_operators(mine, other)
        assert all(torch.equal(o.a, b) for o, b in zip(mine.operators, before, strict=True))
