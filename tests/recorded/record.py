"""`python -m tests.recorded.record [NAME ...]`: ask the present program everything, and write down the answers.

NAME: endpoints, or recipes, exports, commands, endpoints; all by default. Recipes that are there stay as they are: they
prove that old ones open. Series of sea temperatures need KOOPMAN_DATA.
"""

from __future__ import annotations

import argparse
import base64
import os
import time
from typing import Any

from tests.recorded import cases, files, program
from tests.recorded.cases import After, Refused
from tests.recorded.commands import call, options
from tests.recorded.exports import file_fields
from tests.recorded.reduction import reduced
from tests.recorded.serving import Asked, running, signatures

SLOW = 3.0  # seconds; recordings that took longer carry the mark
OTHERS = ("endpoints", "recipes", "exports", "commands")


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    choices = (*cases.QUESTIONS, *OTHERS)
    parser = argparse.ArgumentParser(prog="tests.recorded.record", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(choices)}")
    names = parser.parse_args(argv).names or choices
    if unknown := set(names) - set(choices):
        parser.error(f"there is no {sorted(unknown)[0]!r}: choose any of {', '.join(choices)}.")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if "commands" in names:
        files.write("commands", _commands())
    if set(names) == {"commands"}:
        return 0
    with running() as app:
        for name in names:
            if name == "endpoints":
                files.write(name, signatures(app))
            elif name == "recipes":
                files.write(name, [_recipe(app, n) for n in cases.RECIPES])
            elif name == "exports":
                files.write(name, [_export(app, button) for button in cases.EXPORTS])
            elif name != "commands":
                files.write(name, [_answer(app, name, asked) for asked in cases.QUESTIONS[name]])
            print(name, flush=True)
    return 0


def _timed(record: dict, start: float) -> dict:
    seconds = time.perf_counter() - start
    print(f"  {seconds:6.2f} s  {str(record)[:100]}", flush=True)
    return {"slow": True} | record if seconds > SLOW else record


def _answer(app: Asked, endpoint: str, asked: dict | Refused | After) -> dict[str, Any]:
    start = time.perf_counter()
    if isinstance(asked, Refused):
        sentence = app.refusal(endpoint, asked.arguments)
        if not cases.names(sentence, asked.field):
            raise ValueError(f"/{endpoint} refuses {asked.arguments} without a word on {asked.field}: {sentence}")
        return _timed({"arguments": asked.arguments, "refused": asked.field}, start)
    if isinstance(asked, After):
        first = app.ask(asked.endpoint, asked.first)
        taken = {argument: first[key] for argument, key in asked.take.items()}
        answer, arguments = app.ask(endpoint, asked.arguments | taken), asked.arguments
        more = {"after": {"endpoint": asked.endpoint, "arguments": asked.first, "take": asked.take}}
    else:
        more = {"data": asked["model"]} if asked.get("model") in cases.NEEDS_DATA else {}
        answer, arguments = app.ask(endpoint, asked), asked
    weights = {} if endpoint == "models" else app.weights(endpoint, arguments, answer)
    return _timed({"arguments": arguments, **more, "weights": weights, "answer": reduced(answer)}, start)


def _recipe(app: Asked, name: str) -> dict[str, Any]:
    start = time.perf_counter()
    model, settings = cases.RECIPES[name]
    path = files.RECIPES / f"{name}.json"
    if not path.exists():
        path.write_text(app.ask("describe", {"model": model, "settings": settings}), encoding="utf-8")
    text = path.read_text(encoding="utf-8")
    answer = app.ask("recipe", {"recipe": text})
    image = path.with_suffix(".png")
    if name in cases.PNGS and not image.exists():
        image.write_bytes(program.png_with(text, _first(answer["pictures"])))
    weights = app.weights("recipe", {"recipe": text}, answer)
    return _timed(
        {
            "name": name,
            "kind": settings["kind"],
            "page": app.takes(text),
            "weights": weights,
            "answer": reduced(answer),
        },
        start,
    )


def _first(pictures: Any) -> bytes:
    """The first image of nested dicts and lists."""
    while not isinstance(pictures, str):
        pictures = next(iter(pictures.values())) if isinstance(pictures, dict) else pictures[0]
    return base64.b64decode(pictures)


def _export(app: Asked, button: str) -> dict[str, Any]:
    start = time.perf_counter()
    values = cases.EXPORTS[button]
    fields = file_fields(*app.saved(button, values))
    return _timed(
        {"button": button, "values": values, "weights": files.weights_of({app.default}), "file": fields}, start
    )


def _commands() -> list[dict]:
    helps = [{"command": c, "help": options(c)} for c in program.COMMANDS]
    calls = [{"command": c, "arguments": arguments, "code": code} for c, arguments, code in cases.CALLS]
    for record in calls:
        code, text = call(record["command"], record["arguments"])
        if code != record["code"]:
            raise ValueError(f"{record} ends with {code}: {text}")
    return [*helps, *calls]


if __name__ == "__main__":
    raise SystemExit(main())
