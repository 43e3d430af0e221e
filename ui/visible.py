"""What nobody sees is not computed: a first input that says whether a part of the page is on the screen."""

from __future__ import annotations

# a tab that was just chosen takes a moment to be laid out
_SCRIPT = """async (...values) => {{
  await new Promise((done) => setTimeout(done, 30));
  const part = document.querySelector('#{name}');
  return [Boolean(part && part.offsetParent), ...values.slice(1)];
}}"""


def seen_script(name: str) -> str:
    """JavaScript for `js=`: the first input becomes whether the element of this id is on the screen."""
    return _SCRIPT.format(name=name)
