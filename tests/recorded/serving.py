"""The whole app, served in this process and asked through HTTP alone."""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from gradio_client import Client
from gradio_client.exceptions import AppError

from tests.recorded import program
from tests.recorded.files import weights_of

# endpoints whose empty model is the default one
OF_A_MODEL = frozenset(
    [
        "generate",
        "trajectory",
        "spectrum",
        "mask_bands",
        "cumulative_effect",
        "mode",
        "surgery",
        "linearity",
        "attribution",
        "edit",
        "inpaint",
        "colorize",
        "invert",
        "direction",
    ]
)
DATA, SEA = "KOOPMAN_DATA", "sst"  # the folder with data sets, and what is read of it
WAIT = 120  # seconds for an answer; a busy machine is slow


class Asked:
    """A client of the running app.

    Args:
        url: where it is served.
    """

    def __init__(self, url: str):
        # no certificates: reading them anew takes longer than most answers
        self.client = Client(url, verbose=False, ssl_verify=False)
        self.http = httpx.Client(base_url=url, verify=False, timeout=WAIT)
        self.config = self.http.get("config").json()

    def ask(self, endpoint: str, arguments: dict) -> Any:
        """The answer of an endpoint. Raises AppError: refused."""
        return self.client.submit(**arguments, api_name=f"/{endpoint}").result(timeout=WAIT)

    def refusal(self, endpoint: str, arguments: dict) -> str:
        """The sentence of a refused question. Raises ValueError: it was answered."""
        try:
            self.ask(endpoint, arguments)
        except AppError as error:
            return str(error)
        raise ValueError(f"/{endpoint} answers {str(arguments)[:200]}")

    def press(self, element: str, values: dict[str, Any] | None = None) -> list:
        """What a button of the page answers, as the page itself asks.

        Args:
            element: its elem_id.
            values: of other components, by elem_id, where they are not those that the page opens with.

        Raises:
            AppError: refused.
        """
        parts = {c["id"]: c for c in self.config["components"]}
        ids = {c["props"].get("elem_id"): c["id"] for c in self.config["components"]}
        event = next(d for d in self.config["dependencies"] if [ids[element], "click"] in d["targets"])
        chosen = {ids[name]: value for name, value in (values or {}).items()}
        data = [
            chosen.get(i, None if parts[i]["type"] == "state" else parts[i]["props"].get("value"))
            for i in event["inputs"]
        ]
        session = secrets.token_hex(8)
        body = {"data": data, "fn_index": event["id"], "session_hash": session}
        self.http.post("gradio_api/queue/join", json=body).raise_for_status()
        with self.http.stream("GET", f"gradio_api/queue/data?session_hash={session}") as lines:
            for line in lines.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    if not message["success"]:
                        raise AppError(str(message["output"].get("error")))
                    return message["output"]["data"]
        raise ValueError(f"{element} gave no answer")

    def takes(self, recipe: str) -> bool:
        """Whether the page opens a pasted recipe; what it has no controls for it refuses."""
        try:
            return bool(self.press("recipe-open", {"recipe-text": recipe}))
        except AppError:
            return False

    def saved(self, element: str, values: dict[str, Any] | None = None) -> tuple[str, bytes]:
        """Name and content of the file that a button of the page saves."""
        for value in self.press(element, values):
            value = value.get("value") if isinstance(value, dict) else value
            if isinstance(value, str) and value.startswith("{") and "data" in (file := json.loads(value)):
                return file["name"], base64.b64decode(file["data"])
        raise ValueError(f"{element} saves nothing")

    def weights(self, endpoint: str, arguments: dict, answer: Any) -> dict[str, str]:
        """The weights that answered a question; none where all is known in closed form."""
        text = arguments.get("recipe") or (answer if isinstance(answer, str) else "{}")
        recipe = json.loads(text)
        names = {*recipe.get("nets", {}), recipe.get("model")}
        for part in (arguments, answer):
            if isinstance(part, dict):
                names |= {part.get("net"), part.get("model")}
        if endpoint in OF_A_MODEL and not arguments.get("model"):
            names.add(self.default)
        return weights_of({n for n in names if n})

    @property
    def default(self) -> str:
        """The model that answers where none is named."""
        return self.client.predict(api_name="/models")[0]["name"]


@contextmanager
def _sea_alone() -> Iterator[None]:
    """Within, the program has of the folder with data sets the sea temperatures alone, which do not ship.

    Of what ships, that folder may hold a longer version, which gives other numbers.
    """
    before = os.environ.get(DATA)
    with tempfile.TemporaryDirectory() as folder:
        if before and (there := Path(before).expanduser() / SEA).is_dir():
            (Path(folder) / SEA).symlink_to(there.resolve())
        os.environ[DATA] = folder
        try:
            yield
        finally:
            os.environ.pop(DATA)
            os.environ.update({DATA: before} if before else {})


@contextmanager
def running() -> Iterator[Asked]:
    """The app while it is there."""
    with _sea_alone():
        yield from _served()


def _served() -> Iterator[Asked]:
    demo, options = program.build()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    demo.launch(server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True, **options)
    try:
        yield Asked(f"http://127.0.0.1:{port}/")
    finally:
        demo.close(verbose=False)


def signatures(app: Asked) -> list[dict]:
    """Every endpoint that is offered, with its arguments in their order and their defaults."""
    offered = app.client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    return [
        {
            "endpoint": name.removeprefix("/"),
            "arguments": [[p["parameter_name"], p["parameter_default"]] for p in about["parameters"]],
            "optional": all(p["parameter_has_default"] for p in about["parameters"]),
            "answers": len(about["returns"]),
        }
        for name, about in sorted(offered.items())
    ]
