"""Measurements of shipped models: `python -m analysis.evaluate hkd --model NAME [--seeds 1000] [--write]`.

Prints tables; --write also puts the figures into the model's card (inside the checkpoint and beside it).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from analysis.errors import UserError
from analysis.fidelity import Distance, Fidelity, measure_fidelity, paired_samples
from analysis.library import ModelLibrary
from foundation.perceptual import PerceptualDistance, available
from koopman_core.model import MODELS_DIR
from koopman_core.recipes import save_grid


def _cells(d: Distance) -> str:
    lpips = "  n/a  " if d.lpips is None else f"{d.lpips:.4f}"
    return f"{lpips} | {d.psnr:6.2f} | {d.mse:.5f}"


def table(name: str, f: Fidelity) -> str:
    """The figures as Markdown."""
    lines = [
        f"### {name}: {f.seeds} held-out noises", "",
        "| against the teacher's 35-call sample | LPIPS (Alex, 64 px) | PSNR, dB | MSE |", "|---|---|---|---|",
        f"| student, one call | {_cells(f.one_step)} |",
        f"| teacher, 19 calls (yardstick) | {_cells(f.yardstick)} |",
        f"| student with A = 0 | {_cells(f.zero_operator)} |", "",
        "| Koopman path against the teacher's denoised state, sigma | LPIPS | PSNR, dB | MSE |", "|---|---|---|---|",
        *(f"| {row.sigma:.4g} | {_cells(row.distance)} |" for row in f.scrub), "",
        "| level | latent | alpha mean | alpha sd | max abs alpha | beta sd | max abs beta |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {e.name} | {'x'.join(map(str, e.shape))} | {e.alpha_mean:+.3f} | {e.alpha_std:.3f} | {e.alpha_max:.2f} "
            f"| {e.beta_std:.3f} | {e.beta_max:.2f} |"
            for e in f.spectrum
        ),
    ]  # fmt: skip
    return "\n".join(lines)


def rounded(value, digits: int = 5):
    """Floats inside nested dicts and lists to so many significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {k: rounded(v, digits) for k, v in value.items()}
    return [rounded(v, digits) for v in value] if isinstance(value, (list, tuple)) else value


def evaluate_hkd(args) -> int:
    """Measure, print, and write where asked."""
    from tqdm import tqdm

    library = ModelLibrary(args.models)
    bench = library.get(args.model)
    if bench.teacher is None:
        raise UserError(f"The teacher of {bench.name} is not in {args.models}: put its .teacher.safetensors there.")
    perceptual = PerceptualDistance("alex", backbone=args.lpips, side=64) if args.lpips or available("alex") else None
    if perceptual is None:
        print("No LPIPS backbone is at hand (set KOOPMAN_LPIPS or give --lpips): LPIPS is left out.", file=sys.stderr)
    with tqdm(total=args.seeds, unit="noise", mininterval=5.0) as bar:
        f = measure_fidelity(
            bench.model, bench.teacher, args.seeds, perceptual=perceptual, scrub_seeds=min(args.seeds, 200),
            progress=lambda done, n: bar.update(done - bar.n),
        )  # fmt: skip
    print(table(bench.name, f))
    if args.write:
        from analysis.shipping import write_metrics

        command = f"python -m analysis.evaluate hkd --model {bench.name} --seeds {args.seeds}"
        write_metrics(args.models, bench, {"command": command, **rounded(asdict(f))})
    if args.sheet:
        best, mine = paired_samples(bench.model, bench.teacher, range(32))
        rows = [x[low : low + 16] for low in (0, 16) for x in (best, mine)]
        save_grid(args.sheet, torch.cat(rows), columns=16)
    if args.json:
        args.json.write_text(json.dumps(rounded(asdict(f)), indent=1) + "\n")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="analysis.evaluate", description=__doc__)
    parser.add_argument("what", choices=("hkd",))
    parser.add_argument("--model", default=None, help="name of a model in --models")
    parser.add_argument("--models", type=Path, default=MODELS_DIR)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--lpips", type=Path, default=None, help="AlexNet backbone file (npz, safetensors or pth)")
    parser.add_argument("--json", type=Path, default=None, help="also write the figures here")
    parser.add_argument(
        "--sheet", type=Path, default=None, help="PNG: rows of teacher, student, same noises (seeds 0-31)"
    )
    parser.add_argument("--write", action="store_true", help="put the figures into the model's card")
    args = parser.parse_args(argv)
    try:
        if not 1 <= args.seeds <= 1_000_000:
            raise UserError("--seeds must lie between 1 and 1,000,000.")
        return evaluate_hkd(args)
    except (UserError, ValueError, RuntimeError) as e:
        print(f"analysis.evaluate: {e}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
