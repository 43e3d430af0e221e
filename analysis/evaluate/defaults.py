"""Defaults of one model chosen by measurement, into its card: `python -m analysis.evaluate.defaults --model NAME`.

Bands, order and time of an edit (the part edit-choice); steps, end level and skip of inpainting and colourisation (the
part restoration). The page and `Workbench` start with them. Tables are printed; `analysis.evaluate hkd --parts
edit-choice,restoration --write` puts them on the page of results, too.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from analysis.core.errors import UserError
from analysis.core.fields import whole
from analysis.evaluate.hkd import edit_curves, restoration  # noqa: F401  # these register their parts
from analysis.evaluate.shipping import keep_part
from analysis.evaluate.tables.markdown import markdown
from analysis.evaluate.tables.parts import Job, Options, parts_of
from analysis.workbench.defaults import EDIT, RESTORATION
from analysis.workbench.library import ModelLibrary
from foundation.training.commands import percent_bar, resumable
from koopman_core.model import MODELS_DIR


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    known = parts_of("hkd")
    parser = argparse.ArgumentParser(prog="analysis.evaluate.defaults", description=__doc__)
    parser.add_argument("--model", required=True, help="name of an HKD model in --models; its card is written")
    parser.add_argument("--models", type=Path, default=MODELS_DIR)
    parser.add_argument("--parts", default=f"{EDIT},{RESTORATION}", help="which of the two, by commas")
    parser.add_argument("--lpips", type=Path, default=None, help="AlexNet backbone file (npz, safetensors or pth)")
    for name in (EDIT, RESTORATION):
        p = known[name]
        parser.add_argument(f"--{p.option}", type=int, default=p.count, help=f"of {name}; {p.count} by default")
    args = parser.parse_args(argv)

    def work() -> None:
        names = [name.strip() for name in args.parts.split(",")]
        if not set(names) <= {EDIT, RESTORATION}:
            raise UserError(f"--parts takes {EDIT} and {RESTORATION}, separated by commas; not {args.parts!r}.")
        asked = [known[name] for name in (EDIT, RESTORATION) if name in names]
        # a mistake is told before anything is measured
        counts = [whole(getattr(args, p.option.replace("-", "_")), p.least, p.most, f"--{p.option}") for p in asked]
        bench = ModelLibrary(args.models).get(args.model)
        for p, count in zip(asked, counts, strict=True):
            with percent_bar(f"{bench.name} {p.name}") as progress:
                outcome = p.measure(Job(bench, count, progress, bench.name, args.models, options=Options(args.lpips)))
            command = f"python -m analysis.evaluate.defaults --model {bench.name} --parts {p.name} --{p.option} {count}"
            keep_part(args.models, bench, p.name, command, outcome.card or {})
            print(markdown(outcome.blocks))

    return resumable("analysis.evaluate.defaults", work, (UserError, ValueError, RuntimeError))


if __name__ == "__main__":
    sys.exit(main())
