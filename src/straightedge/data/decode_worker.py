"""Many images to one block of pixels, in this process or in a process of its own.

A worker is started as a program (not forked: its parent may hold threads and a GPU) and talks over its pipes:
a length and a JSON header, then raw bytes, each way. It ends when its input ends. When it has started, and
after each image, it writes one byte, by which its parent sees that it goes on.
"""

import json
import os
import signal
import struct
import sys
from collections.abc import Callable, Sequence
from typing import IO, Any

import numpy as np

from straightedge.data.images import BadImage, Decoding, decode

ALIVE = b"."  # what a worker writes once it has started, and after each image
MOST_HELD = 2**33  # bytes that a worker may hold: the largest image takes about 1.5 GB while it is converted
Finding = tuple[str, str, tuple[str, ...]]
"""What became of one file: ``ok``, ``size`` or a kind of `BadImage`; a reason; marks of its conversion."""


def decode_block(
    blobs: Sequence[bytes], how: Decoding, shape: tuple[int, int] | None, each: Callable[[], object] = lambda: None
) -> tuple[np.ndarray, list[Finding]]:
    """Decode images of one size.

    Args:
        blobs: Whole files.
        how: Channels, size and background.
        shape: (height, width) that every image must have, or None to take that of the first good one.
        each: Called after each file.

    Returns:
        Pixels (n_ok, channels, height, width) uint8 of the good ones in order, and one finding a file.
    """
    rows: list[np.ndarray] = []
    findings: list[Finding] = []
    for blob in blobs:
        finding, pixels = _one(blob, how)
        if pixels is not None:
            shape = shape or (pixels.shape[1], pixels.shape[2])
            if pixels.shape[1:] == shape:
                rows.append(pixels)
            else:
                finding = ("size", f"{pixels.shape[2]} × {pixels.shape[1]}", finding[2])
        findings.append(finding)
        each()
    height, width = shape or (0, 0)
    block = np.empty((len(rows), how.channels, height, width), np.uint8)
    for position, row in enumerate(rows):
        block[position] = row
    return block, findings


def _one(blob: bytes, how: Decoding) -> tuple[Finding, np.ndarray | None]:
    try:
        pixels, marks = decode(blob, how)
    except BadImage as bad:
        return (bad.kind, bad.reason, ()), None
    return ("ok", "", marks), pixels


def send(stream: IO[bytes], header: dict[str, Any], *bodies: bytes | memoryview) -> None:
    """Write one message: length of the header, header, bodies."""
    text = json.dumps(header).encode()
    stream.write(struct.pack("<Q", len(text)) + text)
    for body in bodies:
        stream.write(body)
    stream.flush()


def receive(stream: IO[bytes]) -> dict[str, Any] | None:
    """Read the header of one message; None at the end of the stream."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    header: dict[str, Any] = json.loads(stream.read(struct.unpack("<Q", head)[0]))
    return header


def _limit_memory() -> None:
    """Let this process have `MOST_HELD` bytes at most, where the system can be told so."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    limit, hard = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY or limit > MOST_HELD:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_HELD, hard))


def main() -> None:
    """Answer requests until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it ends this by the pipe
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    _limit_memory()

    def alive() -> None:
        sink.write(ALIVE)
        sink.flush()

    alive()
    while (request := receive(source)) is not None:
        how = request["how"]
        size = tuple(how["size"]) if how["size"] else None
        decoding = Decoding(how["channels"], size, tuple(how["background"]))
        blobs = [source.read(length) for length in request["lengths"]]
        block, findings = decode_block(
            blobs, decoding, tuple(request["shape"]) if request["shape"] else None, alive
        )
        send(sink, {"shape": block.shape, "findings": findings}, block.data.cast("B") if block.size else b"")


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # the parent was killed; nobody is left to tell
        os._exit(1)
