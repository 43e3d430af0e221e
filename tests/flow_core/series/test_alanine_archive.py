"""The compact copy: angles survive, the card is true, the same input gives the same bytes."""

import json
import math

import numpy as np
import pytest

from flow_core.series import alanine, alanine_archive
from flow_core.series.scores import wrap
from foundation.files.locations import DataError
from tests.refusals import refuses


@pytest.fixture
def source(tmp_path):
    angles = np.random.default_rng(0).uniform(-math.pi, math.pi, (2, 90, 2)).astype(np.float32)
    np.savez(tmp_path / "dihedrals.npz", phi_psi=angles, dt_ps=np.float32(1.0))
    return tmp_path / "dihedrals.npz", angles


def test_copy_and_card(source, tmp_path, capsys):
    path, angles = source
    assert alanine_archive.main([str(path), "--out", str(tmp_path / "a"), "--stride", "3"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card == json.loads((tmp_path / "a" / "alanine.json").read_text())
    assert (card["dt_ps"], card["stride"], card["runs"], card["frames_per_run"]) == (3.0, 3, 2, 30)
    got, dt = alanine.read_angles(tmp_path / "a" / "alanine.npz")
    assert dt == 3 and np.abs(wrap(got - angles[:, ::3])).max() < 1e-4
    alanine_archive.write(path, tmp_path / "b", 3)
    assert (tmp_path / "a" / "alanine.npz").read_bytes() == (tmp_path / "b" / "alanine.npz").read_bytes()


def test_shipped_copy_is_that_of_this_code(tmp_path):
    """Coded again, the shipped angles give the shipped bytes."""
    angles, dt = alanine.read_angles(alanine.SHIPPED)
    np.savez(tmp_path / "again.npz", phi_psi=angles, dt_ps=np.float32(dt))
    alanine_archive.write(tmp_path / "again.npz", tmp_path / "out")
    with np.load(tmp_path / "out" / "alanine.npz") as new, np.load(alanine.SHIPPED) as old:
        assert all(np.array_equal(new[k], old[k]) for k in old)


def test_mistakes(source, tmp_path, capsys, monkeypatch):
    path, _ = source
    with refuses("stride", error=DataError):
        alanine_archive.write(path, tmp_path / "a", 90)
    monkeypatch.setattr(alanine_archive, "MAX_ARCHIVE_BYTES", 100)
    with refuses("size", r"\b100\b", DataError):
        alanine_archive.write(path, tmp_path / "a")
    assert not (tmp_path / "a" / "alanine.npz").exists()
    assert alanine_archive.main([str(tmp_path / "nothing.npz"), "--out", str(tmp_path)]) == 2
    assert "nothing.npz" in capsys.readouterr().err
