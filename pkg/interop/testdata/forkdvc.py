"""Runs the real DVC many times without its start, half a second of imports:
each line on standard input is a command, which a forked child executes; the
answer is its exit code.

With --ordered, what DVC does in an order of chance is done in one order."""

import contextlib
import importlib
import json
import os
import sys
import tempfile
import time

import dvc.cli
from dvc.cli.parser import get_main_parser

# What commands import when they run. Not pygit2, which looks for the user's
# configuration once, when it is imported; and not gcsfs: it brings grpc, whose
# threads do not live on in a child.
LATER = """dvc.commands.add dvc.commands.repro dvc.commands.status dvc.api dvc.fs
dvc.repo dvc.stage.cache dvc.render.match dvc_render.vega networkx rich.console
tabulate s3fs aiobotocore.session sshfs webdav4.fsspec adlfs aiohttp_retry
azure.identity.aio"""


def in_order():
    from networkx.classes import coreviews

    # DVC looks at stage files in the order in which the disk returns them, and
    # so runs stages that do not need each other. Here it is that of names.
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

    # A part of a graph is walked in the order of a set where it is less than
    # half of it, which is chance as well. Here it is always the graph's own.
    for view in (coreviews.FilterAtlas, coreviews.FilterAdjacency):
        view.__iter__ = lambda self: (n for n in self._atlas if self.NODE_OK(n))


def become(call):
    """Makes this process what a shell would have started."""
    os.dup2(os.open(call["in"] or os.devnull, os.O_RDONLY), 0)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    os.dup2(os.open(call["out"], flags, 0o600), 1)
    os.dup2(os.open(call["err"], flags, 0o600), 2)
    os.chdir(call["cwd"])
    os.environ.clear()
    os.environ.update(call["env"])
    time.tzset()
    tempfile.tempdir = None
    sys.argv = [call["program"], *call["args"]]


def main():
    get_main_parser()  # imports all commands
    for name in LATER.split():
        with contextlib.suppress(ImportError):  # not every remote is installed
            importlib.import_module(name)
    assert not {"pygit2", "grpc"} & sys.modules.keys()
    if "--ordered" in sys.argv[1:]:
        in_order()
    # Standard input is left as it is, for the children.
    for line in os.fdopen(os.dup(0)):
        call = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 255
            try:
                become(call)
                code = dvc.cli.main()
                sys.stdout.flush()
                sys.stderr.flush()
            except SystemExit as exc:
                sys.stdout.flush()
                code = exc.code if isinstance(exc.code, int) else 1
            finally:
                os._exit(code or 0)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


main()
