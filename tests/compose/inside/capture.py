"""Captures what this container sends and receives over IPv4 and TCP.

Prints "ready", then a line of JSON for each segment with data: from, to, sequence number, data.
"""

import base64
import json
import socket
import struct

ETH_P_IP, ETH_P_ALL, TCP = 0x0800, 0x0003, 6  # if_ether.h; RFC 9293
BUFFER = 8 * 1024 * 1024


def main() -> None:
    """Capture until killed."""
    # A "cooked" socket hands over packets without the link's header; only ETH_P_ALL sees sent ones.
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)) as tap:
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        tap.bind(("eth0", ETH_P_ALL))
        print("ready", flush=True)
        while True:
            packet, (_, protocol, *_) = tap.recvfrom(2**16)
            if protocol == ETH_P_IP and packet[9] == TCP:
                report(packet)


def report(packet: bytes) -> None:
    """Print one segment, unless it is empty (IPv4: RFC 791, section 3.1)."""
    header, length = (packet[0] & 0x0F) * 4, struct.unpack_from("!H", packet, 2)[0]
    source, destination, sequence = struct.unpack_from("!HHI", packet, header)
    data = packet[header + (packet[header + 12] >> 4) * 4 : length or None]
    if data:
        segment = {
            "from": f"{socket.inet_ntoa(packet[12:16])}:{source}",
            "to": f"{socket.inet_ntoa(packet[16:20])}:{destination}",
            "sequence": sequence,
            "data": base64.b64encode(data).decode("ascii"),
        }
        print(json.dumps(segment), flush=True)


main()
