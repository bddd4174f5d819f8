"""Kernel SCTP and DCCP sockets for the programs beside this file, with what Python has of them."""

import socket
import struct

IPPROTO_SCTP = 132
SCTP_NODELAY = 3
SOCK_DCCP = 6
IPPROTO_DCCP = 33
SOL_DCCP = 269
DCCP_SOCKOPT_SERVICE = 2
SERVICE_CODE = 16777216


def connect(proto, host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if proto == "sctp":
        connection = socket.socket(family, socket.SOCK_STREAM, IPPROTO_SCTP)
        connection.setsockopt(IPPROTO_SCTP, SCTP_NODELAY, 1)
    else:
        connection = socket.socket(family, SOCK_DCCP, IPPROTO_DCCP)
        connection.setsockopt(SOL_DCCP, DCCP_SOCKOPT_SERVICE, struct.pack("!I", SERVICE_CODE))
    connection.connect((host, port))
    return connection
