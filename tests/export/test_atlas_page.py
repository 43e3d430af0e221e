"""The atlas as a page in Chromium: search, sort, notes that stay, nothing in the way of people with disabilities."""

import pytest

from analysis.export.atlas import atlas_html
from tests.atlas_document import DOCUMENT
from tests.axe import violations
from tests.ui.conftest import browser  # noqa: F401


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
