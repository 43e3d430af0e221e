"""Starts the browser app: python app.py [--host 127.0.0.1] [--port 7860] [--models DIR] [--public]."""

from __future__ import annotations

import argparse
import errno
import ipaddress
import math
import os
import socket
import sys

MAX_THREADS = 4  # small pictures gain nothing from more, and a laptop stays usable


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The arguments; exits with a sentence when they do not fit together."""
    parser = argparse.ArgumentParser(prog="app.py", description="Koopman Studio in your browser.")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)"
    )
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--models", metavar="DIR", help="folder with *.hkd.safetensors models (default: the shipped ones)"
    )
    parser.add_argument(
        "--public", action="store_true", help="strangers may come: smaller limits, stricter headers, and any --host"
    )
    args = parser.parse_args(argv)
    if not 1 <= args.port <= 65535:
        parser.error("--port must be a whole number from 1 to 65535.")
    if not is_loopback(args.host) and not args.public:
        parser.error(f"--host {args.host} can be reached from other machines: add --public if you want that.")
    return args


def is_loopback(host: str) -> bool:
    """Whether `host` means this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def prepare_environment() -> None:
    """Settings that must stand before gradio and torch are imported."""
    for name, value in {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
    }.items():
        os.environ[name] = value
    os.environ.pop("GRADIO_VIBE_MODE", None)  # would let any visitor run code
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(min(MAX_THREADS, os.cpu_count() or 1)))


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now.

    Raises:
        OSError: the address itself does not belong to this machine.
    """
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, proto) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as e:
            if e.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def fail(sentence: str) -> int:
    """Say what is wrong; the exit code."""
    print(f"app.py: {sentence}", file=sys.stderr)
    return 2


def main(argv: list[str] | None = None) -> int:
    """Start the app; returns the exit code, 2 where it cannot start."""
    args = parse(argv)
    prepare_environment()
    try:
        if not port_is_free(args.host, args.port):
            return fail(f"port {args.port} is in use or not allowed: choose another one with --port.")
    except OSError as e:
        return fail(f"{args.host} is not an address of this machine ({e.strerror}): choose another --host.")

    from ui.server.startup import no_garbage

    with no_garbage():
        from analysis.core.errors import UserError

        try:
            demo, options = page(args)
        except UserError as e:
            return fail(str(e))
    print(f"Koopman Studio: {address(args.host, args.port)} (stop with Ctrl+C)", flush=True)
    demo.launch(server_name=args.host, server_port=args.port, quiet=True, **options)
    return 0


def page(args: argparse.Namespace) -> tuple:
    """The page, its first picture made, and the arguments of its `launch`.

    Raises:
        UserError: the default model cannot be used.
    """
    from analysis.workbench.library import ModelLibrary
    from ui.server.gradio_internals import without_stubs
    from ui.server.startup import first_trajectory

    library = ModelLibrary(args.models) if args.models else ModelLibrary()
    print("Making the first picture and its trajectory ...", flush=True)
    with first_trajectory(library), without_stubs():
        from ui.app import build_app, launch_options
        from ui.server import limits

    patience = math.inf
    if args.public:
        limits.close_doors(library)
        patience = limits.PUBLIC_PATIENCE
    demo, options = build_app(library, patience=patience), launch_options()
    if args.public:
        options = limits.restrict(demo, options)
        print(limits.exposure(reached(args.host, args.port), demo, library.names()), flush=True)
    return demo, options


def address(host: str, port: int) -> str:
    """What to open in a browser on this machine."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"


def reached(host: str, port: int) -> str:
    """Where others reach the app."""
    there = f"{host}:{port}"
    return f"{there} (this machine only, or through a proxy of yours)" if is_loopback(host) else there


if __name__ == "__main__":
    sys.exit(main())
