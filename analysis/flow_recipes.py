"""Recipes of flows: what the tabs Flow lab, Flow images and Time series show, to be asked again on the same nets.

A question may call several nets, or none where all is known in closed form: a recipe names each with its checksum.
Which net answers is settled by the question itself, so that nothing in a recipe opens a file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from analysis.errors import UserError
from analysis.flow_bench import FlowBench
from analysis.picture_bench import PictureBench, PictureNet
from analysis.recipe_settings_flow import flow_kind
from analysis.recipes import FlowRecipe, checksum, made, settings_of
from analysis.requests_series import ForecastRequest
from analysis.requests_side import SideBySideRequest
from analysis.results_flow import Flow2DResult
from analysis.results_pictures import FlowPicturesResult
from analysis.results_series import ForecastResult
from analysis.series_bench import SeriesBench

Question = SideBySideRequest | ForecastRequest
Answers = tuple[Flow2DResult | FlowPicturesResult | None, ...] | ForecastResult


def nets_of(request: Question, bench: FlowBench | PictureBench | SeriesBench) -> dict[str, nn.Module]:
    """Name and model of every net that a question calls.

    Raises:
        UserError: one of them is not here, or does not fit.
    """
    if isinstance(request, ForecastRequest):
        return {bench.info(request.model).name: bench.open(request.model).model}
    found = [bench.net(asked) for asked in request.asked]
    models = {net.name: net.model if isinstance(net, PictureNet) else net.predict for net in found}
    return {name: model for name, model in models.items() if isinstance(model, nn.Module)}  # an oracle is none


def describe_flows(request: Question, bench: FlowBench | PictureBench | SeriesBench) -> FlowRecipe:
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

    plane: FlowBench
    pictures: PictureBench
    series: SeriesBench

    @staticmethod
    def shared() -> FlowBenches:
        """Those of the process, on the models that ship."""
        return FlowBenches(FlowBench.shared(), PictureBench.shared(), SeriesBench.shared())

    def of(self, kind: str) -> FlowBench | PictureBench | SeriesBench:
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
