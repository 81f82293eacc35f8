//go:build unix

package interop

// sourceRepo is a repository beside the workspace with data, files of Git and two revisions.
func sourceRepo() []step {
	return steps(mkdir("../src"), gitIn("../src", "init", "-q", "-b", "main"), dvcIn("../src", "init", "-q"),
		write("../src/data/a", "a"), write("../src/data/s/b", "b"), write("../src/model.bin", "m"), write("../src/gd/g1", "g"), write("../src/code.py", "code"),
		dvcIn("../src", "add", "-q", "data", "model.bin"), mkdir("../store"), dvcIn("../src", "remote", "add", "-q", "-d", "r", "../store"), dvcIn("../src", "push", "-q"),
		gitIn("../src", "add", "-A"), gitIn("../src", "commit", "-qm", "one"), gitIn("../src", "tag", "v1"),
		write("../src/data/a", "a2"), write("../src/code.py", "code2"), dvcIn("../src", "add", "-q", "data"), dvcIn("../src", "push", "-q"), gitIn("../src", "commit", "-qam", "two"))
}

const (
	ourWords    = "DVC takes a path that the source lacks for an error nobody foresaw"
	rootInSum   = "the checksum covers the path of the temporary folder"
	noClonePath = "DVC names the temporary folder of its clone"
)

var importScenarios = []scenario{
	{"import from a repository", repo(sourceRepo(),
		dvc("import", "../src", "data"), dvc("import", "../src", "model.bin"), dvc("import", "../src", "data/s/b"), dvc("import", "../src", "gd"), dvc("import", "../src", "gd/g1"), dvc("import", "../src", "code.py"),
		dvc("import", "../src", "code.py"), dvc("import", "../src", "data", "-o", "old", "--rev", "v1"), dvc("import", "../src", "data/", "-o", "slash"), dvc("import", "../src", "/data", "-o", "top"), dvc("import", "../src", "data/s/../a", "-o", "norm"),
		dvc("import", "../src", "data", "-o", "later", "--no-download"), dvc("import", "../src", "data", "-o", "never", "--no-exec"), dvc("import", "../src", "data.dvc", "-o", "x"), dvc("import", "../src", "data", "-o", "sub/x"), dvc("import", "../src", "data", "-o", "x.dvc"), dvc("import", "../src", "data", "-o", "../x"),
		dvc("import", "../src", "data", "--rev", "nope", "-o", "x"), dvc("import", "../src", "nope").mayDiffer(ourWords), dvc("import", "../nope", "data", "-o", "x").stderrMayDiffer(noClonePath), dvc("import", "../src", "data", "-o", "y", "--no-exec", "--no-download"),
		dvc("import", "../src", "data", "-o", "r1", "--remote", "r"), dvc("import", "../src", "data", "-o", "r2", "--remote", "r", "--remote-config", "verify=true"), dvc("import", "../src", "data", "-o", "r3", "--remote-config", "verify=true"), dvc("status"), dvc("status", "--no-updates"))},
	{"import updated", repo(sourceRepo(),
		dvc("import", "-q", "../src", "code.py", "--rev", "main"), dvc("import", "-q", "../src", "data", "--rev", "v1"), dvc("import", "-q", "../src", "gd", "--no-download"),
		dvc("update", "code.py.dvc"), dvc("update", "data.dvc"), write("../src/code.py", "code3"), gitIn("../src", "commit", "-qam", "three"), dvc("status"), dvc("update", "code.py.dvc"), dvc("update", "data.dvc", "--rev", "main"), dvc("update", "gd.dvc"), dvc("update", "data.dvc", "--no-download"), dvc("update", "data.dvc"),
		dvc("update", "code.py.dvc", "--to-remote"), dvc("update", "code.py.dvc", "-r", "x"), dvc("update", "code.py.dvc", "--to-remote", "--no-download"), dvc("update", "nope.dvc"), dvc("update", "code.py.dvc", "--rev", "nope"),
		write("plain", "p"), dvc("add", "-q", "plain"), dvc("update", "plain.dvc"), dvc("update", "plain.dvc", "--rev", "v1"), dvc("status"), dvc("push"))},
	{"get from a repository", steps(sourceRepo(),
		dvc("get", "../src", "data"), dvc("get", "../src", "data"), dvc("get", "../src", "code.py", "--rev", "v1"), dvc("get", "../src", "data/s/b", "-o", "deep"), dvc("get", "../src", "data", "--show-url"), dvc("get", "../src", "model.bin", "-o", "x.dvc"),
		dvc("get", "../src", "data", "--rev", "nope", "-o", "x"), dvc("get", "../nope", "data", "-o", "x").stderrMayDiffer(noClonePath))},
	{"import-url of files", repo(
		write("../ext/f", "f"), write("../ext/dir/e1", "1"), write("../ext/dir/sub/e2", "2"), mkdir("../rem"), dvc("remote", "add", "-q", "-d", "r", "../rem"), write("loc", "l"),
		dvc("import-url", "../ext/f"), dvc("import-url", "../ext/dir"), dvc("import-url", "$ROOT/ext/f", "abs").fileMayDiffer("w/abs.dvc", rootInSum), dvc("import-url", "loc", "loc2"), dvc("import-url", "../ext/f", "nd", "--no-download"), dvc("import-url", "../ext/dir", "ne", "--no-exec"),
		dvc("import-url", "../ext/f"), dvc("import-url", "../ext/nope"), dvc("import-url", "../ext/f", "x", "-r", "r"), dvc("import-url", "../ext/f", "x", "--to-remote", "--no-exec"), dvc("import-url", "remote://nope/y").stderrMayDiffer("cairn names the remotes there are"),
		dvc("import-url", "foo://x/y").stderrMayDiffer("cairn names the addresses it knows"), dvc("import-url", "../ext/f", "../x"), dvc("import-url", "../ext/f", "no/x"), dvc("import-url", "../ext/f", ".dvc/x"),
		write("../ext/f", "f2"), write("../ext/dir/e3", "3"), dvc("update", "f.dvc"), dvc("update", "dir.dvc"), dvc("update", "dir.dvc"), dvc("update", "nd.dvc"), dvc("update", "abs.dvc", "--no-download").fileMayDiffer("w/abs.dvc", rootInSum), dvc("get-url", "../ext/dir", "got"), dvc("get-url", "../ext/f", "got2"), dvc("get-url", "../ext/f", "got2"), dvc("get-url", "../ext/nope"),
		dvc("ls-url", "../ext/dir/sub"), dvc("ls-url", "../nope"))},
	{"artifacts get", steps(sourceRepo(), write("../src/dvc.yaml", "artifacts:\n  m:\n    path: model.bin\n"), gitIn("../src", "add", "-A"), gitIn("../src", "commit", "-qm", "three"), gitIn("../src", "tag", "-am", "r", "m@v1.9.0"), gitIn("../src", "tag", "-am", "r", "m@v1.10.0"), gitIn("../src", "tag", "-am", "s", "m#prod#1"),
		dvc("artifacts", "get", "../src", "m"), dvc("artifacts", "get", "../src", "m", "--rev", "v1.9.0", "-o", "old"), dvc("artifacts", "get", "../src", "m", "--stage", "prod", "-o", "prod"), dvc("artifacts", "get", "../src", "m"),
		dvc("artifacts", "get", "../src", "n").stderrMayDiffer("DVC asks Studio first"), dvc("artifacts", "get", "../src", "m", "--rev", "v3", "-o", "x").stderrMayDiffer("DVC asks Studio first"), dvc("artifacts", "get", "../src", "m", "--rev", "v1.9.0", "--stage", "prod"))},
}
