"""What a Service does: one port, whose connections go to one of the pods that are ready."""

import itertools
import socket
import threading
from contextlib import suppress
from typing import Final

from tests.integration.peers.waiting import LOOPBACK, free_port


class Balancer:
    """A TCP load balancer in threads; connections stay where they are when its end points change."""

    def __init__(self) -> None:
        self.port: Final = free_port()
        self._endpoints: tuple[int, ...] = ()
        self._turn: Final = itertools.count()
        self._listener: Final = socket.create_server((LOOPBACK, self.port), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    def set_endpoints(self, *ports: int) -> None:
        self._endpoints = ports

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        endpoints = self._endpoints
        with connection, suppress(OSError):
            port = endpoints[next(self._turn) % len(endpoints)]
            with socket.create_connection((LOOPBACK, port), timeout=10) as pod:
                pod.settimeout(None)
                back = threading.Thread(target=_copy, args=(pod, connection), daemon=True)
                back.start()
                _copy(connection, pod)
                back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
