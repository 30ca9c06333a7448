"""Connections of our own: exact counts of requests, which no load generator promises, and idle ones."""

import re
import socket
import ssl
import time

from processes import Failed, resident_kib


class BadAnswer(Exception):
    """Something else than a whole 200 answer."""


def unverified():
    """TLS that takes any certificate: the benchmark's own is signed by nobody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Connections:
    """Keep-alive connections on which the same request is sent again and again."""

    def __init__(self, port, request, count, tls=False):
        self.request, self.sockets, self.port = request, [], port
        self.tls = unverified() if tls else None
        self.add(count)

    def add(self, count):
        added = []
        for _ in range(count):
            plain = socket.create_connection(("127.0.0.1", self.port), timeout=60)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            added.append(self.tls.wrap_socket(plain, server_hostname="gate.example") if self.tls else plain)
            self.sockets.append(added[-1])
        return added

    def exchange(self, sockets=None):
        """One request on each connection, all sent before the first answer is read."""
        sockets = sockets or self.sockets
        for connection in sockets:
            connection.sendall(self.request)
        for connection in sockets:
            read_answer(connection)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for connection in self.sockets:
            connection.close()


def read_answer(connection):
    received = b""
    while b"\r\n\r\n" not in received:
        received += more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise BadAnswer(head.split(b"\r\n")[0].decode(errors="replace"))
    length = int(re.search(rb"\r\ncontent-length:\s*(\d+)", head, re.I)[1])
    while len(body) < length:
        body += more(connection)


def more(connection):
    part = connection.recv(65536)
    if not part:
        raise BadAnswer("connection closed")
    return part


def wait_until_it_answers(process, port, request, seconds, tls=False):
    """Asks every millisecond until the answer is good; a program that gives none is ended."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with Connections(port, request, 1, tls) as connections:
                connections.exchange()
            return
        except (OSError, BadAnswer) as error:
            if process.ended() or time.monotonic() > deadline:
                process.stop()
                raise Failed(f"{process.folder.name} does not answer: {error}\n{process.last_words()}") from error
            time.sleep(0.001)


def idle_kib(port, pid, request, count, tls=False):
    """KiB that one idle connection to a program costs, after one request on it."""
    with Connections(port, request, 50, tls) as warm:
        for _ in range(40):
            warm.exchange()
    before = resident_kib(pid)
    with Connections(port, request, 0, tls) as idle:
        while len(idle.sockets) < count:
            idle.exchange(idle.add(min(50, count - len(idle.sockets))))
        return (resident_kib(pid) - before) / count
