"""Answers questions about YAML with the libraries that DVC uses, a line of
JSON for a line of JSON."""

import base64
import copy
import datetime
import io
import json
import sys
import warnings

from dvc.utils.collections import apply_diff
from dvc.utils.serialize import dumps_yaml
from ruamel.yaml import YAML

warnings.simplefilter("ignore")


class TooDeep(Exception):
    pass


def text_mode(text):
    return text.replace("\r\n", "\n").replace("\r", "\n")


def load(text, typ="safe"):
    return YAML(typ=typ).load(text_mode(text))


def answer(verb, texts):
    if verb == "load":
        value = load(texts[0])
        out = {"Value": repr(value)}
        try:
            out["JSON"] = json.dumps(value, sort_keys=True)
        except TypeError:
            pass
        return out
    if verb == "dump":
        return {"Text": dumps_yaml(json.loads(texts[0]))}
    if verb == "dumpyaml":
        return {"Text": dumps_yaml(load(texts[0]))}
    if verb == "same":
        return {"Text": dumps_yaml(load(texts[0], "rt"))}
    if verb == "update":
        # as DVC rewrites a stage file
        new = load(texts[1])
        old = load(texts[0], "rt")
        apply_diff(new, old)
        return {"Text": dumps_yaml(old)}
    raise ValueError(verb)


for line in sys.stdin:
    request = json.loads(line)
    try:
        texts = [base64.b64decode(t).decode() for t in request["texts"]]
        reply = answer(request["verb"], texts)
    except BaseException as exc:
        reply = {"Err": f"{type(exc).__name__}: {exc}"}
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()
