"""Panel "Use your own model": a checkpoint that a visitor brings, for this visit only."""

from __future__ import annotations

import html

import gradio as gr

from analysis.core.errors import UserError
from analysis.workbench.library import MAX_MODEL_BYTES, MAX_MODEL_PARAMETERS, MAX_MODEL_SIDE, ModelLibrary
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.source import NO_CLASS, Page, Source, model_choices, usable_seed

MAX_OWN_MODELS = 4  # own models in the list of one visit
INTRO = f"""<p class="ks-line">An HKD checkpoint that this program wrote (NAME.hkd.safetensors), and its teacher to
compare with. At most {MAX_MODEL_BYTES // 2**20} MB each, {MAX_MODEL_PARAMETERS // 10**6} million parameters,
{MAX_MODEL_SIDE} × {MAX_MODEL_SIDE} pixels. Only you can choose it, in this visit; it is forgotten when others need
the room.</p>"""


class OwnModel:
    """The handler; can be called without a page.

    Args:
        library: the models.
        source: the bar.
        keys, status: where this visit's own models and one line go.
    """

    def __init__(self, library: ModelLibrary, source: Source, keys: gr.State, status: gr.HTML):
        self.library, self.source, self.keys, self.status = library, source, keys, status

    def load(self, model: str | None, teacher: str | None, keys: list[str], seed: int) -> dict:
        """The bar at the model that was brought.

        Args:
            model, teacher: files that Gradio has put into its own folder.
            keys: of this visit's own models so far.
            seed: what the visitor looks at.
        """
        if not model:
            raise UserError("Choose a model's .safetensors file first.", "file")
        key = self.library.own.add(model, teacher or None)
        keys = [*(keys or []), key][-MAX_OWN_MODELS:]
        bar = self.source.moved(self.library, key, seed if usable_seed(seed) else 0, NO_CLASS)
        bench = self.library.get(key)
        beside = "with its teacher" if bench.teacher else "without a teacher"
        return {
            **bar,
            self.source.model: gr.update(choices=model_choices(self.library, keys), value=key),
            self.keys: keys,
            self.status: f'<p class="ks-line" role="status">{html.escape(bench.name)} is open, {beside}.</p>',
        }


def build_own_model(page: Page) -> None:
    """Lay the panel out and wire it, where visitors may bring models."""
    library, source = page.work.library, page.work.source
    if not library.own.open:
        return
    with gr.Accordion("Use your own model", open=False, elem_id="own"):
        gr.HTML(INTRO)
        with gr.Column(min_width=0):
            model, teacher = (
                gr.File(
                    label=text, file_types=[".safetensors"], type="filepath", height=110, elem_id=f"own-{name}",
                    min_width=240,
                )
                for text, name in (("Model", "model"), ("Teacher (optional)", "teacher"))
            )  # fmt: skip
        start = gr.Button("Open this model", size="sm", variant="primary", elem_id="own-open")
        status = gr.HTML(elem_id="own-status")
    keys = gr.State([], delete_callback=library.own.drop)
    panel = OwnModel(library, source, keys, status)
    opened = start.click(
        guarded(panel.load), [model, teacher, keys, source.seed], [*source.targets, keys, status],
        show_progress="minimal", **MODEL_QUEUE, **PRIVATE,
    )  # fmt: skip
    source.announce(opened)
