"""Records what DVC makes of stage files and locks: reads cases as JSON from
stdin, writes them back with DVC's answers. Run by the tests with -record."""

import contextlib
import io
import json
import os
import sys
import tempfile

os.environ["DVC_NO_ANALYTICS"] = "1"
stdout, sys.stdout = sys.stdout, sys.stderr  # DVC greets on stdout

from dvc.dvcfile import Lockfile, SingleStageFile
from dvc.repo import Repo
from dvc.utils.serialize import dumps_yaml


def shown(exc):
    out = io.StringIO()
    with contextlib.redirect_stderr(out):
        if hasattr(exc, "__pretty_exc__"):
            exc.__pretty_exc__()
        else:
            print(f"{type(exc).__name__}: {exc}", file=sys.stderr)
    # without the guides of indentation
    text = out.getvalue().rstrip().replace("│", " ")
    return "\n".join(line.rstrip() for line in text.split("\n"))


def pointer(repo, case):
    path = case.get("file", "x.dvc")
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.write(case["text"])
    try:
        stage = SingleStageFile(repo, os.path.abspath(path), verify=False).stage
        case["fresh"] = dumps_yaml(stage.dumpd())
        case["md5"] = stage.compute_md5()
        from dvc.stage.serialize import to_single_stage_file

        case["update"] = dumps_yaml(to_single_stage_file(stage))
    except Exception as exc:
        case.pop("update", None)
        case["error"] = shown(exc)
    finally:
        os.unlink(path)


def lock(repo, case):
    with open("dvc.lock", "w", encoding="utf-8", newline="") as f:
        f.write(case["text"])
    try:
        lockfile = Lockfile(repo, os.path.abspath("dvc.lock"))
        if case["text"]:
            lockfile.load()
        from dvc.utils.serialize import modify_yaml

        with modify_yaml("dvc.lock") as data:
            if not data:
                data.update({"schema": "2.0"})
            data["stages"] = data.get("stages", {})
            for name, entry in json.loads(case["entries"]).items():
                data["stages"].update({name: entry})
        with open("dvc.lock", encoding="utf-8", newline="") as f:
            case["update"] = f.read()
    except Exception as exc:
        case.pop("update", None)
        case["error"] = shown(exc)
    finally:
        os.unlink("dvc.lock")


cases = json.load(sys.stdin)
with tempfile.TemporaryDirectory() as tmp:
    os.chdir(tmp)
    repo = Repo.init(tmp, no_scm=True)
    for case in cases:
        (lock if "entries" in case else pointer)(repo, case)
    repo.close()
    os.chdir("/")
json.dump(cases, stdout, indent=1, ensure_ascii=False)
