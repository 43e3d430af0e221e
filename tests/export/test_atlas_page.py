"""The atlas as a page in Chromium: search, sort, notes that stay, nothing in the way of people with disabilities."""

import pytest

from analysis.export.atlas import atlas_html
from tests.axe import violations
from tests.ui.conftest import browser  # noqa: F401

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def cluster(level, number, effect, factor, **more):
    name = f"skip {level}"
    return {
        "address": f"tiny/skip{level}/c{number}", "level": level, "number": number, "name": name, "modes": [1, 2],
        "effect": [effect, 0.9 * effect, 1.1 * effect], "control": [0.001, 0.0005, 0.002], "gain": [effect, 0.1, 0.2],
        "x": 0.5, "y": 0.5, "radius": 0.1, "place": "centre", "frequency": None, "alpha": [-1, 0, 1], "beta": [0, 1, 2],
        "picture": PIXEL, "scale": 0.3,
        "seeds": [{"seed": 5, "mse": effect, "full": PIXEL, "without": PIXEL, "difference": PIXEL, "magnification": 2}],
        "factors": [{"name": factor, "share": [0.4, 0.3, 0.5], "carried": True}], "everything": [0.1, 0.05, 0.2],
        "match": "other/skip0/c1", "cosine": 0.7, "again": True, "recipe": {"version": 1},
    } | more  # fmt: skip


DOCUMENT = {
    "format": 1, "model": "tiny", "checkpoint": "ab" * 32, "command": "python -m x", "criterion": "the largest",
    "second": "other", "again": 3, "again_bound": 0.4, "data": "shapes",
    "levels": [{"name": f"skip {i}", "modes": 9, "idle": 1, "clusters": 2, "silhouettes": {"2": 0.4}} for i in (0, 1)],
    "clusters": [cluster(0, 0, 0.02, "hair"), cluster(0, 1, 0.03, "mouth </script><b>"), cluster(1, 0, 0.01, "hair")],
}  # fmt: skip


def test_text_cannot_leave_its_script():
    page = atlas_html(DOCUMENT)
    assert page.count("</script>") == 2 and page.count("Mode atlas of tiny") == 2 and "default-src 'none'" in page


@pytest.fixture(params=["light", "dark"])
def opened(request, browser, tmp_path):  # noqa: F811
    (tmp_path / "atlas.html").write_text(atlas_html(DOCUMENT), encoding="utf-8")
    page = browser.new_page(viewport={"width": 400, "height": 800}, color_scheme=request.param)
    errors = []
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.goto((tmp_path / "atlas.html").as_uri())
    yield page
    assert errors == []
    page.close()


def test_search_sort_and_notes(opened):
    addresses = "[...document.querySelectorAll('article h2')].map((h) => h.textContent)"
    assert opened.evaluate(addresses) == ["tiny/skip0/c1", "tiny/skip0/c0", "tiny/skip1/c0"]
    opened.select_option("#sort", "address")
    assert opened.evaluate(addresses)[0] == "tiny/skip0/c0"
    opened.fill("#search", "hair")
    assert opened.evaluate(addresses) == ["tiny/skip0/c0", "tiny/skip1/c0"]
    opened.fill("textarea >> nth=1", "curls here")
    opened.reload()
    opened.fill("#search", "curls")
    assert opened.evaluate(addresses) == ["tiny/skip1/c0"] and opened.input_value("textarea") == "curls here"
    opened.select_option("#level", "0")
    assert opened.evaluate(addresses) == []


def test_access(opened):
    for details in opened.query_selector_all("details"):
        details.evaluate("d => d.open = true")
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(opened) == []
