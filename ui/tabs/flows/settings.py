"""The settings of flows of points and of images: their controls, how a recipe fills them and is made of them.

And what a visitor drew: which of the nets that were trained on it answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import gradio as gr
import numpy as np

from analysis.core.errors import UserError
from analysis.core.fields import MAX_GAMMA
from analysis.figures.flow import clouds_sheet, pictures_sheet
from analysis.flow.clouds import DRAWING
from analysis.flow.images import MAX_IMAGES, ImageFlows
from analysis.flow.nets import KEY_PREFIX
from analysis.flow.points import Flow2DRequest, PointFlows
from analysis.flow.settings import BRIDGES, MAX_NFE, MAX_SIGMA, FlowSetting, SideBySideRequest
from analysis.recipes.recipe import Recipe, describe_flows
from analysis.series.forecast import SeriesForecasts
from flow_core.model import NORMAL
from flow_core.samplers import MOMENTUM, SAMPLER_NAMES
from foundation.randomness import MAX_SEED
from ui.components.controls import Controls, chosen
from ui.components.layout import group
from ui.components.players import Panel
from ui.components.save_bar import save_value

LETTERS = "ABCD"
START_NFE, START_SIGMA0, GAMMA_SLIDER = 5, 0.2, 20
assert GAMMA_SLIDER <= MAX_GAMMA


@dataclass(frozen=True)
class Setting(Controls):
    """Controls of one setting; sigma0 is None where the nets settle it."""

    shown: gr.Checkbox
    path: gr.Dropdown
    sampler: gr.Dropdown
    nfe: gr.Slider
    sigma0: gr.Slider | None
    gamma1: gr.Slider
    gamma2: gr.Slider
    gamma3: gr.Slider

    @classmethod
    def lettered(cls, letter: str) -> Self:
        """As `names`, with the setting's letter: shown_a."""
        return cls(**{name: f"{name}_{letter.lower()}" for name in cls.__dataclass_fields__})

    def read(self, path: str, sampler: str) -> dict:
        """Which of sigma0 and the three gammas a path and a sampler read: the others are hidden."""
        seen = read_by(path, sampler)
        return {part: gr.update(visible=seen[n]) for n, part in self.named(*seen).items() if part is not None}

    def fill(self, request) -> dict:
        """Values that ask this question; of None, only that nothing is shown.

        Raises:
            UserError: a number that is read lies beyond its slider.
        """
        if request is None:
            return {self.shown: False}
        values = {
            self.shown: True, self.path: request.path, self.sampler: request.sampler, self.nfe: request.nfe,
        }  # fmt: skip
        for name, seen in read_by(request.path, request.sampler).items():
            slider, value = getattr(self, name), getattr(request, name, None)
            if slider is None:
                continue
            if seen:
                within(slider, value)
            fits = slider.minimum <= value <= slider.maximum
            values[slider] = gr.update(visible=seen) | ({"value": value} if fits else {})
        return values


@dataclass(frozen=True)
class SettingsControls(Controls):
    """Base of the controls of a tab with settings side by side."""

    settings: tuple[Setting, ...]

    @classmethod
    def names(cls) -> Self:
        return replace(super().names(), settings=tuple(map(Setting.lettered, LETTERS)))

    def by_letter(self) -> dict:
        """The controls of all settings, by name and letter: shown_a."""
        return {
            f"{name}_{letter.lower()}": part
            for letter, setting in zip(LETTERS, self.settings, strict=False)
            for name, part in setting.named().items()
            if part is not None
        }

    def asked_by(self, values: Mapping, *without: str) -> dict:
        """What the settings that are shown are asked with, as {control: value}.

        Args:
            values: of the controls, by name and letter.
            *without: names of fields that are left out.
        """
        asked: dict = {}
        for letter, setting in zip(LETTERS, self.settings, strict=False):
            parts = setting.named()
            of = {name: values.get(f"{name}_{letter.lower()}") for name in parts}
            if of["shown"] is None:  # a question of fewer settings
                continue
            seen = read_by(of["path"], of["sampler"])
            asked[setting.shown] = of["shown"]
            if of["shown"]:
                asked |= {
                    part: of[name] for name, part in parts.items()
                    if of[name] is not None and name not in without and seen.get(name, True)
                }  # fmt: skip
        return asked

    def settle_settings(self, out: Mapping) -> dict:
        """Which sliders the paths and samplers of an address read; `out` as of `BuiltTab.settle`."""
        moved = [s for s in self.settings if s.path in out or s.sampler in out]
        return {k: v for s in moved for k, v in s.read(*(chosen(part, out) for part in (s.path, s.sampler))).items()}

    def fill_settings(self, request: SideBySideRequest) -> dict:
        """Values that ask the questions; places beyond them are not shown. Raises UserError."""
        asked = [*request.settings, *[None] * (len(self.settings) - len(request.settings))]
        return {k: v for s, r in zip(self.settings, asked, strict=True) for k, v in s.fill(r).items()}


def of_letters(values: dict) -> list[dict]:
    """The settings among a handler's values, each by the names of its fields."""
    return [
        {name[:-2]: value for name, value in values.items() if name.endswith(f"_{letter.lower()}")}
        for letter in LETTERS
    ]


def asked_each(values: dict, ask: Callable[..., FlowSetting | None]) -> list:
    """What each setting asks: a question, a sentence where it cannot be asked, or None where none is shown.

    Args:
        values: of a handler, the fields of each setting with its letter among them.
        ask: the question of a setting, by the names of its fields; None for none. May raise UserError.
    """
    asked: list[FlowSetting | str | None] = []
    for setting in of_letters(values):
        try:
            asked.append(ask(**setting) if setting.pop("shown", False) else None)
        except UserError as e:
            asked.append(str(e))
    return asked


def read_by(path: str, sampler: str) -> dict[str, bool]:
    """Which of sigma0 and the three gammas a path and a sampler read."""
    first, more = sampler in MOMENTUM, sampler in ("published", "momentum")
    return {"sigma0": path in BRIDGES, "gamma1": first, "gamma2": more, "gamma3": more}


def within(slider: gr.Slider, value: float) -> float:
    """A number of a recipe that a slider can show.

    Raises:
        UserError: it cannot.
    """
    if not slider.minimum <= value <= slider.maximum:
        raise UserError(
            f"The recipe has {slider.label} = {value:g}, and on this page it goes from {slider.minimum:g} to "
            f"{slider.maximum:g}: ask /recipe for its result.",
            "recipe",
        )
    return value


def setting_column(
    prefix: str, letter: str, path: str, sampler: str, *, paths: gr.Dropdown, orders: Sequence[str],
    gammas: Sequence[float], sigma0: bool,
) -> Setting:  # fmt: skip
    """Lay out the controls of one setting.

    Args:
        prefix: of the elem_ids.
        letter: of the setting, in `LETTERS`.
        path, sampler: what it starts with.
        paths: the control of the path, not yet on the page.
        orders: what to say of each gamma.
        gammas: their first values.
        sigma0: whether it has a control.
    """
    name = letter.lower()
    sigma_seen, *gammas_seen = read_by(path, sampler).values()
    with group(css="ks-group ks-setting"):
        shown = gr.Checkbox(True, label=letter, info="show this setting", elem_id=f"{prefix}-shown-{name}")
        paths.render()
        samplers = gr.Dropdown(
            [(t, s) for s, t in SAMPLER_NAMES.items()], value=sampler, label="Sampler", info="how it is followed",
            elem_id=f"{prefix}-sampler-{name}", filterable=False, min_width=100,
        )  # fmt: skip
        nfe = gr.Slider(
            1, MAX_NFE, START_NFE, step=1, label="NFE", info="network calls, 1 to 50", elem_id=f"{prefix}-nfe-{name}",
            buttons=["reset"],
        )  # fmt: skip
        sigma = None
        if sigma0:
            sigma = gr.Slider(
                0.05, MAX_SIGMA, START_SIGMA0, step=0.05, label="σ₀", info="noise of the path; shipped nets: 0.2",
                elem_id=f"{prefix}-sigma-{name}", buttons=["reset"], visible=sigma_seen,
            )  # fmt: skip
        weights = {
            f"gamma{k + 1}": gr.Slider(
                -GAMMA_SLIDER, GAMMA_SLIDER, value, step=0.1, label=f"γ{'₁₂₃'[k]}", info=orders[k],
                elem_id=f"{prefix}-gamma{k + 1}-{name}", buttons=["reset"], visible=gammas_seen[k],
            )
            for k, value in enumerate(gammas)
        }  # fmt: skip
    return Setting(shown, paths, samplers, nfe, sigma, **weights)


def requests_of(requests: Sequence) -> list:
    """The questions of a sweep.

    Args:
        requests: of each setting a question, a sentence where it cannot be asked, None where it is not shown.

    Raises:
        UserError: the first such sentence; or nothing is shown.
    """
    shown = [r for r in requests if r is not None]
    sentence = next((r for r in shown if isinstance(r, str)), None)
    if sentence is not None:
        raise UserError(sentence)
    if not shown:
        raise UserError("No setting is shown: tick at least one.", "settings")
    return shown


def distinct(names: Sequence[str]) -> list[str]:
    """Names of settings, with a letter before those that are given twice."""
    return [f"{LETTERS[k]}: {n}" if names.count(n) > 1 else n for k, n in enumerate(names)]


def saved_settings(requests: Sequence, panels: Sequence[Panel | None], bench: PointFlows | ImageFlows) -> str:
    """What can be saved of the settings that have a result, each in its place; "" without any.

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
        return save_value(clouds_sheet(shown, names), recipe, f"flow-{first.density}-seed{first.seed}")
    return save_value(pictures_sheet(shown, names, first.seeds), recipe, f"flow-{first.data}-seed{first.seeds[0]}")


def described(request, bench: PointFlows | ImageFlows | SeriesForecasts) -> Recipe | None:
    """The recipe of a question that was answered; None where no recipe can hold it, as with a net of an odd name."""
    try:
        return describe_flows(request, bench)
    except UserError:
        return None


def in_a_row(seeds: tuple[int, ...]) -> int:
    """How many seeds there are.

    Raises:
        UserError: not consecutive ones, or so large that the page would begin with a smaller one.
    """
    if seeds != tuple(range(seeds[0], seeds[0] + len(seeds))) or seeds[0] > MAX_SEED + 1 - MAX_IMAGES:
        raise UserError(
            f"This page shows pictures of seeds in a row, the first at most {MAX_SEED + 1 - MAX_IMAGES}, and the "
            "recipe has others: ask /recipe for its result.",
            "seeds",
        )
    return len(seeds)


# ---------------------------------------------------------------------------------------------------------------------
# What a visitor drew, and the nets that were trained on it

DRAWING_SIDE = 32  # cells
KEPT_NETS = 8  # nets of one visitor that are remembered


def ring() -> str:
    """What is drawn before anyone has drawn: a ring and a dot, as text of 0 and 1."""
    y, x = np.mgrid[:DRAWING_SIDE, :DRAWING_SIDE] + 0.5 - DRAWING_SIDE / 2
    r = np.hypot(x, y)
    return bits_of(((r > 8.5) & (r < 11.5)) | (r < 2.5))


def bars() -> str:
    """What the source is before anyone has drawn it: two bars, as text of 0 and 1."""
    y, x = np.mgrid[:DRAWING_SIDE, :DRAWING_SIDE] + 0.5 - DRAWING_SIDE / 2
    return bits_of((abs(y) < 10) & (abs(abs(x) - 11.5) < 1.5))


def bits_of(on: np.ndarray) -> str:
    """Cells as text of 0 and 1."""
    return "".join(map(str, np.asarray(on, bool).astype(int).ravel()))


def mask_of(bits: str) -> np.ndarray:
    """The inverse of `bits_of`, uint8 (DRAWING_SIDE, DRAWING_SIDE)."""
    return np.frombuffer(bits.encode("ascii"), np.uint8).reshape(DRAWING_SIDE, DRAWING_SIDE) - np.uint8(ord("0"))


def cells_of(bits: str) -> tuple[tuple[int, ...], ...]:
    """A drawing kept as text, as the cells of a request."""
    return tuple(map(tuple, mask_of(bits).tolist()))


@dataclass(frozen=True)
class Ends:
    """Between what a flow goes, as the controls say it.

    Attributes:
        density: where the points shall arrive; drawing: its cells as text of 0 and 1, "" before anyone has drawn.
        source: what they begin at, "normal" for noise; source_drawing: as drawing.
    """

    density: str
    drawing: str = ""
    source: str = NORMAL
    source_drawing: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What says whether two are the same: a drawing only where it counts."""
        drawn = (self.drawing or ring()) if self.density == DRAWING else ""
        return self.density, drawn, self.source, (self.source_drawing or bars()) if self.source == DRAWING else ""

    def asked(self) -> dict:
        """The fields of a request."""
        density, drawn, source, source_drawn = self.key
        return {
            "density": density, "drawing": cells_of(drawn) if drawn else None,
            "source": source, "source_drawing": cells_of(source_drawn) if source_drawn else None,
        }  # fmt: skip


def own_net(own, ends: Ends, path: str, sigma0: float, kept: tuple[str, ...]) -> str | None:
    """Key of the visitor's latest net that fits a setting, None if there is none.

    Args:
        own: (*`Ends.key`, path, sigma0, key) of every net, the latest last.
        ends, path, sigma0: of the setting.
        kept: keys that still work.
    """
    wanted = trained_on(ends, path, sigma0)
    return next((key for *what, key in reversed(own) if tuple(what) == wanted and key in kept), None)


def trained_on(ends: Ends, path: str, sigma0: float) -> tuple:
    """What a net is trained on, as `own` has it: sigma0 only where the path reads it."""
    return *ends.key, path, sigma0 if path in BRIDGES else 0.0


def drawn_bits(drawing: tuple | None) -> str:
    """A drawing of a question as the page keeps it, "" for none.

    Raises:
        UserError: it has another size.
    """
    if drawing is None:
        return ""
    if {len(drawing), *map(len, drawing)} != {DRAWING_SIDE}:
        raise UserError(
            f"On this page a drawing has {DRAWING_SIDE} × {DRAWING_SIDE} cells, the recipe's has others: ask /recipe "
            "for its result.",
            "drawing",
        )
    return "".join(str(int(cell)) for row in drawing for cell in row)


def opened_nets(request: SideBySideRequest) -> tuple[str, tuple]:
    """The page's choice of the network, and what `nets_after` makes of it.

    Returns:
        "oracle" or "auto"; and (density, drawing, source, its drawing, path, sigma0, net) of every setting on "auto",
        the net being the key of one that was trained here, or "" where none of the visitor's may answer.

    Raises:
        UserError: settings that differ in what the page chooses once.
    """
    oracle, nets = {r.net == "oracle" for r in request.asked}, {}
    for r in request.asked:
        ends = Ends(r.density, drawn_bits(r.drawing), r.source, drawn_bits(r.source_drawing))
        nets.setdefault(trained_on(ends, r.path, r.sigma0), set()).add(r.net if r.net.startswith(KEY_PREFIX) else "")
    if len(oracle) > 1 or any(len(of_one) > 1 for of_one in nets.values()):
        raise UserError(
            "This page has one choice of the network for all settings, the recipe several: ask /recipe for its result.",
            "net",
        )
    return ("oracle", ()) if oracle == {True} else ("auto", tuple((*what, *net) for what, net in nets.items()))


def nets_after(own: tuple, opened: tuple) -> tuple[tuple, tuple]:
    """The visitor's nets after a recipe was opened, so that its own nets answer; and that it is done.

    Args:
        own: (density, drawing, source, its drawing, path, sigma0, key) of every net, the latest last.
        opened: of `opened_nets`.
    """
    asked, trained = {net[:-1] for net in opened}, (net for net in opened if net[-1])
    return (*(net for net in own if net[:-1] not in asked), *trained)[-KEPT_NETS:], ()
