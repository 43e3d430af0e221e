"""Models in folders and on the Hugging Face Hub: `model.safetensors`, `config.json` and a model card, README.md.

`huggingface_hub` (it comes with gradio) is imported when something is fetched, never before. Uploading is that
library's own business: `huggingface_hub.upload_folder(repo_id=..., folder_path=...)` after `save_pretrained`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from foundation.files.atomic_write import atomic_write
from foundation.files.checkpoints import CheckpointError, Header, peek, sha256

MODEL_FILE = "model.safetensors"
HUB_PREFIX = "hf://"
_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?(?:#sha256=([0-9a-f]{64}))?")


def resolve(name_or_path: str | Path) -> str | Path:
    """The file of a model in a folder or on the hub; names and files stay as they are.

    Args:
        name_or_path: a folder that holds `model.safetensors`, "hf://user/repo" with "@revision" and
            "#sha256=HEX" behind it if wanted, or anything else.

    Raises:
        CheckpointError: the hub's file cannot be had, or has another checksum than was asked for.
    """
    if str(name_or_path).startswith(HUB_PREFIX):
        match = _ADDRESS.fullmatch(str(name_or_path))
        if match is None:
            raise CheckpointError(
                f"{str(name_or_path)[:100]!r} is no address: write hf://user/repo, hf://user/repo@revision, or either "
                "with #sha256= and 64 hex digits behind it.",
                "address",
            )
        return fetch(*match.groups())
    inside = Path(name_or_path) / MODEL_FILE
    return inside if inside.is_file() else name_or_path


def fetch(repo: str, revision: str | None = None, checksum: str | None = None) -> Path:
    """`model.safetensors` of a repository, from the cache or the hub.

    Args:
        repo: "user/name".
        revision: branch, tag or commit; the default branch if None.
        checksum: sha256 that the file must have, 64 hex digits.

    Raises:
        CheckpointError: no huggingface_hub, no such file, no network, or another checksum.
    """
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise CheckpointError(
            "Models on the hub need the package: `pip install huggingface_hub`.", "huggingface_hub"
        ) from None
    try:
        path = Path(hf_hub_download(repo, MODEL_FILE, revision=revision))
    except Exception as e:  # no network, no such repository, no right to read it: one thing to the user
        raise CheckpointError(
            f"{MODEL_FILE} of {repo} cannot be fetched ({type(e).__name__}): check the name and the network, or give "
            "a local folder.",
            "repo",
        ) from None
    if checksum is not None and sha256(path) != checksum:
        raise CheckpointError(
            f"{MODEL_FILE} of {repo} has another checksum than was asked for: it is another model.", "sha256"
        )
    return path


def describe(folder: str | Path) -> None:
    """Write `config.json` and README.md beside the `model.safetensors` of a folder."""
    folder = Path(folder)
    header = peek(folder / MODEL_FILE)
    texts = {
        "config.json": json.dumps({"kind": header.kind, **header.config}, indent=2) + "\n",
        "README.md": model_card(header),
    }
    for name, text in texts.items():
        with atomic_write(folder / name) as part:
            part.write_text(text, encoding="utf-8")


def model_card(header: Header) -> str:
    """The card of a checkpoint in the hub's form: YAML between lines of ---, then Markdown."""
    card = header.card
    name = str(card.get("name", "model"))
    about = {"library_name": "koopman-studio", "pipeline_tag": "unconditional-image-generation",
             "tags": ["koopman", "diffusion", "one-step", header.kind]}  # fmt: skip
    if "licence" in card:
        about |= {"license": "other", "license_name": "see-below"}
    front = "\n".join(f"{k}: {json.dumps(v)}" for k, v in about.items())  # JSON is YAML
    data, origin, metrics = (_table(card, key) for key in ("data", "origin", "metrics"))
    rows = {
        "what": card.get("summary") or card.get("kind") or header.kind, "parameters": f"{header.parameters:,}",
        "teacher": card.get("teacher"), "data": data.get("name"), "licence of the data": data.get("licence"),
        "licence of the weights": card.get("licence"), "made from": origin.get("file"),
        "sha256 of that file": origin.get("sha256"), "pictures seen": card.get("images_seen"),
        "hours": card.get("hours"), "device": card.get("device"), "code version": card.get("version"),
    }  # fmt: skip
    rows |= {f"measured: {k}": v for k, v in metrics.items() if isinstance(v, str | int | float)}
    table = "\n".join(f"| {_cell(k)} | {_cell(v)} |" for k, v in rows.items() if v not in (None, ""))
    load = {"hkd": "koopman_core.load", "teacher": "koopman_core.load_teacher"}.get(header.kind, "koopman_core.load")
    return f'---\n{front}\n---\n\n# {_cell(name)}\n\n| | |\n|---|---|\n{table}\n\n    {load}("hf://USER/REPO")\n'


def _table(card: dict, key: str) -> dict:
    value = card.get(key)
    return value if isinstance(value, dict) else {}


def _cell(value) -> str:
    return re.sub(r"\s+", " ", str(value)).replace("|", "\\|").replace("<", "&lt;")[:1000]
