"""What the scripts share: their arguments, and checks that end within a deadline."""

import argparse
import asyncio
import os
import signal
import ssl
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed

# How long one check may take, in seconds.
PATIENCE = 20


# The values of `--tls`.
TLS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--url", required=True)
    parser.add_argument("--pid", required=True, type=int)
    parser.add_argument("--tls", choices=TLS)
    args = parser.parse_args()
    # The server's address for a WebSocket.
    args.socket_url = args.url.replace("http", "ws", 1) + "/ws"
    return args


def tls(args):
    """A context of this version of TLS alone, which trusts the server's own certificate; None without `--tls`."""
    if args.tls is None:
        return None
    server = urlsplit(args.url)
    certificate = ssl.get_server_certificate((server.hostname, server.port), timeout=PATIENCE)
    context = ssl.create_default_context(cadata=certificate)
    context.minimum_version = context.maximum_version = TLS[args.tls]
    return context


async def within_patience(who, name, running):
    """Awaits one check, and ends the script if it fails."""
    try:
        await asyncio.wait_for(running, PATIENCE)
    except Exception as error:
        raise SystemExit(f"{who}: FAILED: {name}: {error!r}") from error


def equal(found, expected):
    if found != expected:
        raise AssertionError(f"got {found!r:.200}, expected {expected!r:.200}")


async def says_goodbye(socket, pid):
    """Whether a server that is interrupted, as by Ctrl-C, says 1001."""
    os.kill(pid, signal.SIGINT)
    try:
        await socket.recv()
        raise AssertionError("a message came instead")
    except ConnectionClosed as closed:
        equal(closed.rcvd.code, 1001)
