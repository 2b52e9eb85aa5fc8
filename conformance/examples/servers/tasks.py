#!/usr/bin/env python3
"""A meta statistics server: one asyncio task a connection.

usage: tasks.py [PORT [META_PORT]]
"""

import asyncio
import json
import math
import re
import sys

GREETING = "Meta statistics, at your service"
NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
MAX_LINE_BYTES = 4096
# A client that has its last line gets so many seconds to close.
LINGER = 10


class Statistics:
    """Count, sum, mean and deviation of values that are not kept, by Welford's method."""

    def __init__(self):
        self.count = 0
        self.sum = 0.0
        self.running_mean = 0.0
        self.squares = 0.0

    def add(self, value):
        self.count += 1
        self.sum += value
        distance = value - self.running_mean
        self.running_mean += distance / self.count
        self.squares += distance * (value - self.running_mean)

    @property
    def mean(self):
        return self.running_mean if self.count else math.nan

    @property
    def stddev(self):
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else math.nan

    def as_json(self):
        return json.dumps({"count": self.count, "mean": self.mean, "stddev": self.stddev})


async def lines(reader):
    """The complete lines of a stream; for one that is too long an empty one, as bad as that."""
    buffer = b""
    too_long = False
    while chunk := await reader.read(65536):
        *complete, buffer = (buffer + chunk).split(b"\n")
        for line in complete:
            yield b"" if too_long or len(line) > MAX_LINE_BYTES else line.strip(b" \r")
            too_long = False
        if len(buffer) > MAX_LINE_BYTES:
            buffer = b""
            too_long = True


def reply_to(line, statistics):
    """The reply to a line, if it gets one."""
    if line in (b"count", b"sum", b"mean", b"stddev"):
        return f"{getattr(statistics, line.decode()):.12g}"
    if NUMBER.fullmatch(line) and math.isfinite(value := float(line)):
        statistics.add(value)
        return None
    return "400 bad request"


async def discard(reader):
    while await reader.read(65536):
        pass


async def close(reader, writer):
    """Ends the connection when the client has closed its side, too.

    To close it with unread input would reset it, and the client could lose the last line.
    """
    try:
        await writer.drain()
        writer.write_eof()
        await asyncio.wait_for(discard(reader), LINGER)
    except (OSError, asyncio.TimeoutError):
        pass
    writer.close()


class Server:
    def __init__(self):
        self.means = Statistics()

    async def session(self, reader, writer):
        """A client of the primary port."""

        async def say(line):
            writer.write(line.encode() + b"\n")
            await writer.drain()

        statistics = Statistics()
        try:
            await say(GREETING)
            async for line in lines(reader):
                if line == b"exit":
                    if statistics.count:
                        self.means.add(statistics.mean)
                    await say(statistics.as_json())
                    break
                if reply := reply_to(line, statistics):
                    await say(reply)
        except OSError:
            pass
        await close(reader, writer)

    async def report(self, reader, writer):
        """A client of the secondary port."""
        writer.write(self.means.as_json().encode() + b"\n")
        await close(reader, writer)


async def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    meta_port = int(sys.argv[2]) if len(sys.argv) > 2 else port + 1
    server = Server()
    await asyncio.start_server(server.session, "127.0.0.1", port)
    secondary = await asyncio.start_server(server.report, "127.0.0.1", meta_port)
    await secondary.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
