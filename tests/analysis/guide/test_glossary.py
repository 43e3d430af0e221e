"""The glossary: complete, short, and the same on the page and in docs/glossary.md."""

from pathlib import Path

import pytest

from analysis.guide.glossary import CHAPTERS, page, terms

ROOT = Path(__file__).resolve().parents[3]
USED = (
    "trajectory", "σ", "τ", "Koopman operator", "eigenvalue", "α", "β", "mode", "band", "retention", "level",
    "one-step", "NFE", "teacher", "path objective", "published objective", "flow matching", "coupling", "score",
    "momentum, γ", "MMD²", "W₂", "LPIPS", "PSNR", "CRPS", "spread-skill",
)  # fmt: skip


def test_the_document_is_made_from_the_same_words():
    assert (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8") == page(), "python -m analysis.guide.glossary"


@pytest.mark.parametrize("word", USED)
def test_the_words_of_the_page_are_there(word):
    assert any(word in t.name for t in terms())


def test_terms_are_short_and_named_once():
    names = [t.name for t in terms()]
    assert len(set(names)) == len(names) and len(CHAPTERS) == 4
    for term in terms():
        assert term.text.endswith(".") and 20 < len(term.text) < 260, term.name


def test_formulas_are_those_of_the_code():
    """The two that can be evaluated: the clock and PSNR's range."""
    from analysis.metrics.image import DATA_RANGE
    from koopman_core.edm import SIGMA_MAX, SIGMA_MIN
    from koopman_core.operator import tau_of_sigma

    formula = {t.name: t.formula for t in terms()}
    assert formula["τ, Koopman time"] == "τ = (σ^(1/7) − ε^(1/7)) / (T^(1/7) − ε^(1/7))"
    low, high = SIGMA_MIN ** (1 / 7), SIGMA_MAX ** (1 / 7)
    assert float(tau_of_sigma(1.0)) == pytest.approx((1 - low) / (high - low), rel=1e-5)
    assert f"{DATA_RANGE:g}²" in formula["PSNR"]
