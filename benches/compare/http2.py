"""HTTP/2 connections of our own, as connections.py has them for HTTP/1.1: callgrind wants exact counts, and a
handshake outside of them.
"""

import struct

from connections import BadAnswer, Connections

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK, END_STREAM, END_HEADERS = 0x1, 0x1, 0x4
GREATEST = 0x7FFFFFFF
# `:status 200` of HPACK's static table.
STATUS_200 = 0x88


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def header_block(fields):
    """HPACK without a table and without Huffman: each field a literal. Names and values are shorter than 127 bytes."""
    block = b""
    for name, value in fields:
        name, value = name.lower().encode(), value.encode()
        block += b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
    return block


class Http2Connections(Connections):
    """TLS connections on which the same GET is sent again and again, a stream for each."""

    def __init__(self, port, fields, path, count):
        pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", "gate.example"), (":path", path)]
        self.block = header_block([*pseudo, *fields])
        self.streams = {}
        super().__init__(port, b"", 0, tls=True)
        self.tls.set_alpn_protocols(["h2"])
        self.add(count)

    def add(self, count):
        added = super().add(count)
        for connection in added:
            # The windows are opened at once as far as they go: 2 GiB are never used up here.
            settings = frame(SETTINGS, 0, 0, struct.pack("!HI", 4, GREATEST))
            connection.sendall(PREFACE + settings + frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", GREATEST - 65535)))
            self.streams[connection] = 1
        return added

    def exchange(self, sockets=None):
        sockets = sockets or self.sockets
        for connection in sockets:
            connection.sendall(frame(HEADERS, END_STREAM | END_HEADERS, self.streams[connection], self.block))
        for connection in sockets:
            self.read_answer(connection, self.streams[connection])
            self.streams[connection] += 2

    @staticmethod
    def read_answer(connection, stream):
        while True:
            head = exactly(connection, 9)
            kind, flags, of = struct.unpack("!BBI", head[3:])
            payload = exactly(connection, int.from_bytes(head[:3], "big"))
            if kind in (RST_STREAM, GOAWAY):
                raise BadAnswer(f"frame of kind {kind}")
            if kind == SETTINGS and not flags & ACK:
                connection.sendall(frame(SETTINGS, ACK, 0))
            if kind == PING and not flags & ACK:
                connection.sendall(frame(PING, ACK, 0, payload))
            # A server may say first that its table of fields changes its size: 001xxxxx.
            if kind == HEADERS and of == stream and STATUS_200 not in payload[:4]:
                raise BadAnswer("another status than 200")
            if kind in (HEADERS, DATA) and of == stream and flags & END_STREAM:
                return


def exactly(connection, count):
    received = b""
    while len(received) < count:
        part = connection.recv(count - len(received))
        if not part:
            raise BadAnswer("connection closed")
        received += part
    return received
