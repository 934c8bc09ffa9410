"""Messages between processes of one run over a socket that only they have: a length, JSON, and at most one open file.

In: what is to be said, or a socket. Out: what was said. Never: a pickle, or half a message.

Only the standard library is imported here: the first lines of the warm process run before anything heavy is loaded.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Mapping

_LENGTH = struct.Struct("!Q")


def send(link: socket.socket, message: Mapping[str, object], file: int | None = None) -> None:
    """Send a message, with a copy of an open file."""
    body = json.dumps(message).encode("ascii")
    head = _LENGTH.pack(len(body))
    if file is None:
        link.sendall(head + body)
    else:
        sent = socket.send_fds(link, [head], [file])
        link.sendall(head[sent:] + body)


def receive(link: socket.socket) -> tuple[dict[str, object], int | None]:
    """Wait for a message.

    Raises
    ------
    EOFError
        The other side is gone.
    """
    file = None
    head = b""
    try:
        while len(head) < _LENGTH.size:
            part, files, _, _ = socket.recv_fds(link, _LENGTH.size - len(head), 1)
            for found in files:
                os.set_inheritable(found, False)
                file = found
            if not part:
                raise EOFError
            head += part
        length = int(_LENGTH.unpack(head)[0])
        body = bytearray()
        while len(body) < length:
            part = link.recv(min(length - len(body), 1 << 20))
            if not part:
                raise EOFError
            body += part
    except OSError:
        raise EOFError from None
    return json.loads(body), file
