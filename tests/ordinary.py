"""Writes files of made-up text in paragraphs of sentences, of very different lengths: ordinary.py FILES BYTES FOLDER [SEED],
of about BYTES together; the same arguments give the same files."""

import os, random, sys

files, size, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
rng = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 5)
words = ["".join(rng.choice("etaoinshrdlu") for _ in range(rng.randint(2, 9))) for _ in range(2000)]
sentence = lambda: " ".join(rng.choice(words) for _ in range(rng.randint(4, 14))).capitalize() + "."
paragraph = lambda: "\n".join(sentence() for _ in range(rng.randint(1, 5))) + "\n\n"
weights = [rng.lognormvariate(0, 1) for _ in range(files)]
os.makedirs(folder)
for i, weight in enumerate(weights):
    with open("%s/%03d.txt" % (folder, i), "w") as file:
        while file.tell() < size * weight / sum(weights):
            file.write(paragraph())
