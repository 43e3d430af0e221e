"""The GPU's training step: utilisation by hand, a step that learns, smaller batches where memory ends, no GPU."""

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import gpu_training
from foundation.networks.unet import UNetConfig
from koopman_core.edm import EDM
from koopman_core.scale import network_flops

TINY = UNetConfig(resolution=8, base=8, multipliers=(1,), blocks=1, attention=(), embedding=16)
CPU = torch.device("cpu")


def test_utilisation_by_hand():
    # 2,000 pictures a second of 100 GFLOP are 200 TFLOP/s, half of 400
    assert gpu_training.utilisation(100.0, 2000.0, 400.0) == 0.5
    assert gpu_training.peak("NVIDIA H100 80GB HBM3") == 989 and gpu_training.peak("NVIDIA H100 PCIe") == 756
    assert gpu_training.peak("NVIDIA A100-SXM4-80GB") == 312 and gpu_training.peak("some other") is None


def test_pictures_a_second_are_the_batch_over_the_median(monkeypatch):
    monkeypatch.setattr(gpu_training, "timed_rounds", lambda alternatives, *_, **__: {"step": [4.0, 1.0, 2.0]})
    assert gpu_training.pictures_a_second(TINY, 6, CPU, 3, False) == (3.0, 6)


def test_the_batch_is_halved_until_it_fits(monkeypatch):
    asked = []

    def step(config, batch, device, compiled):
        asked.append(batch)
        if batch > 2:
            raise torch.OutOfMemoryError("full")
        return lambda: None

    monkeypatch.setattr(gpu_training, "step", step)
    speed, batch = gpu_training.pictures_a_second(TINY, 8, CPU, 2, False)
    assert asked == [8, 4, 2] and batch == 2 and speed > 0


@pytest.mark.parametrize("name,share", [("NVIDIA A100-SXM4-80GB", True), ("some other", False)])
def test_the_table_of_a_gpu(name, share, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: name)
    monkeypatch.setattr(gpu_training, "can_compile", lambda *_: False)
    monkeypatch.setattr(gpu_training, "PAPER_NETWORKS", {"tiny": lambda: TINY})
    monkeypatch.setattr(gpu_training, "pictures_a_second", lambda *_: (50_000.0, 16))
    assert command.main(["training", "--device", "cuda"]) == 0
    cells = [c.strip() for c in capsys.readouterr().out.strip().splitlines()[-1].strip("|").split("|")]
    assert cells[0] == "tiny" and cells[2:4] == ["16", "50,000"]
    percent = 100 * network_flops(TINY, backward=True) * 1e9 * 50_000 / 312e12
    assert (cells[5] == f"{percent:.1f} %") is share


def test_a_step_moves_the_weights(monkeypatch):
    models = []
    monkeypatch.setattr(gpu_training, "EDM", lambda config: models.append(EDM(config)) or models[-1])
    speed, batch = gpu_training.pictures_a_second(TINY, 2, CPU, 1, False)
    torch.manual_seed(0)
    first = EDM(TINY).net.encoder.layers[0].weight
    assert batch == 2 and speed > 0 and not torch.equal(models[0].net.encoder.layers[0].weight, first)


def test_without_a_gpu_a_sentence_and_no_failure(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert command.main(["training", "--device", "cuda"]) == 0
    out = capsys.readouterr().out
    assert "CUDA" in out and len(out.strip().splitlines()) == 1
    assert command.main(["evolve", "--device", "cuda"]) == 2  # the others run where they run
