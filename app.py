"""Starts the browser app: python app.py [--host 127.0.0.1] [--port 7860] [--models DIR] [--model NAME] ..."""

from __future__ import annotations

import argparse
import errno
import ipaddress
import math
import os
import re
import socket
import sys

MAX_PORT = 65535
TRIED = 100  # ports above the one that is in use
# scheme, host and port of a page, as a content security policy takes it
ORIGIN = r"https?://(\*\.)?([A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*|\[[0-9a-fA-F:]+\])(:\d{1,5})?"
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
    parser.add_argument("--model", metavar="NAME", help="the model to open on (default: portraits)")
    parser.add_argument(
        "--public", action="store_true", help="strangers may come: smaller limits, stricter headers, and any --host"
    )
    parser.add_argument(
        "--root-path", metavar="PATH", default="", help="where a proxy shows the page, like /ks (docs/deploy.md)"
    )
    parser.add_argument(
        "--frame-from", metavar="URL", action="append", default=[],
        help="let pages of this host show the studio in a frame, like https://course.example.org; may be repeated",
    )  # fmt: skip
    args = parser.parse_args(argv)
    args.host = bare(args.host)
    args.root_path = args.root_path.rstrip("/")
    if not re.fullmatch(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*", args.root_path):
        parser.error("--root-path is a path of letters, digits and -._~ from the root of the host, like /ks.")
    if wrong := next((url for url in args.frame_from if not re.fullmatch(ORIGIN, url)), None):
        parser.error(f"--frame-from {wrong!r:.80}: give scheme and host only, like https://course.example.org.")
    if not args.host or not args.host.isprintable() or " " in args.host:
        parser.error("--host needs an address or name of this machine, like 127.0.0.1, ::1 or 0.0.0.0.")
    if "%" in args.host:
        parser.error(f"--host {args.host}: an address with a zone cannot be opened in a browser; use another one.")
    if not 1 <= args.port <= MAX_PORT:
        parser.error(f"--port must be a whole number from 1 to {MAX_PORT}.")
    if not is_loopback(args.host) and not args.public:
        parser.error(f"--host {args.host} can be reached from other machines: add --public if you want that.")
    return args


def bare(host: str) -> str:
    """An address without the brackets that IPv6 has in a URL."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def in_url(host: str) -> str:
    """An address as it stands in a URL: IPv6 in brackets, which is also what Gradio wants."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether `host` means this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def prepare_environment(host: str = "127.0.0.1") -> None:
    """Settings that must stand before gradio and torch are imported; `host` = where the app will listen."""
    for name, value in {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
        # else every answer makes a table of all answers before it, for a page of figures that is not offered
        "GRADIO_ANALYTICS_CACHE_FREQUENCY": str(10**12),
        "GRADIO_ANALYTICS_MAX_EVENTS": "100",
    }.items():
        os.environ[name] = value
    # Gradio asks its own server whether it is there, and would ask a proxy for it
    own = {"127.0.0.1", "localhost", "::1", host}
    for name in ("no_proxy", "NO_PROXY"):
        known = os.environ.get(name) or os.environ.get(name.swapcase(), "")
        os.environ[name] = ",".join([*filter(None, [known]), *sorted(own - set(known.split(",")))])
    os.environ.pop("GRADIO_VIBE_MODE", None)  # would let any visitor run code
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(min(MAX_THREADS, os.cpu_count() or 1)))


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now.

    Raises:
        OSError: the name has no address, or one that does not belong to this machine.
        PermissionError: the port is for root alone.
        UnicodeError: the name cannot be one.
    """
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, proto) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as e:
            if e.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def obstacle(host: str, port: int) -> str:
    """Why no server can listen there, in a sentence with its cure; "" where one can."""
    try:
        if port_is_free(host, port):
            return ""
        free = next((p for p in range(port + 1, min(port + TRIED, MAX_PORT) + 1) if port_is_free(host, p)), None)
        offer = f"{free} is free, so add --port {free}" if free else "choose another one with --port"
        return f"port {port} is in use: {offer}."
    except PermissionError:
        return f"port {port} is not allowed to you: choose one from 1024 with --port."
    except socket.gaierror as e:
        return f"the name {host} has no address ({e.strerror}): choose another --host, or write its address."
    except UnicodeError:
        return f"{host!r:.80} cannot be the name of a machine: choose another --host."
    except OSError as e:
        return f"{host} is not an address of this machine ({e.strerror}): choose another --host."


def fail(sentence: str) -> int:
    """Say what is wrong; the exit code."""
    print(f"app.py: {sentence}", file=sys.stderr)
    return 2


def main(argv: list[str] | None = None) -> int:
    """Start the app; returns the exit code, 2 where it cannot start."""
    args = parse(argv)
    prepare_environment(args.host)
    if why := obstacle(args.host, args.port):
        return fail(why)

    from ui.server.startup import no_garbage

    with no_garbage():
        from analysis.core.errors import UserError

        try:
            demo, options = page(args)
        except UserError as e:
            return fail(str(e))
    print(f"Koopman Studio: {address(args.host, args.port)} (stop with Ctrl+C)", flush=True)
    try:
        demo.launch(server_name=in_url(args.host), server_port=args.port, quiet=True, **options)
    except OSError:
        if why := obstacle(args.host, args.port):  # somebody took it while the page was made
            return fail(why)
        raise
    return 0


def page(args: argparse.Namespace) -> tuple:
    """The page, its first picture made, and the arguments of its `launch`.

    Raises:
        UserError: no such model to open on, or one that cannot be used.
    """
    from analysis.core.errors import UserError
    from analysis.studio import Studio
    from analysis.workbench.library import DEFAULT_MODEL
    from foundation.files.models import MODELS_DIR
    from ui.server.gradio_internals import without_stubs
    from ui.server.startup import first_trajectory

    studio = Studio(args.models or MODELS_DIR, args.model or DEFAULT_MODEL)
    library = studio.library
    if args.model and library.default != args.model:
        raise UserError(f"There is no model of that name: give --model one of {', '.join(library.names())}.", "model")
    print("Making the first picture and its trajectory ...", flush=True)
    with first_trajectory(library), without_stubs():
        from ui.app import build_app, launch_options
        from ui.server import limits

    patience = math.inf
    if args.public:
        limits.close_doors(library)
        patience = limits.PUBLIC_PATIENCE
    demo, options = build_app(studio, patience=patience), launch_options()
    if args.public:
        options = limits.restrict(demo, options)
        print(limits.exposure(reached(args.host, args.port), demo, library.names()), flush=True)
    return demo, limits.shown_in(options, args.frame_from) | {"root_path": args.root_path or None}


def address(host: str, port: int) -> str:
    """What to open in a browser on this machine."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{in_url(shown)}:{port}/"


def reached(host: str, port: int) -> str:
    """Where others reach the app."""
    there = f"{in_url(host)}:{port}"
    return f"{there} (this machine only, or through a proxy of yours)" if is_loopback(host) else there


if __name__ == "__main__":
    sys.exit(main())
