"""Commands of the program, run in this process: the names of their options, and exit codes."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import runpy
import sys
import warnings

from tests.recorded.program import COMMANDS


def module_of(command: str) -> str:
    """Where a command stands now. Raises LookupError: nowhere."""
    for name in COMMANDS[command]:
        with contextlib.suppress(ModuleNotFoundError):  # of a parent
            if importlib.util.find_spec(name):
                return name
    raise LookupError(f"There is no module of the command {command}: {', '.join(COMMANDS[command])}.")


def call(command: str, arguments: list[str]) -> tuple[int, str]:
    """Exit code, and everything that is printed, of `python -m COMMAND ARGUMENTS`."""
    printed, before = io.StringIO(), sys.argv
    sys.argv = [command, *arguments]
    width, os.environ["COLUMNS"] = os.environ.get("COLUMNS"), "200"
    code = 0
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the module may be imported already
            runpy.run_module(module_of(command), run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        sys.argv = before
        os.environ.pop("COLUMNS")
        os.environ.update({} if width is None else {"COLUMNS": width})
    return code, printed.getvalue()


def options(command: str) -> dict:
    """Names of the options, and the choices of the positional arguments, in the usage that `--help` prints."""
    code, text = call(command, ["--help"])
    usage = text[text.index("usage:") :].split("\n\n")[0]
    return {
        "code": code,
        "options": sorted(set(re.findall(r"--[a-z][a-z0-9-]*", usage))),
        "choices": sorted({c for group in re.findall(r"\{([^}]*)\}", usage) for c in group.split(",")}),
    }
