"""Make the compact copy of our alanine dipeptide simulation that ships.

    python -m flow_core.series.alanine_archive FILE.npz

Reads phi_psi (runs, frames, 2) in radians and dt_ps, writes alanine.npz (int16 angles) and its card alanine.json. The
same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from flow_core.series.alanine import SHIPPED, encode, read_angles
from foundation.files.locations import DataError

MAX_ARCHIVE_BYTES = 1_000_000
SIMULATION = {
    "system": "alanine dipeptide (ACE-ALA-NME), 22 atoms, implicit solvent",
    "force_field": "AMBER99SB-ILDN with OBC implicit solvent",
    "constraints": "bonds to hydrogen",
    "integrator": "Langevin middle, 2 fs, friction 5 / ps",
    "temperature_K": 300,
    "start": "minimised, then 100 ps of equilibration that are left out",
    "program": "OpenMM; flow_core/series/simulate_alanine.py makes more",
}
LICENCE = (
    "Simulated by this project with OpenMM; the angles are under the licence of the code (MIT). AMBER99SB-ILDN: "
    "Lindorff-Larsen et al., Proteins 78 (2010) 1950."
)


def write(source: Path, folder: Path, stride: int = 1) -> dict:
    """Write alanine.npz and alanine.json.

    Args:
        source: npz with phi_psi and dt_ps.
        folder: where to write.
        stride: keep every so many frames.

    Returns:
        The card.

    Raises:
        DataError: unreadable source, stride out of range, or a file above 1 MB.
    """
    angles, dt_ps = read_angles(source)
    if not 1 <= stride < angles.shape[1]:
        raise DataError(f"The stride must lie between 1 and {angles.shape[1] - 1}.", "stride")
    codes = encode(angles[:, ::stride])
    path = folder / SHIPPED.name
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, phi_psi=codes, dt_ps=np.float32(dt_ps * stride))
    size = path.stat().st_size
    if size > MAX_ARCHIVE_BYTES:
        path.unlink()
        raise DataError(
            f"The copy would have {size:,} bytes, above {MAX_ARCHIVE_BYTES:,}; take a larger stride.", "size"
        )
    card = {
        "arrays": "phi_psi int16 (runs, frames, 2): angle = 2 pi k / 65536 radians, phi then psi; dt_ps",
        "runs": codes.shape[0],
        "frames_per_run": codes.shape[1],
        "dt_ps": dt_ps * stride,
        "stride": stride,
        "simulation": SIMULATION,
        "licence": LICENCE,
        "bytes": size,
        "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return card


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code: 2 for a mistake that a sentence explains."""
    parser = argparse.ArgumentParser(prog="flow_core.series.alanine_archive", description=__doc__, allow_abbrev=False)
    parser.add_argument("source", type=Path, help="npz with phi_psi (runs, frames, 2) in radians and dt_ps")
    parser.add_argument("--out", type=Path, default=SHIPPED.parent, help="folder (default: assets/data)")
    parser.add_argument("--stride", type=int, default=1, help="keep every so many frames (default: all)")
    args = parser.parse_args(argv)
    try:
        card = write(args.source, args.out, args.stride)
    except DataError as error:
        print(f"flow_core.series.alanine_archive: {error}", file=sys.stderr)
        return 2
    print(json.dumps(card, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
