#!/usr/bin/env python3
"""How the router does where a document changes its subject, beside the backbone and an oracle: subjects.py BIN RUN MODEL LENGTH

Documents of LENGTH tokens are made of pieces of RUN's test documents: one subject throughout, one change half way, a change
at every quarter; and of licences, which no domain is about. The oracle takes each token by the expert that was trained on most of its own domain;
of a text of no domain, by the expert that is best at the whole document.
Prints a line for each kind and place, which counts from the last change (0: all of them): kind, first and last token, tokens, perplexity of
backbone, model and oracle, and the model's over the backbone's with its standard error over documents.
"""
import collections
import glob
import json
import math
import os
import random
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LENGTH, DOCUMENTS = int(sys.argv[4]), 80
PLACES = [(1, 8), (9, 32), (33, 64), (65, 128), (129, LENGTH)]
KINDS = {"one subject": (LENGTH, 1), "one change": (LENGTH // 2, 2), f"a change every {LENGTH // 4}": (LENGTH // 4, 2)}
NO_DOMAIN = "no domain"
LICENCES = "/usr/share/common-licenses"


def records(program, path):
    lines = subprocess.run([program, path], check=True, stdout=subprocess.PIPE).stdout.splitlines()
    return json.loads(lines[0]), [json.loads(line) for line in lines[1:]]


def write_stream(path, header, lines):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    with open(path, "wb") as out:
        subprocess.run(["/usr/bin/python3", f"{HERE}/../stream.py", json.dumps(header)], input=text.encode(), stdout=out, check=True)


def bare(header, tokens):
    """Without BOS, EOS and padding."""
    return [t for t in tokens if t not in (header["bos"], header["eos"], header["pad"])]


def made_documents(header, documents, rng):
    """Records of each kind, and for each token its domain and its place since the last change."""
    texts = collections.defaultdict(list)
    for document in documents:
        tokens = bare(header, document["tokens"])
        if len(tokens) >= LENGTH:
            texts[document["domain"]].append(tokens)
    for kind, (piece, subjects) in KINDS.items():
        for i in range(DOCUMENTS):
            domains = rng.sample(sorted(texts), subjects)
            sources = []
            for domain in domains:
                text = rng.choice(texts[domain])
                begin = rng.randrange(len(text) - LENGTH + 1)
                sources.append(text[begin:begin + LENGTH])
            tokens, labels = [header["bos"]], []
            for part in range(LENGTH // piece):
                which, at = part % subjects, part // subjects * piece
                tokens += sources[which][at:at + piece]
                labels += [(domains[which], place + 1) for place in range(piece)]
            yield {"id": f"{kind}/{i}", "domain": kind, "tokens": tokens}, labels


def licences(binaries, run, header, folder, rng):
    docs, tokens = f"{folder}/licences.docs", f"{folder}/licences.mf"
    lines = []
    for path in sorted(glob.glob(f"{LICENCES}/*")):
        if not os.path.islink(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                lines.append({"id": os.path.basename(path), "text": file.read()})
    write_stream(docs, {"mf": "docs", "version": 1}, lines)
    subprocess.run([f"{binaries}/mf-tokenize", "encode", "--quiet", "-t", f"{run}/tokenizer.json", "-o", tokens, docs], check=True)
    texts = [bare(header, d["tokens"]) for d in records(f"{binaries}/mf-cat", tokens)[1]]
    texts = [text for text in texts if len(text) >= LENGTH]
    for i in range(DOCUMENTS):
        text = rng.choice(texts)
        begin = rng.randrange(len(text) - LENGTH + 1)
        yield ({"id": f"{NO_DOMAIN}/{i}", "domain": NO_DOMAIN, "tokens": [header["bos"]] + text[begin:begin + LENGTH]},
               [(None, place + 1) for place in range(LENGTH)])


def losses(binaries, stream, *model):
    out = subprocess.run([f"{binaries}/mf-eval", "perplexity", "--quiet", "--json", "--losses", *model, stream],
                         check=True, stdout=subprocess.PIPE).stdout
    return [document["losses"] for document in json.loads(out)["per_document"]]


def experts_of_domains(binaries, run, experts):
    """The expert whose partition has most of a domain's documents."""
    counts = collections.defaultdict(collections.Counter)
    for expert in experts:
        for record in records(f"{binaries}/mf-cat", f"{run}/parts/part.{expert}.mp")[1]:
            if "id" in record:
                counts[record["domain"]][expert] += 1
    return {domain: count.most_common(1)[0][0] for domain, count in counts.items()}


def ratio_with_error(nats):
    """exp of the mean difference a token between two models, and its standard error, of (first, second, tokens) a document."""
    tokens = sum(n for _, _, n in nats)
    mean = sum(a - b for a, b, _ in nats) / tokens
    spread = sum((a - b - mean * n) ** 2 for a, b, n in nats)
    error = math.sqrt(spread * len(nats) / max(len(nats) - 1, 1)) / tokens
    return math.exp(mean), math.exp(mean) * error


def order(cell):
    """Kinds as they were made, the whole of one before its places."""
    (kind, (first, _)), _ = cell
    return [*KINDS, NO_DOMAIN].index(kind), first


def main():
    binaries, run, model = sys.argv[1:4]
    rng = random.Random(1)
    header, documents = records(f"{binaries}/mf-cat", f"{run}/tokens/test.mf")
    experts = sorted(path.split(".")[-2] for path in glob.glob(f"{run}/expert.*.tar"))
    with tempfile.TemporaryDirectory() as folder:
        made = [*made_documents(header, documents, rng), *licences(binaries, run, header, folder, rng)]
        stream = f"{folder}/made.mf"
        write_stream(stream, header, [record for record, _ in made])
        backbone = losses(binaries, stream, "-m", f"{run}/shared.tar")
        whole = losses(binaries, stream, "-m", model)
        alone = {e: losses(binaries, stream, "-m", f"{run}/shared.tar", "-e", f"{run}/expert.{e}.tar") for e in experts}
    home = experts_of_domains(binaries, run, experts)
    cells = collections.defaultdict(list)
    for d, (record, labels) in enumerate(made):
        best = min(experts, key=lambda e: sum(alone[e][d]))
        sums = collections.defaultdict(lambda: [0.0, 0.0, 0.0, 0])
        for i, (domain, place) in enumerate(labels):
            at = next(p for p in PLACES if place <= p[1])
            row = (backbone[d][i], whole[d][i], alone[home.get(domain, best)][d][i], 1)
            for key in (at, (0, 0)): # 0: the whole
                sums[key] = [a + b for a, b in zip(sums[key], row)]
        for place, row in sums.items():
            cells[record["domain"], place].append(row)
    print("kind\tfrom\tto\ttokens\tbackbone\tassembled\toracle\tratio\terror")
    for (kind, place), rows in sorted(cells.items(), key=order):
        tokens = sum(row[3] for row in rows)
        perplexities = [math.exp(sum(row[i] for row in rows) / tokens) for i in range(3)]
        ratio, error = ratio_with_error([(row[1], row[0], row[3]) for row in rows])
        print(kind, *place, tokens, *(f"{p:.2f}" for p in perplexities), f"{ratio:.4f}", f"{error:.4f}", sep="\t")


main()
