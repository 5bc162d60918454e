"""A connection to the broker that is read in large pieces.

The MQTT client asks the system for a packet's first byte, for each byte of its length and for its
body, and looks at the socket again after every packet: four calls and a turn of the loop for each
message. With a buffer in between one call brings many messages, and the client, which asks for what
is `pending`, as with TLS, takes them all in one turn.
"""

import socket
from typing import Final

import aiomqtt

PIECE_BYTES: Final = 1 << 16  # twenty readings; taken in one turn of the loop, a few milliseconds


class BufferedSocket(socket.socket):
    """A connected socket that can read ahead; everything else is as it was.

    Args:
        connected: given up by its owner.

    Attributes:
        is_ahead: it reads ahead.
    """

    def __init__(self, connected: socket.socket) -> None:
        timeout_s = connected.gettimeout()
        super().__init__(
            connected.family, connected.type, connected.proto, fileno=connected.detach()
        )
        self.settimeout(timeout_s)
        self.is_ahead = False
        self._piece = memoryview(b"")

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Return at most `size` bytes, of what was read ahead as long as there is some.

        Raises:
            BlockingIOError: there is nothing now.
        """
        if flags:
            return super().recv(size, flags)
        if not self._piece:
            if not self.is_ahead or size >= PIECE_BYTES:
                return super().recv(size)
            self._piece = memoryview(super().recv(PIECE_BYTES))
        taken, self._piece = self._piece[:size], self._piece[size:]
        return bytes(taken)

    def pending(self) -> int:
        """Return how many bytes are read ahead."""
        return len(self._piece)


def prepare(client: aiomqtt.Client) -> None:
    """Give a client that is not yet connected a socket that can read ahead."""
    inner = client._client  # noqa: SLF001 - nothing public gives the client another socket
    connect = inner._create_socket_connection  # noqa: SLF001

    def buffered() -> BufferedSocket:
        return BufferedSocket(connect())

    inner._create_socket_connection = buffered  # type: ignore[method-assign] # noqa: SLF001


def read_ahead(client: aiomqtt.Client) -> None:
    """Let a prepared client read ahead from now on; another, or one that lost it, is left alone.

    Not sooner than what the gateway says at a new subscription is said: until then messages are
    taken one in each turn of the loop, so that those words are not overtaken by retained messages.
    """
    connected = client._client._sock  # noqa: SLF001 - as above
    if isinstance(connected, BufferedSocket):
        connected.is_ahead = True
