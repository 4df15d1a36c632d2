"""The plainest TCP forwarder on uvloop: what any proxied hop costs that looks at nothing."""

import argparse
import asyncio
from typing import Final, cast

import uvloop

LOOPBACK: Final = "127.0.0.1"


class End(asyncio.Protocol):
    """One end of a forwarded connection; what it receives is written to the other."""

    def __init__(self, other: "End | None" = None) -> None:
        self._other = other
        self._early: list[bytes] = []
        """What came before the other end was connected."""
        self.transport: asyncio.Transport | None = None
        if other is not None:
            other._other = self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connects on, or lets the first end read."""
        self.transport = cast(asyncio.Transport, transport)
        if self._other is not None and self._other.transport is not None:
            self.transport.writelines(self._other._early)
            self._other.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Hands on."""
        if self._other is None or self._other.transport is None:
            self._early.append(data)
        else:
            self._other.transport.write(data)

    def pause_writing(self) -> None:
        """Lets the other end wait."""
        if self._other is not None and self._other.transport is not None:
            self._other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Lets the other end go on."""
        if self._other is not None and self._other.transport is not None:
            self._other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Closes the other end too."""
        if self._other is not None and self._other.transport is not None:
            self._other.transport.close()


class Listening(End):
    """The end that somebody called."""

    def __init__(self, target: int) -> None:
        super().__init__()
        self._target: Final = target
        self._dialing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connects on; reads once that is done."""
        super().connection_made(transport)
        self._dialing = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        assert self.transport is not None
        self.transport.pause_reading()
        try:
            await loop.create_connection(lambda: End(self), LOOPBACK, self._target)
        except OSError:
            self.transport.abort()


async def serve(port: int, target: int) -> None:
    """Forwards until ended."""
    server = await asyncio.get_running_loop().create_server(lambda: Listening(target), LOOPBACK, port, backlog=1024)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("target", type=int)
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.port, arguments.target))


if __name__ == "__main__":
    main()
