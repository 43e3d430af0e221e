"""Settings files: typed, overridable, and refused in a sentence that names the key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import pytest

from foundation.files.settings import SettingsError, build, plain_sections, read_settings
from foundation.mistakes import Mistake
from foundation.networks.unet import UNetConfig
from foundation.training.loop import TrainingConfig
from tests.refusals import refuses


@dataclass(frozen=True)
class Small:
    count: int = 1
    rate: float = 0.5
    name: str = "a"
    on: bool = False
    sizes: tuple[int, ...] = (1,)

    def __post_init__(self):
        if self.count > 100:
            raise Mistake("count must be at most 100.", "count")


class Sections(TypedDict):
    small: Small
    other: Small


def read(tmp_path, text="", *overrides, sections=Sections):
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return read_settings(path, overrides, sections)


def test_values_defaults_and_sections(tmp_path):
    found = read(tmp_path, '[small]\ncount = 3\nrate = 2\nname = "é"\non = true\nsizes = [4, 5]\n')
    assert found == {"small": Small(3, 2.0, "é", True, (4, 5)), "other": Small()}
    assert type(found["small"].rate) is float


def test_overrides_win_and_are_typed(tmp_path):
    overrides = (
        "--small.count=7", "small.rate=1e-3", "--small.name=shapes", "--small.on=true", "--small.sizes=[2, 3]",
        "--other.name=x=y",
    )  # fmt: skip
    found = read(tmp_path, "[small]\ncount = 3\n", *overrides)
    assert found == {"small": Small(7, 1e-3, "shapes", True, (2, 3)), "other": Small(name="x=y")}


def test_a_later_override_wins(tmp_path):
    assert read(tmp_path, "", "--small.count=1", "--small.count=2")["small"].count == 2


def test_numbers_may_be_grouped_and_texts_quoted(tmp_path):
    found = read(tmp_path, "", "--small.count=1_0", '--small.name="7"', "--other.name=")
    assert (found["small"].count, found["small"].name, found["other"].name) == (10, "7", "")


@pytest.mark.parametrize(
    ("text", "overrides", "field"),
    [
        ("[smal]\n", (), "smal"),
        ("count = 1\n", (), "count"),
        ("small = 1\n", (), "small"),
        ("[small]\ncuont = 1\n", (), "small.cuont"),
        ('[small]\ncount = "1"\n', (), "small.count"),
        ("[small]\ncount = 1.0\n", (), "small.count"),
        ("[small]\ncount = true\n", (), "small.count"),
        ("[small]\nrate = true\n", (), "small.rate"),
        ("[small]\non = 1\n", (), "small.on"),
        ("[small]\nname = 1\n", (), "small.name"),
        ("[small]\nsizes = 1\n", (), "small.sizes"),
        ('[small]\nsizes = ["a"]\n', (), "small.sizes"),
        ("[small]\ncount = 101\n", (), "small.count"),
        ("[small]\ncount = \n", (), "file"),
        ("[small]\n[small]\n", (), "file"),
        ("[small]\nsizes = " + "[" * 5000, (), "file"),
        ("[small]\ncount = " + "9" * 5000, (), "file"),
        ("", ("--small.sizes=" + "[" * 5000,), "small.sizes"),
        ("", ("--small.count=" + "9" * 5000,), "small.count"),
        ("", ("--small.count",), "override"),
        ("", ("--small=1",), "override"),
        ("", ("--small.=1",), "override"),
        ("", ("stray",), "override"),
        ("", ("--smal.count=1",), "smal"),
        ("", ("--small.cuont=1",), "small.cuont"),
        ("", ("--small.count.more=1",), "small.count.more"),
        ("", ("--small.count=many",), "small.count"),
        ("", ("--small.sizes=1,2",), "small.sizes"),
        ("small = 1\n", ("--small.count=1",), "small"),
    ],
)
def test_mistakes_are_told_in_a_sentence(tmp_path, text, overrides, field):
    with refuses(field, error=SettingsError):
        read(tmp_path, text, *overrides)


def test_sections_for_a_card(tmp_path):
    found = plain_sections(read(tmp_path, "", "--small.sizes=[4, 5]"), without=("other",))
    assert found == {"small": {"count": 1, "rate": 0.5, "name": "a", "on": False, "sizes": (4, 5)}}
    assert plain_sections({"small": Small(), "kind": Small, "text": "x"}).keys() == {"small"}


def test_unreadable_files(tmp_path):
    with refuses("file", "none.toml", SettingsError):
        read_settings(tmp_path / "none.toml", (), Sections)
    with refuses("file", "--config", SettingsError):
        read_settings(tmp_path, (), Sections)
    (tmp_path / "bytes.toml").write_bytes(b"[small]\nname = '\xff'\n")
    with refuses("file", "bytes.toml", SettingsError):
        read_settings(tmp_path / "bytes.toml", (), Sections)


def test_build_refuses_what_is_not_a_table():
    for values in (None, 3, [], "x"):
        with refuses("network", error=SettingsError):
            build(UNetConfig, values, "network")


def test_the_real_configurations_go_through_plain_types_and_back():
    assert build(UNetConfig, UNetConfig.edm_cifar10(10).to_dict(), "network") == UNetConfig.edm_cifar10(10)
    assert build(TrainingConfig, {"images": 5, "lr": 1}, "training") == TrainingConfig(images=5, lr=1.0)
    with refuses("training.schedule", error=SettingsError):
        build(TrainingConfig, {"schedule": "linear"}, "training")
    with refuses("network.resolution", " 4", SettingsError):
        build(UNetConfig, {"resolution": 30}, "network")
