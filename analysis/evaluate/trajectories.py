"""DMD of trajectories of your own: `python -m analysis.evaluate.trajectories FILE.npz [--rank 8] [--held-out 0.25]`.

FILE.npz holds `states` (trajectories, times, features ...) and perhaps `times`. Prints tables: eigenvalues with their
intervals, errors on trajectories that were held out, and what to mistrust.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from analysis.core.errors import UserError
from analysis.evaluate.tables.markdown import Block, cell, grid, markdown, number, numbers
from analysis.koopman.trajectories import DMD_METHODS, Study, open_states, study
from foundation.training.commands import percent_bar


def study_blocks(found: Study) -> list[Block]:
    """Eigenvalues, errors by time, remarks."""
    rows = [
        [number(a, ".3g"), cell("{:+.4g} [{:+.4g}, {:+.4g}]", *alpha), cell("{:+.4g} [{:+.4g}, {:+.4g}]", *beta)]
        for a, alpha, beta in zip(
            found.amplitude.tolist(),
            zip(*(v.tolist() for v in (found.alpha, found.alpha_low, found.alpha_high)), strict=True),
            zip(*(v.tolist() for v in (found.beta, found.beta_low, found.beta_high)), strict=True),
            strict=True,
        )
    ]  # fmt: skip
    count = len(found.errors["dense"])
    shown = sorted({round(i * (count - 1) / 5) for i in range(6)})
    errors = [[name, *numbers(values[shown], ".3g")] for name, values in found.errors.items()]
    said = "fitted" if not found.held_out else f"held out (numbers {', '.join(map(str, found.held_out))})"
    return [
        f"{len(found.alpha)} modes, the strongest first; eigenvalues alpha + i beta per unit of time, 95 % bootstrap "
        f"intervals over trajectories; {found.captured:.3%} of the energy in the singular vectors kept.",
        grid(["amplitude", "alpha", "beta"], rows),
        f"Relative error on the trajectories that were {said}, by time step.",
        grid(["predictor", *(f"step {i}" for i in shown)], errors),
        *(f"- {remark}" for remark in found.remarks),
    ]


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="analysis.evaluate.trajectories", description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path, help="NPZ with the array states, perhaps times")
    parser.add_argument("--rank", type=int, default=8, help="singular vectors at most, 1 to 256")
    parser.add_argument("--held-out", type=float, default=0.25, help="share of the trajectories to judge by, 0 to 0.9")
    parser.add_argument("--draws", type=int, default=200, help="bootstrap resamples, 10 to 10,000")
    parser.add_argument("--method", choices=DMD_METHODS, default="exact", help="optimised where states are noisy")
    args = parser.parse_args(argv)
    try:
        states = open_states(args.file)
        with percent_bar("trajectories") as progress:
            found = study(states, args.rank, args.held_out, args.draws, progress=progress, method=args.method)
    except UserError as e:
        print(f"analysis.evaluate.trajectories: {e}", file=sys.stderr)
        return 2
    print(markdown(study_blocks(found)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
