"""Tab "Flow lab": flows in two dimensions side by side from the same noise, sweeps, and nets that train here."""

from __future__ import annotations

import functools
import html
import json

import gradio as gr
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.figures.flow import gamma_figure, nfe_figure
from analysis.flow.point_requests import DRAWN, KEY_PREFIX, Flow2DRequest, SweepRequest
from analysis.flow.points import Flow2DResult, PointFlows, SweepResult
from analysis.flow.settings import MAX_NFE, MAX_POINTS
from analysis.recipes.settings import Settings
from flow_core.densities.toys import TOYS
from flow_core.paths import PATH_NAMES
from flow_core.samplers import SAMPLER_NAMES
from ui.components.html import facts, heading
from ui.components.players import Panel, flow_player, flow_value
from ui.components.plot import plot
from ui.components.save_bar import RecipeBinding, save_bar
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.server.runs import LongRun, run_buttons, wire_run
from ui.source import DICE, usable_seed
from ui.tabs.flow_settings import (
    LETTERS,
    NFE,
    Setting,
    asked_of,
    drawn_bits,
    filled,
    nets_after,
    opened_nets,
    read_by,
    setting_column,
    side_kept,
    told_apart,
    within,
)
from ui.tabs.flow_training import build_training, cells_of, own_net

INTRO = """<p class="ks-intro">A flow carries noise to data in a few network calls. Up to four ways of doing so start
here from the same noise, and data that none of them has seen says how well each arrives.</p>
<p class="ks-formula">x<sub>t</sub> = t x₁ + (1 − t) x₀ + σ<sub>t</sub> ε, &nbsp;σ<sub>t</sub> = σ₀ √(t (1 − t))
&nbsp;·&nbsp; exact velocity v = (x̂₁ − x)/(1 − t) − (σ₀²/2) s, &nbsp;s = ∇ log p<sub>t</sub> &nbsp;·&nbsp; published
drift √(1 − Σγ σ<sub>t</sub>²) (x̂₁ − x)/(1 − t) + (γ₁ − ½) σ<sub>t</sub>² ξ¹ + γ₂ σ<sub>t</sub>² ξ²
+ γ₃ σ<sub>t</sub>² ξ³, &nbsp;ξ¹ = s, &nbsp;ξ<sup>k+1</sup> = ∇ Σ ξ<sup>k</sup></p>"""
MOMENTUM_WORDS = """<p class="ks-line">What theory says of momentum: adding η s to the drift keeps the law of
x<sub>t</sub> only together with the noise √(2η) dW (“matched noise”). The published drift adds it without noise and
lacks −(σ₀²/2) s, so with many calls it ends at another law than the data’s; γ₁ = ½ is where its first term vanishes,
not 0. With few calls a <em>negative</em> γ₁ can help, since it spreads what Euler’s large steps contract. Orders 2 and
3 cost derivatives of the net on top of its calls.</p>"""
ASK = '<p class="ks-line">Not measured yet: every setting over 1 to 20 calls and over γ₁, four seeds each.</p>'


def setting_name(request: Flow2DRequest) -> str:
    """Path and sampler in words."""
    return f"{PATH_NAMES[request.path]}, {SAMPLER_NAMES[request.sampler]}"


def net_words(net: str) -> str:
    """What a result was called on."""
    return (
        "exact oracle, no network"
        if net == "oracle"
        else "net trained here"
        if net.startswith(KEY_PREFIX)
        else f"net {net}"
    )


def numbers(r: Flow2DResult) -> str:
    """The distances and the cost of one setting."""
    calls = f"calls, and {r.derivatives} derivatives" if r.derivatives else "network calls"
    twin = f"oracle with this sampler: MMD² {r.oracle.mmd2:.4f}" if r.oracle else "no closed form for this path"
    pairs = ((f"{r.numbers.mmd2:.4f}", "MMD²"), (f"{r.numbers.w2:.2f}", "W₂"), (str(r.nfe), calls))
    return facts(*pairs) + (f'<p class="ks-line">{twin}</p>' if r.net != "oracle" else "")


def verdict(results: dict[str, Flow2DResult]) -> str:
    """Which setting is best and what data gives; settings by letter."""
    if not results:
        return '<p class="ks-line">No setting can be run: each says why.</p>'
    best = min(results, key=lambda k: results[k].numbers.mmd2)
    r, words = results[best], ""
    words += f"{best} has the least MMD², {r.numbers.mmd2:.4f} (W₂ {r.numbers.w2:.2f})"
    words += f"; data against data gives {r.floor.mmd2:.4f} (W₂ {r.floor.w2:.2f}). "
    if r.numbers.mmd2 <= r.floor.mmd2:
        words += "No sampler can be told from perfect below that. "
    if len({v.nfe for v in results.values()}) > 1 or len({v.derivatives for v in results.values()}) > 1:
        words += "Mind that they do not all cost the same. "
    if len({v.net == "oracle" for v in results.values()}) > 1:
        words += "Some run on the exact oracle, which makes no errors of training, others on nets. "
    note = (
        "One noise; unbiased MMD² with kernel exp(−d²/2), which can be negative; W₂ of "
        f"{r.w2_points} points, mostly scatter."
    )
    return f'<p class="ks-verdict" role="status">{words}</p><p class="ks-line">{note} The sweep shows the spread.</p>'


def sweep_words(result: SweepResult, names: list[str], first: Flow2DRequest, nfe: int = 5) -> str:
    """Which setting is best on average.

    Args:
        result: of the sweep.
        names: of the settings.
        first: for its seed and number of points.
        nfe: where to look, or else the smallest.
    """
    column = list(result.nfes).index(nfe) if nfe in result.nfes else 0
    at = result.by_nfe[:, column].mean(axis=1)
    best = min(range(len(names)), key=lambda s: at[s] if at[s] == at[s] else float("inf"))
    spread = result.by_nfe[best, column].std(ddof=1)
    words = (
        f"At {result.nfes[column]} calls {names[best]} has the least MMD², {at[best]:.4f} ± {spread:.4f}; data against "
        f"data gives {result.floor.mean():.4f} ± {result.floor.std(ddof=1):.4f}."
    )
    of = f"{len(result.floor)} seeds from {first.seed} on, {first.points} points each, ± one standard deviation"
    return f'<p class="ks-verdict" role="status">{html.escape(words)}</p><p class="ks-line">Measured with {of}.</p>'


DENSITIES = [*((name, name) for name in TOYS), ("my drawing", DRAWN)]
START = (("otcfm", "euler"), ("icfm", "euler"), ("idff", "published"), ("idff", "multistep"))
GAMMAS, POINTS = (0.2, -0.5, 0.0), 1024  # the gammas of the public code's best picture
PER_SETTING = 8
SWEEP_POINTS = 1024


class FlowLab:
    """The handlers; each can be called without a page."""

    def __init__(self, bench: PointFlows):
        self.bench = bench
        self.run = LongRun()

    def requests(self, density, seed, points, grid, net, drawing, own, *settings) -> list[Flow2DRequest | str | None]:
        """The questions that the controls ask: a sentence where one cannot be asked, None where none is shown.

        Args:
            density, seed, points, grid: of all settings.
            net: "auto" (own, shipped, or closed form) or "oracle".
            drawing: the painted cells as text of 0 and 1.
            own: nets that the visitor trained, (what they were trained on, key).
            *settings: of each: shown, path, sampler, nfe, sigma0, gamma1, gamma2, gamma3.
        """
        asked: list[Flow2DRequest | str | None] = []
        cells = cells_of(drawing) if density == DRAWN else None
        for k in range(0, len(settings), PER_SETTING):
            shown, path, sampler, nfe, sigma0, *gammas = settings[k : k + PER_SETTING]
            if not shown:
                asked.append(None)
                continue
            chosen = own_net(own, density, drawing, path, sigma0, self.bench.trained) if net == "auto" else None
            try:
                request = Flow2DRequest(
                    density, cells, path, sampler, nfe, grid, sigma0, *gammas, seed=seed, points=points,
                    net=chosen or net,
                )  # fmt: skip
            except UserError as e:
                request = str(e)
            asked.append(request)
        return asked

    def flows(self, *values) -> tuple:
        """The player's value, what follows from the numbers, and what can be kept; arguments as `requests`."""
        if not usable_seed(values[1]):
            return (gr.skip(),) * 3
        panels: list[Panel | None] = []
        done: dict[str, Flow2DResult] = {}
        requests = self.requests(*values)
        for k, asked in enumerate(requests):
            title = LETTERS[k]
            if asked is None:
                panels.append(None)
                continue
            if isinstance(asked, str):
                panels.append(Panel(title, "", None, "", asked))
                continue
            title = f"{title}: {setting_name(asked)}"
            try:
                done[LETTERS[k]] = result = self.bench.flow_2d(asked)
                panels.append(Panel(title, net_words(result.net), result, numbers(result)))
            except UserError as e:
                panels.append(Panel(title, "", None, "", str(e)))
        return flow_value(panels), verdict(done), side_kept(requests, panels, self.bench)

    def sweep(self, *values) -> tuple:
        """A sentence and two figures; arguments as `requests`, and a `Report` as the last."""
        *values, report = values
        if not usable_seed(values[1]):
            return (gr.skip(),) * 3
        values[2] = min(values[2], SWEEP_POINTS)
        asked = asked_of(self.requests(*values))
        result = self.bench.sweep(SweepRequest(tuple(asked)), report)
        names = told_apart([setting_name(r) for r in asked])
        return (
            sweep_words(result, names, asked[0]),
            gr.update(value=nfe_figure(result, names).to_json(), visible=True),
            gr.update(
                value=gamma_figure(result, names).to_json() if len(result.gammas) else None,
                visible=bool(len(result.gammas)),
            ),
        )


def _setting(letter: str, path: str, sampler: str) -> Setting:
    paths = gr.Dropdown(
        [(t, p) for p, t in PATH_NAMES.items()], value=path, label="Path", info="how noise and data are joined",
        elem_id=f"flow-path-{letter.lower()}", filterable=False, min_width=100, render=False,
    )  # fmt: skip
    orders = ("first order; the term vanishes at 0.5", "second order", "third order")
    return setting_column("flow", letter, path, sampler, paths=paths, orders=orders, gammas=GAMMAS, sigma0=True)


def build_flow_lab(page: gr.Tab, bench: PointFlows | None = None) -> RecipeBinding:
    """Lay the tab out and wire it.

    Args:
        page: the tab itself: nothing is computed before it is opened.
        bench: answers the questions; the one of the process by default.

    Returns:
        How the tab takes up a recipe; its `rerun` is a new look at the controls after any event that set them.
    """
    lab = FlowLab(bench or PointFlows.shared())
    gr.HTML(INTRO)
    with gr.Row():
        density = gr.Dropdown(
            DENSITIES, value=TOYS[0], label="Density", info="where the points shall arrive", elem_id="flow-density",
            filterable=False, min_width=150,
        )  # fmt: skip
        every = gr.Slider(
            1, MAX_NFE, NFE, step=1, label="NFE of all", info="sets all four, 1 to 50", elem_id="flow-nfe-all",
            buttons=["reset"], min_width=170,
        )  # fmt: skip
        points = gr.Slider(
            64, MAX_POINTS, POINTS, step=64, label="Points", info="64 to 2048; 400 are drawn", elem_id="flow-points",
            buttons=["reset"], min_width=170,
        )  # fmt: skip
        grid = gr.Radio(
            ["uniform", "cosine"], value="uniform", label="Steps", info="cosine: dense at both ends",
            elem_id="flow-grid", min_width=150,
        )  # fmt: skip
        net = gr.Radio(
            [("trained net if there is one", "auto"), ("exact oracle", "oracle")], value="auto", label="Network",
            info="the oracle is the closed form: a perfect net", elem_id="flow-net", min_width=230,
        )  # fmt: skip
        with gr.Column(min_width=120, scale=0):
            seed = gr.Number(
                0, label="Noise seed", info="from 0", precision=0, minimum=0, elem_id="flow-seed", min_width=110
            )
            dice = gr.Button("New noise", size="sm", elem_id="flow-dice", min_width=110)
    with gr.Column(elem_classes="ks-panel", min_width=0):
        gr.HTML(heading("Side by side", "the same noise in all; grey: the exact density"))
        player = flow_player(elem_id="flow-player")
        told = gr.HTML(elem_id="flow-words")
        keep = save_bar(elem_id="flow-keep")
    with gr.Row(elem_classes="ks-flow-settings"):
        settings = [_setting(letter, *start) for letter, start in zip(LETTERS, START, strict=True)]
    gr.HTML(MOMENTUM_WORDS)
    own, drawing, opened = gr.State(()), gr.State(""), gr.State(())
    shared = [density, seed, points, grid, net, drawing, own]
    inputs = [*shared, *(c for s in settings for c in s.inputs)]
    with gr.Column(elem_classes="ks-panel", min_width=0):
        gr.HTML(heading("Sweep", "the settings above over NFE, and those with momentum over γ₁"))
        buttons = run_buttons("Sweep", "flow-sweep")
        words = gr.HTML(ASK, elem_id="flow-sweep-words", elem_classes="ks-told")
        with gr.Row():
            figures = []
            for of, label in (("nfe", "MMD² over network calls"), ("gamma", "MMD² over gamma1")):
                with gr.Column(scale=1, min_width=300):
                    figures.append(plot(None, visible=False, elem_id=f"flow-sweep-{of}", label=label))

    live = {"show_progress": "hidden", **MODEL_QUEUE, **PRIVATE}
    again = functools.partial(dict, fn=guarded(lab.flows), inputs=inputs, outputs=[player, told, keep])
    # of sliders "release" too: it is what Gradio's reset button tells
    looks = [page.select, density.input, points.input, points.release, grid.input, net.input, seed.change]
    for s in settings:
        looks += [s.shown.input, *(e for c in (s.nfe, s.sigma0, *s.gammas) for e in (c.input, c.release))]
        for chooser in (s.path, s.sampler):
            chosen = chooser.input(read_by, [s.path, s.sampler], [s.sigma0, *s.gammas], **live)
            chosen.success(**again(), **live)
    gr.on(looks, **again(), trigger_mode="always_last", **live)
    every_nfe = [s.nfe for s in settings]
    spread = gr.on([every.input, every.release], lambda n: [n] * len(settings), every, every_nfe, **live)
    spread.success(**again(), **live)
    dice.click(None, None, seed, js=DICE, **PRIVATE)
    wire_run(lab.run, buttons, lab.sweep, inputs, [words, *figures])
    trained, painted, paper = build_training(lab.bench, density, drawing, own)
    trained.success(**again(), **live)
    painted.success(**again(), **live)

    def fill(recipe: Settings) -> tuple:
        request = recipe.request()
        first, bits, (chosen, nets) = request.asked[0], drawn_bits(request.asked[0]), opened_nets(request)
        paint = (bits, json.dumps(json.loads(paper.value) | {"mask": bits})) if bits else (gr.skip(),) * 2
        common = (first.density, first.nfe, within(points, first.points), first.grid, chosen, first.seed)
        return *common, *paint, nets, *filled(settings, request)

    def rerun(event: Dependency) -> None:
        event.success(guarded(nets_after), [own, opened], [own, opened], **live).success(**again(), **live)

    outputs = [
        density,
        every,
        points,
        grid,
        net,
        seed,
        drawing,
        paper,
        opened,
        *(c for s in settings for c in s.inputs),
    ]
    return RecipeBinding(("flow_2d",), "flow", outputs, fill, rerun)
