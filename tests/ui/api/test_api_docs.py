"""The examples of docs/api.md against the running app, in their order; no endpoint is missing on the page."""

import json
import re
import shlex
import urllib.request
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text()
ADDRESS = "http://127.0.0.1:7860"
EXAMPLES = re.compile(r"```python\n(.*?)```", re.S)


@pytest.fixture(scope="module")
def names(url, tmp_path_factory):
    """What the examples leave behind."""
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("api"))
        for i, example in enumerate(EXAMPLES.findall(PAGE)):
            exec(compile(example.replace(ADDRESS, url.rstrip("/")), f"api.md[{i}]", "exec"), names)
        names["saved"] = Path("without_smallest.png").exists()
    return names


def test_the_examples_give_what_they_say(names):
    assert names["answer"]["nfe"] == 1 and len(names["pictures"]) == 2
    assert len(names["way"]["koopman"]) == 6 and names["way"]["tau"][0] == pytest.approx(1)
    assert len(names["between"]["pictures"]) == 4 and names["raced"]["model"]["calls"] == [1]
    assert names["pairs"]["mse"] == sorted(names["pairs"]["mse"], reverse=True)
    assert names["masked"]["mse"] > 0 and names["saved"]
    assert names["filled"]["nfe"] == 4 and names["again"]["kind"] == "generate"
    assert names["effect"]["decoded_bands"] is not None


def test_every_endpoint_is_on_the_page(names):
    offered = set(names["client"].view_api(return_format="dict", print_info=False)["named_endpoints"])
    assert offered == set(re.findall(r"`(/\w+)`", PAGE))


def test_plain_http_as_the_page_has_it(url):
    first, second = (shlex.split(line) for line in re.search(r"```sh\n(.*?)\n```", PAGE, re.S)[1].splitlines())
    body, address = first[first.index("-d") + 1].encode(), first[-1].replace(ADDRESS, url.rstrip("/"))
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        event = json.load(reply)["event_id"]
    address = second[-1].replace(ADDRESS, url.rstrip("/")).replace("EVENT_ID", event)
    with urllib.request.urlopen(address, timeout=120) as reply:
        answer = reply.read().decode()
    assert "event: complete" in answer
    data = json.loads(re.search(r"event: complete\ndata: (.*)", answer)[1])
    assert len(data[0]["pictures"]) == 2
