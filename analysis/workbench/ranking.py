"""Channel pairs of a level by what leaving them out changes in the picture: request, result and answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field

from analysis.core.fields import MAX_LEVELS, Label, Request, Seed
from analysis.core.images import as_pictures
from analysis.core.progress import Progress, tell
from analysis.koopman.modes import without_modes
from analysis.metrics import image as metrics
from analysis.workbench.session import Session
from analysis.workbench.spectrum import ZERO_BEFORE, Ablation


@dataclass(frozen=True)
class RankRequest(Request):
    """Which channel pairs of a level matter to a picture.

    Attributes:
        seed, label: whose picture.
        entry: level.
        ablation: what stands in place of a pair: "mean", "resample" or "zero".
    """

    former: ClassVar = ZERO_BEFORE
    seed: Seed
    entry: Annotated[int, Field(ge=0, lt=MAX_LEVELS, title="The level")]
    label: Label = -1
    ablation: Ablation = "mean"


@dataclass(frozen=True, eq=False)
class RankResult:
    """C/2 pairs of a level, the strongest first.

    Attributes:
        name: of the level.
        pair: (C/2,) their numbers.
        mse: (C/2,) mean squared change of the picture without all of a pair's modes, [-1, 1] scale.
        without: (C/2, H, W, 3) the picture without each.
    """

    name: str
    pair: np.ndarray
    mse: np.ndarray
    without: np.ndarray


@torch.inference_mode()
def rank(session: Session, request: RankRequest, progress: Progress = None) -> RankResult:
    """Leave out one channel pair after the other, at all its places, and decode.

    Args:
        session: of the model.
        request: which picture and level.
        progress: called with (share done, what) after every pair; may raise to cancel.
    """
    label, (entry,) = session.label(request.label), session.levels((request.entry,), "entry")
    reference = session.reference(request.ablation, [request.seed], label, 0.0)
    z = session.final_latents(request.seed, label)
    c, h, w = z[entry].shape[1:]
    labels, out = session.labels(label, 1), []
    with session.lock:
        full = session.model.decode(z, labels)
    for pair in range(c // 2):
        places = range(pair * h * w, (pair + 1) * h * w)
        with session.lock:  # for one call, so that other questions get through
            out.append(session.model.decode(without_modes(z, entry, places, request.ablation, reference), labels))
        tell(progress, (pair + 1) / (c // 2), "pictures without a pair")
    without = torch.cat(out)
    mse = metrics.mse(without, full.expand_as(without)).numpy()
    order = np.argsort(-mse, kind="stable")
    return RankResult(session.entries[entry].name, order, mse[order], as_pictures(without)[order])
