"""The notebooks run from top to bottom, without Jupyter: their code cells in one namespace."""

import json
from pathlib import Path

import matplotlib
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def cells(path, kind):
    return [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == kind]


def run(path):
    """All code cells; returns their namespace."""
    import matplotlib.pyplot as plt

    before = matplotlib.get_backend()
    names = {"__name__": path.stem}
    try:
        plt.switch_backend("Agg")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plt, "show", lambda: plt.close("all"))
            for i, cell in enumerate(cells(path, "code")):
                exec(compile("".join(cell["source"]), f"{path.name}[{i}]", "exec"), names)
    finally:
        plt.close("all")
        plt.switch_backend(before)
    return names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_outputs_are_stripped(path):
    assert all(c["outputs"] == [] and c["execution_count"] is None for c in cells(path, "code"))
    assert all("".join(c["source"]).strip() for kind in ("code", "markdown") for c in cells(path, kind))


def test_spectrum():
    names = run(FOLDER / "spectrum.ipynb")
    assert names["generated"].nfe == 1 and names["way"].nfe_teacher == 15
    assert names["error"] < 1e-4  # modes grow as their eigenvalues say
    assert names["kept"][0].share.sum() == pytest.approx(1)


def test_flow_lab():
    names = run(FOLDER / "flow_lab.ipynb")
    far = {name: names["distance"].biased(x) for name, x in names["clouds"].items()}
    # what the text says: noise repairs the momentum, and the published drift is biased
    assert far["momentum, γ₁ = 3"] > 2 * far["exact"] and far["with its noise"] < 1.5 * far["exact"]
    assert far["published, γ₁ = 1"] > 2 * far["exact"]
    few = {name: names["distance"].biased(r.x) for name, r in names["table"][4].items()}
    assert few["multistep"] < few["Euler"]
    path = names["IDFF"](0.2)
    network = names["density"].density.oracle(path)
    pushed = [names["euler"](network, names["start"], names["MomentumODE"](path, (g,)), 4).x for g in (-20.0, 20.0)]
    against, along = map(names["distance"].biased, pushed)
    assert along < few["Euler"] < against


@pytest.mark.timeout(900)  # a mean over 1,024 noises, and some hundred pictures
def test_causal():
    names = run(FOLDER / "causal.ipynb")
    # what the text says: the candidates carry the factor, more than random modes and more than of any scene
    assert names["specific"] and names["carried"][1, 0] > names["carried"][2, 1]
    assert names["again"].mse == names["found"][0].mse
    assert (names["walk"].inside[1:, -1] > 0).all() and "checkpoint" in names["citation"]
