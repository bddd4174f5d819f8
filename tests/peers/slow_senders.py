#!/usr/bin/env python3
"""Holds connections that send their request a byte at a time, and as many that send nothing.

usage: slow_senders.py sctp|dccp HOST PORT

Ends when the server has ended all connections; a connection that it still has after 20 s is a
failure.
"""

import select
import sys
import time

from peer_socket import connect

REQUEST = b"GET / HTTP/1.0\r\nUser-Agent: slow\r\n"
EACH = 10
PATIENCE = 20


def main():
    proto, host, port = sys.argv[1:]
    slow = [connect(proto, host, int(port)) for _ in range(EACH)]
    silent = [connect(proto, host, int(port)) for _ in range(EACH)]
    print("sending", flush=True)
    begin = time.monotonic()
    unended = set(slow + silent)
    answered = set()
    sent = 0
    while unended and time.monotonic() - begin < PATIENCE:
        for connection in unended.intersection(slow):
            if sent < len(REQUEST):
                try:
                    connection.send(REQUEST[sent : sent + 1])
                except OSError:
                    pass  # It has ended, which is seen below.
        sent += 1
        deadline = time.monotonic() + 0.2
        while unended and (left := deadline - time.monotonic()) > 0:
            for connection in select.select(list(unended), [], [], left)[0]:
                try:
                    message = connection.recv(65535)
                except OSError:
                    message = b""
                if message:
                    answered.add(connection)
                else:
                    unended.remove(connection)
    seconds = time.monotonic() - begin
    if unended:
        count = len(unended)
        sys.exit(f"after {seconds:.0f} s the server still has {count} of {2 * EACH} connections")
    print(f"{2 * EACH} connections ended in {seconds:.1f} s, {len(answered)} with an answer")


if __name__ == "__main__":
    main()
