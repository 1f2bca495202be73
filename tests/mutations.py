"""Golden files that somebody broke on purpose: structure-aware mutations with every checksum repaired."""

import struct
import zlib
from pathlib import Path

from nfcodec import container
from nfcodec.container import Chunk

GOLDEN = Path(__file__).parents[1] / "spec" / "golden"
FILES = {path.stem: path.read_bytes() for path in sorted(GOLDEN.glob("*.nfld"))}
CHUNKS = {name: list(container.read(data).chunks) for name, data in FILES.items()}
INTERESTING = [0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF]


def repaired(head, payload):
    """A container whose header and table are `head`, with the checksum that fits."""
    return head + struct.pack("<I", zlib.crc32(head)) + payload


def head_of(name):
    """(header and table without their checksum, payload)."""
    n = len(FILES[name]) - sum(len(c.data) for c in CHUNKS[name])
    return FILES[name][: n - 4], FILES[name][n:]


def mutate_bytes(data, rng):
    """Bytes changed, cut out or put in."""
    out, at = bytearray(data), int(rng.integers(0, max(len(data), 1)))
    choice = rng.integers(0, 6)
    if choice == 0 or not out:
        out[at:at] = rng.bytes(int(rng.integers(1, 5)))
    elif choice == 1:
        del out[at : at + int(rng.integers(1, 5))]
    elif choice == 2:
        out = out[:at]
    elif choice == 3:
        out[at] = INTERESTING[rng.integers(0, len(INTERESTING))]
    elif choice == 4:
        out[at] = (out[at] + int(rng.choice([-1, 1]))) % 256
    else:
        out[at] ^= 1 << int(rng.integers(0, 8))
    return bytes(out)


def mutate_chunks(chunks, rng):
    """One change of the list: bytes of a chunk, its order, presence, key, codec or type, or another file's chunk."""
    chunks = list(chunks)
    at = int(rng.integers(0, len(chunks)))
    c = chunks[at]
    choice = rng.integers(0, 12)
    if choice < 6:
        chunks[at] = Chunk(c.type, c.key, c.codec, mutate_bytes(c.data, rng))
    elif choice == 6:
        chunks.insert(int(rng.integers(0, len(chunks))), chunks.pop(at))
    elif choice == 7 and len(chunks) > 1:
        del chunks[at]
    elif choice == 8:
        chunks.insert(at, Chunk(c.type, c.key + int(rng.integers(1, 4)), c.codec, c.data))
    elif choice == 9:
        chunks[at] = Chunk(c.type, int(rng.choice([0, 1, 2, 31, 32, 2**32 - 1])), c.codec, c.data)
    elif choice == 10:
        chunks[at] = Chunk(c.type, c.key, int(rng.integers(0, 3)), c.data)
    else:
        other = CHUNKS[list(CHUNKS)[rng.integers(0, len(CHUNKS))]]
        chunks[at] = next((o for o in other if (o.type, o.key) == (c.type, c.key)), c)
    return chunks
