#!/usr/bin/env python3
"""Makes a stream for tests, by the format's page alone: JSON lines in, a stream out.

    stream.py [HEADER] < LINES > STREAM

HEADER is JSON, {"mf": "docs", "version": 1} by default; each line is a record. A byte outside UTF-8 is written as a lone
surrogate: "\\udcff" is the byte 0xff. A list of numbers becomes the bytes of little-endian 16-bit numbers. With STR=8, 16 or 32
every string has its length in so many bits, and every map in 32, as other encoders write them.
"""
import json
import os
import struct
import sys

import msgpack

P1, P2, P3, P4, P5 = (
    0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
M = (1 << 64) - 1


def rotl(x, r):
    return (x << r | x >> (64 - r)) & M


def lane(acc, word):
    return rotl((acc + word * P2) & M, 31) * P1 & M


def xxh64(data):
    """XXH64 with seed 0, from its specification."""
    at, n = 0, len(data)
    h = P5
    if n >= 32:
        v = [(P1 + P2) & M, P2, 0, -P1 & M]
        words = memoryview(data[:n - n % 32]).cast("Q")
        for i in range(0, len(words), 4):
            v = [lane(v[k], words[i + k]) for k in range(4)]
        at = n - n % 32
        h = (rotl(v[0], 1) + rotl(v[1], 7) + rotl(v[2], 12) + rotl(v[3], 18)) & M
        for k in range(4):
            h = ((h ^ lane(0, v[k])) * P1 + P4) & M
    h = (h + n) & M
    while at + 8 <= n:
        h = (rotl(h ^ lane(0, int.from_bytes(data[at:at + 8], "little")), 27) * P1 + P4) & M
        at += 8
    if at + 4 <= n:
        h = (rotl(h ^ int.from_bytes(data[at:at + 4], "little") * P1 & M, 23) * P2 + P3) & M
        at += 4
    for byte in data[at:]:
        h = rotl(h ^ byte * P5 & M, 11) * P1 & M
    h = (h ^ h >> 33) * P2 & M
    h = (h ^ h >> 29) * P3 & M
    return h ^ h >> 32


def plain(record):
    return {k: struct.pack(f"<{len(v)}H", *v) if isinstance(v, list) else v for k, v in record.items()}


def packed(value):
    """msgpack of a value, with wide strings and maps where STR asks for them."""
    bits = int(os.environ.get("STR", 0))
    if bits and isinstance(value, dict):
        return struct.pack(">BI", 0xDF, len(value)) + b"".join(packed(k) + packed(v) for k, v in value.items())
    if bits and isinstance(value, str):
        data = value.encode(errors="surrogateescape")
        return struct.pack(*{8: (">BB", 0xD9), 16: (">BH", 0xDA), 32: (">BI", 0xDB)}[bits], len(data)) + data
    return msgpack.packb(value, unicode_errors="surrogateescape")


def main():
    header = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {"mf": "docs", "version": 1}
    body = bytearray(packed(header))
    count = 0
    for line in sys.stdin:
        body += packed(plain(json.loads(line)))
        count += 1
    body += packed({"end": count, "xxh64": "%016x" % xxh64(bytes(body))})
    sys.stdout.buffer.write(body)


main()
