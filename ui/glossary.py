"""The glossary at the foot of the page: the words of `analysis.guide.glossary`."""

from __future__ import annotations

import html

import gradio as gr

from analysis.guide.glossary import CHAPTERS, Term


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


def build_glossary() -> None:
    """Lay it out, closed."""
    with gr.Accordion("Glossary", open=False, elem_id="glossary"):
        gr.HTML(glossary_html())
