"""HTTP endpoints for recipes: a described result is made again, and a question is described."""

from __future__ import annotations

import json

import gradio as gr
from pydantic import ValidationError

from analysis.core.errors import UserError
from analysis.recipes import recipe as recipes
from analysis.recipes.flow_settings import FLOW_KINDS, OfPictures, OfPlane
from analysis.recipes.replay import FlowBenches, find_model
from analysis.recipes.settings import KINDS
from analysis.series.forecast import ForecastRequest
from analysis.workbench.library import ModelLibrary
from ui.api.codec import answer_of
from ui.api.flow_images import ImageEndpoints
from ui.api.flow_points import FlowEndpoints
from ui.api.series import SeriesEndpoints
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE
from ui.tabs.flow_settings import LETTERS


class RecipeEndpoints:
    """One method an endpoint; the docstring is what callers read."""

    def __init__(self, library: ModelLibrary, flows: FlowBenches | None = None):
        self.library, self.flows = library, flows or FlowBenches.shared()

    def recipe(self, recipe: str = "") -> dict:
        """Make a described result again, bit for bit on the machine that made it first.

        recipe: JSON text, as “Save recipe” or /describe gives it, at most 64 kB; its checksum finds the model.
        Returns kind, model, pictures (by name: base64 PNG, or a list of them), numbers (everything else of the
        result; null where there is none). Of a flow's recipe: model is the names of its nets; pictures and numbers are
        those of /flow_2d or /flow_images by letter of the setting, or numbers those of /forecast.
        """
        checked = recipes.from_json(recipe)
        if isinstance(checked, recipes.FlowRecipe):
            return self._flows(checked)
        name = find_model(self.library, checked)
        pictures, numbers = answer_of(recipes.replay(checked, self.library.get(name)))
        return {"kind": checked.kind, "model": name, "pictures": pictures, "numbers": numbers}

    def _flows(self, recipe: recipes.FlowRecipe) -> dict:
        request = self.flows.check(recipe)
        about = {"kind": recipe.kind, "model": ", ".join(recipe.nets)}
        if isinstance(request, ForecastRequest):
            return about | {"pictures": {}, "numbers": SeriesEndpoints(self.flows.series).forecast(**vars(request))}
        plane, images = FlowEndpoints(self.flows.plane).flow_2d, ImageEndpoints(self.flows.pictures).flow_images
        ask = plane if recipe.kind == "flow_2d" else images
        shown = zip(LETTERS, request.settings, strict=False)
        answers = {letter: ask(**vars(setting)) for letter, setting in shown if setting is not None}
        pictures = {letter: answer.pop("pictures") for letter, answer in answers.items() if "pictures" in answer}
        return about | {"pictures": pictures, "numbers": answers}

    def describe(self, model: str = "", settings: dict = {"kind": "generate", "seeds": [0], "label": -1}) -> str:  # noqa: B006
        """The recipe of a question.

        model: name, "" for the default and for flows. settings: "kind" (generate, trajectory, mask_bands, edit,
        inpaint, colorize, flow_2d, flow_images or forecast) and every field of that kind, as in the "settings" of a
        saved recipe; pictures are base64 PNG. Returns the recipe as JSON text for /recipe and for the page.
        """
        kinds = {k.name(): k for k in (*KINDS, *FLOW_KINDS)}
        kind = settings.get("kind") if isinstance(settings, dict) else None
        if not isinstance(kind, str) or kind not in kinds:
            raise UserError(f'The settings need a "kind": one of {", ".join(kinds)}.')
        flows = kinds[kind] in FLOW_KINDS
        if flows and model != "":
            raise UserError("Flows are of no model of this list, their settings name the nets: leave the model empty.")
        bench = None if flows else self.library.get(model)
        try:
            text = json.dumps(settings)
            if len(text) > recipes.MAX_BYTES:
                raise UserError(f"The settings have more than {recipes.MAX_BYTES // 1024} kB: use smaller pictures.")
            request = kinds[kind].model_validate_json(text).request()
        except RecursionError:
            raise UserError("The settings are nested too deeply: give exactly the fields of their kind.") from None
        except ValidationError as e:
            # only names of ours are told back
            named = [str(part) for part in e.errors()[0]["loc"] if isinstance(part, int) or part in FIELDS]
            where = ".".join(named) or "an unknown field"
            raise UserError(
                f"The settings of {kind} cannot be used (look at: {where}): give exactly its fields, in range."
            ) from None
        return recipes.to_json(self.flows.describe(request) if flows else recipes.describe(request, bench))


FIELDS = {name for kind in (*KINDS, *FLOW_KINDS, OfPlane, OfPictures) for name in kind.model_fields}


def add_recipe_endpoints(library: ModelLibrary, flows: FlowBenches | None = None) -> None:
    """Register `/recipe` and `/describe` with the page under construction."""
    endpoints = RecipeEndpoints(library, flows)
    for name in ("recipe", "describe"):
        gr.api(guarded(getattr(endpoints, name)), api_name=name, **MODEL_QUEUE)
