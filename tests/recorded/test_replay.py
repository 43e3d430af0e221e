"""Endpoints, recipes and exports answer as they did when they were recorded."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.recorded import cases, files, program
from tests.recorded.exports import file_fields
from tests.recorded.reduction import differences, reduced
from tests.recorded.serving import DATA, SEA, Asked, signatures

SEA_AT_HAND = DATA in os.environ and (Path(os.environ[DATA]).expanduser() / SEA).is_dir()


def _params(name: str, *, refused: bool = False) -> list:
    """The recordings of a file as parameters, the slow ones marked."""
    records = [r for r in files.read(name) if ("refused" in r) == refused]
    return [
        pytest.param(name, r, id=f"{name}-{i}", marks=[pytest.mark.slow] if r.get("slow") else [])
        for i, r in enumerate(records)
    ]


def _skip_without(record: dict) -> None:
    """Skip where the recording's weights or data are not here."""
    if reason := files.lacking(record):
        pytest.skip(reason)
    if "data" in record and not SEA_AT_HAND:
        pytest.skip(f"the data of {record['data']} are not at hand: {DATA} names no folder with {SEA}")


def _assert_same(recorded: Any, answer: Any) -> None:
    lines = differences(recorded, reduced(answer))
    assert not lines, "\n".join(lines[:20])


ANSWERED = [p for name in cases.QUESTIONS if name != "models" for p in _params(name)]
REFUSED = [p for name in cases.QUESTIONS for p in _params(name, refused=True)]


def test_the_same_endpoints_with_the_same_arguments(app: Asked):
    assert {s["endpoint"]: s for s in signatures(app)} == {s["endpoint"]: s for s in files.read("endpoints")}


def test_every_endpoint_is_recorded():
    assert {s["endpoint"] for s in files.read("endpoints")} == cases.QUESTIONS.keys()


def test_the_models_that_are_still_here(app: Asked):
    recorded = {m["name"]: m for m in files.read("models")[0]["answer"]}
    answered = {m["name"]: m for m in reduced(app.ask("models", {}))}
    here = {name for name in recorded if files.weights(f"{name}.hkd")}
    assert here, "no model of the recording is here: record anew"
    assert here <= answered.keys()
    lines = [line for name in sorted(here) for line in differences(recorded[name], answered[name], name)]
    assert not lines, "\n".join(lines)


@pytest.mark.parametrize(("endpoint", "record"), ANSWERED)
def test_an_answer_is_the_recorded_one(app: Asked, endpoint: str, record: dict):
    _skip_without(record)
    arguments = dict(record["arguments"])
    if after := record.get("after"):
        first = app.ask(after["endpoint"], after["arguments"])
        arguments |= {argument: first[key] for argument, key in after["take"].items()}
    _assert_same(record["answer"], app.ask(endpoint, arguments))


@pytest.mark.parametrize(("endpoint", "record"), REFUSED)
def test_a_refused_question_names_the_argument(app: Asked, endpoint: str, record: dict):
    sentence = app.refusal(endpoint, record["arguments"])
    assert cases.names(sentence, record["refused"]), sentence
    assert 15 < len(sentence) < 300 and sentence.rstrip().endswith(".") and "Traceback" not in sentence


# a race is timed, and no atlas ships: of both only refusals are recorded
@pytest.mark.parametrize("endpoint", [e for e in cases.QUESTIONS if e not in ("models", "recipe", "race", "atlas")])
def test_some_recording_of_every_endpoint_can_be_replayed(endpoint: str):
    answered = [r for r in files.read(endpoint) if "answer" in r]
    assert any(not files.lacking(r) for r in answered), "no recorded weights are here: record anew"


def _recipe(name: str) -> str:
    return (files.RECIPES / f"{name}.json").read_text(encoding="utf-8")


def test_every_kind_of_recipe_is_recorded():
    kinds = {r["kind"] for r in files.read("recipes")}
    assert kinds == {settings["kind"] for _, settings in cases.RECIPES.values()} and len(kinds) == 9
    assert {r["name"] for r in files.read("recipes")} == {p.stem for p in files.RECIPES.glob("*.json")}
    assert {p.stem for p in files.RECIPES.glob("*.png")} == set(cases.PNGS)


@pytest.mark.parametrize("record", files.read("recipes"), ids=lambda r: r["name"])
def test_an_old_recipe_opens(record: dict):
    recorded = json.loads(_recipe(record["name"]))
    opened = json.loads(program.opened(_recipe(record["name"]).encode()))
    assert opened["settings"] == recorded["settings"] and opened["settings"]["kind"] == record["kind"]


@pytest.mark.parametrize("name", cases.PNGS)
def test_an_old_png_opens_as_its_recipe(name: str):
    data = (files.RECIPES / f"{name}.png").read_bytes()
    assert json.loads(program.opened(data)) == json.loads(program.opened(_recipe(name).encode()))


@pytest.mark.parametrize(
    "record",
    [pytest.param(*p.values[1:], id=p.values[1]["name"], marks=p.marks) for p in _params("recipes")],
)
def test_an_old_recipe_is_answered_as_before(app: Asked, record: dict):
    _skip_without(record)
    _assert_same(record["answer"], app.ask("recipe", {"recipe": _recipe(record["name"])}))


@pytest.mark.parametrize("record", files.read("recipes"), ids=lambda r: r["name"])
def test_the_page_takes_the_recipes_that_it_took(app: Asked, record: dict):
    _skip_without(record)
    assert app.takes(_recipe(record["name"])) == record["page"]


def test_the_page_takes_a_recipe_of_every_kind():
    records = files.read("recipes")
    assert {r["kind"] for r in records if r["page"]} == {r["kind"] for r in records}


@pytest.mark.parametrize(
    "record",
    [pytest.param(*p.values[1:], id=p.values[1]["button"], marks=p.marks) for p in _params("exports")],
)
def test_an_export_has_the_recorded_fields(app: Asked, record: dict):
    _skip_without(record)
    fields = file_fields(*app.saved(record["button"], record["values"]))
    lines = differences(record["file"], fields, record["button"])
    assert not lines, "\n".join(lines[:20])
