"""What the page sends of the settings of pictures."""

from __future__ import annotations


def controls(*settings, data="shapes", label=-1, pictures=2, seed=0, nfe=3):
    """What the page sends: shared controls, and the fields of each setting with its letter."""
    shared = {"data": data, "label": label, "pictures": pictures, "grid": "uniform", "seed": seed}
    for letter, (path, sampler) in zip("abcd", settings, strict=False):
        fields = {"shown": True, "path": path, "sampler": sampler, "nfe": nfe, "gamma1": 0.2, "gamma2": 0, "gamma3": 0}
        shared |= {f"{name}_{letter}": value for name, value in fields.items()}
    return shared


def hidden(values: dict) -> dict:
    return {k: False if k.startswith("shown_") else v for k, v in values.items()}
