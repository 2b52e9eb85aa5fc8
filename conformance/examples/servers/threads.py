#!/usr/bin/env python3
"""A meta statistics server: one thread a connection.

usage: threads.py [PORT [META_PORT]]
"""

import math
import re
import socketserver
import statistics
import sys
import threading

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
# A client that has its last line gets so many seconds to close.
LINGER = 10
QUOTED_CHARACTERS = 40


class Undefined(Exception):
    """There are not enough values for this quantity."""


def mean(values):
    if not values:
        raise Undefined("the mean takes at least one value")
    return statistics.mean(values)


def stdev(values):
    if len(values) < 2:
        raise Undefined("the standard deviation takes at least two values")
    try:
        return statistics.stdev(values)
    except OverflowError:
        return math.inf


def or_undefined(quantity, values):
    try:
        return quantity(values)
    except Undefined:
        return "undefined"


def summary(values):
    return (
        f"count {len(values)}; mean {or_undefined(mean, values)}; "
        f"stdev {or_undefined(stdev, values)}"
    )


COMMANDS = {
    "count": len,
    "sum": lambda values: sum(values, 0.0),
    "mean": mean,
    "stddev": stdev,
}


class Means:
    """The means of all sessions that ended by exit."""

    def __init__(self):
        self.lock = threading.Lock()
        self.means = []

    def record(self, mean):
        with self.lock:
            self.means.append(mean)

    def summary(self):
        with self.lock:
            return summary(self.means)


class Connection(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(f"{line}\n".encode())

    def finish(self):
        # To close a socket with unread input would reset the connection, and the client could
        # lose the last line.
        self.connection.shutdown(1)
        self.connection.settimeout(LINGER)
        while self.connection.recv(65536):
            pass


class Session(Connection):
    """A client of the primary port."""

    def handle(self):
        values = []
        for line in self.rfile:
            # What is not ASCII is in no number and in no command.
            text = line.decode("ascii", "backslashreplace").strip(" \r\n")
            if text == "exit":
                if values:
                    self.server.means.record(mean(values))
                self.say(summary(values))
                return
            try:
                if text in COMMANDS:
                    self.say(COMMANDS[text](values))
                elif NUMBER.fullmatch(text) and math.isfinite(value := float(text)):
                    values.append(value)
                else:
                    self.say(f"error: not a number: {text[:QUOTED_CHARACTERS]!r}")
            except Undefined as why:
                self.say(f"error: {why}")


class Report(Connection):
    """A client of the secondary port."""

    def handle(self):
        self.say(self.server.means.summary())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port, connection, means):
        super().__init__(("127.0.0.1", port), connection)
        self.means = means

    def handle_error(self, request, client_address):
        """That a client has gone is no error of the server."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 4100
    meta_port = int(sys.argv[2]) if len(sys.argv) > 2 else port + 1
    means = Means()
    primary = Server(port, Session, means)
    secondary = Server(meta_port, Report, means)
    threading.Thread(target=secondary.serve_forever, daemon=True).start()
    primary.serve_forever()


if __name__ == "__main__":
    main()
