"""Records what DVC ignores, for TestDVCGolden.

Run with the interpreter of a DVC installation:

    python record.py > dvc.jsonl

The first line lists the entries of the tree. Each other line is its ignore
files with DVC's answer for each entry: ignored or not, and the rule it names.
Entries that no rule matches are left out.
"""

import json
import os
import random
import shutil
import sys
import tempfile

import dvc
from dvc.fs import localfs
from dvc.ignore import DvcIgnoreFilter

ENTRIES = [
    "a", "b.txt", "foo", "foo.txt", "bar.log", "data/", "data/a", "data/b.txt",
    "data/foo", "data/sub/", "data/sub/a", "data/sub/foo.txt", "data/sub/bar.log",
    "data/sub/deep/", "data/sub/deep/a", "data/sub/deep/b.txt", "data/foo.d/",
    "data/foo.d/x", "foo.d/", "foo.d/foo", "foo.d/b.txt", "foo.d/sub/",
    "foo.d/sub/a", "x[1].txt", "é.txt", "#hash", "!bang", "a b", "sub/",
    "sub/data/", "sub/data/a", "sub/data/b.txt", "keep/", "keep/a", "keep/keep/",
    "keep/keep/foo", ".hidden", ".d/", ".d/a", ".hg/", ".hg/x", "sub/.git",
]

HAND = [
    {"": "*.txt\n"},
    {"": "*.txt\n!b.txt\n"},
    {"": "data\n"}, {"": "data/\n"}, {"": "/data\n"}, {"": "/a\n"}, {"": "a/\n"},
    {"": "*\n!keep\n"}, {"": "*\n!keep/\n"}, {"": "*\n!keep/\n!keep/**\n"},
    {"": "*\n!data\ndata/sub\n"}, {"": "*\n!data/\n!data/sub/\n"},
    {"": "data\n!data/\n"}, {"": "data/**\n"}, {"": "data/**\n!data/foo\n"},
    {"": "data/*\n!data/foo\n"}, {"": "data/**/a\n"}, {"": "**/sub\n"},
    {"": "**/sub/a\n"}, {"": "**\n"}, {"": "/**\n"}, {"": "/*\n"}, {"": "**/*\n"},
    {"": "/*/\n"}, {"": "**/foo/**\n"}, {"": "data/sub/**/\n"},
    {"": "data/sub\n!data/sub/a\n"}, {"": "  *.txt  \n\t# no\n#yes\n"},
    {"": "\\#hash\n\\!bang\n"}, {"": "a b\n"}, {"": "x\\[1\\].txt\n"},
    {"": "x[[]1].txt\n"}, {"": "?.txt\n"}, {"": "[é].txt\n"}, {"": "[!a]*\n"},
    {"": "[^f]oo*\n"}, {"": "[[:alpha:]]*\n"}, {"": "[a\n*.log\n"}, {"": "[]a]\n"},
    {"": "[a-f]*.txt\n"}, {"": "f**o\n"}, {"": "data/f*.d\n"}, {"": "foo.*\n!foo.d\n"},
    {"": "/\n"}, {"": "//a\n"}, {"": "data//a\n"}, {"": "./a\n"}, {"": "***\n"},
    {"": "a\r\nb.txt\r\n"}, {"": "a\rb.txt\r"},
    {"": "*.log\n*.txt\nb*\n"}, {"": "b*\n*.txt\n!b*\n*.txt\n"},
    {"": "*.log\n", "data": "!bar.log\nfoo.txt\n"},
    {"": "*.log\n", "data/sub": "!bar.log\n/a\ndeep/\n"},
    {"": "data/\n", "data": "!a\n"},
    {"": ".dvcignore\n", "data": "a\n"},
    {"": ".*\n", "data": "a\n"},
    {"": "*\n!data\n", "data": "a\n"},
    {"": "*\n!data/\n", "data": "!a\n"},
    {"data": "*\n!a\n"}, {"data": "sub/*\n!sub/a\n"}, {"data": "/sub/a\n"},
    {"data": "**/a\n"}, {"data": "**/sub/a\n"}, {"data": "sub/\n", "data/sub": "!a\n"},
    {"data": "*\n", "data/sub": "!a\n"}, {"data": "**\n"}, {"data": "*/\n"},
    {"": "!data/sub/a\n", "data": "a\n"}, {"": "a\n", "data": "!a\n", "data/sub": "a\n"},
    {"": "a\n", "repo": "!sub\n"}, {"": "!sub\n", "subrepo": "foo.d"},
    {"": "*.txt\n", "subrepo": "data/sub"},
]

WORDS = ["a", "foo", "b.txt", "*.txt", "*.log", "data", "sub", "keep", "deep", "*",
         "foo*", "f?o", "[ab]*", "[!d]*", "*o*", ".*", "foo.d", "**", "b*"]


def pattern(rnd):
    parts = [rnd.choice(WORDS) for _ in range(rnd.choice([1, 1, 1, 1, 2, 2, 3]))]
    text = "/".join(parts)
    if rnd.random() < 0.2:
        text = "/" + text
    if rnd.random() < 0.3:
        text += "/"
    # These depend on the release of pathspec; cairn goes with Git.
    if text.strip("/") and set(text.strip("/").split("/")) <= {"*", "**"} and text[-1] == "/":
        return "foo/"
    return ("!" if rnd.random() < 0.35 else "") + text


def random_case(rnd):
    case = {}
    dirs = [""] + (["data"] if rnd.random() < 0.5 else []) + (
        ["data/sub"] if rnd.random() < 0.3 else []
    )
    for d in dirs:
        pats = [pattern(rnd) for _ in range(rnd.randint(1, 5))]
        if d:
            # There DVC takes "**" for the folder itself as well, against the
            # documentation of both tools.
            pats = [p for p in pats if p.strip("!/") != "**"] or ["foo"]
        case[d] = "".join(p + "\n" for p in pats)
    return case


def record(case):
    root = os.path.realpath(tempfile.mkdtemp())
    for e in ENTRIES:
        path = os.path.join(root, e)
        os.makedirs(path if e.endswith("/") else os.path.dirname(path), exist_ok=True)
        if not e.endswith("/"):
            open(path, "w").close()
    sub = case.pop("subrepo", None)
    if sub:
        os.makedirs(os.path.join(root, sub, ".dvc"))
    for d, text in case.items():
        os.makedirs(os.path.join(root, d), exist_ok=True)
        with open(os.path.join(root, d, ".dvcignore"), "w", newline="") as f:
            f.write(text)
    filt = DvcIgnoreFilter(localfs, root)
    kept = set()
    for r, ds, fs in filt.walk(localfs, root):
        rel = os.path.relpath(r, root)
        rel = "" if rel == "." else rel + "/"
        kept |= {rel + d + "/" for d in ds} | {rel + f for f in fs}
    answers = {}
    for e in ENTRIES:
        res = DvcIgnoreFilter(localfs, root).check_ignore(os.path.join(root, e))
        rules = [str(p) for p in res.pattern_infos]
        if res.match == (e in kept):
            print("walk and check-ignore differ", case, e, file=sys.stderr)
        if rules or e not in kept:
            answers[e] = [e not in kept, rules[-1] if rules else ""]
    shutil.rmtree(root)
    return {"files": case, "subrepo": sub or "", "answers": answers}


def main():
    rnd = random.Random(20)
    cases = [dict(c) for c in HAND] + [random_case(rnd) for _ in range(250)]
    print(json.dumps({"dvc": dvc.__version__, "entries": ENTRIES}))
    for case in cases:
        print(json.dumps(record(case), ensure_ascii=False, separators=(",", ":")))


main()
