"""Stored trajectories: contents against a fresh sampler run, resume, many workers."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from foundation import noise
from foundation.mistakes import Mistake
from foundation.networks.unet import UNetConfig
from foundation.randomness import mix_seed
from koopman_core.edm import EDM, SIGMA_MAX, heun_sample, karras_sigmas
from koopman_core.model import KoopmanDiffusion
from koopman_core.objective import StudentConfig, StudentTask
from koopman_core.trajectories import Trajectories, TrajectoryConfig, disk_bytes, label_of, write_trajectories
from tests.refusals import refuses

TINY = UNetConfig(resolution=8, base=8, multipliers=(1,), blocks=1, attention=(), embedding=16, classes=3)
CONFIG = TrajectoryConfig(count=7, steps=4, shard_size=3, batch=2, seed=50)


@pytest.fixture(scope="module")
def teacher():
    torch.manual_seed(0)
    model = EDM(TINY).eval()
    torch.nn.init.normal_(model.net.decoder.conv.weight, std=0.1)
    return model


def test_contents_are_the_samplers(teacher, tmp_path):
    progress = []
    assert write_trajectories(teacher, CONFIG, tmp_path, progress=lambda done, n: progress.append((done, n))) == 7
    assert progress[-1] == (7, 7)
    data = Trajectories(tmp_path)
    assert len(data) == 7 and data.shape == (3, 8, 8)
    torch.testing.assert_close(data.sigmas, karras_sigmas(4))
    for row in (0, 4, 6):
        x = SIGMA_MAX * noise([50 + row], (3, 8, 8))
        labels = torch.tensor([label_of(50 + row, 3)])
        seen = []
        final = heun_sample(
            lambda x, s, y=labels: teacher(x, s, y),
            x,
            karras_sigmas(4),
            lambda i, s, x, d, seen=seen: seen.append((x, d)),
        )
        for i, (state, denoised) in enumerate(seen):
            rows, steps = np.array([row]), np.array([i])
            torch.testing.assert_close(data.states(rows, steps), state, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(data.denoised(rows, steps), denoised, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(data.finals(np.array([row])), final.x, rtol=1e-4, atol=1e-4)
        assert data.labels(np.array([row])).tolist() == labels.tolist()


def test_killed_run_goes_on_and_workers_share(teacher, tmp_path):
    def stop(done, n):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_trajectories(teacher, CONFIG, tmp_path / "a", progress=stop)
    assert not list((tmp_path / "a").glob("final-*")), "no shard may look whole"
    made = [write_trajectories(teacher, CONFIG, tmp_path / "a", worker=w, workers=2) for w in (1, 0)]
    assert made == [3, 4]
    assert write_trajectories(teacher, CONFIG, tmp_path / "a") == 0
    write_trajectories(teacher, CONFIG, tmp_path / "b")
    for name in ("shard-00002.npy", "final-00001.npy"):
        assert np.array_equal(np.load(tmp_path / "a" / name), np.load(tmp_path / "b" / name))


def test_another_grid_or_teacher_is_refused(teacher, tmp_path):
    write_trajectories(teacher, CONFIG, tmp_path)
    with pytest.raises(ValueError):
        write_trajectories(teacher, TrajectoryConfig(count=7, steps=5, shard_size=3), tmp_path)
    with pytest.raises(ValueError):
        write_trajectories(EDM(TINY).eval(), CONFIG, tmp_path)


def test_more_can_be_added_later(teacher, tmp_path):
    write_trajectories(teacher, TrajectoryConfig(count=3, steps=4, shard_size=3, batch=2, seed=50), tmp_path)
    assert write_trajectories(teacher, CONFIG, tmp_path) == 4
    assert len(Trajectories(tmp_path)) == 7


def test_a_short_last_shard_grows(teacher, tmp_path):
    write_trajectories(teacher, CONFIG, tmp_path / "grown")  # 3 + 3 + 1
    more = replace(CONFIG, count=9)
    assert write_trajectories(teacher, more, tmp_path / "grown") == 3
    write_trajectories(teacher, more, tmp_path / "at once")
    rows, last = np.arange(9), np.full(9, 3)
    for got, want in zip(*(
        (data.finals(rows), data.states(rows, last))
        for data in (Trajectories(tmp_path / "grown"), Trajectories(tmp_path / "at once"))
    ), strict=True):  # fmt: skip
        assert torch.equal(got, want)


def test_disk_need_is_what_is_written(teacher, tmp_path):
    write_trajectories(teacher, CONFIG, tmp_path)
    written = sum(np.load(f, mmap_mode="r").nbytes for f in tmp_path.glob("*.npy"))
    assert written == disk_bytes(CONFIG, (3, 8, 8))


def test_empty_folders_say_what_to_do(tmp_path):
    with refuses("folder", error=Mistake):
        Trajectories(tmp_path)
    (tmp_path / "index.json").write_text(json.dumps({"sigmas": [1.0], "shape": [3, 8, 8], "classes": 0, "teacher": "",
                                                     "config": {"seed": 0}}))  # fmt: skip
    with refuses("shards", error=Mistake):
        Trajectories(tmp_path)


def test_labels_are_balanced_and_sometimes_none():
    drawn = [label_of(s, 4) for s in range(4000)]
    assert 300 < drawn.count(-1) < 500
    assert all(800 < drawn.count(c) < 1000 for c in range(4))
    assert {label_of(s, 0) for s in range(50)} == {-1}


def test_share_without_class_is_a_setting():
    seeds = range(4000)
    assert {label_of(s, 4, 0.0) for s in seeds} == {0, 1, 2, 3}
    assert {label_of(s, 4, 1.0) for s in seeds} == {-1}
    assert 0.45 < sum(label_of(s, 4, 0.5) == -1 for s in seeds) / 4000 < 0.55
    # at the default the same seeds as when it was no setting
    assert all((label_of(s, 4) == -1) == (mix_seed(s, 7) % 10 == 0) for s in seeds)


def test_labels_of_a_folder_are_those_that_its_teacher_was_told(teacher, tmp_path):
    write_trajectories(teacher, replace(CONFIG, unlabelled=0.0, seed=0), tmp_path)
    labels = Trajectories(tmp_path).labels(np.arange(7)).tolist()
    assert labels == [label_of(s, 3, 0.0) for s in range(7)] and min(labels) >= 0
    with pytest.raises(ValueError):
        write_trajectories(teacher, replace(CONFIG, seed=0), tmp_path)


def test_a_folder_from_before_the_newer_settings_goes_on(teacher, tmp_path):
    write_trajectories(teacher, replace(CONFIG, count=3), tmp_path)
    index = json.loads((tmp_path / "index.json").read_text())
    del index["config"]["unlabelled"], index["config"]["denoised"]
    (tmp_path / "index.json").write_text(json.dumps(index))
    assert Trajectories(tmp_path).labels(np.arange(3)).tolist() == [label_of(50 + i, 3) for i in range(3)]
    assert write_trajectories(teacher, CONFIG, tmp_path) == 4


def test_layers_in_bf16_stay_near_fp32(teacher, tmp_path):
    half = replace(CONFIG, precision="bf16")
    write_trajectories(teacher, CONFIG, tmp_path / "fp32")
    write_trajectories(teacher, half, tmp_path / "bf16")
    whole, near = (Trajectories(tmp_path / name).finals(np.arange(7)) for name in ("fp32", "bf16"))
    assert near.dtype == torch.float32
    error = (near - whole).square().mean() / whole.square().mean()
    assert 0 < error < 1e-3  # 8 bits of a factor: about 2^-16 a call
    with pytest.raises(ValueError):
        write_trajectories(teacher, half, tmp_path / "fp32")
    with pytest.raises(ValueError):
        TrajectoryConfig(precision="fp16")


def test_denoised_states_are_left_out_on_request(teacher, tmp_path):
    config = replace(CONFIG, denoised=False)
    write_trajectories(teacher, CONFIG, tmp_path / "all")
    write_trajectories(teacher, config, tmp_path / "half")
    written = sum(np.load(f, mmap_mode="r").nbytes for f in (tmp_path / "half").glob("*.npy"))
    assert written == disk_bytes(config, (3, 8, 8)) == disk_bytes(CONFIG, (3, 8, 8)) - 4 * 7 * 4 * 3 * 64
    whole, half = Trajectories(tmp_path / "all"), Trajectories(tmp_path / "half")
    rows, steps = np.arange(7), np.arange(7) % 4
    assert torch.equal(whole.states(rows, steps), half.states(rows, steps))
    assert torch.equal(whole.finals(rows), half.finals(rows)) and whole.has_denoised
    with refuses("denoised", error=Mistake):
        half.denoised(rows, steps)
    # the published objective never looks at them
    student = KoopmanDiffusion(TINY)
    published = StudentConfig(objective="published", lambda2=0.0)
    drawn = [StudentTask(student, data, None, published).draw(0, 5, torch.Generator().manual_seed(0))
             for data in (whole, half)]  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(*drawn, strict=True))
