"""Tells what DVC makes of small projects.

Reads a JSON list of projects ({path: text}) from stdin, and writes a JSON
list of what DVC says of each. Run with the Python of DVC's environment.
"""
import json, os, re, shutil, sys, tempfile

os.environ["DVC_NO_ANALYTICS"] = "1"
os.environ["DVC_SITE_CACHE_DIR"] = tempfile.mkdtemp()
result = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
from dvc.exceptions import DvcException
from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from dvc.repo.index import Index
from dvc.utils.strictyaml import YAMLSyntaxError, YAMLValidationError

ansi = re.compile(r"\x1b\[[0-9;]*m")


def error(exc, root):
    if isinstance(exc, YAMLValidationError):
        return {"schema": [[e.error_message, [str(p) for p in e.path]] for e in exc.exc.errors]}
    if isinstance(exc, YAMLSyntaxError):
        return {"syntax": True}
    if isinstance(exc, DvcException):
        return {"error": ansi.sub("", str(exc)).replace(root, "/repo")}
    return {"crash": f"{type(exc).__name__}: {exc}"}


def out(o):
    return {"path": o.def_path, "cache": o.use_cache, "persist": o.persist, "push": o.can_push,
            "remote": o.remote, "metric": o.metric, "plot": o.plot, "annot": o.annot.to_dict(),
            "md5": o.hash_info.value}


def stage(s, root):
    deps = [d for d in s.deps if not isinstance(d, ParamsDependency)]
    params = [d for d in s.deps if isinstance(d, ParamsDependency)]
    return {
        "address": s.addressing, "cmd": s.cmd, "wdir": os.path.relpath(s.wdir, root), "frozen": s.frozen,
        "always_changed": s.always_changed, "desc": s.desc, "meta": s.meta,
        "deps": [[d.def_path, d.hash_info.value] for d in deps],
        "params": [[d.def_path, d.params, d.hash_info.value] for d in params],
        "outs": [out(o) for o in s.outs],
        "generated": bool(getattr(s, "name", None)) and bool(s.raw_data.parametrized or s.raw_data.generated_from),
        "vars": {f: dict(v) for f, v in getattr(s, "tracked_vars", {}).items()},
    }


def project(files):
    root = os.path.realpath(tempfile.mkdtemp())
    os.chdir(root)
    try:
        for name, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
            with open(name, "w", encoding="utf-8") as f:
                f.write(text)
        os.makedirs(".dvc/tmp")
        with open(".dvc/config", "w") as f:
            f.write("[core]\n    no_scm = True\n")
            if "config.json" in files:
                f.write("[parsing]\n" + "".join(f"    {k} = {v}\n" for k, v in json.loads(files["config.json"])["parsing"].items()))
        repo = Repo(root)
        try:
            index = Index.from_file(repo, os.path.join(root, "dvc.yaml"))
            index = repo.index
            graph = index.graph
        except Exception as exc:
            return error(exc, root)
        path = os.path.join(root, "dvc.yaml")
        order = {id(s): i for i, s in enumerate(index.stages)}
        return {
            "stages": sorted([stage(s, root) for s in index.stages], key=lambda s: s["address"]),
            "order": [s.addressing for s in index.stages if s.relpath == "dvc.yaml"],
            "edges": sorted([a.addressing, b.addressing] for a, b in graph.edges),
            "top": [index._metrics.get(path), index._plots.get(path), index._params.get(path),
                    index._artifacts.get(path), index._datasets.get(path)],
        }
    finally:
        os.chdir("/")
        shutil.rmtree(root)


def default(o):
    return repr(o)


json.dump([project(p) for p in json.load(sys.stdin)], result, default=default)
result.flush()
shutil.rmtree(os.environ["DVC_SITE_CACHE_DIR"])
