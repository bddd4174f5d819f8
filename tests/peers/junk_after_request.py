#!/usr/bin/env python3
"""Sends a request and more after it, which nobody asked for, and prints what comes back.

usage: junk_after_request.py sctp|dccp HOST PORT
"""

import sys

from peer_socket import connect


def main():
    proto, host, port = sys.argv[1:]
    connection = connect(proto, host, int(port))
    connection.settimeout(30)
    connection.send(b"GET / HTTP/1.0\r\n\r\n")
    for number in range(20):
        try:
            connection.send(b"junk %d" % number)
        except (BrokenPipeError, ConnectionError):
            break  # The server has answered and closed already.
    while message := connection.recv(65535):
        sys.stdout.buffer.write(message)


if __name__ == "__main__":
    main()
