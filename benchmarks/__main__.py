"""`python -m benchmarks [NAME ...]`: run measurements and print their tables. Ratios, not seconds, are the result."""

from __future__ import annotations

import argparse
import importlib
import sys

NAMES = ("one_step", "evolve", "slider", "training", "flow", "startup", "soak")


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)}; all when none is given")
    args = parser.parse_args(argv)
    unknown = [n for n in args.names if n not in NAMES]
    if unknown:
        print(f"benchmarks: there is no {unknown[0]!r}: choose any of {', '.join(NAMES)}.", file=sys.stderr)
        return 2
    for name in args.names or NAMES:
        importlib.import_module(f"benchmarks.{name}").run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
