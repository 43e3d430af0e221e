"""axe-core (npm, for development only) on a page in the browser: what stands in the way of people with disabilities."""

from __future__ import annotations

from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "web" / "node_modules" / "axe-core" / "axe.min.js"
GRAVE = ("serious", "critical")
RUN = """async within => {
    const { violations } = await axe.run(within ?? document, { resultTypes: ["violations"] });
    return violations.map(({ id, impact, nodes }) => ({ id, impact, where: nodes.map((n) => n.target.join(" ")) }));
}"""


def violations(page, within: str | None = None) -> list[str]:
    """Serious and critical violations of a page of playwright, each as "rule: where"; skips where axe is missing.

    Args:
        page: shown as it shall be judged: what is hidden is not.
        within: a CSS selector; the whole page by default.
    """
    if not SCRIPT.is_file():
        pytest.skip("axe-core is not installed: npm ci in web/")
    page.evaluate(SCRIPT.read_text("utf-8"))  # not as a script element, which a page's own policy may forbid
    found = page.evaluate(RUN, within)
    return [f"{v['id']}: {', '.join(v['where'])}" for v in found if v["impact"] in GRAVE]
