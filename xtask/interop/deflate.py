"""Python's `websockets`, and with it zlib, against example-echo with compression: every parameter that it can send."""

import asyncio
import itertools
import os

from check import arguments, equal, says_goodbye, within_patience
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

# Text that repeats itself over short and long distances, and bytes that do not.
TEXT = "".join(f'{{"id":{index},"name":"Rotlachs 鮭 {index % 17}","depth":{index * 7 % 1013}}},' for index in range(3000))
MESSAGES = ["", "a", TEXT[:300], TEXT[:300], TEXT, os.urandom(5000), TEXT[50_000:60_000], TEXT, b"\0" * 100_000]


async def talk(url, parameters):
    factory = ClientPerMessageDeflateFactory(**parameters)
    async with connect(url, extensions=[factory], compression=None, max_size=None) as socket:
        if not socket.protocol.extensions:
            raise AssertionError("the server did not agree")
        for message in MESSAGES:
            await socket.send(message)
            equal(await socket.recv(), message)
        # In fragments, with a ping between them.
        async def parts():
            for start in range(0, 30_000, 997):
                yield TEXT[start : min(start + 997, 30_000)]
                await socket.ping()

        await socket.send(parts())
        equal(await socket.recv(), TEXT[:30_000])


async def goodbye(url, pid):
    async with connect(url) as socket:
        await says_goodbye(socket, pid)


async def main():
    args = arguments(__doc__)
    print(f"Python's zlib at {args.url}")
    count = 0
    # zlib compresses with no window of 8 bits, but reads one.
    for takeover, server, client in itertools.product(
        itertools.product([False, True], repeat=2), [None, 8, 9, 12, 15], [None, True, 9, 12, 15]
    ):
        parameters = {
            "server_no_context_takeover": takeover[0],
            "client_no_context_takeover": takeover[1],
            "server_max_window_bits": server,
            "client_max_window_bits": client,
        }
        await within_patience("Python's zlib", parameters, talk(args.socket_url, parameters))
        count += 1
    await within_patience("Python's zlib", "a server that ends says 1001", goodbye(args.socket_url, args.pid))
    print(f"Python's zlib: {count} sets of parameters passed")


asyncio.run(main())
