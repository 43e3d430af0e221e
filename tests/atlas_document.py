"""A small mode atlas, as `analysis.evaluate.atlas` writes it."""

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def cluster(level, number, effect, factor, **more):
    name = f"skip {level}"
    return {
        "address": f"tiny/skip{level}/c{number}", "level": level, "number": number, "name": name, "modes": [1, 2],
        "effect": [effect, 0.9 * effect, 1.1 * effect], "control": [0.001, 0.0005, 0.002], "gain": [effect, 0.1, 0.2],
        "x": 0.5, "y": 0.5, "radius": 0.1, "place": "centre", "frequency": None, "alpha": [-1, 0, 1], "beta": [0, 1, 2],
        "picture": PIXEL, "scale": 0.3,
        "seeds": [{"seed": 5, "mse": effect, "full": PIXEL, "without": PIXEL, "difference": PIXEL, "magnification": 2}],
        "factors": [{"name": factor, "share": [0.4, 0.3, 0.5], "carried": True}], "everything": [0.1, 0.05, 0.2],
        "match": "other/skip0/c1", "cosine": 0.7, "again": True, "recipe": {"version": 1},
    } | more  # fmt: skip


DOCUMENT = {
    "format": 1, "model": "tiny", "checkpoint": "ab" * 32, "command": "python -m x", "criterion": "the largest",
    "second": "other", "again": 3, "again_bound": 0.4, "data": "shapes",
    "levels": [{"name": f"skip {i}", "modes": 9, "idle": 1, "clusters": 2, "silhouettes": {"2": 0.4}} for i in (0, 1)],
    "clusters": [cluster(0, 0, 0.02, "hair"), cluster(0, 1, 0.03, "mouth </script><b>"), cluster(1, 0, 0.01, "hair")],
}  # fmt: skip
