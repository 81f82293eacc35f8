"""Records how DVC reads, writes and checks config files, for the golden tests.

Run with the interpreter of a DVC installation:

    python record.py

It writes beside itself parse.jsonl (text, what it reads as, what it is written
as), check.jsonl (text, whether it passes, the message or null) and edit.jsonl
(what its commands make of the files). What DVC itself stumbles over is recorded
as an error too.
"""

import io
import json
import os
import random

from configobj import ConfigObj
from dvc.config import Config, ConfigError, _lower_keys, _pack_named, _parse_named, get_compiled_schema, merge

HERE = os.path.dirname(os.path.abspath(__file__))
rng = random.Random(3)


def pairs(d):
    return [[k, pairs(v) if isinstance(v, dict) else {"l": v} if isinstance(v, list) else str(v)] for k, v in d.items()]


def read(text):
    # As open() in text mode has it.
    text = io.StringIO(text, newline=None).read()
    conf = ConfigObj(io.StringIO(text, newline="")) if text else ConfigObj([])
    return _parse_named(_lower_keys(conf.dict()))


def write(conf):
    out = io.BytesIO()
    ConfigObj(_pack_named(conf)).write(out)
    return out.getvalue().decode()


VALUES = r'''a|a b|"a"|'a'|"a|a"|'a|a,b|a, b|a,|,|,a|"a",|"a, b"|'a','b'|"a" , 'b,c', d|a # c|a#b|# c|"a#b"|"a" # c|"a"#c|"a"b|"a"b"|'a"b'|"a'b"|a"b|a'b|it's|a,"b|a,b # c|a,b#c,d|a,,b|""|''|"",|"", ""|"""|"""x"""|\'\'\'x\'\'\' # c|"""x|"" x|" a "|  a  |=|a=b|a = b|[a]|%|%%|100%|%(k0)s|x%(k0)sy%(k1)s|%(K0)s|%(nope)s|%(self)s|%(k0)d|%()s|a\|~/x|../x|é|日本, b|"é#",x|a b|a	b|"a	"|a |true|TRUE|4|"4"|s3://b/p?x=1#f|C:\x\y|a;b|$x|${x}|"\"|\"a\"|a,# c|"a,b" , # c|"a" "b"|'a' 'b'|'a'',b|a'',b'''.replace(r"\'", "'").split("|")
KEYS = ["k0", "k1", "K1", "self", "url", "jobs", '"q k"', "'q'", "a b", "a.b", "k#", "é", '"', "''", "[x", "a[1]", "-", "k2 "]
SECTIONS = ["[core]", "[Core]", "[ core ]", "[core] # c", "[core]#c", "[core] x", "['remote \"r\"']", "[remote \"r\"]", "[remote \"R2\"]", "['remote \"a]b\"']", "[remote 'x']", "[\"remote\"]", "[remote]", "[[sub]]", "[[r3]]", "[[[deep]]]", "[]", "[ ]", "['']", "['x']", "[x]]", "[[x]", "[a b]", "[DEFAULT]", "  [ind]", "['remote \"\"']", "[db \"d\"]", "['machine  \"m\" ']", "[ 'remote \"s p\"' ]", "[feature]", "['a'b']", "[#]", "[a#b]", "[cache]", "[x", "x]"]
LINES = ["", "# comment", "  ", "novalue", "= v", " = v", "k = ", "k =", "k=", '"""', "'''", "x'''", 'end"""', "end''' # c", "\x0b", "\t[core]", "k\x0c= v", "k = a\x1fb", "k = a\u2028b", "k = \xa0x\xa0", "k = a\x85b"]


def texts():
    for v in VALUES:
        yield f"[core]\n    k0 = zero\n    k1 = a, b\n    self = {v}\n"
        yield f"k0 = z\n[core]\n[[sub]]\nself={v}\n[[DEFAULT]]\nk1 = d"
        yield f"k = {v}\n\nend'''\nend\"\"\" # c\n"
    for k in KEYS:
        yield f"[core]\n{k} = v\n  {k}= v,\n"
        yield f"[core]\n\t{k} =v"
    for s in SECTIONS:
        yield f"{s}\nk = v\n"
        for t in SECTIONS:
            yield f"[core]\nk = 1\n{s}\nk = v\n{t}\nk = w\n"
    for line in LINES:
        yield f"[core]\nk0 = v\n{line}\nk9 = v\n"
        yield line
    yield "[a]\r\nk = v\r\n# c\rk2 = w\r\n"
    yield "k = '''a\r\nb\r\n'''\n"
    for _ in range(900):
        n = rng.randrange(1, 9)
        out = []
        for i in range(n):
            c = rng.random()
            if c < 0.25:
                out.append(rng.choice(SECTIONS))
            elif c < 0.35:
                out.append(rng.choice(LINES))
            else:
                out.append(rng.choice(["", "  ", "\t"]) + (f"k{i}" if rng.random() < 0.7 else rng.choice(KEYS)) + rng.choice([" = ", "=", " =", "= "]) + rng.choice(VALUES))
        yield rng.choice(["\n", "\n", "\n", "\r\n"]).join(out) + rng.choice(["", "\n"])
    alphabet = "ab\"'#,=[] \n\n%()s"
    for _ in range(1500):
        yield "k=" + "".join(rng.choice(alphabet) for _ in range(rng.randrange(12)))


def record_parse():
    seen = set()
    with open(os.path.join(HERE, "parse.jsonl"), "w") as f:
        for t in texts():
            if t in seen:
                continue
            seen.add(t)
            rec = {"text": t}
            try:
                conf = read(t)
            except Exception as exc:  # noqa: BLE001
                rec["error"] = getattr(exc, "line_number", None) or (exc.errors[0].line_number if getattr(exc, "errors", None) else 0)
            else:
                rec["tree"] = pairs(conf)
                try:
                    rec["written"] = write(conf)
                except Exception:  # noqa: BLE001
                    rec["written"] = None
            f.write(json.dumps(rec, separators=(",", ":")) + "\n")


FOLDER = "/r/.dvc"


def checked(text):
    tree = {}
    for t in ("", "", text, ""):
        conf = read(t) if t else {}
        conf = Config._load_paths(conf, FOLDER + "/config")
        for key in get_compiled_schema().schema:
            conf.setdefault(key, {})
        merge(tree, conf)
    return Config.validate(tree)


URLS = {
    "": ["/abs", "rel/x", "../x", "~/x", "s3:///nohost", "git+ssh://x", "C:/x", "//host/share", "a b"],
    "s3": ["s3://b/p", "S3://b", "s3://b?x"],
    "gs": ["gs://b"], "ssh": ["ssh://u@h:22/p"], "hdfs": ["hdfs://h/p"], "webhdfs": ["webhdfs://h/p"],
    "azure": ["azure://c/p"], "oss": ["oss://b"], "gdrive": ["gdrive://root/x"], "http": ["http://h"],
    "https": ["https://h/p"], "webdav": ["webdav://h"], "webdavs": ["webdavs://h"], "remote": ["remote://other/x"],
    "bad": ["foo://h", "a_b://h", "http://[x", "http://[::1]/", "x.y://h", "é://h", "1a://h", "://h", "s3://", "s3:x", ""],
}
SAMPLES = ["true", "False", "yes", "1", "0", "-1", "4", "4.5", "+3", " 1_000 ", "1__0", "_1", "1_", "٣", "inf", "nan", "1e5", "0x10", "abc", "", "group", "GROUP", "copy", "reflink,copy", "reflink, hardlink", "foo,copy,bar", "basic", "Digest", "101", "100", "99999999999999999999", "-99999999999999999999", "aws", "store_true", "append", "../x", "a,b"]


def check_texts():
    from dvc.config_schema import REMOTE_SCHEMAS, SCHEMA

    def name(k):
        return str(getattr(k, "schema", k))

    for sect, opts in SCHEMA.items():
        if sect in ("remote", "machine", "db"):
            continue
        opts = getattr(opts, "schema", opts)
        for o in [name(k) for k in opts] + ["nosuch", "url"]:
            for v in rng.sample(SAMPLES, 12):
                yield f'[{sect}]\n{o} = "{v}"\n'
            yield f"[{sect}]\n{o} = a, b\n"
            yield f"[{sect}]\n{o} = copy,\n"
            yield f"[{sect}]\n[[{o}]]\nx = y\n"
    for scheme, opts in REMOTE_SCHEMAS.items():
        for o in [name(k) for k in opts if isinstance(name(k), str)] + ["nosuch"]:
            for v in rng.sample(SAMPLES, 5 if o != "url" else 0):
                yield f"['remote \"r\"']\nurl = {URLS[scheme][0]}\n{o} = \"{v}\"\n"
            if o not in ("url",) and "path" not in o and "file" not in o:
                yield f"['remote \"r\"']\nurl = {URLS[scheme][0]}\n{o} = a, b\n"
    every = sorted({name(k) for opts in REMOTE_SCHEMAS.values() for k in opts})
    for scheme in REMOTE_SCHEMAS:
        for o in every[: every.index("url")] + every[every.index("url") + 1 :]:
            yield f"['remote \"r\"']\nurl = {URLS[scheme][0]}\n{o} = true\n"
    for urls in URLS.values():
        for u in urls:
            yield f"['remote \"r\"']\nurl = {u}\n"
            yield f"['remote \"r\"']\nurl = {u}\nregion = x\n"
    for o in ["cloud", "region", "image", "spot", "spot_price", "instance_hdd_size", "instance_type", "startup_script", "nosuch"]:
        for v in SAMPLES:
            yield f"['machine \"m\"']\n{o} = \"{v}\"\n"
    for o in ["url", "username", "password", "nosuch"]:
        yield f"['db \"D\"']\n{o} = x\n"
        yield f"['db \"D\"']\n{o} = x, y\n"
    yield from [
        "", "foo = bar", "core = x", "[foo]\nx = y", "[foo]", "[cor]\nx = y", "[core]\nfoo = 1\nremote = R\nbar = 2",
        "[cache]\ntype = foo\n[core]\nno_scm = x\n", "[hydra]\nconfig_dir = a\nconfig_module = b\n",
        "[hydra]\nconfig_dir = a\nnosuch = 1\nconfig_module = b\n[core]\nx = 1", "['remote \"a\"']\n", "['remote \"A'b\"']\nurl=/x\nk=1",
        "['remote \"a\"']\njobs = 1\n", "[remote]\n[[x]]\nurl = /a\n", "[remote]\n[[x]]\njobs = 1\n",
        "[feature]\nfoo = 1\nbar = 2\n", "[feature]\nmachine = x\nfoo = 1", "[core]\nremote = ABC\n", "[x\ty]\na=b",
        "[core]\n'a\"b' = 1\n", "[\"it's\"]\na = 1\n", "[é]\na = 1", "[core]\n'a\\b' = 1\n",
    ]


def record_check():
    os.environ["HOME"] = "/home/u"
    seen = set()
    with open(os.path.join(HERE, "check.jsonl"), "w") as f:
        for t in check_texts():
            if t in seen:
                continue
            seen.add(t)
            rec = {"text": t}
            try:
                checked(t)
                rec["ok"] = True
            except ConfigError as exc:
                rec["error"] = str(exc)
            except Exception as exc:  # noqa: BLE001
                rec["error"] = None
            f.write(json.dumps(rec, separators=(",", ":")) + "\n")


SCENARIOS = [
    [["config", "core.autostage", "true"], ["config", "core.remote", "R"], ["config", "-u", "core.autostage"], ["config", "-u", "core.remote"]],
    [["remote", "add", "-d", "MyRem", "../rem"], ["remote", "add", "s", "s3://b/p"], ["config", "cache.type", "reflink,hardlink,copy"], ["config", "exp.auto_push", "true"], ["remote", "modify", "s", "endpointurl", "http://x#y"]],
    [["remote", "add", "a", "/abs/./x/../y"], ["remote", "add", "h", "~/data"], ["remote", "add", "e", "."], ["cache", "dir", "../c"], ["config", "cache.dir", "sub/../d"]],
    [["remote", "add", "a", "x"], ["remote", "modify", "--local", "a", "jobs", "4"], ["remote", "modify", "--local", "-u", "a", "jobs"], ["remote", "modify", "a", "url", "y z"]],
    [["remote", "add", "a", "ssh://h/p"], ["remote", "modify", "a", "keyfile", "../k"], ["remote", "modify", "a", "password", "it's \"x\" #1, 2"], ["remote", "modify", "a", "user", " u "]],
    [["remote", "add", "a", "x"], ["remote", "add", "b", "y"], ["remote", "default", "a"], ["remote", "default", "b", "--local"], ["remote", "remove", "b"]],
    [["remote", "add", "a", "x"], ["remote", "add", "b", "y"], ["remote", "default", "a"], ["remote", "rename", "a", "c"]],
    [["remote", "add", "a", "x"], ["remote", "add", "a", "y"], ["remote", "add", "-f", "a", "z"], ["remote", "modify", "nope", "jobs", "1"], ["remote", "default", "nope"], ["remote", "remove", "nope"], ["remote", "rename", "nope", "x"], ["remote", "rename", "a", "a"]],
    [["config", "foo.bar", "1"], ["config", "core.nosuch", "1"], ["config", "-u", "core.remote"], ["config", "-u", "foo.x"], ["config", "-u", "remote.x.url"], ["config", "core.no_scm", "yes"], ["config", "remote.x.jobs", "4"], ["config", "db.d.url", "sqlite:///x"], ["config", "studio.offline", "TRUE"]],
]


def record_edit():
    import subprocess
    import sys
    import tempfile

    dvc = os.path.join(os.path.dirname(sys.executable), "dvc")
    with open(os.path.join(HERE, "edit.jsonl"), "w") as f:
        for steps in SCENARIOS:
            with tempfile.TemporaryDirectory() as tmp:
                root = os.path.realpath(tmp)
                env = os.environ | {"HOME": "/home/u", "DVC_NO_ANALYTICS": "1", "DVC_GLOBAL_CONFIG_DIR": root + "/g", "DVC_SYSTEM_CONFIG_DIR": root + "/s"}
                os.makedirs(root + "/r/sub")
                subprocess.run([dvc, "init", "-q", "--no-scm"], cwd=root + "/r", env=env, check=True)
                open(root + "/r/.dvc/config", "w").close()
                out = []
                for args in steps:
                    p = subprocess.run([dvc, *args], cwd=root + "/r/sub", env=env, capture_output=True, text=True, check=False)
                    rec = {"args": args, "exit": p.returncode}
                    err = p.stderr.split("\n")[0]
                    if p.returncode:
                        rec["error"] = err.removeprefix("ERROR: configuration error - ").replace(root, "ROOT")
                    for name in ("config", "config.local"):
                        path = root + "/r/.dvc/" + name
                        rec[name] = open(path).read() if os.path.exists(path) else ""
                    out.append(rec)
                f.write(json.dumps(out, separators=(",", ":")) + "\n")


record_parse()
record_check()
record_edit()
