"""example-client in a network of its own, parts of which are silent.

It runs in new namespaces for the network and for mounts. All addresses are on the loopback interface. What must be silent is
dropped when it arrives: a packet that is dropped when it is sent, or that has no route, is an error at once.
"""

import argparse
import asyncio
import os
import subprocess
import time
from pathlib import Path

from websockets.asyncio.server import serve

HERE, SILENT = "198.18.0.1", "198.18.0.9"
HERE6, SILENT6 = "2001:db8::1", "2001:db8::9"

HOSTS = f"""
{HERE6} six
{SILENT6} eyeballs
{HERE} eyeballs
{SILENT} twice
{HERE} twice
"""

# Nobody answers, and the library of the system would wait for longer than the client does.
RESOLVER = f"nameserver {SILENT}\noptions timeout:30\n"

RULES = f"""
add table inet silence
add chain inet silence in {{ type filter hook input priority 0; policy accept; }}
add rule inet silence in ip daddr {SILENT} drop
add rule inet silence in ip6 daddr {SILENT6} drop
"""

# For a second attempt, which begins after 250 ms, on a busy machine. Without one, the answer would be the error of the limit.
SOON = 3

# The time limit of a connection, and its Pings in the last check: 1 s of silence, and 20 s for the Pong.
LIMIT, FOUND = 10, 21
# Either may be so much later on a busy machine.
LATE = 4


def run(*words, **options):
    subprocess.run(words, check=True, **options)


def prepare(folder):
    run("ip", "link", "set", "lo", "up")
    for address in [HERE, SILENT]:
        run("ip", "address", "add", f"{address}/32", "dev", "lo")
    for address in [HERE6, SILENT6]:
        run("ip", "address", "add", f"{address}/128", "dev", "lo", "nodad")
    run("nft", "-f", "-", input=RULES, text=True)
    for name, text in [("hosts", HOSTS), ("resolv.conf", RESOLVER)]:
        file = folder / name
        file.write_text(text)
        run("mount", "--bind", str(file), f"/etc/{name}")


class Ran:
    def __init__(self, status, stdout, stderr, seconds):
        self.status, self.stdout, self.stderr, self.seconds = status, stdout, stderr, seconds

    def __repr__(self):
        return f"status {self.status} after {self.seconds:.2f} s, stdout {self.stdout!r}, stderr {self.stderr!r}"


async def client(program, *arguments, stdin=b"hello\n"):
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    stdout, stderr = await asyncio.wait_for(process.communicate(stdin), 60)
    return Ran(process.returncode, stdout, stderr.decode(), time.monotonic() - began)


def expect(name, ran, is_right):
    if not is_right:
        raise SystemExit(f"FAILED: {name}: {ran}")
    print(f"  ok: {name}: {ran.seconds:.2f} s", flush=True)


async def answers(program, name, url):
    ran = await client(program, url, "-1")
    expect(name, ran, ran.status == 0 and ran.stdout == b"hello\n" and ran.seconds < SOON)


async def silent(program, name, url, stage, status):
    ran = await client(program, url)
    in_time = LIMIT <= ran.seconds < LIMIT + LATE
    expect(name, ran, ran.status == status and in_time and f"the stage was {stage}\n" in ran.stderr)


async def cut(program, port):
    """The network is cut under an open connection, without a word to either end."""
    process = await asyncio.create_subprocess_exec(
        program, f"ws://{HERE}:{port}", "--ping-interval", "1",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    process.stdin.write(b"hello\n")
    if await process.stdout.readline() != b"hello\n":
        raise SystemExit("FAILED: the connection that will be cut does not work")
    rules = "".join(f"add rule inet silence in tcp {side} {port} drop\n" for side in ["sport", "dport"])
    run("nft", "-f", "-", input=rules, text=True)
    began = time.monotonic()
    stderr = (await asyncio.wait_for(process.stderr.read(), 60)).decode()
    ran = Ran(await process.wait(), b"", stderr, time.monotonic() - began)
    expect("a pulled cable is found by Pings", ran, ran.status != 0 and ran.seconds < FOUND + LATE)


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def hold(_reader, _writer):
    await asyncio.Future()


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", required=True)
    parser.add_argument("--folder", required=True, type=Path)
    args = parser.parse_args()
    prepare(args.folder)
    program = args.client

    listening = [
        await serve(echo, [HERE, HERE6], 4000),
        await serve(echo, HERE, 4001, ping_interval=None),
        await asyncio.start_server(hold, HERE, 4002),
    ]
    await answers(program, "IPv6 alone", "ws://six:4000")
    await answers(program, "a silent IPv6 address, and an IPv4 address that answers", "ws://eyeballs:4000")
    await answers(program, "a silent IPv4 address, and a second one that answers", "ws://twice:4000")
    await asyncio.gather(
        silent(program, "silence at the look-up", "ws://nowhere.example", "DNS", 3),
        silent(program, "silence at the SYN", f"ws://{SILENT}:4000", "TCP", 3),
        silent(program, "silence in TLS", f"wss://{HERE}:4002", "TLS", 5),
        silent(program, "silence after the request", f"ws://{HERE}:4002", "HTTP", 5),
        cut(program, 4001),
    )
    print(f"example-client in silent networks: 8 checks passed, with {len(listening)} servers", flush=True)
    # Connections that are cut or mute are not waited for.
    os._exit(0)


asyncio.run(main())
