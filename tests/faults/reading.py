"""Makes inputs of mf-docs in the current folder: archives and compressed files, good and damaged, and texts of odd kinds."""
import bz2
import gzip
import io
import lzma
import os
import subprocess
import tarfile
import zipfile

LINES = b"".join(b"line %d of a text, %d\n" % (i, i * i * 7919 % 10007) for i in range(80))


def save(name, *parts):
    with open(name, "wb") as file:
        for part in parts:
            file.write(part)


def tar(members, form=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def flip(data, at):
    data = bytearray(data)
    data[at] ^= 1
    return bytes(data)


def packed(tool, data):
    return subprocess.run([tool, "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


# --- damage ---

forms = {"gz": gzip.compress(LINES, mtime=0), "bz2": bz2.compress(LINES), "xz": lzma.compress(LINES), "zst": packed("zstd", LINES),
         "lz4": packed("lz4", LINES), "lzma": lzma.compress(LINES, format=lzma.FORMAT_ALONE)}
os.mkdir("damage")
for form, data in forms.items():
    save(f"good.{form}", data)
    save(f"damage/cut.{form}", data[:-1])
    save(f"damage/half.{form}", data[: len(data) // 2])
    save(f"damage/behind.{form}", data, b"junk")
    if form != "lzma":  # it has no checksum
        save(f"twice.{form}", data, data)
        save(f"damage/magic.{form}", flip(data, 0))
        save(f"damage/second.{form}", data, flip(data, 0))
        save(f"damage/last.{form}", flip(data, -3 if form == "bz2" else -1))  # bzip2 pads its last byte
save("damage/block.bz2", flip(forms["bz2"], 5))
for at in range(0, 12):  # the checksum, the length, and what is before them
    save(f"damage/sum{at}.gz", flip(forms["gz"], -1 - at))
a, b = tar([("a.txt", b"one")]), tar([("b.txt", b"two")])
save("damage/junk.tar", a, b"junk")
save("damage/cut.tar", a[:1024])
save("damage/junk.tar.gz", gzip.compress(a + b"junk"))
for name in "ab":
    with zipfile.ZipFile(name + ".zip", "w") as archive:
        archive.writestr(name + ".txt", LINES)
        archive.writestr(name + "2.txt", LINES[20:])
zips = [open(name + ".zip", "rb").read() for name in "ab"]
save("damage/two.zip", *zips)
save("damage/junk.zip", zips[0], b"junk")
save("damage/cut.zip", zips[0][:-30])
second = zips[0].index(b"PK\3\4", 4)
save("damage/member.zip", flip(zips[0], second))
save("damage/text.zip", flip(zips[0], 40))
save("damage/directory.zip", flip(zips[0], zips[0].rindex(b"PK\1\2")))

# --- all of an archive ---

save("joined.tar", a, b)
save("joined.tar.gz", gzip.compress(a), gzip.compress(b))
save("hole.tar", a[:1024], bytes(1024), b)

# --- names ---

save("accents.tar", tar([("café.txt", b"one"), ("日本語.txt", b"two")]))
with zipfile.ZipFile("accents.zip", "w") as archive:
    archive.writestr("café.txt", b"one")
    archive.writestr("日本語.txt", b"two")

# --- what a folder gives, an archive gives ---

os.makedirs("w/sub/.git")
os.mkdir("w/__MACOSX")
office = io.BytesIO()
with zipfile.ZipFile(office, "w") as archive:
    archive.writestr("[Content_Types].xml", "<Types/>")
members = {"a.txt": b"text of a", "._a.txt": bytes(40), "sub/.git/config": b"[core]", "__MACOSX/x.txt": b"no", "sub/picture.png": b"\x89PNG",
           "letter.docx": office.getvalue(), "renamed": office.getvalue(), "table": b"PAR1" + bytes(range(256)) + b"PAR1",
           "sub/z.txt.gz": gzip.compress(b"text of z"), "sub/lines.json": b'{"text": "text of line"}\n'}
for name, data in members.items():
    save("w/" + name, data)
save("w.tar", tar([("a.txt", b"before")] + list(members.items())))
with zipfile.ZipFile("w.zip", "w") as archive:
    for name, data in members.items():
        archive.writestr(name, data)
save("nested.tar", tar([("w.zip", open("w.zip", "rb").read())]))
text = "Grüße\n日本 \U0001f600"
for code in ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-8"]:
    save(code + ".txt", ("\ufeff" + text).encode(code))
save("half.txt", "\ufeff".encode("utf-16-le"), b"a\0\x3d\xd8")
save("zero.txt", b"before\0after")
with zipfile.ZipFile("zero.zip", "w") as archive:
    archive.write("zero.txt")

# --- lines of JSON, by content ---

three = b"".join(b'{"text": "%s"}\n' % word for word in [b"one", b"two", b"three"])
save("mark.jsonl", b"\xef\xbb\xbf", three)
save("mark.wiki", b"\xef\xbb\xbf = First = \n text\n = Second = \n text\n")
save("c.json", three)
save("c.json.gz", gzip.compress(three))
save("c.JSONL.GZ", gzip.compress(three))
save("c.jsonl.1", three)
save("one.json", b'{\n "text": "a document"\n}\n')
