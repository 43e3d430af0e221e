"""Small panels without state: the gallery of examples, and the glossary at the foot of the page."""

from __future__ import annotations

import html
from dataclasses import dataclass

import gradio as gr

from analysis.guide.examples import EXAMPLES
from analysis.guide.glossary import CHAPTERS, Term
from ui.source import Page, Workspace


def _term(term: Term) -> str:
    formula = f" <code>{html.escape(term.formula)}</code>" if term.formula else ""
    return f"<div><dt>{html.escape(term.name)}</dt><dd>{html.escape(term.text)}{formula}</dd></div>"


def glossary_html() -> str:
    """All chapters as definition lists."""
    chapters = (
        f'<section><h3 class="ks-title">{html.escape(c.title)}</h3><dl>{"".join(map(_term, c.terms))}</dl></section>'
        for c in CHAPTERS
    )
    return f'<div class="ks-glossary">{"".join(chapters)}</div>'


def build_glossary(_: Page) -> None:
    """Lay it out, closed."""
    with gr.Accordion("Glossary", open=False, elem_id="glossary"):
        gr.HTML(glossary_html())


LABEL = f"Examples ({len(EXAMPLES)}, one click each)"
INTRO = '<p class="ks-line">Each opens its view with everything set. Then move what you like.</p>'


@dataclass(frozen=True)
class ExampleRow:
    """Attributes: buttons, as many as there are examples; words, where what to look at is said."""

    buttons: tuple[gr.Button, ...]
    words: gr.HTML


def example_row(work: Workspace) -> ExampleRow:
    """Lay the row out, closed; those whose model is not here are left out of sight. `build_recipe_panel` wires it."""
    there = work.library.names()
    with gr.Accordion(LABEL, open=False, elem_id="examples"):
        with gr.Row(elem_classes="ks-buttons"):
            buttons = tuple(
                gr.Button(
                    e.title, size="sm", min_width=150, elem_id=f"example-{e.key}",
                    visible=not e.model or e.model in there,
                )
                for e in EXAMPLES
            )  # fmt: skip
        words = gr.HTML(INTRO, elem_id="example-words")
    return ExampleRow(buttons, words)


def words_of(number: int) -> str:
    """What to look at in an example that was opened."""
    e = EXAMPLES[number]
    return f'<p class="ks-line" role="status"><b>{html.escape(e.title)}.</b> {html.escape(e.words)}</p>'
