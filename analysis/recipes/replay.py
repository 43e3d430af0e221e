"""Recipes asked again: the weights that answer, found by their checksums, and the question put to them.

A question of flows may call several nets, or none where all is known in closed form: which net answers is settled by
the question itself, so that nothing in a recipe opens a file.
"""

from __future__ import annotations

from collections.abc import Sequence

from analysis.core.errors import UserError
from analysis.core.fields import Request
from analysis.recipes.recipe import FLOW_KINDS, Flows, Recipe, describe, describe_flows, kind_of, nets_of
from analysis.studio import Studio
from analysis.workbench.library import ModelLibrary
from foundation.files.checkpoints import checksum


def find_model(library: ModelLibrary, recipe: Recipe, also: Sequence[str] = ()) -> str:
    """The model that a recipe was made with: its checksum decides, its name only says where to look first.

    Args:
        library: where to look.
        recipe: a checked one, of a model.
        also: further models that the asker may use.

    Raises:
        UserError: no such weights here, or only without the teacher that the recipe needs.
    """
    ((wanted, digest),) = recipe.checksums.items()
    alone = False
    for name in sorted(dict.fromkeys([*also, *library.names()]), key=lambda n: n != wanted):
        try:
            bench = library.get(name)
        except UserError:  # a damaged file is no reason not to look further
            continue
        if checksum(bench.model) != digest:
            continue
        if recipe.teacher is None or (bench.teacher is not None and checksum(bench.teacher) == recipe.teacher):
            return name
        alone = True
    if alone and recipe.teacher:
        raise UserError(
            f"This recipe was made beside a teacher (checksum {recipe.teacher[:12]}) that is not here: put that "
            "teacher's file beside the model.",
            "teacher",
        )
    raise UserError(
        f"This recipe was made with the model “{wanted}” (checksum {digest[:12]}), whose weights are not here: add "
        "that model first.",
        "weights",
    )


def flows_of(studio: Studio, kind: str) -> Flows:
    """Who answers a kind of flows."""
    flows: dict[str, Flows] = {"flow_2d": studio.points, "flow_images": studio.images, "forecast": studio.series}
    return flows[kind]


def describe_for(request: Request, studio: Studio, model: str = "") -> Recipe:
    """The recipe of any question to a studio.

    Args:
        request: the question.
        studio: who would answer.
        model: name of an HKD model, "" for the default; not read by flows.

    Raises:
        UserError: as `describe` and `describe_flows`.
    """
    kind = kind_of(request)
    if kind in FLOW_KINDS:
        return describe_flows(request, flows_of(studio, kind))
    return describe(request, studio.library.get(model))


def check_flows(recipe: Recipe, studio: Studio) -> Request:
    """The question of a recipe of flows whose nets are all here, with the same weights.

    Raises:
        UserError: they are not; the sentence names one.
    """
    here = {name: checksum(model) for name, model in nets_of(recipe.request, flows_of(studio, recipe.kind)).items()}
    for name, digest in recipe.checksums.items():
        if here.get(name) != digest:
            raise UserError(
                f"This recipe was made with the net “{name}” (checksum {digest[:12]}), whose weights are not here: "
                "add that net first.",
                "weights",
            )
    other = sorted(here.keys() - recipe.checksums.keys())
    if other:
        raise UserError(
            f"Here the net “{other[0]}” would answer, which this recipe was not made with: take that net away, or "
            "make the recipe anew.",
            "weights",
        )
    return recipe.request
