"""Training commands: `python -m koopman_core.train {teacher,trajectories,student} --config FILE [--resume]`.

Every key of the TOML file can be overridden: `--training.images=2000`. Runs under `accelerate launch -m` unchanged.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from foundation.settings import SettingsError


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code: 2 for a mistake that a sentence explains."""
    parser = argparse.ArgumentParser(prog="koopman_core.train", description=__doc__, allow_abbrev=False)
    parser.add_argument("command", choices=("teacher", "trajectories", "student"))
    parser.add_argument("--config", type=Path, required=True, help="TOML file, see koopman_core/configs/")
    parser.add_argument("--resume", action="store_true", help="continue from the state in the run's folder")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    args, overrides = parser.parse_known_args(argv)
    from koopman_core import recipes

    try:
        return recipes.RUN[args.command](args.config, overrides, resume=args.resume, quiet=args.quiet)
    except (SettingsError, ValueError, FileNotFoundError, FloatingPointError) as e:
        print(f"koopman_core.train: {e}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
