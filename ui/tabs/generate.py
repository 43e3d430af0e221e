"""Tab "Generate & trajectory": a picture in one call, more seeds, and the way there beside the teacher's."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr
from gradio.events import Dependency

from analysis.recipes import recipe as recipes
from analysis.recipes.settings import Settings
from analysis.workbench.images import MAX_STEPS, MIN_STEPS, GenerateRequest, TrajectoryRequest, TrajectoryResult
from analysis.workbench.library import ModelLibrary
from foundation.randomness import MAX_SEED
from ui.components.html import facts, figure_html, heading, model_card, strip
from ui.components.players import player, player_value
from ui.components.save_bar import RecipeBinding, save_bar, save_value
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.server.runs import Latest, Superseded
from ui.server.startup import DEFAULT_STEPS
from ui.source import Source, fitting_label, usable_seed

SHEET = 12
PROGRESS = gr.Progress()  # Gradio sees it as a default argument and fills in the visitor's own
INTRO = """<p class="ks-intro">A Koopman model turns noise into a picture with <b>one</b> network call, because in its
latent space time is a matrix exponential: every moment between noise and picture can be read off, not only the end.</p>
<p class="ks-formula">x(t) = D( e<sup>(τ(t) − 1) A</sup> E(x<sub>T</sub>) ) &nbsp;·&nbsp; E encoder, D decoder, A one
2×2 block [α, β; −β, α] a mode &nbsp;·&nbsp; τ = 1 at noise (σ = 80), τ = 0 at the picture (σ = 0.002)</p>"""


def seen_words(result: TrajectoryResult) -> str:
    """What the page shows, in one sentence of its own numbers; none without a teacher."""
    if not result.nfe_teacher:
        return ""
    lpips = "" if result.lpips is None else f"LPIPS {result.lpips[-1]:.3f}, "
    return (
        f'<p class="ks-verdict">One network call made this picture; from the same noise the teacher needs '
        f"{result.nfe_teacher}. Between it and the teacher's last denoised state: {lpips}mean squared error "
        f"{result.mse[-1]:.3f}.</p>"
    )


class GenerateTab:
    """The handlers; each can be called without a page."""

    def __init__(self, library: ModelLibrary):
        self.library = library
        self.latest = Latest()

    def picture(self, model: str, seed: int | None, label: int) -> tuple:
        """Big picture, its cost, and what can be kept of it."""
        if seed is None:  # the box was cleared to type another number
            return gr.skip(), gr.skip(), gr.skip()
        bench = self.library.get(model)
        request = GenerateRequest((seed,), fitting_label(self.library, model, label))
        result = bench.generate(request)
        picture = figure_html(result.pictures[0], f"seed {seed}", bench.name, css="ks-hero")
        calls = "network call" if result.nfe == 1 else "network calls"
        cost = facts((str(result.nfe), calls), (f"{1000 * result.seconds:.0f} ms", "on this machine"))
        recipe = recipes.describe(request, bench)
        return picture, cost, save_value(result.pictures[0], recipe, f"{bench.name}-seed{seed}")

    def sheet(self, model: str, label: int, first: int) -> list:
        """SHEET pictures with their seeds, from seed `first` on."""
        seeds = tuple(range(int(first), int(first) + SHEET))
        label = fitting_label(self.library, model, label)
        result = self.library.get(model).generate(GenerateRequest(seeds, label))
        return [(picture, str(seed)) for picture, seed in zip(result.pictures, seeds, strict=True)]

    def next_sheet(self, model: str, label: int, first: int) -> tuple:
        """The next SHEET seeds."""
        first = int(first) + SHEET
        first = 0 if first + SHEET > MAX_SEED else first
        return self.sheet(model, label, first), first

    def trajectory(self, model: str, seed: int, label: int, steps: int, progress=None) -> tuple:
        """Player value and what it cost."""
        bench = self.library.get(model)
        request = TrajectoryRequest(seed, fitting_label(self.library, model, label), steps)
        result = bench.trajectory(request, progress)
        levels = len(result.sigma)
        costs = [("1", f"encoding and {levels} decodings: the Koopman path")]
        if result.nfe_teacher:
            costs.append((str(result.nfe_teacher), f"network calls: the teacher's path, Heun on {levels} levels"))
        return (
            player_value(result, bench.name, seed),
            seen_words(result) + facts(*costs),
            save_value(strip(result.koopman), recipes.describe(request, bench), f"{bench.name}-seed{seed}-trajectory"),
        )

    def watched_trajectory(
        self, model: str, seed: int | None, label: int, steps: int, request: gr.Request, progress=PROGRESS
    ) -> tuple:
        """`trajectory`, given up as soon as the visitor asks for another one."""
        key = (model, seed, label, steps)

        def report(share: float, what: str) -> None:
            self.latest.check(request.session_hash, key)
            progress(share, desc=what)

        try:
            self.latest.check(request.session_hash, key)
            if not usable_seed(seed):  # `picture` says so
                return (gr.skip(),) * 3
            return self.trajectory(model, seed, label, steps, report)
        except Superseded:
            return (gr.skip(),) * 3

    def wish(self, model: str, seed: int | None, label: int, steps: int, request: gr.Request) -> None:
        """Note what the visitor wants, ahead of the queue."""
        self.latest.wish(request.session_hash, (model, seed, label, steps))

    def choose(self, first: int, locked: bool, event: gr.SelectData):
        """A click in the contact sheet: its seed."""
        if locked:
            gr.Info("The seed is kept: untick “keep this seed” to choose another.")
            return gr.skip()
        return min(max(int(first), 0) + int(event.index) % SHEET, MAX_SEED)


def build_generate(library: ModelLibrary, source: Source) -> tuple[Dependency, Callable[[], None], RecipeBinding]:
    """Lay the tab out and wire it.

    Returns:
        The event "another picture is shown", to which other tabs attach what follows from it; a function that
        attaches the trajectory: to be called last, so that quick answers do not wait for the teacher; and how the tab
        takes up a recipe, whose first output is the slider of the teacher's steps.
    """
    tab = GenerateTab(library)
    model_name, _, label = source.start
    thumbnails = tab.sheet(model_name, label, 0)  # before the picture, whose time is shown: the first call is slow
    picture, cost, kept = tab.picture(*source.start)
    played, costs, kept_path = tab.trajectory(*source.start, DEFAULT_STEPS)
    gr.HTML(INTRO)
    with gr.Row():
        with gr.Column(scale=3, min_width=300):
            with gr.Column(elem_classes="ks-panel", min_width=0):
                hero = gr.HTML(picture, elem_id="hero")
                numbers = gr.HTML(cost, elem_id="hero-facts")
                keep = save_bar(kept, elem_id="keep-picture")
            with gr.Column(elem_classes="ks-panel", min_width=0):
                gr.HTML(heading("More seeds", "click one to look at it"))
                gallery = gr.Gallery(
                    thumbnails, columns=4, allow_preview=False, object_fit="contain", format="png",
                    show_label=False, container=False, buttons=[], elem_id="sheet", interactive=False, height="auto",
                )  # fmt: skip
                other = gr.Button("Next 12 seeds", size="sm", elem_id="next-sheet")
        with gr.Column(scale=7, min_width=300):
            with gr.Column(elem_classes="ks-panel", min_width=0):
                gr.HTML(heading("From noise to picture", "move the slider or press play"))
                film = player(played, elem_id="player")
                total = gr.HTML(costs, elem_id="trajectory-facts")
                keep_path = save_bar(kept_path, elem_id="keep-trajectory")
            steps = gr.Slider(
                MIN_STEPS, MAX_STEPS, DEFAULT_STEPS, step=1, label="Teacher's steps", elem_id="steps",
                info="noise levels of the Karras grid; the teacher calls its network about twice a level",
                buttons=["reset"],
            )  # fmt: skip
    first = gr.State(0)
    with gr.Accordion("About this model", open=False, elem_id="about"):
        about = gr.HTML(model_card(library.info(model_name)))

    quiet = {**MODEL_QUEUE, **PRIVATE, "show_progress": "hidden"}
    # Gradio 6.31 answers a deferred "always_last" listener by firing its whole event again, so two of them on one event
    # keep each other going for ever: each event has one at most, and the rest is attached to its success.
    changed = source.another_picture
    wanted = [*source.inputs, steps]
    ahead = {"queue": False, "trigger_mode": "multiple", "show_progress": "hidden", **PRIVATE}
    gr.on([*changed, steps.release], guarded(tab.wish), wanted, None, **ahead)
    shown = gr.on(
        changed, guarded(tab.picture), source.inputs, [hero, numbers, keep], trigger_mode="always_last", **quiet
    )
    gr.on(
        [*source.another_model, source.label.input], guarded(tab.sheet), [source.model, source.label, first], gallery,
        trigger_mode="multiple", **quiet,
    )  # fmt: skip
    gr.on(source.another_model, guarded(lambda name: model_card(library.info(name))), source.model, about, **ahead)
    other.click(guarded(tab.next_sheet), [source.model, source.label, first], [gallery, first], **quiet)
    gallery.select(guarded(tab.choose), [first, source.locked], source.seed, show_progress="hidden", **PRIVATE)

    seen = [film, total, keep_path]
    slow = {"trigger_mode": "always_last", "show_progress_on": film, **MODEL_QUEUE, **PRIVATE}

    def wire_trajectory() -> None:
        shown.success(guarded(tab.watched_trajectory), wanted, seen, **slow)
        steps.release(guarded(tab.watched_trajectory), wanted, seen, **slow)

    def fill(settings: Settings) -> tuple:
        return (settings.steps if settings.kind == "trajectory" else gr.skip(),)

    def rerun(filled: Dependency) -> None:
        wished = filled.success(guarded(tab.wish), wanted, None, **ahead)
        wished.success(guarded(tab.watched_trajectory), wanted, seen, **slow)

    return shown, wire_trajectory, RecipeBinding(("generate", "trajectory"), "generate", [steps], fill, rerun)
