"""Examples: questions worth a first look, as the page offers them. Each is opened the way a recipe is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.core.errors import UserError
from analysis.flow.images import FlowPicturesRequest
from analysis.flow.points import Flow2DRequest
from analysis.flow.settings import SideBySideRequest
from analysis.recipes.recipe import Recipe
from analysis.recipes.replay import describe_for
from analysis.series.forecast import ForecastRequest
from analysis.studio import Studio
from analysis.workbench.editing import EditRequest
from analysis.workbench.library import DEFAULT_MODEL
from analysis.workbench.restoration import ColorizeRequest, InpaintRequest
from analysis.workbench.spectrum import MaskRequest
from foundation.data.datasets import open_dataset

PORTRAIT_SIDE = 64  # pixels of a portrait that is restored


@dataclass(frozen=True)
class Example:
    """Attributes: key; title, on its button; words, what to look at; model, "" for flows; ask, makes the question."""

    key: str
    title: str
    words: str
    model: str
    ask: Callable[[], Any]


def _portrait(number: int) -> np.ndarray:
    """A held-out portrait, uint8 (64, 64, 3)."""
    return open_dataset("portraits", PORTRAIT_SIDE, "test").pictures([number])[0]


def _hole() -> np.ndarray:
    """The middle of the picture, the face, is unknown."""
    mask = np.zeros((PORTRAIT_SIDE, PORTRAIT_SIDE), np.uint8)
    mask[22:42, 20:44] = 255
    return mask


def _plane(*settings: tuple[str, str, float]) -> SideBySideRequest:
    return SideBySideRequest(tuple(
        Flow2DRequest("8gaussians", path=path, sampler=sampler, nfe=5, gamma1=gamma, points=1024)
        for path, sampler, gamma in settings
    ))  # fmt: skip


def _pictures(nfe: int) -> SideBySideRequest:
    ways = (("otcfm", "euler"), ("otcfm", "heun"), ("idff", "euler"), ("idff", "multistep"))
    return SideBySideRequest(
        tuple(FlowPicturesRequest("shapes", path, sampler, nfe, seeds=(0, 1, 2, 3)) for path, sampler in ways)
    )


EXAMPLES = (
    Example(
        "without-smallest", "Without the smallest α",
        "A third of the modes of every level is gone. Compare the difference with that of the other two thirds: press "
        "the buttons below the sliders.",
        DEFAULT_MODEL, lambda: MaskRequest(11, gains=(0.0, 1.0, 1.0)),
    ),
    Example(
        "doubled", "The largest α, doubled",
        "Retention above 1 strengthens a band. Which part of the picture grows, and which stays?",
        DEFAULT_MODEL, lambda: MaskRequest(6, gains=(1.0, 1.0, 2.0)),
    ),
    Example(
        "edit", "A corner from another picture",
        "Half-way between noise and picture, the lower left takes the smallest-α modes of another picture. Move the "
        "ratio and watch layout and detail in the numbers.",
        DEFAULT_MODEL, lambda: EditRequest(11, reference_seed=6, ratio=0.9),
    ),
    Example(
        "hole", "A hole, filled",
        "All but the face is known, the face is made up in 10 steps. Other seeds fill it otherwise.",
        DEFAULT_MODEL, lambda: InpaintRequest(_portrait(3), _hole(), seed=1, steps=10),
    ),
    Example(
        "colours", "Colours, made up",
        "The model sees this portrait in grey and paints it. Other seeds give other colours to the same brightness.",
        DEFAULT_MODEL, lambda: ColorizeRequest(_portrait(5), seed=1, steps=10),
    ),
    Example(
        "five-calls", "Five calls in the plane",
        "The same noise, five network calls: Euler and fourth-order Runge-Kutta on an OT-CFM net, then IDFF's "
        "published drift and the multistep on IDFF's net. Look for points between the clusters.",
        "", lambda: _plane(("otcfm", "euler", 0.5), ("otcfm", "rk4", 0.5), ("idff", "published", 0.2),
                           ("idff", "multistep", 0.5)),
    ),
    Example(
        "two-calls", "Pictures in two calls",
        "Four ways to spend two network calls. Raise the calls for all and see which are first to give crisp edges.",
        "", lambda: _pictures(2),
    ),
    Example(
        "lorenz", "An ensemble on Lorenz-63",
        "Twenty forecasts from one start and its small noise. They part where the truth could have gone elsewhere too.",
        "", lambda: ForecastRequest("lorenz", start=0.3),
    ),
)  # fmt: skip


def recipe_of(example: Example, studio: Studio) -> Recipe:
    """The recipe of an example, on the models that are here.

    Raises:
        UserError: its model is not among them.
    """
    if example.model and example.model not in studio.library.names():
        raise UserError(
            f"This example needs the model {example.model}, which is not here: open a recipe of your own.", "model"
        )
    return describe_for(example.ask(), studio, example.model)
