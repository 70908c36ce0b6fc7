"""What a job and its workers say to each other: a JSON object and some bytes, each with its length before it."""

import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from driftgate.inputs.encoder import Encoder, ProblemType

_LENGTHS = struct.Struct(">II")


def send(connection: socket.socket, header: Mapping[str, Any], content: bytes = b"") -> None:
    """Send one message.

    Raises:
        OSError: nobody listens any more.
    """
    encoded = json.dumps(header).encode()
    connection.sendall(_LENGTHS.pack(len(encoded), len(content)) + encoded + content)


def receive(connection: socket.socket) -> tuple[dict[str, Any], bytes]:
    """The next message.

    Raises:
        EOFError: the other side is gone.
    """
    header, content = _LENGTHS.unpack(_read(connection, _LENGTHS.size))
    return json.loads(_read(connection, header)), _read(connection, content)


def _read(connection: socket.socket, size: int) -> bytes:
    parts, left = [], size
    while left:
        try:
            part = connection.recv(min(left, 1 << 20))
        except OSError as error:
            raise EOFError(str(error)) from error
        if not part:
            raise EOFError("the other side is gone")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def encode_encoder(encoder: Encoder) -> dict[str, Any]:
    """As JSON has it."""
    return {**asdict(encoder), "path": str(encoder.path)}


def decode_encoder(content: Mapping[str, Any]) -> Encoder:
    """The encoder that `encode_encoder` was given."""
    thresholds = content["thresholds"]
    return Encoder(
        **{
            **content,
            "path": Path(content["path"]),
            "labels": tuple(content["labels"]),
            "problem_type": ProblemType(content["problem_type"]),
            "thresholds": None if thresholds is None else tuple(thresholds),
        }
    )
