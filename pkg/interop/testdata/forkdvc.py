"""Runs the real DVC many times without its start: each line on standard input is
a command, which a forked child executes; the answer is its exit code."""

import json
import os
import sys

import dvc.cli
import dvc.commands.add  # noqa: F401
import dvc.commands.repro  # noqa: F401
import dvc.commands.status  # noqa: F401
import dvc.fs  # noqa: F401
import dvc.repo  # noqa: F401
import dvc.stage.cache  # noqa: F401
from networkx.classes import coreviews

# DVC looks at stage files in the order in which the disk returns them, and so
# runs stages that do not need each other. Here it is the order of names.
scan = os.scandir


class Sorted:
    def __init__(self, path="."):
        with scan(path) as entries:
            self.entries = iter(sorted(entries, key=lambda e: e.name))

    def __iter__(self):
        return self.entries

    def __next__(self):
        return next(self.entries)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.entries = iter(())


os.scandir = Sorted

# A part of a graph is walked in the order of a set where it is less than half
# of it, which is chance as well. Here it is always the graph's own.
for view in (coreviews.FilterAtlas, coreviews.FilterAdjacency):
    view.__iter__ = lambda self: (n for n in self._atlas if self.NODE_OK(n))

for line in sys.stdin:
    call = json.loads(line)
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(os.open(call["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
            os.dup2(os.open(call["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
            os.chdir(call["cwd"])
            os.environ.clear()
            os.environ.update(call["env"])
            sys.argv = ["dvc", *call["args"]]
            code = dvc.cli.main(call["args"])
            sys.stdout.flush()
            sys.stderr.flush()
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else 1
        finally:
            os._exit(code or 0)
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
