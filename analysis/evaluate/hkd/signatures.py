"""Whether spectra tell classes and factors apart: every contrast of a model's data, beside two controls."""

from __future__ import annotations

import numpy as np

from analysis.core.errors import UserError
from analysis.evaluate.tables.markdown import Block, Verdict, cell, grid, number
from analysis.evaluate.tables.parts import Job, Outcome, part
from analysis.workbench.signatures import SignatureRequest, SignatureResult, contrast_names

READER_WORDS = ("bands by alpha", "modes dealt at random", "the picture's own power")


def signature_blocks(found: dict[str, SignatureResult]) -> list[Block]:
    """A row a contrast, at the picture; then how many are read above chance, and by what more than the controls.

    Args:
        found: by contrast, "" for the classes.
    """
    rows, above, margins = [], dict.fromkeys(READER_WORDS, 0), np.zeros((2, 2), int)
    at_noise = 0
    for contrast, r in found.items():
        clean, last = int(np.argmin(r.tau)), int(np.argmax(r.tau))
        for k, name in enumerate(READER_WORDS):
            above[name] += int(r.hits_low[k, clean] > r.chance)
        at_noise += int(r.hits_low[0, last] > r.chance)
        for k in range(2):
            margins[k] += r.margin[k, clean, 1] > 0, r.margin[k, clean, 2] < 0
        rows.append([
            contrast or f"{len(r.groups)} classes{' (own pictures)' if r.own else ''}", number(r.chance, ".0%"),
            *(
                cell("{:.0%} [{:.0%}, {:.0%}]", r.hits[k, clean], r.hits_low[k, clean], r.hits_high[k, clean])
                for k in range(len(READER_WORDS))
            ),
            number(float(r.separation[clean].max()), ".3f"),
        ])  # fmt: skip
    said = ", ".join(f"{n} from {name}" for name, n in above.items())
    more, less = margins
    return [
        grid(["groups", "chance", *READER_WORDS, "largest separation of a band"], rows),
        Verdict(
            f"Of {len(found)} contrasts are read above chance at the picture: {said}; at the noise {at_noise} from "
            f"bands by alpha (2.5 % each would be by chance alone). Bands by alpha read more than the same modes dealt "
            f"at random in {more[0]}, less in {more[1]}; more than the picture's own power in {less[0]}, less in "
            f"{less[1]}.",
            {
                "contrasts": len(found), "above_chance": list(above.values()), "at_noise": at_noise,
                "against_random": more.tolist(), "against_picture": less.tolist(),
            },
        ),
    ]  # fmt: skip


@part("hkd", "signatures", 10, "signature-pictures", 64, 8, 512, on_request=True)
def signatures(job: Job) -> Outcome:
    """Every contrast of the model's data."""
    bench, found = job.model, {}
    names = contrast_names(bench)
    if not names:
        raise UserError("This model has no classes, and its pictures have no known factors.", "model")
    for i, contrast in enumerate(names):
        try:
            found[contrast] = bench.signatures(SignatureRequest(contrast, job.count), job.share(i, len(names)))
        except UserError as e:
            if e.field != "count":
                raise
            continue  # too rare a value
    return Outcome([
        f"{job.count} pictures a group, encoded clean (sigma .002) without their class; log energy of every band of "
        "every level, read by a shrunk linear discriminant from pictures that it was not fitted to; shares with 95 % "
        "bootstrap intervals. Separation: share of a band's variance between groups.",
        *signature_blocks(found),
    ])  # fmt: skip
