"""Training commands: `python -m koopman_core.train COMMAND --config FILE [--resume]`.

COMMAND is teacher, trajectories or student.

Every key of the TOML file can be overridden: `--training.images=2000`. `--teacher NAME` says which teacher makes the
trajectories, or made them: a file, a folder of diffusers, or own code as package.module:factory. Runs under `accelerate
launch -m` unchanged.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from foundation.training.commands import leave, training_command

COMMANDS = ("teacher", "trajectories", "student")


def _runs() -> Mapping:
    from koopman_core import recipes

    return recipes.STAGES


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code: 2 for a mistake that a sentence explains."""
    arguments = _with_teacher(list(sys.argv[1:] if argv is None else argv))
    return training_command("koopman_core.train", __doc__, COMMANDS, _runs, arguments)


def _with_teacher(arguments: list[str]) -> list[str]:
    """`--teacher NAME` or `--teacher=NAME` as the setting that it stands for."""
    keys = {"trajectories": "teacher.checkpoint", "student": "input.teacher"}
    key = next((keys[a] for a in arguments if a in keys), None)
    if key is None:
        return arguments
    given, settings = iter(arguments), []
    for argument in given:
        if argument == "--teacher":
            argument = f"--teacher={next(given, '')}"
        settings.append(f"--{key}={argument[10:]}" if argument.startswith("--teacher=") else argument)
    return settings


if __name__ == "__main__":
    leave(main())
