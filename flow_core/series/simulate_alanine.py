"""More alanine dipeptide, with OpenMM.

    python -m flow_core.series.simulate_alanine --ns 10 --runs 2 --out dihedrals.npz

OpenMM is an optional extra. The molecule is built here from standard bond lengths and angles, so no structure file is
needed: AMBER99SB-ILDN with OBC implicit solvent, bonds to hydrogen constrained, Langevin middle integrator at 300 K,
5 / ps, 2 fs; minimised, 100 ps of equilibration left out, then phi and psi every picosecond.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from foundation.files.locations import DataError

STEP_FS = 2.0
PHI, PSI = ("C-ACE", "N-ALA", "CA-ALA", "C-ALA"), ("N-ALA", "CA-ALA", "C-ALA", "N-NME")
# Heavy atoms of ACE-ALA-NME: name, bonded to, angle with, dihedral with, bond (nm), angle, dihedral (degrees). The
# usual peptide geometry, L-alanine, phi -70, psi 140, both peptide bonds trans; minimisation does the rest
INTERNAL = (
    ("C-ACE", "CH3-ACE", None, None, 0.151, 0.0, 0.0),
    ("O-ACE", "C-ACE", "CH3-ACE", None, 0.123, 120.5, 0.0),
    ("N-ALA", "C-ACE", "CH3-ACE", "O-ACE", 0.133, 116.5, 180.0),
    ("CA-ALA", "N-ALA", "C-ACE", "CH3-ACE", 0.146, 121.7, 180.0),
    ("C-ALA", "CA-ALA", "N-ALA", "C-ACE", 0.1525, 111.0, -70.0),
    ("CB-ALA", "CA-ALA", "N-ALA", "C-ALA", 0.153, 110.4, -122.0),
    ("O-ALA", "C-ALA", "CA-ALA", "N-ALA", 0.123, 120.5, -40.0),
    ("N-NME", "C-ALA", "CA-ALA", "N-ALA", 0.133, 116.5, 140.0),
    ("C-NME", "N-NME", "C-ALA", "CA-ALA", 0.146, 121.7, 180.0),
)
BONDS = tuple((atom, to) for atom, to, *_ in INTERNAL)


def dihedral(a, b, c, d) -> np.ndarray:
    """Torsion angle of points (..., 3), radians in (-pi, pi]; positive clockwise seen from b to c (IUPAC)."""
    along = c - b
    first, second = np.cross(b - a, along), np.cross(along, d - c)
    length = np.linalg.norm(along, axis=-1)
    return np.arctan2(((b - a) * second).sum(-1) * length, (first * second).sum(-1))


def build() -> dict[str, np.ndarray]:
    """Positions of the ten heavy atoms, nanometres, from the internal coordinates above."""
    xyz = {"CH3-ACE": np.zeros(3)}
    for name, to, angle_with, dihedral_with, bond, angle, torsion in INTERNAL:
        if angle_with is None:
            xyz[name] = np.array([bond, 0.0, 0.0])
            continue
        # with fewer than three neighbours any plane will do: take a point off the axis
        third = xyz[dihedral_with] if dihedral_with else xyz[angle_with] + np.array([0.0, 1.0, 0.0])
        axis = xyz[to] - xyz[angle_with]
        axis /= np.linalg.norm(axis)
        normal = np.cross(xyz[angle_with] - third, axis)
        normal /= np.linalg.norm(normal)
        theta, tau = math.radians(angle), math.radians(torsion)
        local = (-math.cos(theta), math.sin(theta) * math.cos(tau), math.sin(theta) * math.sin(tau))
        xyz[name] = xyz[to] + bond * (local[0] * axis + local[1] * np.cross(normal, axis) + local[2] * normal)
    return xyz


def _openmm():
    try:
        import openmm
        import openmm.app
    except ImportError as error:
        raise DataError(
            "Simulating needs OpenMM, which is not installed: pip install openmm. The shipped angles need nothing.",
            "openmm",
        ) from error
    return openmm


def simulate(
    ns: float,
    seed: int,
    *,
    equilibration_ps: float = 100.0,
    platform: str = "Reference",
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """One run.

    Args:
        ns: length, nanoseconds, at least 0.001.
        seed: of the thermal noise, 1 to 2**31 - 1 (OpenMM takes 0 for a random one).
        equilibration_ps: picoseconds run before the first frame.
        platform: of OpenMM; 22 atoms are too few to gain from threads, so its plain one is the default.
        progress: called with (frames done, frames in all) after each; may raise to stop.

    Returns:
        float32 (frames, 2), phi and psi in radians, one frame a picosecond.

    Raises:
        DataError: OpenMM is missing, or a value is out of range.
    """
    if not 0.001 <= ns <= 1e6:
        raise DataError("A run needs 0.001 ns or more.", "ns")
    if not 1 <= seed < 2**31:
        raise DataError("A run needs a seed from 1 to 2147483647.", "seed")
    if equilibration_ps < 0:
        raise DataError("A run needs no negative equilibration.", "equilibration_ps")
    openmm = _openmm()
    known = [openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())]
    if platform not in known:
        raise DataError(f"OpenMM has no platform {platform!r} here; use {', '.join(known)}.", "platform")
    app, unit = openmm.app, openmm.unit
    topology, positions, heavy = app.Topology(), [], {}
    chain = topology.addChain()
    residues = {name: topology.addResidue(name, chain) for name in ("ACE", "ALA", "NME")}
    for name, xyz in sorted(build().items(), key=lambda item: list(residues).index(item[0].split("-")[1])):
        atom, residue = name.split("-")
        heavy[name] = topology.addAtom(atom, app.Element.getBySymbol(atom[0]), residues[residue])
        positions.append(openmm.Vec3(*(float(v) for v in xyz)))
    for a, b in BONDS:
        topology.addBond(heavy[a], heavy[b])
    field = app.ForceField("amber99sbildn.xml", "amber99_obc.xml")
    modeller = app.Modeller(topology, positions * unit.nanometer)
    state = random.getstate()
    random.seed(seed)  # OpenMM puts hydrogens near their places with Python's own generator
    try:
        modeller.addHydrogens(field, platform=openmm.Platform.getPlatform("Reference"))
    finally:
        random.setstate(state)
    system = field.createSystem(modeller.topology, nonbondedMethod=app.NoCutoff, constraints=app.HBonds)
    integrator = openmm.LangevinMiddleIntegrator(300 * unit.kelvin, 5 / unit.picosecond, STEP_FS * unit.femtosecond)
    integrator.setRandomNumberSeed(seed)
    run = app.Simulation(modeller.topology, system, integrator, openmm.Platform.getPlatform(platform))
    run.context.setPositions(modeller.positions)
    run.minimizeEnergy()
    run.context.setVelocitiesToTemperature(300 * unit.kelvin, seed)
    index = {f"{a.name}-{a.residue.name}": a.index for a in modeller.topology.atoms()}
    quads = np.array([[index[name] for name in quad] for quad in (PHI, PSI)])
    steps_per_ps = round(1000 / STEP_FS)
    run.step(round(equilibration_ps * steps_per_ps))
    frames = round(ns * 1000)
    angles = np.empty((frames, 2), np.float32)
    for k in range(frames):
        run.step(steps_per_ps)
        xyz = run.context.getState(getPositions=True).getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        angles[k] = dihedral(*(np.asarray(xyz)[quads[:, i]] for i in range(4)))
        if progress is not None:
            progress(k + 1, frames)
    return angles


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code: 2 for a mistake that a sentence explains."""
    parser = argparse.ArgumentParser(prog="flow_core.series.simulate_alanine", description=__doc__, allow_abbrev=False)
    parser.add_argument("--ns", type=float, default=10.0, help="length of a run in nanoseconds (default: 10)")
    parser.add_argument("--runs", type=int, default=2, help="how many runs (default: 2)")
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the next has the next (default: 1)")
    parser.add_argument("--platform", default="Reference", help="of OpenMM (default: Reference)")
    parser.add_argument("--out", type=Path, required=True, help="npz to write: phi_psi (runs, frames, 2), dt_ps")
    args = parser.parse_args(argv)
    from tqdm import tqdm

    try:
        if args.runs < 1:
            raise DataError("At least one run is needed.", "runs")
        runs = []
        for k in range(args.runs):
            with tqdm(total=round(args.ns * 1000), unit="ps", desc=f"run {k + 1} of {args.runs}") as bar:

                def show(done: int, _: int, bar=bar) -> None:
                    bar.update(done - bar.n)

                runs.append(simulate(args.ns, args.seed + k, platform=args.platform, progress=show))
        args.out.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(args.out, phi_psi=np.stack(runs), dt_ps=np.float32(1.0))
    except (DataError, OSError) as error:
        print(f"flow_core.series.simulate_alanine: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
