#!/usr/bin/env python3
"""Times push, push with nothing to do, and pull over loopback S3 and SSH: cairn, DVC and `rclone copy` of the same data.

Servers are started on free ports of the loopback interface and stopped at the end. Data and servers lie below --dir; give a
RAM disk to leave the disk out. Requests are those that the S3 server logs.

  bench_remotes.py --cairn bin/cairn [--dvc PATH] [--rclone PATH] [--s3-server PATH] [--sshd PATH] [--dir /dev/shm]
                   [--files 20000] [--bytes 10240] [--big 4] [--big-mib 512] [--only s3,ssh]
"""
import argparse
import atexit
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port):
    for _ in range(600):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"no server on port {port}")


class Bench:
    def __init__(self, o):
        self.o = o
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="cairn-bench-", dir=o.dir))
        atexit.register(shutil.rmtree, self.root, True)
        home = self.root / "home"
        home.mkdir()
        self.env = dict(os.environ, HOME=str(home), DVC_NO_ANALYTICS="1", GIT_CONFIG_NOSYSTEM="1",
                        DVC_SITE_CACHE_DIR=str(self.root / "site"), AWS_EC2_METADATA_DISABLED="true",
                        AWS_ACCESS_KEY_ID="AKBENCH", AWS_SECRET_ACCESS_KEY="secretbench")
        self.env.pop("AWS_CA_BUNDLE", None)  # rclone cannot use it
        for tool in ("cairn", "dvc", "rclone", "s3_server", "sshd"):
            if path := getattr(o, tool):
                setattr(o, tool, os.path.abspath(shutil.which(path) or path))

    def start(self, argv, port, log):
        with open(log, "wb") as out:
            p = subprocess.Popen(argv, env=dict(self.env, ROOT_ACCESS_KEY="AKBENCH", ROOT_SECRET_KEY="secretbench"),
                                 stdout=out, stderr=subprocess.STDOUT)
        atexit.register(p.kill)
        wait_for(port)

    def s3(self):
        port, at = free_port(), self.root / "s3"
        (at / "data" / "bucket").mkdir(parents=True)
        (at / "meta").mkdir()
        self.log = at / "log"
        self.start([self.o.s3_server, "--port", f"127.0.0.1:{port}", "--region", "us-east-1", "--keep-alive",
                    "posix", "--sidecar", str(at / "meta"), str(at / "data")], port, self.log)
        url = f"http://127.0.0.1:{port}"
        return {
            "url": lambda tool: f"s3://bucket/{tool}",
            "options": {"endpointurl": url, "region": "us-east-1"},
            "rclone": lambda tool: f":s3,provider=Other,env_auth=true,endpoint='{url}':bucket/{tool}",
        }

    def ssh(self):
        port, at = free_port(), self.root / "ssh"
        at.mkdir(mode=0o700)
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", at / name], check=True)
        shutil.copy(at / "user.pub", at / "authorized_keys")
        sftp = "internal-sftp"
        (at / "sshd_config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/authorized_keys\n"
            f"PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n"
            f"Subsystem sftp {sftp}\nMaxStartups 100\n")
        if not os.path.isdir("/run/sshd") and os.getuid() == 0:
            os.makedirs("/run/sshd")
        self.log = None
        self.start([self.o.sshd, "-D", "-e", "-f", str(at / "sshd_config")], port, at / "log")
        known = self.root / "home" / ".ssh"
        known.mkdir(mode=0o700)
        host = (at / "host.pub").read_text().split()
        (known / "known_hosts").write_text(f"[127.0.0.1]:{port} {host[0]} {host[1]}\n")
        user = os.environ.get("USER") or "root"
        return {
            "url": lambda tool: f"ssh://{user}@127.0.0.1:{port}{at}/{tool}",
            "options": {"keyfile": str(at / "user")},
            "rclone": lambda tool: f":sftp,host=127.0.0.1,port={port},user={user},key_file='{at}/user',disable_hashcheck=true:{at}/{tool}",
        }

    def requests(self):
        if not self.log:
            return 0
        time.sleep(0.2)
        with open(self.log, "rb") as f:
            return sum(1 for line in f if b"| " in line or b'"' in line)

    def timed(self, argv, cwd):
        before, begin = self.requests(), time.perf_counter()
        p = subprocess.run(argv, cwd=cwd, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        took = time.perf_counter() - begin
        if p.returncode:
            raise SystemExit(f"{argv} failed ({p.returncode}):\n{p.stderr.decode()[-2000:]}")
        return took, self.requests() - before

    def run(self, argv, cwd):
        p = subprocess.run(argv, cwd=cwd, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if p.returncode:
            raise SystemExit(f"{argv} failed ({p.returncode}):\n{p.stdout.decode()[-2000:]}")

    def data(self, name):
        at = self.root / name / "data"
        at.mkdir(parents=True)
        rnd = random.Random(7)
        if name == "many":
            for i in range(self.o.files):
                d = at / f"{i % 100:02}"
                d.mkdir(exist_ok=True)
                (d / f"{i}.bin").write_bytes(rnd.randbytes(self.o.bytes))
        else:
            for i in range(self.o.big):
                with open(at / f"{i}.bin", "wb") as f:
                    for _ in range(self.o.big_mib):
                        f.write(rnd.randbytes(1 << 20))
        return at

    def vcs(self, tool, binary, data, place, name):
        work = self.root / f"{tool}-{name}"
        work.mkdir()
        self.run(["git", "init", "-q"], work)
        self.run([binary, "init", "-q"] + (["--hash", "md5"] if tool == "cairn" else []), work)
        self.run([binary, "config", "core.autostage", "false"], work)
        self.run([binary, "remote", "add", "-d", "r", place["url"](f"{tool}-{name}")], work)
        for k, v in place["options"].items():
            self.run([binary, "remote", "modify", "--local", "r", k, v], work)
        self.run([binary, "config", "--local", "cache.type", "hardlink,copy"], work)
        shutil.copytree(data, work / "data")
        self.run([binary, "add", "-q", "data"], work)
        rows = {"push": self.timed([binary, "push", "-q"], work), "push, nothing to do": self.timed([binary, "push", "-q"], work)}
        shutil.rmtree(work / ".dvc" / "cache")
        shutil.rmtree(work / "data")
        rows["pull"] = self.timed([binary, "pull", "-q"], work)
        shutil.rmtree(work)
        return rows

    def rclone(self, data, place, name):
        to, back = place["rclone"](f"rclone-{name}"), self.root / f"back-{name}"
        copy = [self.o.rclone, "copy", "--transfers", "32", "--checkers", "32", "-q", "--s3-no-check-bucket"]
        rows = {"push": self.timed(copy + [str(data), to], self.root), "push, nothing to do": self.timed(copy + [str(data), to], self.root)}
        rows["pull"] = self.timed(copy + [to, str(back)], self.root)
        shutil.rmtree(back)
        return rows

    def main(self):
        o = self.o
        print(f"{o.files} files of {o.bytes} bytes; {o.big} files of {o.big_mib} MiB; {os.cpu_count()} cores; below {o.dir}\n")
        print("| remote | data | | cairn | DVC | rclone | DVC / cairn | rclone / cairn | requests: cairn, DVC, rclone |")
        print("|---|---|---|---|---|---|---|---|---|")
        for kind in o.only.split(","):
            place = self.s3() if kind == "s3" else self.ssh()
            for name in ("many", "big"):
                data = self.data(name)
                rows = {"cairn": self.vcs("cairn", o.cairn, data, place, name)}
                if o.dvc:
                    rows["dvc"] = self.vcs("dvc", o.dvc, data, place, name)
                if o.rclone:
                    rows["rclone"] = self.rclone(data, place, name)
                shutil.rmtree(self.root / name)
                for what in rows["cairn"]:
                    cell = lambda t: f"{rows[t][what][0]:.2f} s" if t in rows else "-"
                    ratio = lambda t: f"{rows[t][what][0] / rows['cairn'][what][0]:.1f}" if t in rows else "-"
                    asked = ", ".join(str(rows[t][what][1]) if t in rows and self.log else "-" for t in ("cairn", "dvc", "rclone"))
                    print(f"| {kind} | {name} | {what} | {cell('cairn')} | {cell('dvc')} | {cell('rclone')} | {ratio('dvc')} | {ratio('rclone')} | {asked} |", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cairn", required=True)
    p.add_argument("--dvc", default=os.environ.get("CAIRN_DVC"))
    p.add_argument("--rclone", default=os.environ.get("CAIRN_RCLONE") or shutil.which("rclone"))
    p.add_argument("--s3-server", default=os.environ.get("CAIRN_S3_SERVER") or shutil.which("versitygw"))
    p.add_argument("--sshd", default=os.environ.get("CAIRN_SSHD") or shutil.which("sshd"))
    p.add_argument("--dir", default="/dev/shm" if os.path.isdir("/dev/shm") else None)
    p.add_argument("--only", default="s3,ssh")
    p.add_argument("--files", type=int, default=20_000)
    p.add_argument("--bytes", type=int, default=10 << 10)
    p.add_argument("--big", type=int, default=4)
    p.add_argument("--big-mib", type=int, default=512)
    Bench(p.parse_args()).main()


if __name__ == "__main__":
    sys.exit(main())
