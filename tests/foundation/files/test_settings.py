"""Settings files: typed, overridable, and refused in a sentence that names the key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import pytest

from foundation.files.settings import SettingsError, build, plain_sections, read_settings
from foundation.networks.unet import UNetConfig
from foundation.training.loop import TrainingConfig


@dataclass(frozen=True)
class Small:
    count: int = 1
    rate: float = 0.5
    name: str = "a"
    on: bool = False
    sizes: tuple[int, ...] = (1,)

    def __post_init__(self):
        if self.count > 100:
            raise ValueError("count must be at most 100.")


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
    ("text", "overrides", "message"),
    [
        ("[smal]\n", (), "Unknown section 'smal'.*small, other"),
        ("count = 1\n", (), "Unknown section 'count'"),
        ("small = 1\n", (), "small must be a table"),
        ("[small]\ncuont = 1\n", (), "Unknown key small.cuont.*count"),
        ('[small]\ncount = "1"\n', (), "small.count must be of type int, not str"),
        ("[small]\ncount = 1.0\n", (), "small.count must be of type int, not float"),
        ("[small]\ncount = true\n", (), "small.count must be of type int, not bool"),
        ("[small]\nrate = true\n", (), "small.rate must be of type float, not bool"),
        ("[small]\non = 1\n", (), "small.on must be of type bool, not int"),
        ("[small]\nname = 1\n", (), "small.name must be of type str, not int"),
        ("[small]\nsizes = 1\n", (), "small.sizes must be a list"),
        ('[small]\nsizes = ["a"]\n', (), "small.sizes must be of type int"),
        ("[small]\ncount = 101\n", (), "small: count must be at most 100"),
        ("[small]\ncount = \n", (), "not valid TOML"),
        ("[small]\n[small]\n", (), "not valid TOML"),
        ("[small]\nsizes = " + "[" * 5000, (), "not valid TOML"),
        ("[small]\ncount = " + "9" * 5000, (), "not valid TOML"),
        ("", ("--small.sizes=" + "[" * 5000,), "small.sizes must be a list"),
        ("", ("--small.count=" + "9" * 5000,), "small.count must be of type int, not str"),
        ("", ("--small.count",), "'--small.count' is not an override: write section.key=value"),
        ("", ("--small=1",), "is not an override"),
        ("", ("--small.=1",), "is not an override"),
        ("", ("stray",), "'stray' is not an override"),
        ("", ("--smal.count=1",), "Unknown section 'smal'"),
        ("", ("--small.cuont=1",), "Unknown key small.cuont"),
        ("", ("--small.count.more=1",), "Unknown key small.count.more"),
        ("", ("--small.count=many",), "small.count must be of type int, not str"),
        ("", ("--small.sizes=1,2",), "small.sizes must be a list"),
        ("small = 1\n", ("--small.count=1",), "small must be a table"),
    ],
)
def test_mistakes_are_told_in_a_sentence(tmp_path, text, overrides, message):
    with pytest.raises(SettingsError, match=message):
        read(tmp_path, text, *overrides)


def test_sections_for_a_card(tmp_path):
    found = plain_sections(read(tmp_path, "", "--small.sizes=[4, 5]"), without=("other",))
    assert found == {"small": {"count": 1, "rate": 0.5, "name": "a", "on": False, "sizes": (4, 5)}}
    assert plain_sections({"small": Small(), "kind": Small, "text": "x"}).keys() == {"small"}


def test_unreadable_files(tmp_path):
    with pytest.raises(SettingsError, match="none.toml"):
        read_settings(tmp_path / "none.toml", (), Sections)
    with pytest.raises(SettingsError, match="--config"):
        read_settings(tmp_path, (), Sections)
    (tmp_path / "bytes.toml").write_bytes(b"[small]\nname = '\xff'\n")
    with pytest.raises(SettingsError, match="TOML"):
        read_settings(tmp_path / "bytes.toml", (), Sections)


def test_build_refuses_what_is_not_a_table():
    for values in (None, 3, [], "x"):
        with pytest.raises(SettingsError, match="network"):
            build(UNetConfig, values, "network")


def test_the_real_configurations_go_through_plain_types_and_back():
    assert build(UNetConfig, UNetConfig.edm_cifar10(10).to_dict(), "network") == UNetConfig.edm_cifar10(10)
    assert build(TrainingConfig, {"images": 5, "lr": 1}, "training") == TrainingConfig(images=5, lr=1.0)
    with pytest.raises(SettingsError, match="training: schedule"):
        build(TrainingConfig, {"schedule": "linear"}, "training")
    with pytest.raises(SettingsError, match="network: .* 4"):
        build(UNetConfig, {"resolution": 30}, "network")
