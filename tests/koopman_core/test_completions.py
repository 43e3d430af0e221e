"""Completions: what is kept, what the teacher makes of the student's guess, and that a student trains on them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import koopman_core
from foundation import noise
from foundation.mistakes import Mistake
from koopman_core.completions import CompletionConfig, Guess
from koopman_core.edm import EDM, SIGMA_MAX
from koopman_core.model import KoopmanDiffusion
from koopman_core.objective import StudentConfig, StudentTask
from koopman_core.train import main
from koopman_core.trajectories import Trajectories, TrajectoryConfig, write_trajectories
from tests.koopman_core.teachers import teacher_with_trajectories
from tests.refusals import refuses

LEVEL = 3


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Teacher, a student that differs from it, their folders: trajectories, and the same completed."""
    root = tmp_path_factory.mktemp("completions")
    teacher, _ = teacher_with_trajectories(root / "whole", 8)
    student = KoopmanDiffusion.from_teacher(teacher).eval()
    torch.nn.init.normal_(student.net.decoder.conv.weight, std=0.3)
    settings = TrajectoryConfig(count=24, steps=5, shard_size=8, batch=5)
    assert write_trajectories(teacher, settings, root / "completed", guess=Guess(student, LEVEL, teacher)) == 24
    return teacher, student, root


def test_levels_before_are_kept_and_those_after_are_the_teachers_way_from_the_guess(world):
    teacher, student, root = world
    whole, completed = Trajectories(root / "whole"), Trajectories(root / "completed")
    rows = np.arange(24)
    sigmas = whole.sigmas.tolist()
    for level in range(LEVEL):
        at = np.full(24, level)
        # batches of other sizes: the same up to rounding
        torch.testing.assert_close(completed.states(rows, at), whole.states(rows, at), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(completed.denoised(rows, at), whole.denoised(rows, at), rtol=1e-4, atol=1e-4)
    eps = noise(range(TrajectoryConfig.seed, TrajectoryConfig.seed + 24), (3, 8, 8))
    with torch.no_grad():
        x = (student(SIGMA_MAX * eps, SIGMA_MAX) + sigmas[LEVEL] * eps).double()
        for i, (now, after) in enumerate(zip(sigmas[LEVEL:], [*sigmas[LEVEL + 1 :], 0.0], strict=True)):
            at = np.full(24, LEVEL + i)
            torch.testing.assert_close(completed.states(rows, at).double(), x, rtol=1e-3, atol=1e-3)
            denoised = teacher(x.float(), now).double()
            torch.testing.assert_close(completed.denoised(rows, at).double(), denoised, rtol=1e-3, atol=1e-3)
            slope = (x - denoised) / now
            euler = x + (after - now) * slope
            if after:
                slope = (slope + (euler - teacher(euler.float(), after).double()) / after) / 2
            x = x + (after - now) * slope
    torch.testing.assert_close(completed.finals(rows).double(), x, rtol=1e-3, atol=1e-3)
    assert float((completed.finals(rows) - whole.finals(rows)).abs().mean()) > 0.01
    assert completed.index["completion"]["level"] == LEVEL and "completion" not in whole.index


def test_they_cost_one_call_of_the_teacher_less(world, tmp_path, monkeypatch):
    teacher, student, _ = world
    calls = {"teacher": 0, "student": 0}
    teacher_forward, student_forward = type(teacher).forward, type(student).forward

    def counted(name, forward):
        def call(self, *args, **kwargs):
            calls[name] += 1
            return forward(self, *args, **kwargs)

        return call

    monkeypatch.setattr(type(teacher), "forward", counted("teacher", teacher_forward))
    monkeypatch.setattr(type(student), "forward", counted("student", student_forward))
    settings = TrajectoryConfig(count=4, steps=5, batch=4)
    write_trajectories(teacher, settings, tmp_path, guess=Guess(student, LEVEL, teacher))
    assert calls == {"teacher": 2 * 5 - 2, "student": 1}


def test_a_student_learns_from_completions(world):
    teacher, _, root = world
    data = Trajectories(root / "completed")
    config = StudentConfig(objective="path", lambda2=0.0, latent_weights=(0.1, 0.1))
    task = StudentTask(KoopmanDiffusion.from_teacher(teacher), data, None, config)
    loss = task(torch.tensor(0.5), *task.draw(0, 8, torch.Generator().manual_seed(0)))["loss"]
    assert bool(torch.isfinite(loss))


def test_mistakes_are_refused(world, tmp_path):
    teacher, student, root = world
    settings = TrajectoryConfig(count=24, steps=5, shard_size=8, batch=5)
    with refuses("level", error=Mistake):
        write_trajectories(teacher, settings, tmp_path, guess=Guess(student, 5, teacher))
    for guess in (None, Guess(student, LEVEL - 1, teacher)):
        with refuses("folder", error=Mistake):
            write_trajectories(teacher, settings, root / "completed", guess=guess)
    with refuses("level", error=Mistake):
        CompletionConfig(level=0)
    with refuses("student", error=Mistake):
        Guess(student, LEVEL, EDM(replace(teacher.config, resolution=16)))


def test_the_command_and_the_card(world, tmp_path):
    teacher, student, _ = world
    koopman_core.save(teacher, tmp_path / "teacher.safetensors", {"name": "tiny-teacher"}, dtype=None)
    koopman_core.save(student, tmp_path / "student.safetensors", {"name": "tiny"}, dtype=None)
    (tmp_path / "trajectories.toml").write_text(
        f'[completion]\nstudent = "{tmp_path / "student.safetensors"}"\nlevel = 2\n'
        f"[trajectories]\ncount = 8\nsteps = 5\nshard_size = 4\nbatch = 4\n"
        f'[run]\nout = "{tmp_path / "out"}"\ncompile = "off"\n'
    )
    command = ["trajectories", "--config", str(tmp_path / "trajectories.toml"), "--quiet"]
    assert main([*command, "--teacher", str(tmp_path / "teacher.safetensors")]) == 0
    assert json.loads((tmp_path / "out" / "index.json").read_text())["completion"]["level"] == 2
    (tmp_path / "student.toml").write_text(
        f'[input]\nteacher = "{tmp_path / "teacher.safetensors"}"\ntrajectories = "{tmp_path / "out"}"\n'
        '[student]\nlambda2 = 0.0\n[training]\nimages = 8\nbatch = 4\nthreads = 1\nprecision = "fp32"\n'
        f'compile = "off"\n[run]\nout = "{tmp_path / "run"}"\n'
    )
    assert main(["student", "--config", str(tmp_path / "student.toml"), "--quiet"]) == 0
    card = koopman_core.load(tmp_path / "run" / "student.safetensors").card
    assert card["trajectories"]["completion"]["level"] == 2
