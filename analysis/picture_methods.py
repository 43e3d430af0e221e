"""What is measured of a flow of pictures: its samplers by name, and their pictures from given noises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from analysis import metrics
from analysis.errors import UserError
from analysis.flow_clouds import NOISE, STEPS
from analysis.flow_follow import follow
from analysis.flow_scores import EULER, MULTISTEP, Progress, counted
from analysis.picture_bench import EXACT_NFE
from analysis.requests_pictures import FlowPicturesRequest
from flow_core import model as flow_model
from flow_core.fields import Exact, Predict
from flow_core.model import FlowModel
from flow_core.samplers import cosine_grid, rk4
from foundation import noise
from foundation.randomness import derived_seed, mix_seed

BATCH = 16  # pictures a network call
# first weights that are tried, none first: it wins a tie
GRIDS = {
    "published drift": (0.5, -80.0, -40.0, -20.0, -10.0, -5.0, 5.0, 15.0),
    "matched noise": (0.0, 1.0, 3.0, 10.0, 30.0),
}
SAMPLER = {"published drift": "published", "matched noise": "matched"}
PATH_WORDS = {"idff": "IDFF", "otcfm": "OT-CFM", "icfm": "I-CFM", "sbcfm": "SB-CFM"}
COMPANION = "otcfm"  # what is measured beside a net of another path, where its file is there

Rows = dict[str, tuple[FlowModel, tuple[FlowPicturesRequest, ...]]]


def companion_of(model: FlowModel, name: str, folder: Path) -> FlowModel | None:
    """The OT-CFM net of the same data, NAME-otcfm in the folder; None where there is none, or the net is one itself.

    Raises:
        CheckpointError: a file that cannot be used.
        UserError: a net of other pictures.
    """
    path = folder / f"{name}-{COMPANION}{flow_model.SUFFIX}"
    if model.flow.path == COMPANION or not path.is_file():
        return None
    other = flow_model.load(path)
    same = other.sample_shape == model.sample_shape and other.config.classes == model.config.classes
    if other.flow.path != COMPANION or not same:
        raise UserError(f"{path.name} is no OT-CFM net of the same pictures and classes: train it again, or move it.")
    return other


def path_words(model: FlowModel) -> str:
    """What a net's path is called."""
    return PATH_WORDS[model.flow.path]


# ---------------------------------------------------------------------------------------------------------------------
# From noises to pictures


class Meter:
    """Tells what share of the work is done, in network calls times pictures."""

    def __init__(self, total: int, progress: Progress):
        self.total, self.done, self.progress = total, 0, progress

    def add(self, calls: int, what: str) -> None:
        self.done += calls
        if self.progress is not None:
            self.progress(min(1.0, self.done / self.total), what)


def network_of(model: FlowModel, seeds: range) -> Predict:
    """(x, t) -> Prediction; where there are classes each seed draws one evenly, as in `analysis.generated`."""
    if not model.config.classes:
        return model
    labels = torch.tensor([mix_seed(s, 8) % model.config.classes for s in seeds])
    return lambda x, t: model(x, t, labels)


def start_of(model: FlowModel, seeds: range) -> Tensor:
    """The noise of these seeds at t = 0."""
    return model.path.start_std * noise(seeds, model.sample_shape)


def exact_flow(model: FlowModel, seeds: range) -> Tensor:
    """What the plain flow ends with at a fine resolution, as `PictureBench.exact` has it for one class."""
    flow = Exact(model.path)
    return shown(rk4(network_of(model, seeds), start_of(model, seeds), flow, EXACT_NFE, spacing=cosine_grid).x)


def shown(x: Tensor) -> Tensor:
    """Pictures as they are shown, rounded to the bytes that data have, in [-1, 1]."""
    return metrics.to_uint8(x).float() / 127.5 - 1


def sampled(model: FlowModel, request: FlowPicturesRequest, seeds: range) -> Tensor:
    """Pictures of one setting (of a request sampler, calls and gamma1 are read); refused if it spends other calls.

    Raises:
        Diverged: a state left every reasonable range.
        ValueError: weights that the sampler cannot have.
    """
    draw = lambda: [derived_seed(NOISE, STEPS, s) for s in seeds]  # noqa: E731
    result = follow(network_of(model, seeds), start_of(model, seeds), model.path, request, draw)
    return shown(counted(result, request.nfe))


def batches(seeds: range) -> Iterable[range]:
    """Neighbouring seeds, `BATCH` at a time."""
    return (seeds[i : i + BATCH] for i in range(0, len(seeds), BATCH))


# ---------------------------------------------------------------------------------------------------------------------
# Methods


def methods(
    model: FlowModel, other: FlowModel | None, nfes: tuple[int, ...], gammas: Mapping[str, tuple[float, ...]]
) -> Rows:
    """What is measured, by name: the net and one request a number of calls."""
    words = path_words(model)

    def row(sampler: str, weights: Iterable[float] = ()) -> tuple[FlowPicturesRequest, ...]:
        given = tuple(weights) or (0.5,) * len(nfes)
        return tuple(FlowPicturesRequest(sampler=sampler, nfe=n, gamma1=g) for n, g in zip(nfes, given, strict=True))

    rows: Rows = {} if other is None else {f"{path_words(other)}, {EULER}": (other, row("euler"))}
    rows |= {f"{words}, {EULER}": (model, row("euler")), f"{words}, exact flow, Heun": (model, row("heun"))}
    rows[f"{words}, {MULTISTEP}"] = (model, row("multistep"))
    if has_momentum(model):
        rows[without(model)] = (model, row("published"))
        rows |= {chosen(model, f): (model, row(SAMPLER[f], g)) for f, g in gammas.items()}
        rows[f"{words}, bridge"] = (model, row("bridge"))
    return rows


def chosen(model: FlowModel, family: str) -> str:
    """Name of the row of a family with its momentum."""
    return f"{path_words(model)}, {family}, gamma1 chosen"


def without(model: FlowModel) -> str:
    """Name of the row of the published drift without momentum."""
    return f"{path_words(model)}, published drift, no momentum"


def has_momentum(model: FlowModel) -> bool:
    """Whether the path has noise to weight momentum with, and the net the score for it."""
    return model.path.bridge and model.path.independent and model.path.sigma > 0
