"""Training commands: `python -m koopman_core.train {teacher,trajectories,student} --config FILE [--resume]`.

Every key of the TOML file can be overridden: `--training.images=2000`. Runs under `accelerate launch -m` unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping

from foundation.commands import training_command


def _runs() -> Mapping:
    from koopman_core import recipes

    return recipes.RUN


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code: 2 for a mistake that a sentence explains."""
    return training_command("koopman_core.train", __doc__, ("teacher", "trajectories", "student"), _runs, argv)


if __name__ == "__main__":
    raise SystemExit(main())
