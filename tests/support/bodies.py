"""Bodies both ends can compute from (length, seed), so that one digest proves every byte.

A block of 65,521 random bytes, repeated. The length is prime: a body that lost, repeated or moved
a piece by any power of two, page or frame size does not have the same digest.
"""
import functools
import hashlib
import random

BLOCK = 65521


@functools.lru_cache(maxsize=64)
def block(seed):
    return random.Random(seed).randbytes(BLOCK)


def pieces(length, seed, piece=BLOCK):
    """Yields the body in order, `piece` bytes (at most BLOCK) at a time."""
    source = block(seed) * 2
    at = 0
    while at < length:
        size = min(piece, length - at)
        start = at % BLOCK
        yield source[start:start + size]
        at += size


@functools.lru_cache(maxsize=256)
def digest(length, seed):
    """Hexadecimal SHA-256 of the body."""
    state = hashlib.sha256()
    for piece in pieces(length, seed):
        state.update(piece)
    return state.hexdigest()
