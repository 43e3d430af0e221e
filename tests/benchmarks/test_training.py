"""The training step beside a peer's: equal sizes are demanded, the better of its steps counts, no package no lines."""

import sys
import types
from typing import ClassVar

import pytest
import torch
from torch import nn

from benchmarks import training
from benchmarks.training import AVERAGE, CLIP, NETWORK, OPTIMIZER, PLAIN, step_parts, step_shares
from foundation.files.settings import read_settings
from foundation.networks.unet import UNetConfig, count_parameters
from koopman_core import recipes
from koopman_core.edm import EDM
from tests.sentences import tells

CONFIG = UNetConfig(resolution=8, patch_size=2, base=8, multipliers=(1, 2), blocks=1, attention=(), embedding=16)


class PeerNet(nn.Module):
    """Stands for the package's net: told where it pays attention, of as many parameters as it is asked for."""

    made: ClassVar[list] = []

    sizes: ClassVar[dict] = {}

    def __init__(self, dim, attention_resolutions, num_channels, num_res_blocks, channel_mult):
        super().__init__()
        self.dim = dim
        self.conv = nn.Conv2d(dim[0], dim[0], 3, padding=1)
        size = self.sizes.get((num_channels, num_res_blocks, channel_mult), 10**6)
        self.rest = nn.Parameter(torch.zeros(size - count_parameters(self.conv)))
        if self.rest.device.type != "meta":
            self.made.append((dim, attention_resolutions, num_channels))

    def forward(self, t, x):
        assert t.shape == x.shape[:1] and x.shape[1:] == self.dim
        return self.conv(x) + self.rest.sum()


@pytest.fixture(autouse=True)
def no_bf16(monkeypatch):
    """As on a processor that is slow at it."""
    monkeypatch.setattr(training.optimizers, "fast_bf16", lambda device: False)


@pytest.fixture
def peer(monkeypatch):
    package, models, unet = (types.ModuleType(f"torchcfm{end}") for end in ("", ".models", ".models.unet"))
    package.__spec__, unet.UNetModel, PeerNet.made = object(), PeerNet, []
    ours = count_parameters(EDM(CONFIG))
    monkeypatch.setattr(PeerNet, "sizes", {(32, 2, (1, 2, 2, 2)): ours + 40, (64, 1, (1, 2, 2)): ours + 1})
    for module in (package, models, unet):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def test_steps_beside_a_peer_of_equal_size(peer, capsys):
    ours = count_parameters(EDM(CONFIG))
    training.run(CONFIG, batch=2, rounds=2, compiled=False)
    out = capsys.readouterr().out
    rows = [line.split(" | ") for line in out.splitlines() if line.startswith("| ")][2:6]
    assert [r[1] for r in rows] == [f"{ours:,}"] * 2 + [f"{ours + 1:,}"] * 2
    assert rows[-2][0] == f"| {training.PEER}" and rows[-1][0] == f"| {training.PEER}, patches of 2"
    assert rows[0][4].startswith("1.00 [1.00, 1.00]")
    assert PeerNet.made == [((3, 8, 8), "4", 64), ((12, 4, 4), "2", 64)]  # the nearer of the two
    assert f"ours to {training.PEER}: " in out and out.count("goal 1.5: ") == 1


def test_a_peer_of_another_size_is_left_out_and_that_is_said(peer, monkeypatch, capsys):
    monkeypatch.setattr(PeerNet, "sizes", {})
    training.run(CONFIG, batch=2, rounds=2, compiled=False)
    out = capsys.readouterr().out
    assert PeerNet.made == [] and "goal" not in out
    assert tells(out, 5, count_parameters(EDM(CONFIG)))  # per cent that it may differ by


def test_the_default_is_the_teacher_of_portraits():
    config = read_settings(training.SETTINGS_FILE, [], recipes.TeacherSettings)["network"]
    assert (config.resolution, config.patch_size) == (64, 2) and 11e6 < count_parameters(EDM(config)) < 12e6


def test_what_a_step_is_spent_on(capsys):
    shares = step_shares(CONFIG, 2, 2, False)
    spent = (NETWORK, CLIP, OPTIMIZER, AVERAGE)
    assert set(shares) == {*spent, PLAIN} and min(shares.values()) > 0
    assert 0.5 < sum(shares[name] for name in spent) < 1.5  # medians over rounds of parts that make up a step
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(shares)


def test_every_part_of_a_step_does_something():
    parts = step_parts(CONFIG, 2, False)
    parts[NETWORK]()
    norm = float(parts[CLIP]())
    assert norm > 0 and float(parts[CLIP]()) == pytest.approx(min(norm, 1.0), rel=1e-4)
    assert parts.keys() >= {OPTIMIZER, PLAIN, AVERAGE}
    for name in (OPTIMIZER, PLAIN, AVERAGE):
        parts[name]()


def test_without_the_package_its_lines_are_left_out(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torchcfm", None)
    monkeypatch.delitem(sys.modules, "torchcfm.models.unet", raising=False)
    training.run(CONFIG, batch=2, rounds=2, compiled=False)
    out = capsys.readouterr().out
    assert training.PEER in out.split("### ")[1] and "goal" not in out
    assert [line.count("|") for line in out.splitlines() if line.startswith("| ")] == [6] * 4 + [4] * 7


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
