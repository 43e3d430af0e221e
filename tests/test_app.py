"""Start of the app: arguments and sentences; no server is started here."""

from __future__ import annotations

import errno
import os
import re
import socket
import urllib.request

import gradio as gr
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
    assert (args.host, args.port, args.models, args.model, args.public) == ("127.0.0.1", 7860, None, None, False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.5.5.5"])
def test_loopback_needs_no_permission(host):
    assert app.parse(["--host", host]).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.7", "::", "example.org"])
def test_another_host_needs_public(host, capsys):
    with pytest.raises(SystemExit) as stop:
        app.parse(["--host", host])
    assert stop.value.code == 2
    assert "--public" in capsys.readouterr().err
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
    assert "--port" in error and "Traceback" not in error


def test_a_foreign_address_is_a_sentence(kept_environment, capsys):
    assert app.main(["--host", "203.0.113.9", "--public", "--port", "7899"]) == 2
    assert "203.0.113.9" in capsys.readouterr().err


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def has_ipv6() -> bool:
    try:
        return bool(free_port("::1"))
    except OSError:
        return False


def test_the_port_that_is_offered_is_free(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        offered = int(re.search(r"--port (\d+)", app.obstacle("127.0.0.1", port)).group(1))
        assert port < offered <= port + app.TRIED and app.obstacle("127.0.0.1", offered) == ""


def test_no_port_is_offered_beyond_the_last(monkeypatch):
    asked = []
    monkeypatch.setattr(app, "port_is_free", lambda host, port: asked.append(port))
    assert app.obstacle("127.0.0.1", 65534) and max(asked) == 65535


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        UnicodeError("label too long"),
        OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_what_stands_in_the_way_is_a_sentence(kept_environment, capsys, error):
    def refused(host, port):
        raise error

    kept_environment.setattr(app, "port_is_free", refused)
    assert app.main([]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and ("--host" in said or "--port" in said)


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".org", "1.2.3.4:80", "http://127.0.0.1"])
def test_names_that_cannot_be_looked_up_are_a_sentence(kept_environment, capsys, host):
    kept_environment.setattr(app.socket, "getaddrinfo", _no_names)
    assert app.main(["--host", host, "--public"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def _no_names(host, port, **_):
    host.encode("idna")
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize("host", ["", " ", "a b", "127.0.0.1\n", "\0", "fe80::1%eth0"])
def test_what_is_no_address_is_refused_before_anything_starts(host, capsys):
    with pytest.raises(SystemExit) as stop:
        app.parse(["--host", host, "--public"])
    assert stop.value.code == 2 and "--host" in capsys.readouterr().err


@pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 here")
@pytest.mark.parametrize("host", ["::1", "[::1]", "::"])
def test_ipv6_is_served(kept_environment, host):
    with gr.Blocks() as demo:
        gr.Markdown("x")
    kept_environment.setattr(app, "page", lambda args: (demo, {"prevent_thread_lock": True, "ssr_mode": False}))
    port = free_port("::1")
    arguments = ["--host", host, "--port", str(port), *(["--public"] if host == "::" else [])]
    try:
        assert app.main(arguments) == 0
        with urllib.request.urlopen(app.address(app.bare(host), port), timeout=20) as answer:
            assert answer.status == 200
    finally:
        demo.close(verbose=False)


def test_no_models_is_a_sentence(kept_environment, tmp_path, capsys):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert app.main(["--models", str(tmp_path), "--port", str(port)]) == 2
    error = capsys.readouterr().err
    assert "*.hkd.safetensors" in error and str(tmp_path) in error and "Traceback" not in error


def test_the_model_to_open_on_must_be_there(kept_environment, capsys):
    assert app.main(["--model", "nobody"]) == 2
    said = capsys.readouterr().err
    assert "--model" in said and "portraits" in said


def test_only_broken_models_is_a_sentence(kept_environment, tmp_path, capsys):
    (tmp_path / "bad.hkd.safetensors").write_bytes(b"not a model")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert app.main(["--models", str(tmp_path), "--port", str(port)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_where_others_reach_it():
    assert app.reached("0.0.0.0", 7860) == "0.0.0.0:7860"
    assert app.reached("::", 7860) == "[::]:7860"
    alone = app.reached("127.0.0.1", 7860)
    assert alone.startswith("127.0.0.1:7860") and alone != "127.0.0.1:7860"  # and that nobody else does


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:80/"),
        ("0.0.0.0", "http://127.0.0.1:80/"),
        ("::1", "http://[::1]:80/"),
        ("::", "http://[::1]:80/"),
    ],
)
def test_the_printed_address_can_be_opened(host, expected):
    assert app.address(host, 80) == expected
