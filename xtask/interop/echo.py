"""Python's `websockets` against example-echo, and over TLS against example-tls."""

import asyncio
import os
from functools import partial

from check import arguments, equal, says_goodbye, tls, within_patience
from websockets.asyncio import client
from websockets.exceptions import InvalidStatus

TEXTS = ["hello", "Rotlachs", "Grüße, Łosoś, лосось", "紅鮭 🐟", "\0\u2028\ufeff", ""]

CHECKS = []


def check(name):
    def add(function):
        CHECKS.append((name, function))
        return function

    return add


async def echo(socket, message):
    await socket.send(message)
    equal(await socket.recv(), message)


@check("text")
async def text(connect, _pid):
    async with connect() as socket:
        for message in TEXTS:
            await echo(socket, message)


@check("binary, of every length around a change of the header")
async def binary(connect, _pid):
    async with connect() as socket:
        for length in [0, 1, 125, 126, 127, 65_535, 65_536]:
            await echo(socket, os.urandom(length))


@check("1 MiB of text and of bytes")
async def large(connect, _pid):
    async with connect(max_size=None) as socket:
        await echo(socket, "ö" * (1 << 19))
        await echo(socket, os.urandom(1 << 20))


@check("a message in many fragments")
async def fragments(connect, _pid):
    async with connect() as socket:
        parts = [f"part {index} 鮭;" for index in range(50)]
        await socket.send(parts)
        equal(await socket.recv(), "".join(parts))
        parts = [os.urandom(index * 37) for index in range(50)]
        await socket.send(parts)
        equal(await socket.recv(), b"".join(parts))


@check("pings with and without a payload")
async def pings(connect, _pid):
    async with connect() as socket:
        for payload in [b"", b"a", b"x" * 125]:
            await (await socket.ping(payload))
        # Answers may come late and out of step, as long as each ping has one.
        for pong in [await socket.ping() for _ in range(20)]:
            await pong
        await socket.pong(b"nobody asked")
        await echo(socket, "still there")


@check("10,000 messages in a row keep their order")
async def many(connect, _pid):
    async with connect() as socket:
        count = 10_000

        async def send():
            for index in range(count):
                await socket.send(f"message {index}")

        sending = asyncio.create_task(send())
        for index in range(count):
            equal(await socket.recv(), f"message {index}")
        await sending


@check("the code of a Close comes back")
async def closes(connect, _pid):
    for code in [1000, 1001, 1003, 1011, 3000, 4999]:
        socket = await connect()
        await socket.close(code, "därum")
        equal(socket.protocol.close_rcvd.code, code)


@check("fifty connections at once")
async def together(connect, _pid):
    async def talk(number):
        async with connect() as socket:
            for index in range(20):
                await echo(socket, f"{number}: {index}")

    await asyncio.gather(*(talk(number) for number in range(50)))


@check("compression that is offered and not taken")
async def compression(connect, _pid):
    async with connect(compression="deflate") as socket:
        await echo(socket, "a" * 10_000)
    async with connect(compression=None) as socket:
        await echo(socket, "a" * 10_000)


@check("a page of another origin is refused")
async def origin(connect, _pid):
    try:
        async with connect(origin="http://elsewhere.example"):
            raise AssertionError("the server took it")
    except InvalidStatus as refused:
        equal(refused.response.status_code, 403)


@check("a server that ends says 1001")
async def goodbye(connect, pid):
    async with connect() as socket:
        await echo(socket, "hello")
        await says_goodbye(socket, pid)


async def main():
    args = arguments(__doc__)
    over = f" over TLS {args.tls}" if args.tls else ""
    print(f"Python's websockets at {args.url}{over}")
    connect = partial(client.connect, args.socket_url, ssl=tls(args))
    for name, function in CHECKS:
        await within_patience("Python's websockets", name, function(connect, args.pid))
        print(f"  ok: {name}")
    print(f"Python's websockets: {len(CHECKS)} checks passed")


asyncio.run(main())
