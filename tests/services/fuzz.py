"""Damaged requests, the same ones in every run."""

import random


def damaged(sound, count, seed=0):
    """`count` variants of the sound byte strings: flipped, cut, spliced, with parts repeated, with odd numbers."""
    rng = random.Random(seed)
    odd = [
        b"\0",
        b"\xff" * 9 + b"\x01",
        b"\x80" * 10,
        b"%",
        b"%ff",
        b"\r\n",
        b"\r\n\r\n",
        b" ",
        b"&",
        b"=",
        b"k=",
        b"-1",
    ]
    for _ in range(count):
        data = bytearray(rng.choice(sound))
        for _ in range(rng.randint(1, 4)):
            at, end = sorted(rng.randint(0, len(data)) for _ in range(2))
            what = rng.randrange(6)
            if what == 0 and data:
                data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
            elif what == 1:
                del data[at:end]
            elif what == 2:
                data[at:at] = data[at:end]
            elif what == 3:
                data[at:at] = rng.choice(odd)
            elif what == 4:
                data[at:] = rng.choice(sound)[at:]
            else:
                data[at : at + 1] = rng.randbytes(rng.randint(1, 5))
        yield bytes(data)
