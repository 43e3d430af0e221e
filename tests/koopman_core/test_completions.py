"""Completions: what is kept, what the teacher makes of the student's guess, and that a student trains on them."""

import json

import numpy as np
import pytest
import torch

import koopman_core
from foundation import noise
from foundation.mistakes import Mistake
from koopman_core.completions import CompletionConfig, complete_trajectories
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
    """Teacher, a student that differs from it, their folders: trajectories and completions."""
    root = tmp_path_factory.mktemp("completions")
    teacher, _ = teacher_with_trajectories(root / "whole", 8)
    student = KoopmanDiffusion.from_teacher(teacher).eval()
    torch.nn.init.normal_(student.net.decoder.conv.weight, std=0.3)
    config = CompletionConfig(str(root / "whole"), level=LEVEL, batch=5)
    assert complete_trajectories(teacher, student, config, root / "completed") == 24
    return teacher, student, root


def test_levels_before_are_kept_and_those_after_are_the_teachers_way_from_the_guess(world):
    teacher, student, root = world
    whole, completed = Trajectories(root / "whole"), Trajectories(root / "completed")
    rows = np.arange(24)
    sigmas = whole.sigmas.tolist()
    for level in range(LEVEL):
        at = np.full(24, level)
        assert torch.equal(whole.states(rows, at), completed.states(rows, at))
        assert torch.equal(whole.denoised(rows, at), completed.denoised(rows, at))
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


def test_what_is_there_is_kept_and_workers_share_the_rest(world, tmp_path):
    teacher, student, root = world
    config = CompletionConfig(str(root / "whole"), level=LEVEL)
    assert complete_trajectories(teacher, student, config, root / "completed") == 0
    made = [complete_trajectories(teacher, student, config, tmp_path, worker=w, workers=2) for w in range(2)]
    assert made == [16, 8]
    rows = np.arange(24)
    # batches of other sizes: the same up to rounding
    torch.testing.assert_close(
        Trajectories(tmp_path).finals(rows), Trajectories(root / "completed").finals(rows), rtol=1e-3, atol=1e-3
    )


def test_replaced_shards_are_deleted_one_by_one(world, tmp_path):
    teacher, student, _ = world
    settings = TrajectoryConfig(count=8, steps=5, shard_size=4, batch=4)
    write_trajectories(teacher, settings, tmp_path / "whole")
    config = CompletionConfig(str(tmp_path / "whole"), level=LEVEL, replace=True)
    assert complete_trajectories(teacher, student, config, tmp_path / "out", workers=2) == 4
    assert sorted(p.name for p in (tmp_path / "whole").glob("*.npy")) == ["final-00001.npy", "shard-00001.npy"]
    assert complete_trajectories(teacher, student, config, tmp_path / "out") == 4
    assert len(Trajectories(tmp_path / "out")) == 8


def test_a_student_learns_from_completions(world):
    teacher, _, root = world
    data = Trajectories(root / "completed")
    config = StudentConfig(objective="path", lambda2=0.0, latent_weights=(0.1, 0.1))
    task = StudentTask(KoopmanDiffusion.from_teacher(teacher), data, None, config)
    loss = task(torch.tensor(0.5), *task.draw(0, 8, torch.Generator().manual_seed(0)))["loss"]
    assert bool(torch.isfinite(loss))


def test_mistakes_are_refused(world, tmp_path):
    teacher, student, root = world
    whole = str(root / "whole")
    other = EDM(teacher.config)
    for field, config, who in (
        ("teacher", CompletionConfig(whole, level=LEVEL), other),
        ("level", CompletionConfig(whole, level=5), teacher),
        ("trajectories", CompletionConfig(str(tmp_path / "none")), teacher),
        ("trajectories", CompletionConfig(str(root / "completed"), level=LEVEL), teacher),
    ):
        with refuses(field, error=Mistake):
            complete_trajectories(who, student, config, tmp_path / "out")
    with refuses("folder", error=Mistake):
        complete_trajectories(teacher, student, CompletionConfig(whole, level=2), root / "completed")
    with refuses("level", error=Mistake):
        CompletionConfig(level=0)
    with refuses("precision", error=Mistake):
        CompletionConfig(precision="fp64")


def test_the_command_and_the_card(world, tmp_path):
    teacher, student, _ = world
    koopman_core.save(teacher, tmp_path / "teacher.safetensors", {"name": "tiny-teacher"}, dtype=None)
    koopman_core.save(student, tmp_path / "student.safetensors", {"name": "tiny"}, dtype=None)
    write_trajectories(koopman_core.load_teacher(tmp_path / "teacher.safetensors"),
                       TrajectoryConfig(count=8, steps=5, shard_size=4, batch=4), tmp_path / "whole")  # fmt: skip
    (tmp_path / "completions.toml").write_text(
        f'[completions]\ntrajectories = "{tmp_path / "whole"}"\nstudent = "{tmp_path / "student.safetensors"}"\n'
        f'level = 2\n[run]\nout = "{tmp_path / "out"}"\ncompile = "off"\n'
    )
    command = ["completions", "--config", str(tmp_path / "completions.toml"), "--quiet"]
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
