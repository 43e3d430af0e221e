"""Start of the app: arguments and sentences; no server is started here."""

from __future__ import annotations

import os
import socket

import pytest

import app


@pytest.fixture
def kept_environment(monkeypatch):
    """What `prepare_environment` changes, put back afterwards."""
    for name in ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_OFFLINE", "GRADIO_VIBE_MODE"):
        monkeypatch.setenv(name, "1")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    return monkeypatch


def test_defaults():
    args = app.parse([])
    assert (args.host, args.port, args.models, args.public) == ("127.0.0.1", 7860, None, False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.5.5.5"])
def test_loopback_needs_no_permission(host):
    assert app.parse(["--host", host]).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.7", "::", "example.org"])
def test_another_host_needs_public(host, capsys):
    with pytest.raises(SystemExit) as stop:
        app.parse(["--host", host])
    assert stop.value.code == 2
    assert "add --public" in capsys.readouterr().err
    assert app.parse(["--host", host, "--public"]).public


@pytest.mark.parametrize("port", ["0", "70000", "-3", "x"])
def test_a_port_out_of_range_is_refused(port, capsys):
    with pytest.raises(SystemExit) as stop:
        app.parse(["--port", port])
    assert stop.value.code == 2
    assert "--port" in capsys.readouterr().err


def test_environment_is_offline_and_bounded(kept_environment):
    kept_environment.delenv("OMP_NUM_THREADS")
    app.prepare_environment()
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert "GRADIO_VIBE_MODE" not in os.environ
    assert 1 <= int(os.environ["OMP_NUM_THREADS"]) <= app.MAX_THREADS
    assert os.environ["MKL_NUM_THREADS"] == "1"  # what the user has set stays


def test_a_busy_port_is_a_sentence(kept_environment, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert app.main(["--port", str(taken.getsockname()[1])]) == 2
    error = capsys.readouterr().err
    assert "choose another one with --port" in error and "Traceback" not in error


def test_a_foreign_address_is_a_sentence(kept_environment, capsys):
    assert app.main(["--host", "203.0.113.9", "--public", "--port", "7899"]) == 2
    assert "not an address of this machine" in capsys.readouterr().err


def test_no_models_is_a_sentence(kept_environment, tmp_path, capsys):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert app.main(["--models", str(tmp_path), "--port", str(port)]) == 2
    error = capsys.readouterr().err
    assert "no *.hkd.safetensors model" in error and "Traceback" not in error


def test_only_broken_models_is_a_sentence(kept_environment, tmp_path, capsys):
    (tmp_path / "bad.hkd.safetensors").write_bytes(b"not a model")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert app.main(["--models", str(tmp_path), "--port", str(port)]) == 2
    assert "can be read" in capsys.readouterr().err


def test_where_others_reach_it():
    assert app.reached("0.0.0.0", 7860) == "0.0.0.0:7860"
    assert app.reached("127.0.0.1", 7860).startswith("127.0.0.1:7860 (this machine only")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", "http://127.0.0.1:80/"), ("0.0.0.0", "http://127.0.0.1:80/"), ("::1", "http://[::1]:80/")],
)
def test_the_printed_address_can_be_opened(host, expected):
    assert app.address(host, 80) == expected
