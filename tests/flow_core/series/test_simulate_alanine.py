"""The simulation: the molecule's geometry, and what is said where OpenMM is missing; a short run where it is not."""

import sys

import numpy as np
import pytest

from flow_core.series import simulate_alanine as simulation
from foundation.files.locations import DataError
from tests.refusals import refuses


def angle(a, b, c):
    u, v = a - b, c - b
    return np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v)))


def test_dihedral_by_projection():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4, 20, 3))
    for a, b, c, d, got in zip(*points, simulation.dihedral(*points), strict=True):
        axis = (c - b) / np.linalg.norm(c - b)
        u, v = (p - (p @ axis) * axis for p in (a - b, d - c))  # seen along the bond
        # looking from b to c, clockwise turns are positive
        want = np.arctan2(np.cross(u, v) @ axis, u @ v)
        assert got == pytest.approx(want)


def test_molecule_has_the_geometry_that_is_asked_for():
    xyz = simulation.build()
    assert len(xyz) == 10
    for name, to, angle_with, dihedral_with, bond, theta, torsion in simulation.INTERNAL:
        assert np.linalg.norm(xyz[name] - xyz[to]) == pytest.approx(bond)
        if angle_with:
            assert angle(xyz[name], xyz[to], xyz[angle_with]) == pytest.approx(theta)
        if dihedral_with:
            got = np.degrees(simulation.dihedral(*(xyz[k] for k in (dihedral_with, angle_with, to, name))))
            assert np.cos(np.radians(got - torsion)) == pytest.approx(1)
    phi, psi = (np.degrees(simulation.dihedral(*(xyz[k] for k in quad))) for quad in (simulation.PHI, simulation.PSI))
    assert (phi, psi) == (pytest.approx(-70), pytest.approx(140))
    # the L form, as in proteins: N, C and CB clockwise when seen with the hydrogen towards the eye
    n, c, cb = (xyz[k] - xyz["CA-ALA"] for k in ("N-ALA", "C-ALA", "CB-ALA"))
    assert np.cross(n, c) @ cb > 0
    gaps = [np.linalg.norm(xyz[a] - xyz[b]) for a in xyz for b in xyz if a < b]
    assert min(gaps) > 0.12


def test_missing_openmm_is_told(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "openmm", None)
    with refuses("openmm", error=DataError):
        simulation.simulate(0.001, 1)
    assert simulation.main(["--ns", "0.001", "--out", str(tmp_path / "a.npz")]) == 2
    assert "openmm" in capsys.readouterr().err and not (tmp_path / "a.npz").exists()


@pytest.mark.parametrize(
    "ns, seed, field", [(0, 1, "ns"), (float("nan"), 1, "ns"), (0.01, 0, "seed"), (0.01, 2**31, "seed")]
)
def test_ranges(ns, seed, field):
    with refuses(field, error=DataError):
        simulation.simulate(ns, seed)


def test_short_run():
    pytest.importorskip("openmm", reason="an optional extra")
    done = []
    first, again = (
        simulation.simulate(0.003, 5, equilibration_ps=0.2, progress=lambda k, n: done.append((k, n))) for _ in (0, 1)
    )
    assert first.shape == (3, 2) and np.array_equal(first, again) and done[:3] == [(1, 3), (2, 3), (3, 3)]
    assert (np.abs(first) <= np.pi).all() and (first[:, 0] < 0).all()
    with refuses("platform", error=DataError):
        simulation.simulate(0.001, 1, platform="none")
