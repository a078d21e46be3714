#!/usr/bin/python3
"""Texts that tell tokenizers apart, as JSON lines: hard_texts.py [--long]

Every assigned character, by its category; joiners, marks, right-to-left text, CJK, contractions, white space of all
kinds, control characters, special tokens' spellings; random mixtures of these; with --long also runs of 1 MB."""
import json
import random
import sys
import unicodedata

random.seed(4)
texts = ["", " ", "\n", " \n", "  \n\n \t ", "\u00a0\u3000", "a", "\0", "a\0b\0\0 c", "\ufeffbom", "\ufffd"]
categories = {}
for c in range(0x110000):
    category = unicodedata.category(chr(c))
    if category not in ("Cs", "Cn"):
        categories.setdefault(category, []).append(chr(c))
for category, characters in sorted(categories.items()):
    if category == "Co":
        characters = characters[::997]
    for i in range(0, len(characters), 300):
        some = characters[i:i + 300]
        texts.append("".join(some))
        texts.append(" ".join(some))
        texts.append("".join(c + random.choice(["a", "1", " ", "  ", "\n", ".", "\u0301"]) for c in some))
texts += ["'s't're've'm'll'd I'm you're we'll THEY'RE He'D it''s 'sup 's ' 'S l'l", "don't can\u2019t '\u0301s 'ſ 'ré"]
texts += ["👩‍👩‍👧‍👦 👍🏽🏳️‍🌈🇩🇪🇯🇵 ❤️‍🔥", "e\u0301 e\u0301\u0301 ñ n\u0303 각 \u1100\u1161\u11a8", "שלום עולם مرحبا بالعالم ١٢٣ \u200f\u202e",
          "日本語のテキスト、中文文本。한국어 텍스트!", "हिन्दी தமிழ் ไทยภาษา မြန်မာ", "x²½Ⅷ٣౩ 3.14e-10 0x1F", "a\r\nb\rc\n\r\nd\t\te",
          "   leading", "trailing   ", "a  b   c    d", "a \n b", "a\n\n\nb", " \u00a0a\u2003b\u2028c\u2029d\u0085e\u200bf\u001cg"]
specials = ["<|endoftext|>", "<pad>", "<unk>", "<bos>", "<eos>", "<tool>", "word", "<late>"]
for s in specials:
    texts += [s, f"a{s}b", f" {s} ", f"{s}{s}", s[:-1], s[1:], f"x {s}\n{s}  y", f"  {s}  ", f"é{s}é", f"1{s}_", f"‿{s}Ⓐ"]
parts = (specials + ["'s", "'ll", "n't", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\0", "é", "e\u0301", "ß", "ж", "א", "中", "한",
                     "👩‍💻", "\u200d", "1", "23", "٣", "½", ".", ",", "...", "-", "—", "_", "the", "The", "token", "ization", "aaaa", "\ufffd"])
for _ in range(2000):
    texts.append("".join(random.choice(parts) for _ in range(random.randint(1, 30))))
if "--long" in sys.argv:
    n = 1 << 20
    texts += ["a" * n, " " * n, "\n" * n, "=" * n, " a" * (n // 2), "中" * (n // 3), "".join(random.choice("ab") for _ in range(n))]
for i, text in enumerate(texts):
    print(json.dumps({"id": str(i), "text": text}))
