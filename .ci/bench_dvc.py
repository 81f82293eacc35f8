#!/usr/bin/env python3
"""DVC's own public benchmarks (dvc.testing.benchmarks), run with DVC and with cairn.

They drive a program through its command line, named by --dvc-bin: once the real
DVC, once a link named dvc to cairn. Data sets of dvc-bench are not downloaded:
sets of their shape are generated, the same bytes on every machine. Each benchmark
runs with both tools in turn, --rounds times; shown are the medians.

  bench_dvc.py --cairn bin/cairn --python VENV/bin/python [--dataset tiny] [--rounds 3]
               [--dir /dev/shm] [-k EXPRESSION] [--json FILE]

The Python has pip install 'dvc[testing]==3.67.1' pytest-xdist; its dvc is the one
that is measured. Left out: exp show, since cairn has no experiments yet.
"""
import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

# Of dvc-bench's data sets: files, bytes.
DATASETS = {"tiny": (14, 17_637_746), "small": (2_226, 93_108_255), "large": (25_002, 866_190_740), "mnist": (70_000, 19_258_482)}

LEFT_OUT = "exp_show"

PROJECT = """\
stages:
  evaluate:
    cmd: echo done
    deps:
    - seed.txt
plots:
- ROC:
    template: simple
    x: fpr
    y:
      train.json: tpr
      test.json: tpr
- Confusion:
    template: confusion
    x: actual
    y:
      classes.json: predicted
- loss.csv
"""


def run(*args, **kw):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL, **kw)


def make_dataset(root, name, dvc, env):
    """A repository as dvc-bench is one, with a data set in its cache."""
    files, size = DATASETS[name]
    data = os.path.join(root, "data", name, "dataset")
    run("git", "init", "-q", root, env=env)
    run(dvc, "init", "-q", cwd=root, env=env)
    run(dvc, "remote", "add", "-d", "store", root + "-remote", cwd=root, env=env)
    rnd = random.Random(files)
    for i in range(files):
        folder = os.path.join(data, f"d{i % max(1, files // 500):03d}")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"{i:06d}.bin"), "wb") as f:
            f.write(rnd.randbytes(size // files + rnd.randrange(-(size // files) // 4, size // files // 4)))
    run(dvc, "add", "-q", "dataset", cwd=os.path.dirname(data), env=env)
    run(dvc, "push", "-q", cwd=root, env=env)
    run("git", "-C", root, "add", "-A", env=env)
    run("git", "-C", root, "commit", "-qm", "data", env=env)


def make_project(root, dvc, env):
    """A project with plots that are in Git, with two versions of them."""
    run("git", "init", "-q", root, env=env)
    run(dvc, "init", "-q", cwd=root, env=env)
    run(dvc, "remote", "add", "-d", "store", root + "-remote", cwd=root, env=env)
    with open(os.path.join(root, "dvc.yaml"), "w") as f:
        f.write(PROJECT)
    with open(os.path.join(root, "seed.txt"), "w") as f:
        f.write("seed\n")
    rnd = random.Random(7)
    for version in range(2):
        for name in ("train", "test"):
            with open(os.path.join(root, name + ".json"), "w") as f:
                json.dump([{"fpr": i / 500, "tpr": rnd.random(), "threshold": 1 - i / 500} for i in range(500)], f)
        with open(os.path.join(root, "classes.json"), "w") as f:
            json.dump([{"actual": str(rnd.randrange(2)), "predicted": str(rnd.randrange(2))} for _ in range(2000)], f)
        with open(os.path.join(root, "loss.csv"), "w") as f:
            f.write("step,loss\n" + "".join(f"{i},{rnd.random() / (i + 1)}\n" for i in range(1000)))
        if version == 0:
            run("git", "-C", root, "add", "-A", env=env)
            run("git", "-C", root, "commit", "-qm", "project", env=env)


def benchmark(args, python, name, exe, dirs, env, out):
    """One run of all benchmarks: seconds by name."""
    report = os.path.join(out, "report.json")
    base = os.path.join(out, "tmp")
    command = [python, "-m", "pytest", "--pyargs", "dvc.testing.benchmarks.cli", "-q", "-p", "no:cacheprovider",
               "-p", "dvc.testing.plugin", "--basetemp", base, "--dvc-bin", exe, "--dataset", args.dataset,
               "--dvc-bench-repo", dirs["data"], "--project-repo", dirs["project"],
               "--benchmark-json", report, "-k", args.k, "-W", "ignore", "-rs"]
    p = subprocess.run(command, cwd=out, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    shutil.rmtree(base, ignore_errors=True)
    if p.returncode:
        sys.exit(f"{name}: {' '.join(command)}\n{p.stdout[-8000:]}")
    for line in p.stdout.splitlines():
        if line.startswith("SKIPPED"):
            print(f"{name}: {line}", file=sys.stderr)
    with open(report) as f:
        found = json.load(f)["benchmarks"]
    # Those with one name are steps of one story, in order.
    seconds = {}
    for b in found:
        key = re.sub(r"^test_|\[None\]$", "", b["name"])
        n = 2
        while key in seconds:
            key = f"{re.sub(r' [0-9]+$', '', key)} {n}"
            n += 1
        seconds[key] = b["stats"]["median"]
    return seconds


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--cairn", required=True)
    ap.add_argument("--python", required=True)
    ap.add_argument("--dataset", default="tiny", choices=list(DATASETS))
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--dir", default=None, help="where to work, on the file system to be measured")
    ap.add_argument("-k", default=f"not {LEFT_OUT}", help="pytest's expression for the benchmarks to run")
    ap.add_argument("--json")
    args = ap.parse_args()

    work = tempfile.mkdtemp(prefix="bench-dvc-", dir=args.dir)
    try:
        python = os.path.abspath(args.python)
        dvc = os.path.join(os.path.dirname(python), "dvc")
        if subprocess.run([python, "-c", "import dvc.testing.benchmarks, pytest_benchmark, xdist"]).returncode or not os.path.exists(dvc):
            sys.exit(f"{python} needs: pip install 'dvc[testing]==3.67.1' pytest-xdist")
        link = os.path.join(work, "bin", "dvc")
        os.mkdir(os.path.dirname(link))
        os.symlink(os.path.abspath(args.cairn), link)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "DVC_"))}
        home = os.path.join(work, "home")
        os.mkdir(home)
        env.update(HOME=home, DVC_NO_ANALYTICS="1", CI="1", GIT_CONFIG_NOSYSTEM="1",
                   DVC_GLOBAL_CONFIG_DIR=os.path.join(home, "dvc"), DVC_SITE_CACHE_DIR=os.path.join(home, "site"))
        for role in ("AUTHOR", "COMMITTER"):
            env.update({f"GIT_{role}_NAME": "bench", f"GIT_{role}_EMAIL": "bench@localhost"})
        dirs = {"data": os.path.join(work, "dvc-bench"), "project": os.path.join(work, "project")}
        make_dataset(dirs["data"], args.dataset, dvc, env)
        make_project(dirs["project"], dvc, env)

        runs = {"dvc": [], "cairn": []}
        for _ in range(args.rounds):
            for name, exe in (("dvc", dvc), ("cairn", link)):
                out = os.path.join(work, "out")
                os.mkdir(out)
                runs[name].append(benchmark(args, python, name, exe, dirs, env, out))
                shutil.rmtree(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)

    medians = {name: {k: statistics.median(r[k] for r in rs) for k in rs[0]} for name, rs in runs.items()}
    files, size = DATASETS[args.dataset]
    print(f"dvc.testing.benchmarks of DVC 3.67.1, data set as dvc-bench's {args.dataset}: {files:,} files, {size / 1e6:.0f} MB; "
          f"seconds, medians of {args.rounds}, in turn; {os.cpu_count()} cores\n")
    print("| benchmark | DVC | cairn | DVC / cairn |\n|---|---:|---:|---:|")
    missing = sorted(set(medians["dvc"]) ^ set(medians["cairn"]))
    for k, d in medians["dvc"].items():
        c = medians["cairn"].get(k)
        print(f"| {k} | {d:.3f} | " + (f"{c:.3f} | {d / c:.1f} |" if c else "— | |"))
    if args.json:
        with open(args.json, "w") as f:
            json.dump(dict(dataset=args.dataset, rounds=args.rounds, runs=runs, medians=medians), f, indent=1)
    if missing:
        sys.exit("only one of them ran: " + ", ".join(missing))


if __name__ == "__main__":
    main()
