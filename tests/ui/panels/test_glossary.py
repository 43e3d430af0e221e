"""The glossary on the page holds every word, escaped."""

import html

from analysis.guide.glossary import terms
from ui.panels.examples import glossary_html


def test_every_word_is_shown():
    page = glossary_html()
    assert page.count("<dt>") == len(terms())
    for term in terms():
        assert f"<dt>{html.escape(term.name)}</dt>" in page and html.escape(term.text) in page
        assert html.escape(term.formula) in page
