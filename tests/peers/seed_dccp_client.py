#!/usr/bin/env python3
"""The course project's DCCP client, written anew from a description of what it does.

usage: seed_dccp_client.py [HOST [PORT]] [--path PATH] [--hold SECONDS]

Sends a request of 14 bytes, takes a message of headers and one of the body, and writes out.html
unless the body says "Not Found". It looks at no header.

The traces in the project's document show the client still there when the server closes: --hold
keeps the connection open that long after the body.
"""

import argparse
import socket
import struct
import time

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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("host", nargs="?", default="127.0.0.1")
    parser.add_argument("port", nargs="?", type=int, default=8080)
    parser.add_argument("--path", default="/")
    parser.add_argument("--hold", type=float, default=0)
    arguments = parser.parse_args()

    connection = dccp_socket()
    connection.connect((arguments.host, arguments.port))
    request = f"GET {arguments.path} HTTP 1.0"
    print(request)
    connection.send(request.encode())
    headers = connection.recv(8000).decode()
    print(headers)
    body = connection.recv(8000).decode()
    time.sleep(arguments.hold)
    connection.close()
    if "Not Found" not in body:
        with open("out.html", "w", encoding="utf-8") as file:
            file.write(body)


if __name__ == "__main__":
    main()
