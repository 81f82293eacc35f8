//go:build unix

package interop

import "strings"

var stageScenarios = []scenario{
	{"stages status and commit", steps(fixture("pipeline"), dvc("status"), dvc("status", "head"), dvc("status", "dvc.yaml:sort"), write("out/sorted", "9\n"), dvc("status"), dvc("status", "--json"), dvc("status", "-q"), dvc("commit", "-f"), dvc("status"),
		write("params.yaml", "n: 3\nlr: 0.1\n"), dvc("status"), dvc("status", "--json", "head"), dvc("commit", "-f", "head"), dvc("status"), replaceIn("dvc.yaml", "head -n 2", "head -n 3"), dvc("status"), write("raw.txt", "7"), dvc("status", "--json"), rm("sub/copy"), dvc("status", "--json"))},
	{"stages push and pull", steps(fixture("pipeline"), mkdir("../rem"), dvc("remote", "add", "-d", "r", "../rem"), dvc("status", "-c"), dvc("push", "head"), dvc("push", "out"), dvc("push"), dvc("push", "--run-cache"), dvc("status", "-c"), wipeCache(), rm("out", "head.txt", "sub/copy", "raw.txt"),
		dvc("fetch", "sort"), dvc("pull", "head.txt"), dvc("pull").fileMayDiffer("w/sub/copy", keepsModes), dvc("status"), dvc("pull", "--run-cache"))},
	{"stages checkout and diff", steps(fixture("pipeline"), rm("out", "head.txt", "sub/copy"), dvc("checkout", "sort"), dvc("checkout", "head.txt"), dvc("checkout").fileMayDiffer("w/sub/copy", keepsModes), dvc("status"), write("m.json", "{}"), dvc("status"), dvc("checkout", "-f"), write("out/sorted", "x"), dvc("diff", "--json"), dvc("data", "status", "--json", "--granular", "--unchanged"), dvc("ls", "-R", "."), dvcIn("sub", "status"), dvc("status", "--with-deps", "head"))},
	{"stages add and remove beside them", steps(fixture("pipeline"), dvc("add", "out"), dvc("add", "out/sorted"), dvc("add", "head.txt"), write("out/new", "n"), dvc("add", "m.json"), dvc("move", "head.txt", "x"), dvc("remove", "head"), dvc("status"), dvc("remove", "raw.txt.dvc"), dvc("status"), dvc("remove", "nested", "sort").fileMayDiffer("w/sub/copy", keepsModes))},
	{"stages broken files", steps(fixture("pipeline"), write("dvc.yaml", "stages:\n  a: [\n"), dvc("status"), dvc("add", "raw.txt"), write("dvc.yaml", "stages:\n  a:\n    deps: [x]\n"), dvc("status"), write("dvc.yaml", "stagez: {}\n"), dvc("status"), write("dvc.yaml", "stages:\n  a:\n    cmd: echo\n    outs: [raw.txt]\n"), dvc("status").mustFail(overlaps), write("dvc.yaml", "stages: {}\n"), write("dvc.lock", "schema: '9'\n"), dvc("status"))},
}

const installed = "under its own name cairn has the pre-commit tool call the program that is installed, not fetch DVC's sources"

const aConflict = "1 is a conflict to Git; DVC's 255 makes it give up the whole merge"

var gitScenarios = []scenario{
	{"install hooks", steps(repo(dvc("install"), dvc("install"), git("config", "--get-regexp", "merge"), write("a", "1"), dvc("add", "-q", "a"), git("add", "-A"), gitShown("", "commit", "-qm", "one"), write("a", "2"), dvc("add", "-q", "a"), gitShown("", "commit", "-qam", "two"), gitShown("", "checkout", "-q", "HEAD~1"), gitShown("", "checkout", "-q", "main"),
		write("a", "3"), gitShown("", "commit", "-q", "--allow-empty", "-m", "three")))},
	{"pre-push hook", steps(repo(dvc("install"), write("a", "1"), dvc("add", "-q", "a"), mkdir("../rem"), dvc("remote", "add", "-d", "r", "../rem"), commit("one"), git("init", "-q", "--bare", "../bare"), git("remote", "add", "o", "../bare"), gitShown("", "push", "-q", "o", "main"), write("a", "2"), dvc("add", "-q", "a"), git("commit", "-qam", "two"),
		rm(".dvc/cache"), gitShown("", "push", "-q", "o", "main").mustFail(tellsMissing)))},
	{"hooks already there or not in git", steps(git("init", "-q"), write(".git/hooks/pre-commit", "#!/bin/sh\n"), dvc("init", "-q"), dvc("install").fileMayDiffer("w/.git/config", "DVC has written the merge driver before it finds that it cannot install the hooks"), write("../n/x", ""), dvcIn("../n", "init", "-q", "--no-scm"), dvcIn("../n", "install"), dvcIn("../n", "git-hook", "pre-commit"), dvc("git-hook", "post-checkout", "a", "b", "0"))},
	{"install with pre-commit tool", repo(dvc("install", "--use-pre-commit-tool").fileMayDiffer("w/.pre-commit-config.yaml", installed), dvc("install", "--use-pre-commit-tool").fileMayDiffer("w/.pre-commit-config.yaml", installed))},
	{"merge driver", steps(repo(dvc("install"), write(".gitattributes", "*.dvc merge=dvc\n"), write("d/base", "b"), dvc("add", "-q", "d"), git("add", "-A"), git("commit", "-q", "--no-verify", "-m", "base"), git("checkout", "-q", "-b", "side"), write("d/side", "s"), dvc("add", "-q", "d"), git("commit", "-q", "--no-verify", "-am", "side"),
		git("checkout", "-q", "main"), dvc("checkout", "-q"), write("d/main", "m"), dvc("add", "-q", "d"), git("commit", "-q", "--no-verify", "-am", "main"), gitShown("", "merge", "-q", "side", "-m", "merged").stdoutMayDiffer("git's words"), dvc("checkout"), dvc("status")))},
	{"merge driver with a conflict", steps(repo(dvc("install"), write(".gitattributes", "*.dvc merge=dvc\n"), write("d/x", "b"), write("f", "f"), dvc("add", "-q", "d", "f"), git("add", "-A"), git("commit", "-q", "--no-verify", "-m", "base"), git("checkout", "-q", "-b", "side"), write("d/x", "s"), write("f", "fs"), dvc("add", "-q", "d", "f"), git("commit", "-q", "--no-verify", "-am", "side"),
		git("checkout", "-q", "main"), dvc("checkout", "-q"), write("d/x", "m"), write("f", "fm"), dvc("add", "-q", "d", "f"), git("commit", "-q", "--no-verify", "-am", "main"), gitShown("", "merge", "-q", "side", "-m", "merged").stdoutMayDiffer("git's words")))},
	{"merge driver called by hand", steps(repo(write("d/x", "b"), write("d/y", "y"), dvc("add", "-q", "d"), mv("d.dvc", "anc"), write("d/x", "changed"), dvc("add", "-q", "d"), mv("d.dvc", "our"), write("d/x", "b"), rm("d/y"), write("d/z", "z"), dvc("add", "-q", "d"), mv("d.dvc", "their"),
		dvc("git-hook", "merge-driver", "--ancestor", "anc", "--our", "our", "--their", "their"), write("bad", "x: ["), dvc("git-hook", "merge-driver", "--ancestor", "anc", "--our", "bad", "--their", "their").exitMayDiffer(aConflict), write("empty", ""), dvc("git-hook", "merge-driver", "--ancestor", "empty", "--our", "our", "--their", "their").exitMayDiffer(aConflict)))},
	{"diverging branches and status", steps(twoRevs(), git("checkout", "-q", "-b", "b"), dvc("remove", "f.dvc"), git("commit", "-qam", "no f"), git("checkout", "-q", "main"), dvc("checkout"), git("checkout", "-q", "b"), dvc("checkout"), dvc("data", "status", "--json"), dvc("diff", "main", "b", "--json"), dvc("diff", "main"))},
	{"git ignored pointer and tracked data", repo(write("t", "in git"), commit("t"), dvc("add", "t"), write("dt/f", "x"), commit("dt"), dvc("add", "dt"), write(".gitignore", "*.dvc\n"), write("n", "1"), dvc("add", "n"), dvc("status"))},
}

var errorScenarios = []scenario{
	{"errors paths", repo(
		write("a", "1"), write("d/x", "2"), write("../outside", "o"), dvc("add", "nope"), dvc("add", "a", "nope").mustFail(addsAllOrNone), dvc("status").stdoutMayDiffer(addsAllOrNone), dvc("add", "../outside"), dvc("add", "$ROOT/outside"), dvc("add", "."), dvc("add", ""), dvc("add", ".dvc/config"), dvc("add", ".git"), dvc("add", "d"), dvc("add", "d/x", "d"), dvc("add", "a.dvc"), dvc("add", "a"), dvc("add", "a.dvc"), dvc("add"))},
	{"errors overlapping outputs", repo(
		write("d/s/x", "1"), dvc("add", "d/s"), dvc("add", "d"), dvc("status"), write("p/q", "1"), dvc("add", "p"), write("q.dvc", "outs:\n- md5: c4ca4238a0b923820dcc509a6f75849b\n  size: 1\n  hash: md5\n  path: p/q\n"), dvc("status").mustFail(overlaps), dvc("add", "p"), rm("q.dvc"), write("r.dvc", "outs:\n- md5: c4ca4238a0b923820dcc509a6f75849b\n  size: 1\n  hash: md5\n  path: p\n"), dvc("status").mustFail(overlaps), dvc("checkout").mustFail(overlaps))},
	{"errors broken pointer files", repo(
		write("a", "1"), dvc("add", "-q", "a"), write("b.dvc", "outs: [\n"), dvc("status"), dvc("add", "a"), write("b.dvc", "outs:\n- path: x\n  nope: 1\n"), dvc("status"), write("b.dvc", ""), dvc("status").mustFail("DVC takes an empty pointer file for one without data, so that a file cut short goes unnoticed"), write("b.dvc", "- a\n"), dvc("status"), write("b.dvc", "outs:\n- md5: 1\n  path: b\n"), dvc("status"), write("b.dvc", "outs:\n- md5: zz\n  path: ../../../b\n"), dvc("status"), write("b.dvc", "\xff\xfe"), dvc("status").stderrMayDiffer("cairn reports it like any broken file, with line and column"), write("b.dvc", "outs:\n- path: b\n  path: c\n"), dvc("status"), write("b.dvc", "outs:\n- path: b\n  blake3: abc\n"), dvc("status"), write("b.dvc", "outs:\n- path: b\n  hash: blake3\n"), dvc("status"), write("b.dvc", "<<<<<<< HEAD\nouts:\n=======\nouts:\n>>>>>>> x\n"), dvc("status"), dvc("checkout"), dvc("push"), dvc("data", "status"), dvc("diff"))},
	{"errors outside of a repository", steps(write("a", "1"), dvc("status"), dvc("add", "a"), dvc("root"), dvc("push"), dvc("config", "-l"), dvc("remote", "list"), dvc("config", "core.autostage", "true"), dvc("check-ignore", "a"), dvc("ls", "."), dvc("diff"), dvc("checkout"), dvc("cache", "dir"), dvc("config", "--global", "core.autostage", "true"), dvc("config", "--global", "-l"))},
	{"errors usage", repo(
		dvc("nope"), dvc("add", "--nope", "x"), dvc("status", "--nope"), dvc("remote", "nope"), dvc("push", "-j", "x"), dvc("push", "-j"), dvc("move", "a"), dvc("remove"), dvc("checkout", "--nope"), dvc(), dvc("--nope"), dvc("add", "-o", "x", "a", "b"), dvc("add", "--to-remote", "--no-commit", "x"), dvc("data"), dvc("ls").mayDiffer("without a url cairn lists the working directory"), dvc("config", "core.autostage", "true", "extra"), dvc("unprotect"), dvc("diff", "a", "b", "c"))},
	{"errors long chains and deep folders", repo(
		write(strings.Repeat("deep/", 40)+"f", "1"), dvc("add", "deep"), dvc("status"), dvc("add", strings.Repeat("deep/", 40)+"f"), dvc("checkout").stdoutMayDiffer("DVC reports a deletion that it did not do"), rm("deep"), dvc("checkout"))},
}
