"""A node's uplink against a peer that ends each connection in another way, COUNT times.

Prints connections, the most that were open at once, and growth of heap (bytes) and descriptors
between the first tenth and the end.
"""
# ruff: noqa: T201

import asyncio
import gc
import os
import sys
import time

import tls

REPOSITORY, FOLDER, PORT, COUNT = sys.argv[1:5]
TLS = len(sys.argv) > 5
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from boards import unix  # noqa: E402
from node import settings  # noqa: E402
from node.boots import Boot  # noqa: E402
from node.errors import LinkError  # noqa: E402
from node.node import Node  # noqa: E402

CONNACK = b"\x20\x02\x00\x00"
SUBACK = b"\x90\x06\x00\x01\x01\x01\x01\x01"


class Peer:
    """A broker that is unlike another each time."""

    def __init__(self):
        self.count = self.open = self.most = 0

    async def serve(self, reader, writer):
        self.count += 1
        self.open += 1
        self.most = max(self.most, self.open)
        way = self.count % 5
        try:
            await reader.read(512)  # CONNECT
            if way == 1:  # refused
                writer.write(b"\x20\x02\x00\x03")
            elif way > 1:
                writer.write(CONNACK)
            await writer.drain()
            if way > 1:
                await reader.read(512)  # SUBSCRIBE, status, birth
                writer.write(SUBACK if way < 4 else b"\x15 nonsense")
                await writer.drain()
                if way == 3:
                    await reader.read(512)
                while way == 4 and await reader.read(512):
                    pass  # the node hangs up
        except OSError:
            pass
        finally:
            writer.close()
            await writer.wait_closed()
            reader.s.close()
            self.open -= 1


def descriptors():
    return len(list(os.ilistdir("/proc/self/fd")))


def read(name):
    with open(sys.argv[5] + "/" + name, "rb") as file:  # noqa: PTH123 - MicroPython has no pathlib
        return file.read()


async def main():
    peer = Peer()
    context = None
    if TLS:
        context = tls.SSLContext(tls.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(read("server.der"), read("server-key.der"))
    server = await asyncio.start_server(peer.serve, "127.0.0.1", int(PORT), 5, ssl=context)
    broker = {"host": "127.0.0.1", "port": int(PORT), "tls": TLS}
    given = {"post": "post1", "node": "lane1", "broker": broker, "instrument": {"port": "/no"}}
    board = unix.Board(FOLDER)
    boot = Boot(FOLDER, 0, time.ticks_ms, time.ticks_diff, board.log)
    node = Node(board, settings.check(given), boot)
    node.storage.open()
    total = int(COUNT)
    before, endings = None, set()
    for number in range(total):
        node.uplink.want("health")
        try:
            await node.uplink.run()
        except LinkError as error:
            endings.add(error.__class__.__name__)
        else:
            raise AssertionError("it ended well")
        await asyncio.sleep_ms(0)
        if number + 1 in (total // 10, total):  # the same way of ending, which leaves its traces
            while peer.open:
                await asyncio.sleep_ms(1)
            gc.collect()
            gc.collect()
            now = gc.mem_alloc(), descriptors()
            before = before or now
    print("connections", peer.count)
    print("most", peer.most)
    print("heap", now[0] - before[0])
    print("descriptors", now[1] - before[1])
    print("endings", *sorted(endings))
    server.close()


asyncio.run(main())
