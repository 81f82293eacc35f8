"""Tells what DVC makes of files of parameters.

Reads a JSON list of [format, text] from stdin, and writes a JSON list of
values, in which numbers, tuples, sets and bytes are marked; null is an error.
"""
import json, sys

from dvc.utils.serialize import parse_json, parse_py, parse_toml, parse_yaml

parsers = {"py": parse_py, "json": parse_json, "toml": parse_toml, "yaml": parse_yaml}


def mark(v):
    if isinstance(v, dict):
        return {"dict": [[mark(k), mark(e)] for k, e in v.items()]}
    if isinstance(v, list):
        return [mark(e) for e in v]
    if isinstance(v, tuple):
        return {"tuple": [mark(e) for e in v]}
    if isinstance(v, set):
        return {"set": sorted((mark(e) for e in v), key=repr)}
    if isinstance(v, bytes):
        return {"bytes": v.decode("latin1")}
    if isinstance(v, (str, bool)) or v is None:
        return v
    return {type(v).__name__: str(v)}


def load(format, text):
    try:
        return [mark(parsers[format](text, "x"))]
    except Exception:
        return None


json.dump([load(*item) for item in json.load(sys.stdin)], sys.stdout)
