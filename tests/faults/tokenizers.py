"""Makes tokenizer files that are meant to harm who reads them, or are odd, in the current folder: tokenizers.py.

Prints a line for each: its name, what programs do with it, and what they say behind the file's name, or why it is right to
read it. `refused`: it is not loaded. `text`: it is loaded, but `encode` ends where a text would take too much. `read`: the
odd part is harmless."""
import json
import os

BYTES = [*range(33, 127), *range(161, 173), *range(174, 256)]
LETTERS = [chr(b) for b in range(256) if b in BYTES] + [chr(256 + i) for i in range(256 - len(BYTES))]
NAMES = ["<pad>", "<unk>", "<bos>", "<eos>"] + LETTERS + ["ab", "abc"]
VOCAB = {name: i for i, name in enumerate(NAMES)}
N = len(NAMES)
FLAGS = {key: False for key in ("single_word", "lstrip", "rstrip", "normalized", "special")}
ADDED = [FLAGS | {"id": i, "content": NAMES[i], "special": True} for i in range(4)]
LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}


def tokenizer(**changes):
    """A small one of bytes, with other parts or other fields of `model` in their place."""
    model = {"type": "BPE", "unk_token": None, "vocab": VOCAB, "merges": ["a b", "ab c"]}
    whole = {"added_tokens": ADDED, "normalizer": None, "pre_tokenizer": LEVEL, "decoder": {"type": "ByteLevel"}, "post_processor": None, "model": model}
    for key, value in changes.items():
        (whole if key in whole or key in ("truncation", "padding") else model)[key] = value
    return whole


def characters(**changes):
    """One of characters that fall back to bytes."""
    parts = {"pre_tokenizer": None, "decoder": {"type": "Fuse"}, "byte_fallback": True, "unk_token": "<unk>"}
    return tokenizer(**parts | changes)


def save(name, whole, does, says):
    assert not os.path.exists(name + ".json"), name
    with open(name + ".json", "w") as file:
        file.write(whole if isinstance(whole, str) else json.dumps(whole))
    print(name, does, says, sep="\t")


def refused(name, says, whole):
    save(name, whole, "refused", says)


def each(prefix, says, cases):
    for name, whole in cases.items():
        refused("%s-%s" % (prefix, name), says, whole)


def sequence(key, parts):
    return {"type": "Sequence", key: parts}


def nested(key, part, deep=100):
    for _ in range(deep):
        part = sequence(key, [part])
    return part


def replace(old, new):
    return {"type": "Replace", "pattern": old if isinstance(old, dict) else {"String": old}, "content": new}


def added(**fields):
    return tokenizer(added_tokens=ADDED + [FLAGS | {"id": N, "content": "<x>"} | fields])


def split(pattern, **fields):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False} | fields


def splits(*steps):
    return tokenizer(pre_tokenizer=sequence("pretokenizers", [*steps, LEVEL]))


def metaspace(mark, **fields):
    return {"type": "Metaspace", "replacement": mark, "prepend_scheme": "always"} | fields


def template(ids, **fields):
    return {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}, {"Sequence": {"id": "A"}}], "special_tokens": {"x": {"ids": ids}}} | fields


GOOD = json.dumps(tokenizer())

# --- the file ---

for percent in (3, 50, 97, 99):
    refused("cut-%d" % percent, "cannot be read as JSON: line 1: ", GOOD[: len(GOOD) * percent // 100])
refused("empty", "cannot be read as JSON: line 1: ", "")
refused("prose", "cannot be read as JSON: line 1: ", "# A page\n")
refused("two", "cannot be read as JSON: line 1: end of file expected", GOOD + GOOD)
refused("number", "cannot be read as JSON: line 1: ", "1")
refused("bytes", "cannot be read as JSON: line 1: ", "\0\1\2")
refused("list", "not a tokenizer.json: no object", [tokenizer()])
refused("twice", "cannot be read as JSON: line 1: duplicate object key", GOOD.replace('"abc": 261', '"abc": 261, "abc": 262'))
refused("twice-post", "cannot be read as JSON: line 1: duplicate object key", GOOD.replace('"post_processor": null', '"post_processor": {"type": "ByteLevel", "type": "x"}'))
refused("broken-post", "cannot be read as JSON: line 1: ", GOOD.replace('"post_processor": null', '"post_processor": {"type": none}'))
refused("surrogate", "cannot be read as JSON: line 1: invalid Unicode '\\uD800'", GOOD.replace('"abc": 261', '"\\ud800": 261'))
refused("zero", "cannot be read as JSON: line 1: ", GOOD.replace('"abc": 261', '"a\\u0000": 261'))
refused("big", "cannot be read as JSON: line 1: too big integer", GOOD.replace('"abc": 261', '"abc": 1' + "0" * 400))
refused("deep", "cannot be read as JSON: line 1: maximum parsing depth reached", GOOD.replace('"normalizer": null', '"normalizer": ' + "[" * 5000 + "]" * 5000))

# --- ids ---

LIMIT = "is not a number below the vocabulary's size"
for name, n in {"negative": -1, "real": 5.5, "text": "5", "null": None, "true": True, "list": [5], "nan": {}}.items():
    refused("id-" + name, "the id of token 'abc' " + LIMIT, tokenizer(vocab=VOCAB | {"abc": n}))
    refused("added-" + name, "the id of token '<x>' " + LIMIT, added(id=n))
for name, n in {"far": 300000, "2-31": 2**31, "2-32": 2**32 + 5, "2-63": 2**63 - 1}.items():
    refused("id-" + name, "266 tokens with ids up to %d are not supported" % n, tokenizer(vocab=VOCAB | {"abc": n}))
    refused("added-" + name, "267 tokens with ids up to %d are not supported" % n, added(id=n))
refused("id-twice", "an id used twice, by token abc", tokenizer(vocab=VOCAB | {"abc": 260}))
refused("id-of-added", "an id used twice, by token ", added(id=100))
refused("added-two-ids", "two ids for added token a", added(content="a"))
refused("added-twice", "an id used twice, by added token <y>", tokenizer(added_tokens=ADDED + [FLAGS | {"id": N, "content": c} for c in ("<x>", "<y>")]))
refused("no-tokens", "0 tokens with ids up to -1 are not supported", tokenizer(vocab={}, added_tokens=[], merges=[]))
refused("empty-token", "a token outside the byte alphabet:", tokenizer(vocab=VOCAB | {"": N}))
refused("strange-token", "a token outside the byte alphabet:", tokenizer(vocab=VOCAB | {"☃": N}))
save("id-gap", tokenizer(vocab=VOCAB | {"abc": 65000}), "read", "files of others leave ids out")
save("long-token", tokenizer(vocab=VOCAB | {"a" * (1 << 20): N}), "read", "the file holds as many bytes")
save("added-only", tokenizer(vocab=VOCAB, added_tokens=ADDED + [FLAGS | {"id": N + i, "content": "e%d" % i} for i in range(20000)]), "read", "they are found by bisection")

# --- types of fields ---

each("list", "added_tokens is not a list", {"added": tokenizer(added_tokens={"0": ADDED[0]}), "added-text": tokenizer(added_tokens="<pad>")})
each("content", "an added token has no content, or too long a one", {"long": added(content="x" * 100000), "empty": added(content=""),
    "number": added(content=5), "none": tokenizer(added_tokens=[{"id": 0}]), "token": tokenizer(added_tokens=[1, None, [], {}])})
for key in FLAGS:
    each("flag-" + key, key + " is neither true nor false", {"text": added(**{key: "false"}), "number": added(**{key: 1}), "list": added(**{key: []})})
for key in ("byte_fallback", "fuse_unk", "ignore_merges"):
    refused("flag-" + key, key + " is neither true nor false", tokenizer(**{key: 1}))
for key in ("add_prefix_space", "use_regex"):
    refused("flag-" + key, key + " is neither true nor false", tokenizer(pre_tokenizer=LEVEL | {key: "no"}))
refused("flag-invert", "invert is neither true nor false", splits(split("a", invert=0)))
refused("flag-digits", "individual_digits is neither true nor false", splits({"type": "Digits", "individual_digits": 1}))
refused("flag-split", "split is neither true nor false", splits(metaspace("_", split="x")))
refused("flag-space", "add_prefix_space is neither true nor false", splits(metaspace("_", add_prefix_space="x")))
for side in ("strip_left", "strip_right"):
    refused("flag-" + side, side + " is neither true nor false", tokenizer(normalizer={"type": "Strip", side: 1}))
refused("flag-decoder", "add_prefix_space is neither true nor false", characters(decoder=metaspace("_", add_prefix_space=1)))
each("scheme", "not supported: a decoder with a prepend_scheme that is no string", {"decoder": characters(decoder=metaspace("_", prepend_scheme=1))})
each("scheme", "a Metaspace's prepend_scheme is not known", {"number": splits(metaspace("_", prepend_scheme=1)), "text": splits(metaspace("_", prepend_scheme="x"))})
each("mark", "a Metaspace's replacement is not one character", {"empty": splits(metaspace("")), "two": splits(metaspace("ab")), "number": splits(metaspace(1))})
each("strip", "not supported: a decoder with a Strip of no character, or of so many", {
    "none": characters(decoder={"type": "Strip", "content": "a"}), "many": characters(decoder={"type": "Strip", "content": "a", "start": 10**9, "stop": 0}),
    "negative": characters(decoder={"type": "Strip", "content": "a", "start": -1, "stop": 0}), "text": characters(decoder={"type": "Strip", "content": "a", "start": "1", "stop": 0}),
    "empty": characters(decoder={"type": "Strip", "content": "", "start": 1, "stop": 0})})
each("unk", "unk_token is not a string", {"number": tokenizer(unk_token=5), "list": tokenizer(unk_token=["<unk>"])})
refused("unk-none", "unk_token is not in the vocabulary: <none>", tokenizer(unk_token="<none>"))
each("dropout", "not supported: dropout", {"some": tokenizer(dropout=0.1), "text": tokenizer(dropout="0"), "all": tokenizer(dropout=1)})
for key in ("continuing_subword_prefix", "end_of_word_suffix"):
    each(key, "not supported: " + key, {"text": tokenizer(**{key: "##"}), "number": tokenizer(**{key: 5})})
for key in ("truncation", "padding"):
    each(key, "not supported: " + key, {"object": tokenizer(**{key: {}}), "false": tokenizer(**{key: False})})
each("model", "model of type ", {"none": tokenizer(model=None), "list": tokenizer(model=[]), "other": tokenizer(type="Unigram"), "number": tokenizer(type=5)})
each("vocab", "the model has no vocab", {"list": tokenizer(vocab=NAMES), "null": tokenizer(vocab=None)})
each("merges", "the model has no merges", {"object": tokenizer(merges={"a": "b"}), "null": tokenizer(merges=None)})

# --- merges ---

each("merge", 'merge 2 is neither "a b" nor ["a", "b"]', {name: tokenizer(merges=["a b", "ab c", merge]) for name, merge in {
    "one": "ab", "three": "a b c", "empty": "", "list": ["a"], "lists": [["a"], ["b"]], "numbers": [1, 2], "number": 1, "null": None, "object": {"a": "b"}}.items()})
for name, merge, part in (("unknown", "x yz", "yz"), ("unmade", "b c", "bc"), ("blank", " ", ""), ("huge", "a" * 200000 + " b", "a" * 60)):
    refused("merge-" + name, "merge 2 names a token missing from the vocabulary: '%s'" % part, tokenizer(merges=["a b", "ab c", merge]))
refused("merge-twice", "merge 2 ('a' 'b') is there twice", tokenizer(merges=["a b", "ab c", ["a", "b"]]))
refused("merge-none", "merges is empty, but the vocabulary has 2 tokens of several bytes", tokenizer(merges=[]))
save("merge-same", tokenizer(vocab=VOCAB | {"bc": N}, merges=["a b", "ab c", "b c", "a bc"]), "read", "two ways to one token")

# --- patterns ---

def says(pattern):
    return "pattern '%.100s" % pattern


for name, pattern, why in (("open", "(a", "missing closing"), ("set", "[a", "missing terminating"), ("deep", "(" * 5000 + "a" + ")" * 5000, "parentheses are too deeply nested"),
        ("times", "((a{1,1000}){1,1000}){1,1000}", "too large"), ("long", "\\S" * 32000, "too large"), ("sets", "[\\S\\d\\p{L}]" * 5000, "too large"),
        ("empty", "", "matches no characters"), ("nothing", "a*", "matches no characters"), ("ahead", "(?=a)", "matches no characters"),
        ("script", "\\p{Nothing}", "unknown property"), ("behind", "(?<=a{1,9000})b", "not fixed length"), ("back", "(a)\\1", "'\\1' is not supported"),
        ("recursion", "(a(?R)?b)", "'(?R)' is not supported"), ("verb", "(*LIMIT_MATCH=1)a", "'(*' is not supported"), ("code", "(?C1)a", "'(?C1' is not supported"),
        ("byte", "\\C", "'\\C' is not supported"), ("quote", "\\Q(a", "'\\Q' is not supported"), ("escape", "a\\", "'\\' is not supported")):
    refused("pattern-" + name, says(pattern) + "'*" + why, splits(split(pattern)))
refused("pattern-huge", "a pattern of 1048576 bytes", splits(split("a" * (1 << 20))))
each("pattern", "a pattern is neither String nor Regex", {"null": splits(split("") | {"pattern": None}), "number": splits(split("") | {"pattern": {"Regex": 1}}), "other": splits(split("") | {"pattern": {"Glob": "*"}})})
refused("pattern-none", "a pattern of no characters", tokenizer(normalizer=replace("", "x")))
refused("patterns", "too many pre_tokenizers", splits(*[split("a")] * 1000))
each("behavior", "a pre_tokenizer's behavior is not known: ", {"number": splits(split("a", behavior=1)), "other": splits(split("a", behavior="x"))})
for name, pattern in (("nest", "(?:a+)+!"), ("branches", "(?:a|aa){20}!"), ("stars", "[a-z]*[a-z]*[a-z]*[a-z]*#"), ("lazy", "(?:[a-z]+?)+?#")):
    save("blows-" + name, splits(split(pattern)), "text", "a pattern gives up on ")
save("blows-within", splits(split("[a-z]{30}"), split("(?:a|aa)+!")), "read", "the second pattern sees 30 letters at a time")

# --- steps ---

for key, part in (("normalizers", "normalizer"), ("pretokenizers", "pre_tokenizer"), ("processors", "post_processor"), ("decoders", "decoder")):
    make = characters if part == "decoder" else tokenizer
    each(part, "a Sequence whose %s are not a list" % key, {"itself": make(**{part: sequence(key, key)}), "object": make(**{part: sequence(key, {"type": "NFC"})}),
        "null": make(**{part: sequence(key, None)}), "none": make(**{part: {"type": "Sequence"}})})
    each(part, part + " of type ", {"deep": make(**{part: nested(key, {"type": "NFC"})}), "text": make(**{part: "NFC"}), "number": make(**{part: 1}),
        "list": make(**{part: [{"type": "NFC"}]}), "unknown": make(**{part: {"type": "x"}}), "type": make(**{part: {"type": ["NFC"]}})})
refused("normalizers", "too many normalizers", tokenizer(normalizer=sequence("normalizers", [{"type": "NFC"}] * 65)))
refused("replace-number", "a normalizer without content", tokenizer(normalizer=replace("a", 1)))
refused("prepend-null", "a normalizer without prepend", tokenizer(normalizer={"type": "Prepend", "prepend": None}))
refused("decoders", "not supported: a decoder with so many steps", characters(decoder=sequence("decoders", [replace("a", "b")] * 17)))
refused("decoder-order", "not supported: a decoder with steps in this order", characters(decoder=sequence("decoders", [{"type": "Fuse"}, {"type": "ByteFallback"}])))
refused("decoder-absent", "no decoder, and no ByteLevel pre_tokenizer", characters(decoder=None))
refused("decoder-grows", "not supported: a decoder with a Replace that makes more than 32 times as much of a token",
    characters(decoder=sequence("decoders", [replace("a", "a" * 1000)] * 16)))
for name, steps in (("replace", [replace("e", "e" * 40)] * 60), ("doubles", [replace("e", "ee")] * 64), ("regex", [replace({"Regex": "."}, "e" * 10)] * 60), ("prepend", [{"type": "Prepend", "prepend": "a" * 100000}] * 60)):
    save("grows-" + name, tokenizer(normalizer=sequence("normalizers", steps)), "text", "its normalizer makes more than ")
save("grows-marks", splits(*[metaspace("_"), metaspace("-")] * 20), "text", "its pre_tokenizer makes too many marks of one text")
save("to-and-fro", tokenizer(normalizer=sequence("normalizers", [replace("e", "o"), replace("o", "e")] * 32)), "read", "each step is as long as the text")
save("vanishes", tokenizer(normalizer=replace({"Regex": "(.|\\n)"}, "")), "read", "an empty text")
refused("added-grows", "an added token has no content, or too long a one, once it is normalized: <x>",
    added(normalized=True) | {"normalizer": {"type": "Prepend", "prepend": "a" * 300}})
refused("added-vanishes", "an added token has no content, or too long a one, once it is normalized: <x>", added(normalized=True) | {"normalizer": replace({"Regex": "."}, "")})
save("added-strip", added(content=" ", lstrip=True), "read", "white space is looked at once")
save("added-same", tokenizer(added_tokens=ADDED + [FLAGS | {"id": N + i, "content": "ee", "special": True} for i in range(20000)]), "read", "the first counts")
save("byte-names", characters(vocab=VOCAB | {"<0x%04x" % i: N + i for i in range(30000)}), "read", "they are no bytes")

# --- around a document ---

refused("post-many", "too many tokens around a document", tokenizer(post_processor=template([0] * 300000)))
refused("post-far", "the id of token 'cls' " + LIMIT, tokenizer(post_processor={"type": "BertProcessing", "sep": ["x", 2**40], "cls": ["y", -1]}))
each("post", "the id of token 'x' " + LIMIT, {name: tokenizer(post_processor=template(ids)) for name, ids in {"id": [N], "text": ["0"], "negative": [-1]}.items()})
each("post", "the post_processor has no template with a text A", {"null": tokenizer(post_processor=template([0], single=None)), "empty": tokenizer(post_processor=template([0], single=[]))})
each("post", "a template of the post_processor is not understood", {"ids": tokenizer(post_processor=template(5)), "item": tokenizer(post_processor=template([0], single=[1])),
    "texts": tokenizer(post_processor=template([0], single=[{"Sequence": {"id": "A"}}] * 2))})
refused("post-two", "two post_processors that add tokens", tokenizer(post_processor=sequence("processors", [template([0])] * 2)))
