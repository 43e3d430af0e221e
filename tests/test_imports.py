"""The layers of the house: imports go down only (contracts in pyproject.toml)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from importlinter.cli import lint_imports

ROOT = Path(__file__).resolve().parent.parent


def test_imports_go_down_only(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == 0, capsys.readouterr().out


def test_heavy_libraries_wait_until_they_are_needed():
    """The page and a notebook open without the libraries of training and evaluation; nothing below analysis draws.

    The page is shown without those that only some of its answers need.
    """
    later = ["gradio", "accelerate", "lpips", "torchvision"]
    code = f"""
import sys
import foundation, koopman_core, flow_core
print([m for m in {[*later, "plotly", "matplotlib"]} if m in sys.modules])
import analysis
print([m for m in {later} if m in sys.modules])
import ui.app
print([m for m in {[*later[1:], "matplotlib", "scipy"]} if m in sys.modules])
"""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=280, cwd=ROOT)
    assert found.stdout.split() == ["[]", "[]", "[]"], found.stdout + found.stderr
