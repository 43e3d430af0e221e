"""What can be asked of the editing part of a Workbench and what comes back: frozen dataclasses, numpy only.

Pictures are uint8 (H, W, 3) of the model's size. Masks come in as bool, as float in [0, 1] or as uint8 (0 to 255, or 0
and 1), and are kept as uint8 0 to 255, so that a recipe can hold them without loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from analysis.core.errors import UserError
from analysis.core.fields import (
    MAX_EDGES,
    THIRDS,
    Choice,
    Edges,
    Image,
    Label,
    Mask,
    Order,
    Request,
    Seed,
    Unit,
    sorted_set,
)
from analysis.koopman.editing import ENCODINGS, REGIONS, EditNumbers
from analysis.koopman.restoration import MAX_STEPS, HoleNumbers

REFERENCES = ("seed", "scene", "picture")
METHODS = ("iterative", "latent")
Steps = Annotated[int, Field(ge=1, le=MAX_STEPS, title="The number of steps")]


# Identity decides equality: comparing arrays gives arrays.
@dataclass(frozen=True, eq=False)
class EditRequest(Request):
    """Mix bands of a reference into the picture of a seed.

    Attributes:
        seed, label: the original.
        reference: "seed" (another seed), "scene" (a generated scene of `foundation.shapes`) or "picture".
        reference_seed: the seed or the number of the scene.
        reference_label: class of the reference.
        picture: the uploaded reference.
        encoding: "noise", "ode" or "latent"; the last two for seeds only.
        noise_seed: of the noise that is added to the reference.
        tau: edit time in [0, 1], 1/2 = midpoint.
        edges, order: the bands, as in `MaskRequest`.
        bands: numbers of the bands that are mixed.
        ratio: 0 (original) to 1 (reference).
        region: one of `editing.REGIONS`.
        mask: the painted region.
    """

    seed: Seed
    label: Label = -1
    reference: Annotated[str, Choice(REFERENCES)] = "seed"
    reference_seed: Annotated[Seed, Field(title="The reference's seed")] = 1
    reference_label: Label = -1
    picture: Annotated[Image | None, Field(title="The reference picture")] = None
    encoding: Annotated[str, Choice(ENCODINGS)] = "noise"
    noise_seed: Seed = 0
    tau: Annotated[Unit, Field(title="The edit time")] = 0.5
    edges: Edges = THIRDS
    # the first has the most detail for its change of layout, by docs/results.md
    bands: Annotated[
        tuple[Annotated[int, Field(ge=0, le=MAX_EDGES)], ...],
        Field(min_length=1, max_length=MAX_EDGES + 1),
        AfterValidator(sorted_set),
    ] = (0,)
    order: Order = "alpha"
    ratio: Annotated[Unit, Field(title="The mixing ratio")] = 0.5
    region: Annotated[str, Choice(REGIONS)] = "lower-left-triangle"
    mask: Annotated[Mask | None, Field(title="The painted region")] = None

    def check_together(self) -> None:
        """Raises UserError: a band beyond the last, an encoding that the reference has not, or no painting."""
        if self.bands[-1] > len(self.edges):
            raise UserError(f"Each of the bands must be a whole number from 0 to {len(self.edges)}.", "bands")
        if self.reference != "seed" and self.encoding != "noise":
            raise UserError(
                f"Only a seed has a trajectory to take a {self.encoding} state from: choose noise.", "encoding"
            )
        if (self.picture is not None) != (self.reference == "picture"):
            raise UserError("Upload a reference picture, or choose a seed or a scene as the reference.", "picture")
        if (self.mask is not None) != (self.region == "painted"):
            raise UserError(
                'Paint the region and choose "painted", or choose another region without a painting.', "mask"
            )
        if self.mask is not None and not self.mask.any():
            raise UserError("The painted region is empty: paint where the reference may come in.", "mask")


@dataclass(frozen=True, eq=False)
class EditResult:
    """An edit beside its control.

    Attributes:
        original, edited, control: (H, W, 3); the control mixes all modes at the same ratio and region.
        reference: (H, W, 3) the reference itself.
        encoded: (H, W, 3) what the reference's latents decode to: the edit's limit, all bands, everywhere, ratio 1.
        strip: (5, H, W, 3) the edit at `strip_ratios`.
        sigma: noise level of the edit time.
        numbers, numbers_control: what edit and control did.
        share: of all modes, how many were mixed.
    """

    original: np.ndarray
    edited: np.ndarray
    control: np.ndarray
    reference: np.ndarray
    encoded: np.ndarray
    strip: np.ndarray
    strip_ratios: tuple[float, ...]
    sigma: float
    numbers: EditNumbers
    numbers_control: EditNumbers
    share: float


@dataclass(frozen=True, eq=False)
class InpaintRequest(Request):
    """Fill the hole of a picture. Mask: 1 (255, True) = UNKNOWN, to be made up; half and more counts as 1.

    Attributes:
        picture, mask: what is given.
        seed, label: of what is made up.
        steps: 1 to 40, for "iterative".
        method: "iterative" (algorithm 4) or "latent" (one step, blended in z).
        tau: when "latent" encodes the known picture.
        truth: whether the picture is also the truth inside the hole, so that the result can be measured.
    """

    picture: Image
    mask: Mask
    seed: Seed = 0
    label: Label = -1
    steps: Steps = 20
    method: Annotated[str, Choice(METHODS)] = "iterative"
    tau: Annotated[Unit, Field(title="The encoding time")] = 0.5
    truth: bool = True

    def check_together(self) -> None:
        """Raises UserError: no hole, or one of another size."""
        if self.mask.shape != self.picture.shape[:2]:
            raise UserError("The mask must be as high and wide as the picture: paint it again.", "mask")
        if not (self.mask >= 128).any():
            raise UserError("Nothing is painted: paint over what is to be made up.", "mask")


@dataclass(frozen=True, eq=False)
class ColorizeRequest(Request):
    """Colours for a picture, of which only the luma is looked at.

    Attributes: picture; seed, label of what is made up; steps, 1 to 40; truth = whether its own colours are the truth.
    """

    picture: Image
    seed: Seed = 0
    label: Label = -1
    steps: Steps = 20
    truth: bool = True


@dataclass(frozen=True, eq=False)
class RestoreResult:
    """A picture made whole.

    Attributes:
        picture: (H, W, 3) restored.
        given: (H, W, 3) what was known: mid-grey holes, or the grey picture.
        frames: (n, H, W, 3) after every step done.
        sigma: (n,) their noise levels.
        nfe: network calls ("latent": two encodes and one decode, given as 2).
        stopped: ended early by `restoration.Stop`.
        numbers: against the truth, None when that is not known.
    """

    picture: np.ndarray
    given: np.ndarray
    frames: np.ndarray
    sigma: np.ndarray
    nfe: int
    stopped: bool
    numbers: HoleNumbers | None
