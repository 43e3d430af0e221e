"""Settings of flows side by side, in the plane and of pictures: their controls, and what is read of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from analysis.core.errors import UserError
from analysis.core.fields import MAX_GAMMA
from analysis.flow.settings import BRIDGES, MAX_NFE, MAX_SIGMA
from flow_core.samplers import MOMENTUM
from ui.flow_words import SAMPLER_NAMES

LETTERS = "ABCD"
NFE, SIGMA0, GAMMA_SLIDER = 5, 0.2, 20
assert GAMMA_SLIDER <= MAX_GAMMA


@dataclass(frozen=True)
class Setting:
    """Controls of one setting; sigma0 is None where the nets settle it."""

    shown: gr.Checkbox
    path: gr.Dropdown
    sampler: gr.Dropdown
    nfe: gr.Slider
    sigma0: gr.Slider | None
    gammas: tuple[gr.Slider, ...]

    @property
    def numbers(self) -> dict[str, gr.Slider]:
        """Sliders that not every path and sampler reads, by the field that they ask for."""
        sigma = {} if self.sigma0 is None else {"sigma0": self.sigma0}
        return sigma | {f"gamma{k}": slider for k, slider in enumerate(self.gammas, 1)}

    @property
    def inputs(self) -> list:
        return [self.shown, self.path, self.sampler, self.nfe, *self.numbers.values()]

    def filled(self, request) -> list:
        """Values of `inputs` that ask this question; of None, only that nothing is shown.

        Raises:
            UserError: a number that is read lies beyond its slider.
        """
        if request is None:
            return [False, *[gr.skip()] * (len(self.inputs) - 1)]
        fields = ("sigma0", "gamma1", "gamma2", "gamma3")
        seen = dict(zip(fields, read_by(request.path, request.sampler), strict=True))
        values = [True, request.path, request.sampler, request.nfe]
        for name, slider in self.numbers.items():
            value = getattr(request, name)
            if seen[name]["visible"]:
                within(slider, value)
            values.append(seen[name] | ({"value": value} if slider.minimum <= value <= slider.maximum else {}))
        return values


def read_by(path: str, sampler: str) -> list[dict]:
    """Which of sigma0 and the three gammas a path and a sampler read: the others are hidden."""
    first, more = sampler in MOMENTUM, sampler in ("published", "momentum")
    return [gr.update(visible=v) for v in (path in BRIDGES, first, more, more)]


def within(slider: gr.Slider, value: float) -> float:
    """A number of a recipe that a slider can show.

    Raises:
        UserError: it cannot.
    """
    if not slider.minimum <= value <= slider.maximum:
        raise UserError(
            f"The recipe has {slider.label} = {value:g}, and on this page it goes from {slider.minimum:g} to "
            f"{slider.maximum:g}: ask /recipe for its result."
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
    sigma_seen, *gammas_seen = (u["visible"] for u in read_by(path, sampler))
    with gr.Column(elem_classes="ks-panel", min_width=230):
        shown = gr.Checkbox(True, label=letter, info="show this setting", elem_id=f"{prefix}-shown-{name}")
        paths.render()
        samplers = gr.Dropdown(
            [(t, s) for s, t in SAMPLER_NAMES.items()], value=sampler, label="Sampler", info="how it is followed",
            elem_id=f"{prefix}-sampler-{name}", filterable=False, min_width=100,
        )  # fmt: skip
        nfe = gr.Slider(
            1, MAX_NFE, NFE, step=1, label="NFE", info="network calls, 1 to 50", elem_id=f"{prefix}-nfe-{name}",
            buttons=["reset"],
        )  # fmt: skip
        sigma = None
        if sigma0:
            sigma = gr.Slider(
                0.05, MAX_SIGMA, SIGMA0, step=0.05, label="σ₀", info="noise of the path; shipped nets: 0.2",
                elem_id=f"{prefix}-sigma-{name}", buttons=["reset"], visible=sigma_seen,
            )  # fmt: skip
        weights = tuple(
            gr.Slider(
                -GAMMA_SLIDER, GAMMA_SLIDER, value, step=0.1, label=f"γ{'₁₂₃'[k]}", info=orders[k],
                elem_id=f"{prefix}-gamma{k + 1}-{name}", buttons=["reset"], visible=gammas_seen[k],
            )
            for k, value in enumerate(gammas)
        )  # fmt: skip
    return Setting(shown, paths, samplers, nfe, sigma, weights)


def asked_of(requests: Sequence) -> list:
    """The questions of a sweep.

    Args:
        requests: of each setting a question, a sentence where it cannot be asked, None where it is not shown.

    Raises:
        UserError: the first such sentence; or nothing is shown.
    """
    asked = [r for r in requests if r is not None]
    told = next((r for r in asked if isinstance(r, str)), None)
    if told is not None:
        raise UserError(told)
    if not asked:
        raise UserError("No setting is shown: tick at least one.")
    return asked


def told_apart(names: Sequence[str]) -> list[str]:
    """Names of settings, with a letter before those that are given twice."""
    return [f"{LETTERS[k]}: {n}" if names.count(n) > 1 else n for k, n in enumerate(names)]
