"""Writes documents of made-up words: words.py FOLDER [DOCUMENTS] [SEED] [DOMAINS]. Three folders or up to five, each with
words of its own and some in common; the same arguments give the same files."""

import os
import random
import sys

folder, count, seed = sys.argv[1], int((sys.argv + ["", "", "60"])[2] or 60), int((sys.argv + ["", "", "", "1"])[3] or 1)
rng = random.Random(7)
domains = ["alpha", "beta", "gamma", "delta", "epsilon"][: int((sys.argv + ["", "", "", "", "3"])[4] or 3)]
syllables = ["ba", "ko", "ri", "ten", "mul", "sha", "vo", "est", "in", "lar", "qui", "dra"]


def words(n):
    return ["".join(rng.choice(syllables) for _ in range(rng.randint(1, 3))) for _ in range(n)]


common, special = words(30), {d: words(40) for d in domains}
rng = random.Random(seed)
for domain in sorted(special):
    os.makedirs(os.path.join(folder, domain), exist_ok=True)
    for i in range(count):
        own = special[domain]
        text = []
        for _ in range(rng.randint(4, 9)):  # each word makes its successor likely: there is something to learn
            at, sentence = rng.randrange(40), []
            for _ in range(rng.randint(5, 12)):
                sentence.append(own[at] if rng.random() < 0.8 else rng.choice(common))
                at = (at * 7 + rng.randint(0, 1)) % 40
            text.append(" ".join(sentence) + ".")
        with open(os.path.join(folder, domain, "%03d.txt" % i), "w") as file:
            file.write("\n".join(text) + "\n")
