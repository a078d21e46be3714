"""Makes files in the current folder that are meant to harm who reads them: hostile.py."""
import gzip
import hashlib
import io
import json
import lzma
import struct
import tarfile
import zipfile

import msgpack

TEXT = b"as it was " * (1 << 18)  # 2.5 MiB
GOOD = {"mf": "bundle", "version": 1, "kind": "expert"}


def save(name, data):
    with open(name, "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)


def tar(name, members, form=tarfile.USTAR_FORMAT):
    """Members are (name, bytes, type, further fields)."""
    with tarfile.open(name, "w", format=form) as archive:
        for member, data, kind, more in members:
            info = tarfile.TarInfo(member)
            info.type, info.size = kind, len(data)
            for field, value in more.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(data))


def header(name, kind=b"0", size=b"%011o\0" % 512, more={}):
    """A tar header made by hand, of a member with any size."""
    h = bytearray(512)
    h[: len(name)] = name
    h[100:108], h[124:136], h[148:157], h[257:265] = b"0000644\0", size, b"        " + kind, b"ustar\x0000" if kind == b"0" else b"ustar  \0"
    for at, value in more.items():
        h[at : at + len(value)] = value
    h[148:156] = b"%06o\0 " % sum(h)
    return bytes(h)


def big(n):
    """A size that takes more than 11 octal digits."""
    return b"\x80" + n.to_bytes(11, "big")


def block(data):
    return data + bytes(-len(data) % 512)


def zstd(head, repeat, count):
    """A frame of `head` and then `count` times a byte: blocks of one byte each."""
    def blocks():
        for i in range(0, len(head), 1 << 17):
            part = head[i : i + (1 << 17)]
            yield struct.pack("<I", len(part) << 3)[:3] + part
        for i in range(0, count, 1 << 17):
            n = min(count - i, 1 << 17)
            yield struct.pack("<I", n << 3 | 1 << 1)[:3] + repeat
        yield b"\1\0\0"
    return b"\x28\xb5\x2f\xfd\x00\x58" + b"".join(blocks())


# --- archives of documents ---

R, EMPTY = tarfile.REGTYPE, {}
tar("names.tar", [
    ("../../up.txt", b"above", R, EMPTY), ("/tmp/absolute.txt", b"at the top", R, EMPTY),
    ("soft.txt", b"", tarfile.SYMTYPE, {"linkname": "/etc/passwd"}), ("hard.txt", b"", tarfile.LNKTYPE, {"linkname": "../../up.txt"}),
    ("char", b"", tarfile.CHRTYPE, {"devmajor": 1, "devminor": 5}), ("block", b"", tarfile.BLKTYPE, EMPTY),
    ("pipe", b"", tarfile.FIFOTYPE, EMPTY), ("folder", b"", tarfile.DIRTYPE, EMPTY),
    ("twice.txt", b"one", R, EMPTY), ("twice.txt", b"two", R, EMPTY)])
for name, size in [("below", big(2**63 - 1)), ("at", big(2**63)), ("above", big(2**64 - 1)), ("negative", b"\xff" * 12)]:
    save(f"size-{name}.tar", header(b"a.txt", size=size) + block(b"text") + bytes(1024))
save("size.zip", b"PK\3\4" + struct.pack("<HHHHHIIIHH", 45, 0, 0, 0, 0, 0, 2**32 - 1, 2**32 - 1, 5, 20) + b"a.txt"
     + struct.pack("<HHQQ", 1, 16, 2**63, 2**63) + b"text")


def sparse(size):
    """Fields of a member of one piece at the end of a hole."""
    return {386: big(size - 512), 398: b"%011o\0" % 512, 483: big(size)}


save("hole.tar", header(b"a.txt", b"S", more=sparse(2**62)) + block(b"text") + bytes(1024))
tar("hole-pax.tar", [("a.txt", block(b"1\n%d\n4\n" % (2**62 - 4)) + b"text", R, {"pax_headers": {
    "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a.txt", "GNU.sparse.realsize": str(2**62)}})], tarfile.PAX_FORMAT)

# --- little that unpacks to much ---

many = gzip.compress(TEXT, 6) * 32  # members of one file
save("text.gz", many)
save("text.gz.gz.gz", gzip.compress(gzip.compress(many)))
save("lines.jsonl.gz", gzip.compress(b'{"text": "%s"}\n' % TEXT[:50000] * 50, 6) * 16)
save("text.xz", lzma.compress(TEXT * 16, preset=0))
save("text.zst", zstd(b"", b"a", 80 << 20))
for name, method in [("deflate", zipfile.ZIP_DEFLATED), ("lzma", zipfile.ZIP_LZMA)]:
    with zipfile.ZipFile(name + ".zip", "w", method) as archive:
        for i in range(4):
            archive.writestr("%d.txt" % i, TEXT * 4)
values = b"{}," * (1 << 19) + b"0"
save("values.jsonl.gz", gzip.compress(b'{"text": "a", "x": [' + values + b"]}\n"))
deep = b"[" * 100000 + b"]" * 100000
save("deep.jsonl", b'{"text": "a", "x": ' + deep + b"}\n")

# --- bundles ---


def tensor(count, data):
    entry = {"name": "a", "dtype": "F32", "shape": [count], "sha256": hashlib.sha256(data).hexdigest()}
    return json.dumps(GOOD | {"tensors": [entry]}).encode()


def bundle(text, *members):
    return header(b"manifest.json", size=b"%011o\0" % len(text)) + block(text) + b"".join(members)


one = tensor(1, bytes(4))
save("device.tar", bundle(one, header(b"a.f32", b"3", b"%011o\0" % 0), bytes(1024)))
save("hole-bundle.tar", bundle(tensor(512, bytes(2048)), header(b"a.f32", b"S", more=sparse(2048)), block(b"text"), bytes(1024)))
for name, size in [("below", 2**63 - 1), ("at", 2**63)]:
    save(f"size-{name}-bundle.tar", bundle(one, header(b"a.f32", size=big(size)), block(bytes(4)), bytes(1024)))
    save(f"size-{name}-manifest.tar", header(b"manifest.json", size=big(size)) + block(one) + bytes(1024))
zeros = 40 << 20
save("zeros.tar.zst", zstd(bundle(tensor(zeros // 4, bytes(zeros)), header(b"a.f32", size=b"%011o\0" % zeros)), b"\0", zeros + 1024))
save("claim.tar.zst", zstd(bundle(tensor(1 << 40, b""), header(b"a.f32", size=big(1 << 42))), b"\0", 1 << 20))
text = json.dumps(GOOD).encode()[:-1] + b', "x": '
for name, inner in [("values", b"[" + values + b"]"), ("deep", deep)]:
    save(name + ".tar.zst", zstd(bundle(text + inner + b"}", bytes(1024)), b"\0", 1024))

# --- models, tokenizers, reports ---


def model(head):
    return struct.pack("<Q", len(head)) + head


for name, inner in [("values", b"[" + values * 3 + b"]"), ("deep", deep)]:
    save(name + ".safetensors", model(b'{"x": ' + inner + b"}"))
    save(name + "-config.safetensors", model(json.dumps({"__metadata__": {"config": inner.decode()}}).encode()))
    save(name + ".json", b'{"version": 1, "x": ' + inner + b"}")

# --- GGUF ---


def text(data):
    return struct.pack("<Q", len(data)) + data


def gguf(name, keys, tensors, body, version=3):
    save(name + ".gguf", b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + body)


byte_list = text(b"a") + struct.pack("<IIQ", 9, 0, 1 << 20)
gguf("promise-keys", 1 << 60, 0, bytes(100))
gguf("promise-tensors", 0, 100, bytes(100))
gguf("promise-list", 1, 0, text(b"a") + struct.pack("<IIQ", 9, 8, 1 << 61))
gguf("promise-string", 1, 0, text(b"a") + struct.pack("<IQ", 8, 2**64 - 1))
gguf("promise-shape", 0, 1, text(b"a") + struct.pack("<IQQIQ", 2, 2**32, 2**32, 0, 0))
gguf("promise-data", 0, 1, text(b"a") + struct.pack("<IQIQ", 1, 2**40, 0, 0))
gguf("list-values", 1, 0, byte_list + bytes(1 << 20))
gguf("list-lists", 1, 0, text(b"a") + struct.pack("<IIQ", 9, 9, 100) + bytes(4096))
gguf("many-keys", 1 << 17, 0, b"".join(text(b"%d" % i) + struct.pack("<IB", 0, 1) for i in range(1 << 17)))
gguf("big-endian", 1 << 56, 0, bytes(100), 3 << 24)

# --- headers that promise more than the file has ---

dims = {"vocab_size": 300, "d_model": 4, "n_heads": 1, "n_layers": 2, "d_ff": 4, "context": 8, "n_experts": 2, "top_k": 1}
for name, more in [("context", {"context": 1 << 24}), ("experts", {"n_layers": 10000, "n_experts": 65536})]:
    save(name + ".safetensors", model(json.dumps({"__metadata__": {"config": json.dumps(dims | more)}}).encode()))
tokens = {"mf": "tokens", "version": 1, "width": 4, "vocab_size": 2**31 - 1, "tokenizer_sha256": "a" * 64}
save("vocabulary.mf", msgpack.packb(tokens))
parts = {"mf": "partition", "version": 1, "method": "random", "vocab_size": 70000, "tokenizer_sha256": "a" * 64, "balance": 1.1,
         "overlap": 0.0, "seed": 1}
for name, numbers in [("documents", (2, 2**32 - 2, 1)), ("terms", (4096, 2, 65535))]:
    save(name + ".mp", msgpack.packb(parts | dict(zip(("partitions", "documents", "features"), numbers))))

# --- configurations ---

previous, lines = "", []
for letter in "abcdefghi":
    lines.append("%s: &%s [%s]" % (letter, letter, ", ".join(["*" + previous if previous else "x"] * 9)))
    previous = letter
save("laughs.yaml", "\n".join(lines) + "\n")
save("alias.yaml", "model: &m\n  d_model: 32\nrouter: *m\n")
save("lists.yaml", "[" * 500000)
save("maps.yaml", "model: " + "{a: " * 200000)
save("steps.yaml", "- " * 500000)
save("keys.yaml", "model:\n" + "".join(" " * i + "d_model:\n" for i in range(1, 1400)))
save("long.yaml", "model:\n  d_model: " + "1" * 1000000 + "\n")
