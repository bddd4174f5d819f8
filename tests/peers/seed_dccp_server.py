#!/usr/bin/env python3
"""The course project's DCCP server, written anew from a description of what it does.

usage: seed_dccp_server.py [HOST [PORT]] [--bytes]

Serves the current folder to one client after the other. It reads files as text, or as bytes with
--bytes, and calls either text/html.
"""

import argparse
import socket
import struct

# Numbers that Python's socket module does not name.
SOCK_DCCP = 6
IPPROTO_DCCP = 33
SOL_DCCP = 269
DCCP_SOCKOPT_SERVICE = 2
SERVICE_CODE = 16777216


def dccp_socket():
    dccp = socket.socket(socket.AF_INET, SOCK_DCCP, IPPROTO_DCCP)
    dccp.setsockopt(SOL_DCCP, DCCP_SOCKOPT_SERVICE, struct.pack("!I", SERVICE_CODE))
    return dccp


def is_request(words):
    return len(words) >= 3 and words[0] == "GET" and words[2].startswith("HTTP")


def answer(connection, target, as_bytes):
    name = "index.html" if target == "/" else target.replace("/", "")
    try:
        if as_bytes:
            with open(name, "rb") as file:
                body = file.read()
        else:
            with open(name, encoding="utf-8") as file:
                body = file.read().encode()
    except OSError:
        connection.send(b"HTTP/1.0 404 Not Found\nContent-Type: text/html\n\n")
    else:
        connection.send(b"HTTP/1.0 200 OK\nContent-Type: text/html\n\n")
        connection.send(body)
    connection.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("host", nargs="?", default="127.0.0.1")
    parser.add_argument("port", nargs="?", type=int, default=8080)
    parser.add_argument("--bytes", action="store_true")
    arguments = parser.parse_args()

    listener = dccp_socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((arguments.host, arguments.port))
    listener.listen(5)
    print(f"listening on {arguments.host}:{arguments.port}", flush=True)
    unanswered = []
    while True:
        connection, address = listener.accept()
        request = connection.recv(8000).decode(errors="replace")
        print(f"{address}: {request!r}", flush=True)
        words = request.split()
        if is_request(words):
            answer(connection, words[1], arguments.bytes)
        else:
            # No answer, and no close either.
            unanswered.append(connection)


if __name__ == "__main__":
    main()
