"""Clients for Python in the middle of a message that the server does not take: which close code do they learn?

    python closing.py aiohttp|websockets|websockets-sync|pycurl URL BYTES TRIES

prints a line for each try: the code, or what came instead of one.
"""

import asyncio
import select
import struct
import sys
import threading
import time

# How long one try may take, in seconds.
PATIENCE = 8


async def with_aiohttp(url, message):
    import aiohttp

    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(url)
        sending = asyncio.create_task(socket.send_bytes(message))
        received = await socket.receive()
        # A program is told by `close_code`, since a loop over the messages ends before it has seen the Close.
        came = f"{received.type.name} {received.data}"
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        if received.type == aiohttp.WSMsgType.BINARY:
            return "a message came back"
        return learnt(socket.close_code, f"and {came} came")


async def with_websockets(url, message):
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    # Without `async with`, whose end stumbles over a stream that has gone while a message was being sent. What counts is
    # what the program is told.
    socket = await connect(url, compression=None, max_size=None)
    sending = asyncio.create_task(socket.send(message))
    try:
        await socket.recv()
        return "a message came back"
    except ConnectionClosed as closed:
        return learnt(socket.close_code, closed)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


def with_websockets_sync(url, message):
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    def send():
        try:
            socket.send(message)
        except ConnectionClosed:
            pass

    with connect(url, compression=None, max_size=None) as socket:
        sending = threading.Thread(target=send, daemon=True)
        sending.start()
        try:
            socket.recv(timeout=PATIENCE)
            return "a message came back"
        except ConnectionClosed as closed:
            return learnt(socket.close_code, closed)
        finally:
            sending.join(timeout=PATIENCE)


def with_pycurl(url, message):
    import pycurl

    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    # The handshake alone; then this program asks when the stream is ready.
    curl.setopt(pycurl.CONNECT_ONLY, 2)
    curl.perform()
    stream = curl.getinfo(pycurl.ACTIVESOCKET)
    rest = memoryview(message)
    failure = None
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        sends = [stream] if rest and failure is None else []
        readable, writable, _ = select.select([stream], sends, [], 1)
        if readable:
            try:
                data, frame = curl.ws_recv(65_536)
                if frame.flags & pycurl.WS_CLOSE:
                    code = struct.unpack("!H", data[:2])[0] if len(data) >= 2 else 1005
                    return learnt(code, failure)
                return "a message came back"
            except BlockingIOError:
                pass
            except pycurl.error as error:
                return learnt("no Close", failure or error)
        if writable:
            try:
                # What is not taken stays to be handed over in the next call, as a part of the same frame.
                flags, size = pycurl.WS_BINARY | pycurl.WS_OFFSET, len(message)
                rest = rest[curl.ws_send(rest, flags, size if len(rest) == size else 0) :]
            except BlockingIOError:
                pass
            except pycurl.error as error:
                # The other direction may still have the Close.
                failure = error
    return f"nothing in {PATIENCE} s"


def learnt(code, otherwise):
    return "1009" if code == 1009 else f"{code} ({otherwise})"


async def within_patience(running):
    try:
        return await asyncio.wait_for(running, PATIENCE)
    except asyncio.TimeoutError:
        return f"nothing in {PATIENCE} s"


ASYNC = {"aiohttp": with_aiohttp, "websockets": with_websockets}
SYNC = {"websockets-sync": with_websockets_sync, "pycurl": with_pycurl}


def main():
    name, url, length, tries = sys.argv[1:]
    message = b"a" * int(length)
    for _ in range(int(tries)):
        try:
            if name in ASYNC:
                print(asyncio.run(within_patience(ASYNC[name](url, message))), flush=True)
            else:
                print(SYNC[name](url, message), flush=True)
        except Exception as error:
            print(f"{error!r}", flush=True)


main()
