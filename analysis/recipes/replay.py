"""Recipes of flows: what the tabs Flow lab, Flow images and Time series show, to be asked again on the same nets.

A question may call several nets, or none where all is known in closed form: a recipe names each with its checksum.
Which net answers is settled by the question itself, so that nothing in a recipe opens a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from analysis.core.errors import UserError
from analysis.flow.images import FlowPicturesResult, ImageFlows, PictureNet
from analysis.flow.points import Flow2DResult, PointFlows
from analysis.flow.side_by_side import SideBySideRequest
from analysis.recipes.flow_settings import flow_kind
from analysis.recipes.recipe import FlowRecipe, Recipe, made, settings_of
from analysis.series.forecast import ForecastRequest, ForecastResult, SeriesForecasts
from analysis.workbench.library import ModelLibrary
from foundation.checkpoints import checksum

Question = SideBySideRequest | ForecastRequest
Answers = tuple[Flow2DResult | FlowPicturesResult | None, ...] | ForecastResult


def find_model(library: ModelLibrary, recipe: Recipe, also: Sequence[str] = ()) -> str:
    """The model that a recipe was made with: its checksum decides, its name only says where to look first.

    Args:
        library: where to look.
        recipe: a checked one.
        also: further models that the asker may use.

    Raises:
        UserError: no such weights here, or only without the teacher that the recipe needs.
    """
    alone = False
    for name in sorted(dict.fromkeys([*also, *library.names()]), key=lambda n: n != recipe.model):
        try:
            bench = library.get(name)
        except UserError:  # a damaged file is no reason not to look further
            continue
        if checksum(bench.model) != recipe.checkpoint:
            continue
        if recipe.teacher is None or (bench.teacher is not None and checksum(bench.teacher) == recipe.teacher):
            return name
        alone = True
    if alone:
        raise UserError(
            f"This recipe was made beside a teacher (checksum {recipe.teacher[:12]}) that is not here: put that "
            "teacher's file beside the model."
        )
    raise UserError(
        f"This recipe was made with the model “{recipe.model}” (checksum {recipe.checkpoint[:12]}), whose weights "
        "are not here: add that model first."
    )


def nets_of(request: Question, bench: PointFlows | ImageFlows | SeriesForecasts) -> dict[str, nn.Module]:
    """Name and model of every net that a question calls.

    Raises:
        UserError: one of them is not here, or does not fit.
    """
    if isinstance(request, ForecastRequest):
        return {bench.info(request.model).name: bench.open(request.model).model}
    found = [bench.net(asked) for asked in request.asked]
    models = {net.name: net.model if isinstance(net, PictureNet) else net.predict for net in found}
    return {name: model for name, model in models.items() if isinstance(model, nn.Module)}  # an oracle is none


def describe_flows(request: Question, bench: PointFlows | ImageFlows | SeriesForecasts) -> FlowRecipe:
    """The recipe of a question to its bench.

    Raises:
        UserError: no recipe for this kind of question, a net that is not here, or a drawing that no recipe holds.
    """
    kind = flow_kind(request)
    if kind is None:
        raise UserError("There is no recipe for this kind of question: ask for settings side by side, or a forecast.")
    nets = {name: checksum(model) for name, model in nets_of(request, bench).items()}
    if isinstance(request, ForecastRequest):  # "" is another model where there are others
        request = replace(request, model=bench.info(request.model).name)
    return made(FlowRecipe, nets=nets, settings=settings_of(kind, request))


@dataclass(frozen=True)
class FlowBenches:
    """Who answers questions about flows.

    Attributes: plane, pictures, series.
    """

    plane: PointFlows
    pictures: ImageFlows
    series: SeriesForecasts

    @staticmethod
    def shared() -> FlowBenches:
        """Those of the process, on the models that ship."""
        return FlowBenches(PointFlows.shared(), ImageFlows.shared(), SeriesForecasts.shared())

    def of(self, kind: str) -> PointFlows | ImageFlows | SeriesForecasts:
        """The one that answers a kind of `FLOW_KINDS`."""
        return {"flow_2d": self.plane, "flow_images": self.pictures, "forecast": self.series}[kind]

    def describe(self, request: Question) -> FlowRecipe:
        """As `describe_flows`."""
        kind = flow_kind(request)
        return describe_flows(request, self.of(kind.name()) if kind else self.plane)

    def check(self, recipe: FlowRecipe) -> Question:
        """The question of a recipe whose nets are all here, with the same weights.

        Raises:
            UserError: they are not; the sentence names one.
        """
        request = recipe.settings.request()
        here = {name: checksum(model) for name, model in nets_of(request, self.of(recipe.kind)).items()}
        for name, digest in recipe.nets.items():
            if here.get(name) != digest:
                raise UserError(
                    f"This recipe was made with the net “{name}” (checksum {digest[:12]}), whose weights are not here: "
                    "add that net first."
                )
        other = sorted(here.keys() - recipe.nets.keys())
        if other:
            raise UserError(
                f"Here the net “{other[0]}” would answer, which this recipe was not made with: take that net away, or "
                "make the recipe anew."
            )
        return request

    def replay(self, recipe: FlowRecipe) -> Answers:
        """Ask the recipe's question again: a result for each place, None where it is empty; or the forecast.

        Raises:
            UserError: other nets than the recipe's, or what the bench refuses.
        """
        request = self.check(recipe)
        if isinstance(request, ForecastRequest):
            return self.series.forecast(request)
        ask = self.plane.flow_2d if recipe.kind == "flow_2d" else self.pictures.flow_pictures
        return tuple(asked and ask(asked) for asked in request.settings)
