#!/usr/bin/env python3
"""Holds connections open and sends nothing, until it is killed.

usage: hold_connections.py sctp|dccp HOST PORT COUNT
"""

import resource
import signal
import sys

from peer_socket import connect


def main():
    proto, host, port, count = sys.argv[1:]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    held = [connect(proto, host, int(port)) for _ in range(int(count))]
    print(f"holding {len(held)}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
