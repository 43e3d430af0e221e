"""What can be asked of the editing part of a Workbench and what comes back: frozen dataclasses, numpy only.

Pictures are uint8 (H, W, 3) of the model's size. Masks come in as bool, as float in [0, 1] or as uint8 (0 to 255, or 0
and 1), and are kept as uint8 0 to 255, so that a recipe can hold them without loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.core.errors import UserError
from analysis.core.fields import edges_of, real, several, whole
from analysis.koopman.editing import ENCODINGS, REGIONS, EditNumbers
from analysis.koopman.restoration import MAX_STEPS, HoleNumbers
from foundation.randomness import MAX_SEED

REFERENCES = ("seed", "scene", "picture")
METHODS = ("iterative", "latent")
MIN_SIDE, MAX_SIDE = 8, 256


def picture_of(value, what: str = "The picture") -> np.ndarray:
    """A read-only copy of an uint8 (H, W, 3) picture, or a UserError naming `what`."""
    good = isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 3 and value.shape[2] == 3
    if not good or not all(MIN_SIDE <= n <= MAX_SIDE for n in value.shape[:2]):
        raise UserError(f"{what} must be 8-bit RGB of the model's size: upload it as PNG, JPEG or WebP.")
    return _frozen(value)


def mask_of(value, what: str = "The mask") -> np.ndarray:
    """A mask as read-only uint8 (H, W), 255 = fully painted, or a UserError naming `what`."""
    cure = UserError(f"{what} must be a grid of numbers from 0 to 1 as high and wide as the picture: paint it again.")
    if not isinstance(value, np.ndarray) or value.ndim != 2 or not all(1 <= n <= MAX_SIDE for n in value.shape):
        raise cure
    if value.dtype == np.bool_:
        return _frozen(value.astype(np.uint8) * np.uint8(255))
    if value.dtype == np.uint8:
        return _frozen(value * np.uint8(255) if value.max() <= 1 else value)
    if value.dtype.kind != "f" or not np.isfinite(value).all() or value.min() < 0 or value.max() > 1:
        raise cure
    return _frozen(np.round(value * 255).astype(np.uint8))


def _frozen(value: np.ndarray) -> np.ndarray:
    value = np.array(value, order="C")
    value.setflags(write=False)
    return value


def _one_of(value, choices: tuple[str, ...], what: str) -> str:
    if not isinstance(value, str) or value not in choices:
        raise UserError(f"{what} must be one of {', '.join(choices)}.")
    return value


def _seed(value, what: str = "The seed") -> int:
    return whole(value, 0, MAX_SEED, what)


# Identity decides equality: comparing arrays gives arrays.
@dataclass(frozen=True, eq=False)
class EditRequest:
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

    seed: int
    label: int = -1
    reference: str = "seed"
    reference_seed: int = 1
    reference_label: int = -1
    picture: np.ndarray | None = None
    encoding: str = "noise"
    noise_seed: int = 0
    tau: float = 0.5
    edges: tuple[float, ...] = (1 / 3, 2 / 3)
    bands: tuple[int, ...] = (0,)  # the most detail for its change of layout, by docs/results.md
    order: str = "alpha"
    ratio: float = 0.5
    region: str = "lower-left-triangle"
    mask: np.ndarray | None = None

    def __post_init__(self) -> None:
        edges = edges_of(self.edges)
        top = len(edges)
        bands = tuple(sorted({whole(b, 0, top, "Each band") for b in several(self.bands, 9, "The bands")}))
        clean = {
            "seed": _seed(self.seed),
            "reference": _one_of(self.reference, REFERENCES, "The reference"),
            "reference_seed": _seed(self.reference_seed, "The reference's seed"),
            "encoding": _one_of(self.encoding, ENCODINGS, "The encoding"),
            "noise_seed": _seed(self.noise_seed, "The noise seed"),
            "tau": real(self.tau, 0, 1, "The edit time"),
            "edges": edges,
            "bands": bands,
            "order": _one_of(self.order, ("alpha", "abs"), "The order of the modes"),
            "ratio": real(self.ratio, 0, 1, "The mixing ratio"),
            "region": _one_of(self.region, REGIONS, "The region"),
        }
        if self.reference != "seed" and self.encoding != "noise":
            raise UserError(f"Only a seed has a trajectory to take a {self.encoding} state from: choose noise.")
        if (self.picture is not None) != (self.reference == "picture"):
            raise UserError("Upload a reference picture, or choose a seed or a scene as the reference.")
        if (self.mask is not None) != (self.region == "painted"):
            raise UserError('Paint the region and choose "painted", or choose another region without a painting.')
        clean["picture"] = None if self.picture is None else picture_of(self.picture, "The reference picture")
        clean["mask"] = None if self.mask is None else mask_of(self.mask, "The painted region")
        if clean["mask"] is not None and not clean["mask"].any():
            raise UserError("The painted region is empty: paint where the reference may come in.")
        for name, value in clean.items():
            object.__setattr__(self, name, value)


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
class InpaintRequest:
    """Fill the hole of a picture. Mask: 1 (255, True) = UNKNOWN, to be made up; half and more counts as 1.

    Attributes:
        picture, mask: what is given.
        seed, label: of what is made up.
        steps: 1 to 40, for "iterative".
        method: "iterative" (algorithm 4) or "latent" (one step, blended in z).
        tau: when "latent" encodes the known picture.
        truth: whether the picture is also the truth inside the hole, so that the result can be measured.
    """

    picture: np.ndarray
    mask: np.ndarray
    seed: int = 0
    label: int = -1
    steps: int = 20
    method: str = "iterative"
    tau: float = 0.5
    truth: bool = True

    def __post_init__(self) -> None:
        clean = {
            "picture": picture_of(self.picture),
            "mask": mask_of(self.mask),
            "seed": _seed(self.seed),
            "steps": whole(self.steps, 1, MAX_STEPS, "The number of steps"),
            "method": _one_of(self.method, METHODS, "The method"),
            "tau": real(self.tau, 0, 1, "The encoding time"),
        }
        if not isinstance(self.truth, bool):
            raise UserError("Say with true or false whether the hole of the picture holds the truth.")
        if clean["mask"].shape != clean["picture"].shape[:2]:
            raise UserError("The mask must be as high and wide as the picture: paint it again.")
        if not (clean["mask"] >= 128).any():
            raise UserError("Nothing is painted: paint over what is to be made up.")
        for name, value in clean.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, eq=False)
class ColorizeRequest:
    """Colours for a picture, of which only the luma is looked at.

    Attributes: picture; seed, label of what is made up; steps, 1 to 40; truth = whether its own colours are the truth.
    """

    picture: np.ndarray
    seed: int = 0
    label: int = -1
    steps: int = 20
    truth: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "picture", picture_of(self.picture))
        object.__setattr__(self, "seed", _seed(self.seed))
        object.__setattr__(self, "steps", whole(self.steps, 1, MAX_STEPS, "The number of steps"))
        if not isinstance(self.truth, bool):
            raise UserError("Say with true or false whether the picture's own colours are the truth.")


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
