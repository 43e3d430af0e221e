"""What the tabs of flows keep of the settings that they show, and what of a recipe they can show again."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.core.errors import UserError
from analysis.figures.sheets import clouds_sheet, pictures_sheet
from analysis.flow.images import MAX_PICTURES, ImageFlows
from analysis.flow.point_requests import KEY_PREFIX, Flow2DRequest
from analysis.flow.points import PointFlows
from analysis.flow.settings import BRIDGES
from analysis.flow.side_by_side import SideBySideRequest
from analysis.recipes.recipe import FlowRecipe
from analysis.recipes.replay import describe_flows
from analysis.series.forecast import SeriesForecasts
from foundation.randomness import MAX_SEED
from ui.flow_settings import Setting
from ui.flow_training import KEPT, SIDE
from ui.keep import keep_value
from ui.time_bar import Panel


def side_kept(requests: Sequence, panels: Sequence[Panel | None], bench: PointFlows | ImageFlows) -> str:
    """What can be kept of the settings that have a result, each in its place; "" without any.

    Args:
        requests: of each setting its question.
        panels: what is shown of it.
        bench: that answered.
    """
    shown, names = [p.result if p else None for p in panels], [p.title if p else "" for p in panels]
    if all(r is None for r in shown):
        return ""
    places = zip(requests, shown, strict=True)
    request = SideBySideRequest(tuple(None if r is None else asked for asked, r in places))
    recipe, first = described(request, bench), request.asked[0]
    if recipe is None:
        return ""
    if isinstance(first, Flow2DRequest):
        return keep_value(clouds_sheet(shown, names), recipe, f"flow-{first.density}-seed{first.seed}")
    return keep_value(pictures_sheet(shown, names, first.seeds), recipe, f"flow-{first.data}-seed{first.seeds[0]}")


def described(request, bench: PointFlows | ImageFlows | SeriesForecasts) -> FlowRecipe | None:
    """The recipe of a question that was answered; None where no recipe can hold it, as with a net of an odd name."""
    try:
        return describe_flows(request, bench)
    except UserError:
        return None


def filled(settings: Sequence[Setting], request: SideBySideRequest) -> list:
    """Values of all inputs that ask a question; places beyond it are not shown. Raises UserError."""
    asked = [*request.settings, *[None] * (len(settings) - len(request.settings))]
    return [value for s, r in zip(settings, asked, strict=True) for value in s.filled(r)]


def in_a_row(seeds: tuple[int, ...]) -> int:
    """How many seeds there are.

    Raises:
        UserError: not consecutive ones, or so large that the page would begin with a smaller one.
    """
    if seeds != tuple(range(seeds[0], seeds[0] + len(seeds))) or seeds[0] > MAX_SEED + 1 - MAX_PICTURES:
        raise UserError(
            f"This page shows pictures of seeds in a row, the first at most {MAX_SEED + 1 - MAX_PICTURES}, and the "
            "recipe has others: ask /recipe for its result."
        )
    return len(seeds)


def drawn_bits(request: Flow2DRequest) -> str:
    """The drawing of a question as the page keeps it, "" without one.

    Raises:
        UserError: it has another size.
    """
    if request.drawing is None:
        return ""
    if {len(request.drawing), *map(len, request.drawing)} != {SIDE}:
        raise UserError(
            f"On this page a drawing has {SIDE} × {SIDE} cells, the recipe's has others: ask /recipe for its result."
        )
    return "".join(str(int(cell)) for row in request.drawing for cell in row)


def opened_nets(request: SideBySideRequest) -> tuple[str, tuple]:
    """The page's choice of the network, and what `nets_after` makes of it.

    Returns:
        "oracle" or "auto"; and (density, drawing, path, sigma0, net) of every setting on "auto", the net being the key
        of one that was trained here, or "" where none of the visitor's may answer.

    Raises:
        UserError: settings that differ in what the page chooses once.
    """
    oracle, nets = {r.net == "oracle" for r in request.asked}, {}
    for r in request.asked:
        what = (r.density, drawn_bits(r), r.path, r.sigma0 if r.path in BRIDGES else 0.0)
        nets.setdefault(what, set()).add(r.net if r.net.startswith(KEY_PREFIX) else "")
    if len(oracle) > 1 or any(len(of_one) > 1 for of_one in nets.values()):
        raise UserError(
            "This page has one choice of the network for all settings, the recipe several: ask /recipe for its result."
        )
    return ("oracle", ()) if oracle == {True} else ("auto", tuple((*what, *net) for what, net in nets.items()))


def nets_after(own: tuple, opened: tuple) -> tuple[tuple, tuple]:
    """The visitor's nets after a recipe was opened, so that its own nets answer; and that it is done.

    Args:
        own: (density, drawing, path, sigma0, key) of every net, the latest last.
        opened: of `opened_nets`.
    """
    asked, trained = {net[:-1] for net in opened}, (net for net in opened if net[-1])
    return (*(net for net in own if net[:-1] not in asked), *trained)[-KEPT:], ()
