"""The command line that both packages' training commands share, and what it says of a run."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from foundation.files.settings import SettingsError

if TYPE_CHECKING:
    from foundation.training.loop import TrainingResult

PROGRAM_VERSION = "0.1"  # of the training code, in every card


def training_command(
    prog: str,
    description: str,
    names: tuple[str, ...],
    runs: Callable[[], Mapping[str, Callable[..., int]]],
    argv: list[str] | None = None,
) -> int:
    """Parse and run `PROG NAME --config FILE [--resume] [--quiet] [--section.key=value ...]`.

    Args:
        prog: "package.train".
        description: for --help.
        names: of the commands.
        runs: gives the command of each name; called after parsing, so that --help does not wait for imports.
        argv: arguments; the program's own by default.

    Returns:
        The exit code: 2 for a mistake that a sentence explains, 130 for Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog=prog, description=description, allow_abbrev=False)
    parser.add_argument("command", choices=names)
    package = prog.split(".")[0]
    help_config = f"TOML file, or the name of one of {package}/configs/"
    parser.add_argument("--config", type=Path, required=True, help=help_config)
    parser.add_argument("--resume", action="store_true", help="continue from the state in the run's folder")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    args, overrides = parser.parse_known_args(argv)
    try:
        return runs()[args.command](
            settings_file(args.config, package), overrides, resume=args.resume, quiet=args.quiet
        )
    except (SettingsError, ValueError, FileNotFoundError, FloatingPointError) as e:
        print(f"{prog}: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # a training catches it itself; trajectories are kept shard by shard
        return _stopped(prog)


def leave(code: int) -> NoReturn:
    """End a program with this code. One of several workers ends at once, when all that it wrote is out.

    Threads of torch's process group that are still there when the interpreter takes itself apart abort a run that was
    done, now and then, on a busy machine.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)


def settings_file(path: Path, package: str) -> Path:
    """The file itself where it is there, else the package's own of that name, with or without ".toml".

    So a command works from any folder, and from an installed package: `--config shapes_teacher`.
    """
    module = importlib.util.find_spec(package)
    if path.exists() or module is None or module.origin is None:
        return path
    own = Path(module.origin).parent / "configs" / f"{path.name.removesuffix('.toml')}.toml"
    return own if own.is_file() else path


def _stopped(prog: str) -> int:
    print(f"{prog}: stopped; the same command goes on.", file=sys.stderr)
    return 130


def resumable(prog: str, work: Callable[[], None], mistakes: tuple[type[Exception], ...] = (ValueError,)) -> int:
    """Do work that keeps what it has; returns the exit code: 2 for a mistake, 130 when it was stopped by Ctrl-C.

    Args:
        prog: what says a mistake's sentence.
        work: what is done.
        mistakes: that it may raise, told in their own sentence; those for users are ValueErrors.
    """
    try:
        work()
    except mistakes as e:
        print(f"{prog}: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return _stopped(prog)
    return 0


@contextmanager
def percent_bar(what: str) -> Iterator[Callable[[float, str], None]]:
    """A progress bar over shares of the whole, to be called with (share, words); of the words nothing is shown."""
    from tqdm import tqdm

    with tqdm(total=100, desc=what, unit="%", mininterval=5.0, bar_format="{l_bar}{bar}| {elapsed}<{remaining}") as bar:
        yield lambda share, words: bar.update(100 * share - bar.n)


def device_sentence() -> str:
    """What this runs on."""
    import torch  # only here: --help does not wait for it

    from foundation.networks.devices import default_device

    if default_device().type == "cuda":
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} CPU threads ({platform.machine()})"


def report(what: str, result: TrainingResult) -> None:
    """The last line of a run."""
    end = "finished" if result.finished else "stopped; go on with --resume"
    print(f"{what}: {result.images:,} images in {result.seconds / 60:.1f} minutes, {end}")
