"""Connects to HOST PORT by TCP and sends the text given, if any; exits with 1 if it cannot."""

import socket
import sys

host, port, *text = sys.argv[1:]
try:
    with socket.create_connection((host, int(port)), timeout=3) as connection:
        connection.sendall("".join(text).encode())
except OSError as error:
    sys.exit(str(error))
