"""The tutorial from its first command to its last, at the sizes of its own rehearsal, on a folder of drawn scenes."""

import importlib
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.workbench.images import GenerateRequest
from analysis.workbench.library import ModelLibrary
from foundation.procedural import shapes

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "tutorial.md").read_text()
FILES = re.compile(r"`(my/\w+\.toml)`:\n\n```toml\n(.*?)```", re.S)
COMMANDS = re.compile(r"```sh\n(.*?)\n```", re.S)
WORDS = re.compile(r"^\| (teacher|trajectories|student) \| `([^`]*)` \|$", re.M)
PYTHON = re.compile(r"```python\n(.*?)```", re.S)


def run(command: str, more: str = "") -> int:
    """A command of the page, in this process."""
    python, flag, module, *words = shlex.split(f"{command} {more}")
    assert (python, flag) == ("python", "-m")
    return importlib.import_module(module).main(words)


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """What is there after the last command; the page's own folder is the working folder."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "my" / "pictures" / "more").mkdir(parents=True)
    for i, picture in enumerate(shapes.images(np.arange(12), 40)):
        Image.fromarray(picture).save(folder / "my" / "pictures" / ("more" if i % 2 else ".") / f"{i}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for path, text in FILES.findall(PAGE):
            Path(path).write_text(text)
        rehearsal = dict(WORDS.findall(PAGE))
        done = []
        for command in COMMANDS.findall(PAGE):
            if "koopman_core.train" in command:
                assert run(command, f"{rehearsal[command.split()[3]]} --quiet") == 0
            elif "analysis.evaluate.shipping" in command:
                assert run(command) == 0
            else:
                assert command == "python app.py --models my/models"
            done.append(command.split()[2])
        assert done == [*["koopman_core.train"] * 3, "analysis.evaluate.shipping", "--models"]
        yield folder


def test_the_app_finds_the_model_with_its_teacher(followed):
    library = ModelLibrary(followed / "my" / "models")
    assert library.names() == ["mine"]
    bench = library.get("mine")
    assert bench.teacher is not None
    assert bench.generate(GenerateRequest((0,))).pictures.shape == (1, 32, 32, 3)


def test_the_card_says_what_was_done_and_no_path(followed):
    card = (followed / "my" / "models" / "mine.hkd.json").read_text()
    assert '"folder:pictures"' in card and '"images_seen": 32' in card and str(followed) not in card


def test_the_python_lines_work(followed, monkeypatch):
    monkeypatch.chdir(followed)
    names = {}
    exec(PYTHON.search(PAGE)[1], names)
    assert names["picture"].shape == (1, 3, 32, 32)


def test_other_commands_that_the_page_names_exist():
    for word in re.findall(r"`--(training|student|input)\.(\w+)=", PAGE):
        assert word in {("training", "images"), ("student", "lambda2"), ("input", "lpips")}
