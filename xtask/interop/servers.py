"""Python's `websockets` as a server for our client. The path says what it does; compression is negotiated if it is offered."""

import asyncio

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

FRAGMENTS = [f"part {index} 鮭;" for index in range(50)]

# The code and the reason of the last Close that `/echo` got.
last = "none"

# How many connections `/echo` has: what it has got is known when they have ended.
echoing = 0


async def echo(socket):
    global last, echoing
    echoing += 1
    try:
        async for message in socket:
            await socket.send(message)
    except ConnectionClosed:
        # A Close with any code but 1000 and 1001.
        pass
    echoing -= 1
    received = socket.protocol.close_rcvd
    last = f"{received.code} {received.reason}".strip() if received else "none"


async def pings(socket):
    for payload in [b"", b"a", b"x" * 125]:
        await (await socket.ping(payload))
    await socket.send("all Pongs came")


async def handle(socket):
    _, kind, *rest = socket.request.path.split("/")
    if kind == "echo":
        await echo(socket)
    elif kind == "close":
        await socket.close(int(rest[0]), "because")
    elif kind == "pings":
        await pings(socket)
    elif kind == "fragments":
        await socket.send(FRAGMENTS)
    elif kind == "last":
        while echoing > 0:
            await asyncio.sleep(0.01)
        await socket.send(last)


async def main():
    async with serve(handle, "127.0.0.1", 0, max_size=None, ping_interval=None) as server:
        print(f"listening on ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


asyncio.run(main())
