"""Any denoiser as a teacher: noise-prediction networks against the formulas, own code, and what is refused."""

import json
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from foundation import noise
from foundation.files.checkpoints import CheckpointError
from foundation.mistakes import Mistake
from foundation.networks.unet import UNetConfig
from koopman_core import denoiser, load
from koopman_core.denoiser import Denoiser, VPDenoiser, load_diffusers, open_teacher, sampling_sigmas, strict_fp32
from koopman_core.edm import EDM, heun_sample, karras_sigmas
from koopman_core.train import _with_teacher, main
from koopman_core.trajectories import Trajectories, TrajectoryConfig, write_trajectories
from tests.refusals import refuses

SHAPE = (3, 4, 4)
BETAS = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
SCHEDULE = (1 - BETAS).cumprod(0)


class GaussianNoise(nn.Module):
    """The exact noise prediction for data N(mean, scale^2 I), at whole steps of the schedule and between them."""

    def __init__(self, mean=0.3, scale=0.5):
        super().__init__()
        self.mean, self.scale = mean, scale
        self.weight = nn.Parameter(torch.ones(1))
        self.steps = []

    def forward(self, x, t):
        self.steps.append(t)
        low = t.double().floor().long().clamp(max=998)
        levels = ((1 - SCHEDULE) / SCHEDULE).sqrt()
        share = t.double() - low
        sigma = (levels[low].log() * (1 - share) + levels[low + 1].log() * share).exp()[:, None, None, None]
        a = (1 + sigma**2).rsqrt()
        # E[eps | x_t] for x_t = a x_0 + sqrt(1 - a^2) eps
        b = (1 - a**2).sqrt()
        return types.SimpleNamespace(sample=(b * (x - a * self.mean) / (a**2 * self.scale**2 + b**2)).float())


@pytest.fixture
def teacher():
    return VPDenoiser(GaussianNoise(), SCHEDULE, SHAPE).eval()


def test_noise_levels_of_the_linear_schedule(teacher):
    assert teacher.sigma_min == pytest.approx(0.0100, abs=1e-4) and teacher.sigma_max == pytest.approx(157.4, abs=0.1)
    assert isinstance(teacher, Denoiser) and isinstance(EDM(UNetConfig(resolution=8, base=8, embedding=8)), Denoiser)


def test_denoised_is_the_posterior_mean(teacher):
    for sigma in (0.0101, 0.37, 1.0, 42.0, 157.0):
        x = 0.3 + sigma * noise([1, 2], SHAPE)
        want = (x * 0.25 + 0.3 * sigma**2) / (0.25 + sigma**2)  # of N(0.3, 0.25) with noise of this level
        torch.testing.assert_close(teacher(x, sigma), want, rtol=2e-4, atol=2e-4)


def test_formula_at_a_whole_step_and_between(teacher):
    levels = ((1 - SCHEDULE) / SCHEDULE).sqrt()
    sigma = torch.stack([levels[0], levels[500], (levels[500] * levels[501]).sqrt(), levels[999]]).float()
    assert teacher.step_of(sigma).tolist() == pytest.approx([0, 500, 500.5, 999], abs=2e-3)
    assert teacher.step_of(torch.tensor([1e-4, 1e4])).tolist() == [0, 999]
    x = noise(range(4), SHAPE)
    got = teacher(x, sigma)
    for i, s in enumerate(sigma.tolist()):
        t = torch.tensor([np.interp(np.log(s), levels.log().numpy(), np.arange(1000))])
        eps = teacher.network(x[i : i + 1] / (1 + s * s) ** 0.5, t).sample[0]
        torch.testing.assert_close(got[i], x[i] - s * eps, rtol=1e-4, atol=1e-4)


def test_its_grid_ends_where_its_schedule_does(teacher, tmp_path):
    grid = sampling_sigmas(teacher, 6)
    torch.testing.assert_close(grid, karras_sigmas(6, sigma_min=teacher.sigma_min))
    config = TrajectoryConfig(count=3, steps=6, shard_size=3, batch=2)
    write_trajectories(teacher, config, tmp_path)
    data = Trajectories(tmp_path)
    torch.testing.assert_close(data.sigmas, grid)
    seeds = range(config.seed, config.seed + 3)
    want = heun_sample(lambda x, s: teacher(x, s), 80 * noise(seeds, SHAPE), grid).x
    torch.testing.assert_close(data.finals(np.arange(3)), want, rtol=1e-4, atol=1e-4)


def test_a_denoiser_of_little_noise_makes_no_trajectories(tmp_path):
    short = VPDenoiser(GaussianNoise(), SCHEDULE[:500], SHAPE)
    with refuses("teacher", "80", Mistake):
        write_trajectories(short, TrajectoryConfig(count=1), tmp_path)


@pytest.mark.parametrize(
    "schedule", [[], [0.5], [0.5, 0.5], [0.1, 0.5], [1.0, 0.5], [0.5, 0.0], [[0.5, 0.1]], [np.nan, 0.1]]
)
def test_other_schedules_are_refused(schedule):
    with refuses("alphas_cumprod", error=Mistake):
        VPDenoiser(GaussianNoise(), torch.tensor(schedule), SHAPE)


def test_classes_of_a_network_that_has_them():
    class Labelled(nn.Module):
        def forward(self, x, t, labels):
            return torch.zeros_like(x) + labels[:, None, None, None]

    teacher = VPDenoiser(Labelled(), SCHEDULE, SHAPE, classes=3)
    x = torch.zeros(2, *SHAPE)
    assert teacher(x, 1.0, torch.tensor([0, 2]))[:, 0, 0, 0].tolist() == [0, -2]
    for labels in (None, torch.tensor([0, -1])):
        with refuses("labels", error=Mistake):
            teacher(x, 1.0, labels)
    with refuses("labels", error=Mistake):
        VPDenoiser(GaussianNoise(), SCHEDULE, SHAPE)(x, 1.0, torch.tensor([0, 1]))


def folder_of(path, config=None, schedule=None):
    path.mkdir(exist_ok=True)
    config = {"sample_size": 4, "in_channels": 3, "out_channels": 3} | (config or {})
    schedule = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"} | (
        schedule or {}
    )
    (path / "config.json").write_text(json.dumps(config))
    (path / "scheduler_config.json").write_text(json.dumps(schedule))
    return path


def test_a_folder_of_diffusers(tmp_path, monkeypatch):
    asked = {}

    class UNet2DModel:
        @classmethod
        def from_pretrained(cls, path, **options):
            asked.update(options, path=path)
            return GaussianNoise()

    monkeypatch.setitem(sys.modules, "diffusers", types.SimpleNamespace(UNet2DModel=UNet2DModel))
    teacher = open_teacher(folder_of(tmp_path / "ddpm"))
    assert asked == {"path": tmp_path / "ddpm", "use_safetensors": True, "local_files_only": True}
    assert teacher.picture_shape == SHAPE and teacher.classes == 0 and not teacher.training
    torch.testing.assert_close(teacher.log_sigmas, ((1 - SCHEDULE) / SCHEDULE).log() / 2)
    scaled = load_diffusers(folder_of(tmp_path / "scaled", schedule={"beta_schedule": "scaled_linear"}))
    want = (1 - torch.linspace(1e-2, 0.02**0.5, 1000, dtype=torch.float64) ** 2).cumprod(0)
    torch.testing.assert_close(scaled.log_sigmas, ((1 - want) / want).log() / 2)


def test_diffusers_is_optional(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with refuses("diffusers", error=CheckpointError):
        load_diffusers(folder_of(tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        {"schedule": {"prediction_type": "v_prediction"}}, {"schedule": {"beta_schedule": "squaredcos_cap_v2"}},
        {"schedule": {"num_train_timesteps": 10**9}}, {"schedule": {"beta_start": "x"}},
        {"schedule": {"beta_end": 2.0}},
        {"config": {"sample_size": [4, 8]}}, {"config": {"out_channels": -3}}, {"config": {"num_class_embeds": "x"}},
    ],
)  # fmt: skip
def test_other_folders_are_refused(tmp_path, change):
    with pytest.raises(CheckpointError):
        load_diffusers(folder_of(tmp_path, **change))


def test_folders_with_something_else(tmp_path):
    with refuses("folder", error=CheckpointError):
        open_teacher(tmp_path)
    folder_of(tmp_path)
    (tmp_path / "config.json").write_text("[")
    with refuses("folder", error=CheckpointError):
        open_teacher(tmp_path)


@pytest.fixture
def own_code(tmp_path, monkeypatch):
    (tmp_path / "my_teachers.py").write_text(
        "from tests.koopman_core import test_denoiser as t\n"
        "from koopman_core.denoiser import VPDenoiser\n"
        "def vp(): return VPDenoiser(t.GaussianNoise(), t.SCHEDULE, (3, 8, 8))\n"
        "def nothing(): return None\n"
        "def needs(x): return x\n"
        "number = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("my_teachers", None)


def test_own_code_is_named(own_code):
    assert open_teacher("my_teachers:vp").picture_shape == (3, 8, 8)
    for name in ("my_teachers:nothing", "my_teachers:needs", "my_teachers:number", "my_teachers:gone", "no_such:vp"):
        with refuses("factory", "my_teachers|no_such", CheckpointError):
            open_teacher(name)


def test_option_teacher_is_a_setting():
    assert _with_teacher(["trajectories", "--teacher", "a:b"]) == ["trajectories", "--teacher.checkpoint=a:b"]
    assert _with_teacher(["student", "--teacher=a:b", "--quiet"]) == ["student", "--input.teacher=a:b", "--quiet"]
    assert _with_teacher(["student", "--input.teacher=x"]) == ["student", "--input.teacher=x"]
    assert _with_teacher(["teacher", "--teacher.flip=true"]) == ["teacher", "--teacher.flip=true"]


def test_a_student_of_own_code_starts_from_nothing(own_code, tmp_path, capsys):
    (tmp_path / "t.toml").write_text(
        f'[trajectories]\ncount = 4\nsteps = 4\ndenoised = false\n[run]\nout = "{tmp_path / "data"}"\ncompile = "off"\n'
    )
    (tmp_path / "s.toml").write_text(
        f"""
        [input]
        trajectories = "{tmp_path / "data"}"
        [network]
        resolution = 8
        base = 8
        multipliers = [1]
        blocks = 1
        attention = []
        embedding = 8
        [student]
        objective = "published"
        lambda2 = 0.0
        [training]
        images = 8
        batch = 4
        compile = "off"
        [run]
        out = "{tmp_path / "student"}"
        """
    )
    own = ["--quiet", "--teacher", "my_teachers:vp"]
    assert main(["trajectories", "--config", str(tmp_path / "t.toml"), *own]) == 0
    assert main(["student", "--config", str(tmp_path / "s.toml"), *own]) == 0
    assert "random weights" in capsys.readouterr().out
    assert load(tmp_path / "student" / "student.safetensors").config.base == 8
    # the same trajectories lack what the objective path compares with; and another network's pictures do not fit
    for change in ("--student.objective=path", "--network.resolution=16"):
        assert main(["student", "--config", str(tmp_path / "s.toml"), *own, change, f"--run.out={tmp_path / 'x'}"]) == 2


def test_fp32_is_strict_only_inside():
    backends = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [b.allow_tf32 for b in backends]
    try:
        torch.backends.cudnn.allow_tf32 = True
        with pytest.raises(RuntimeError, match="inside"), strict_fp32():
            assert [b.allow_tf32 for b in backends] == [False, False]
            raise RuntimeError("inside")
        assert torch.backends.cudnn.allow_tf32
    finally:
        for b, allowed in zip(backends, before, strict=True):
            b.allow_tf32 = allowed


def test_trajectories_are_made_in_strict_fp32(teacher, tmp_path, monkeypatch):
    seen = []
    inner = teacher.forward
    monkeypatch.setattr(teacher, "forward", lambda *a: (seen.append(torch.backends.cudnn.allow_tf32), inner(*a))[1])
    torch.backends.cudnn.allow_tf32 = True
    write_trajectories(teacher, TrajectoryConfig(count=1, steps=2), tmp_path)
    assert seen == [False] * 3 and torch.backends.cudnn.allow_tf32


def test_a_denoiser_without_weights_names_itself(tmp_path):
    class Plain:
        picture_shape, classes, sigma_min, sigma_max = SHAPE, 0, 0.002, 80.0

        def __call__(self, x, sigma, labels=None):
            return 0.5 * x

    with refuses("fingerprint", error=Mistake):
        write_trajectories(Plain(), TrajectoryConfig(count=1, steps=2), tmp_path)
    plain = Plain()
    plain.fingerprint = "plain 1"
    assert write_trajectories(plain, TrajectoryConfig(count=1, steps=2), tmp_path) == 1
    assert Trajectories(tmp_path).teacher == "plain 1" and denoiser.device_of(plain).type == "cpu"
