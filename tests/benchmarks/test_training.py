"""The training step beside a peer's: equal sizes are demanded, the better of its steps counts, no package no lines."""

import sys
import types
from typing import ClassVar

import pytest
import torch
from torch import nn

from analysis.core.errors import UserError
from benchmarks import training
from foundation.unet import UNetConfig, count_parameters
from koopman_core.edm import EDM

CONFIG = UNetConfig(resolution=8, patch_size=2, base=8, multipliers=(1, 2), blocks=1, attention=(), embedding=16)


class PeerNet(nn.Module):
    """Stands for the package's net: told where it pays attention, of as many parameters as it is asked for."""

    made: ClassVar[list] = []

    def __init__(self, dim, attention_resolutions, size):
        super().__init__()
        self.dim = dim
        self.made.append((dim, attention_resolutions))
        self.conv = nn.Conv2d(dim[0], dim[0], 3, padding=1)
        self.rest = nn.Parameter(torch.zeros(size - count_parameters(self.conv)))

    def forward(self, t, x):
        assert t.shape == x.shape[:1] and x.shape[1:] == self.dim
        return self.conv(x) + self.rest.sum()


@pytest.fixture(autouse=True)
def no_bf16(monkeypatch):
    """As on a processor that is slow at it."""
    monkeypatch.setattr(training, "fast_bf16", lambda device: False)


@pytest.fixture
def peer(monkeypatch):
    package, models, unet = (types.ModuleType(f"torchcfm{end}") for end in ("", ".models", ".models.unet"))
    package.__spec__, unet.UNetModel, PeerNet.made = object(), PeerNet, []
    for module in (package, models, unet):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def test_steps_beside_a_peer_of_equal_size(peer, capsys):
    ours = count_parameters(EDM(CONFIG))
    training.run(CONFIG, batch=2, rounds=2, compiled=False, settings={"size": ours + 1})
    out = capsys.readouterr().out
    rows = [line.split(" | ") for line in out.splitlines() if line.startswith("| ")][2:]
    assert [r[1] for r in rows] == [f"{ours:,}"] * 2 + [f"{ours + 1:,}"] * 2
    assert rows[-2][0] == f"| {training.PEER}" and rows[-1][0] == f"| {training.PEER}, patches of 2"
    assert rows[0][4].startswith("1.00 [1.00, 1.00]")
    assert PeerNet.made == [((3, 8, 8), "4"), ((12, 4, 4), "2")]
    assert f"ours to {training.PEER}: " in out and out.count("goal 1.5: ") == 1


def test_a_peer_of_another_size_is_refused(peer):
    with pytest.raises(UserError, match="has 9,999 parameters"):
        training.run(CONFIG, batch=2, rounds=2, compiled=False, settings={"size": 9_999})


def test_without_the_package_its_lines_are_left_out(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torchcfm", None)
    monkeypatch.delitem(sys.modules, "torchcfm.models.unet", raising=False)
    training.run(CONFIG, batch=2, rounds=2, compiled=False)
    out = capsys.readouterr().out
    assert out.count("\n| ") == 2 + 2 and "`pip install torchcfm` adds it" in out and "goal" not in out


def test_operations_are_multiplications_and_additions():
    layer = nn.Conv2d(3, 5, 1, bias=False)
    assert training.operations(lambda: layer(torch.zeros(2, 3, 4, 4))) == 2 * (2 * 16) * 3 * 5


def test_the_better_step_of_each_peer_counts():
    seconds = {
        "ours": [1.0, 2.0, 4.0], training.PEER + training.COMPILED: [3.0, 6.0, 12.0], training.PEER: [2.0, 4.0, 8.0],
        f"{training.PEER}, patches of 2{training.COMPILED}": [0.5, 1.0, 2.0],
    }  # fmt: skip
    found = training.best_of_peers(seconds, "ours")
    assert {kind: (name, r.median) for kind, (name, r) in found.items()} == {
        training.PEER: (training.PEER, 2.0),
        f"{training.PEER}, patches of 2": (f"{training.PEER}, patches of 2{training.COMPILED}", 0.5),
    }


def test_one_step_is_forward_backward_and_adam():
    torch.manual_seed(0)
    net, twin = nn.Linear(2, 1), nn.Linear(2, 1)
    twin.load_state_dict(net.state_dict())
    x = torch.randn(8, 2)
    step = training.stepper(net, lambda: net(x).square().mean(), bf16=False, compiled=False)
    optimizer = torch.optim.Adam(twin.parameters(), lr=1e-4)
    for _ in range(3):
        step()
        optimizer.zero_grad()
        twin(x).square().mean().backward()
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), twin.parameters(), strict=True))
