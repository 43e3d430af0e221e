"""What bands are called: by their rank, and in a model whose bands were trained to mean something, by that."""

from __future__ import annotations

import gradio as gr

from analysis.koopman.spectrum import BAND_COUNT, band_names
from analysis.workbench.library import ModelInfo

MEANT = ("layout", "shape", "detail")  # of a model that was trained with nested bands, the smallest alpha first

GAINS = ("small", "middle", "large")  # names of the three sliders


def is_nested(info: ModelInfo) -> bool:
    """Whether a model's thirds by rank of alpha were trained to be `MEANT`."""
    recipe = info.card.get("recipe")
    student = recipe.get("student") if isinstance(recipe, dict) else None
    return isinstance(student, dict) and bool(student.get("nested_blurs"))


def bands_line(info: ModelInfo) -> str:
    """What thirds of the spectrum mean in this model: what it was trained for, or else what the sign of alpha does."""
    if is_nested(info):
        first, second, third = MEANT
        return f"Its bands were trained to be {first}, {second} and {third}, from the smallest α to the largest."
    return "Its bands are thirds by rank of α: growing, slow, fading; check the signs."


def short_names(info: ModelInfo, order: str = "alpha") -> list[str]:
    """The three bands in a word or two each: by `MEANT` where they are cut from the signed alpha, else by rank."""
    return list(MEANT) if is_nested(info) and order == "alpha" else band_names(BAND_COUNT, order)


def long_names(info: ModelInfo, order: str = "alpha") -> list[str]:
    """The three bands, those of `MEANT` with their rank."""
    ranks = band_names(BAND_COUNT, order)
    names = short_names(info, order)
    return ranks if names == ranks else [f"{name}, {rank}" for name, rank in zip(names, ranks, strict=True)]


def keeping(info: ModelInfo, order: str = "alpha") -> list[dict]:
    """Label and note of the slider that keeps each band, as an update and as arguments."""
    ranks, names = band_names(BAND_COUNT, order), short_names(info, order)
    return [
        {"label": f"Keep {name}", "info": f"{'' if name == rank else f'{rank}: '}0 removes, 1 keeps, 2 doubles"}
        for name, rank in zip(names, ranks, strict=True)
    ]


def kept_as(sliders: list, info: ModelInfo, order: str = "alpha") -> dict:
    """The names of the three sliders of a model's bands, as updates."""
    return {slider: gr.update(**words) for slider, words in zip(sliders, keeping(info, order), strict=True)}
