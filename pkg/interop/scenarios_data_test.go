//go:build unix

package interop

// twoRevs is a repository with two commits of a file and a folder, the second changing, adding and removing files.
func twoRevs() []step {
	return repo(write("f", "one"), write("d/a", "1"), write("d/b", "2"), write("d/s/c", "3"), dvc("add", "-q", "f", "d"), commit("one"), git("tag", "v1"),
		write("f", "two"), write("d/a", "11"), rm("d/b"), write("d/n", "new"), dvc("add", "-q", "f", "d"), commit("two"))
}

// withRemote is twoRevs with a default remote in a folder beside the repository, nothing pushed.
func withRemote() []step {
	return steps(twoRevs(), mkdir("../rem"), dvc("remote", "add", "-q", "-d", "origin", "../rem"), commit("remote"))
}

const remembers = "DVC knows the members of a folder whose manifest is gone from a database outside of the repository"

var checkoutScenarios = []scenario{
	{"checkout after git checkout", steps(twoRevs(), git("checkout", "-q", "v1"), dvc("status"), dvc("checkout"), dvc("status"), git("checkout", "-q", "main"),
		dvc("checkout", "f"), dvc("status"), dvc("checkout", "d.dvc"), dvc("checkout"))},
	{"checkout targets and parts", steps(twoRevs(), rm("f", "d"), dvc("checkout", "d/s"), dvc("status"), dvc("checkout", "d/a"), dvc("checkout", "f.dvc"), dvc("checkout", "nope"),
		dvc("checkout", "d"), dvc("status"))},
	{"checkout of local changes", steps(twoRevs(), write("f", "mine"), write("d/a", "mine too"), write("d/x", "untracked"), dvc("checkout"), dvc("status"), dvc("checkout", "--force", "f"),
		dvc("checkout", "-f"), dvc("status"), rm("d/a"), write("d/b/c", "folder where a file was"), dvc("checkout", "-f"), dvc("status"))},
	{"checkout summary and recursive", steps(repo(write("s/a", "1"), write("s/t/b", "2"), write("c", "3"), dvc("add", "-q", "s/a", "s/t/b", "c"), commit("x")),
		rm("s/a", "s/t/b", "c"), dvc("checkout", "-R", "s"), dvc("status"), rm("s/a"), dvc("checkout", "--summary"), rm("s/a", "c"), dvc("checkout", "s/a", "c"),
		rm("s/a"), dvcIn("s", "checkout"), rm("s/a"), dvcIn("s", "checkout", "a"))},
	{"checkout with missing cache", steps(twoRevs(), rm("f", "d", ".dvc/cache"), dvc("checkout"), dvc("status"), write("f", "two"), dvc("status"), dvc("checkout", "--allow-missing"))},
	{"checkout with one missing object", steps(repo(write("d/a", "1"), write("d/b", "2"), write("f", "f"), dvc("add", "-q", "d", "f"), commit("x")),
		rm("d", "f", ".dvc/cache/files/md5/c4/ca4238a0b923820dcc509a6f75849b"), dvc("checkout"), dvc("status"))},
	{"checkout removes what is no longer tracked", steps(twoRevs(), dvc("remove", "f.dvc"), commit("gone"), write("f", "two"), git("checkout", "-q", "v1"), dvc("checkout", "-f"), git("checkout", "-q", "main"),
		dvc("checkout"), dvc("status"))},
	{"ls and du", steps(twoRevs(), write("plain", "in git"), writeMode("run", "x", 0o755), mkdir("e"), git("add", "-A"), git("commit", "-qm", "plain"), dvc("ls", "."), dvc("ls", "-R", "."), dvc("ls", "--dvc-only", "."), dvc("ls", "-R", "--dvc-only", ".", "d"),
		dvc("ls", ".", "d"), dvc("ls", ".", "d/s"), dvc("ls", "--json", "."), dvc("ls", "-R", "--json", ".", "d"), dvc("ls", "--size", "--show-hash", "."), dvc("ls", "--rev", "v1", ".", "d"),
		dvc("ls", ".", "nope"), dvc("ls", "--tree", "."), dvc("ls", "-R", "--tree", ".", "--level", "2"), dvc("du", ".", "d"), dvc("du", "."), dvc("du", ".", "d", "-s"), dvc("du", ".", "d", "-d", "1"), dvc("du", ".", "nope"), dvc("ls", "../nowhere"))},
}

var remoteScenarios = []scenario{
	{"push and pull", steps(withRemote(), dvc("status", "-c"), dvc("push"), dvc("push"), dvc("status", "-c"), wipeCache(), rm("f", "d"), dvc("pull"), dvc("status"), dvc("pull"), dvc("status", "-c"))},
	{"push and fetch targets", steps(withRemote(), dvc("push", "f.dvc"), dvc("push", "d/s").mayDiffer(sendsNoClaim), dvc("status", "-c").stdoutMayDiffer(sendsNoClaim), dvc("push", "d/n", "f").mayDiffer(sendsNoClaim), dvc("push", "d").mayDiffer(sendsNoClaim), dvc("push", "nope"), wipeCache(), rm("f", "d"),
		dvc("fetch", "d/s"), dvc("fetch", "f"), dvc("fetch").mayDiffer(sendsNoClaim), dvc("fetch").mayDiffer(sendsNoClaim), dvc("checkout").mayDiffer(sendsNoClaim), dvc("fetch", "nope"))},
	{"pull parts", steps(withRemote(), dvc("push", "-q"), wipeCache(), rm("f", "d"), dvc("pull", "d/s"), dvc("status"), dvc("pull", "d/a"), dvc("pull", "f"), dvc("pull", "nope"), dvc("pull"), dvc("status"))},
	{"push all revisions", steps(withRemote(), git("checkout", "-q", "-b", "side"), write("f", "on the side"), dvc("add", "-q", "f"), commit("side"), git("checkout", "-q", "main"), dvc("checkout", "-q"),
		dvc("push", "-T").mayDiffer(coversAll), dvc("push", "-a").mayDiffer(coversAll), dvc("push", "-A").mayDiffer(coversAll), dvc("status", "-c", "-A").mayDiffer(coversAll), wipeCache(), dvc("fetch", "-T").mayDiffer(coversAll), dvc("fetch", "-a").mayDiffer(coversAll), dvc("fetch", "-A").mayDiffer(coversAll), dvc("status", "-c", "-a").mayDiffer(coversAll))},
	{"pull from a clone", steps(withRemote(), dvc("push", "-q"), git("clone", "-q", ".", "../w2"), dvcIn("../w2", "status"), dvcIn("../w2", "pull"), dvcIn("../w2", "status"), dvcIn("../w2", "status", "-c"),
		dvcIn("../w2", "diff"), git("-C", "../w2", "checkout", "-q", "v1"), dvcIn("../w2", "checkout").fileMayDiffer("w2", "DVC deletes what is there before it finds that the cache lacks what should be"))},
	{"push with missing objects", steps(withRemote(), rm(".dvc/cache/files/md5/65/12bd43d9caa6e02c990b0a82652dca"), dvc("push").mustFail(tellsMissing), dvc("status", "-c"), dvc("status"))},
	{"push with a missing folder manifest", steps(withRemote(), rm(".dvc/cache"), dvc("push").mustFail(tellsMissing), dvc("status", "-c").stdoutMayDiffer("DVC says nothing of a folder whose manifest is nowhere, on stdout"), dvc("status"))},
	{"pull with missing objects", steps(withRemote(), dvc("push", "-q"), wipeCache(), rm("f", "d", "../rem/files/md5/65/12bd43d9caa6e02c990b0a82652dca"), dvc("fetch").stdoutMayDiffer(fetchesRest), dvc("pull").stdoutMayDiffer(fetchesRest).fileMayDiffer("w/f", fetchesRest), dvc("status").stdoutMayDiffer(fetchesRest),
		dvc("pull", "--allow-missing").stdoutMayDiffer(fetchesRest).fileMayDiffer("w/*", fetchesRest), dvc("status", "-c"))},
	{"pull allow missing file", steps(withRemote(), dvc("push", "-q"), wipeCache(), rm("f", "d", "../rem/files/md5/b8"), dvc("pull", "--allow-missing"), dvc("status", "-c"), dvc("pull", "--allow-missing", "f"), dvc("pull").mustFail(tellsMissing))},
	{"pull allow missing folder", steps(withRemote(), dvc("push", "-q"), wipeCache(), rm("f", "d", "../rem/files/md5/53"), dvc("pull", "--allow-missing"), dvc("fetch").mustFail(tellsMissing))},
	{"pull allow missing file of a folder", steps(withRemote(), dvc("push", "-q"), rm("d", ".dvc/cache/files/md5/65", "../rem/files/md5/65"), dvc("status", "-c"), dvc("pull", "--allow-missing").fileMayDiffer("w/d", fetchesRest).stdoutMayDiffer(fetchesRest), dvc("pull", "--allow-missing", "d/s").stdoutMayDiffer(fetchesRest),
		dvc("pull", "--allow-missing", "d/a").fileMayDiffer("w/d", "DVC deletes the folder's other files"))},
	{"pull from an empty remote", steps(withRemote(), wipeCache(), rm("f", "d"), dvc("pull").stdoutMayDiffer(saysUpToDate), dvc("fetch").mustFail(tellsMissing), dvc("status"), dvc("pull", "f").stdoutMayDiffer(saysUpToDate))},
	{"push without a remote", steps(twoRevs(), dvc("push"), dvc("pull"), dvc("fetch"), dvc("status", "-c"), dvc("push", "-r", "nope"), dvc("pull", "-r", "nope"), dvc("status", "-c", "-r", "nope"))},
	{"several remotes", steps(withRemote(), mkdir("../rem2"), dvc("remote", "add", "two", "$ROOT/rem2"), dvc("push", "-r", "two", "f"), dvc("push"), dvc("status", "-c", "-r", "two"), dvc("status", "-c"), dvc("push", "-r", "two", "-j", "1"),
		dvc("config", "core.remote", "two"), dvc("status", "-c"), wipeCache(), rm("f"), dvc("pull", "-r", "origin", "f"))},
	{"outs that are not pushed or pinned to a remote", steps(withRemote(), mkdir("../rem2"), dvc("remote", "add", "two", "../rem2"), appendTo("f.dvc", "  push: false\n"), appendTo("d.dvc", "  remote: two\n"),
		dvc("push"), dvc("status", "-c"), wipeCache(), rm("f", "d"), dvc("pull"))},
	{"push with glob and recursive", steps(repo(write("s/a.csv", "1"), write("s/t/b.csv", "2"), write("c.csv", "3"), dvc("add", "-q", "s/a.csv", "s/t/b.csv", "c.csv"), commit("x")), mkdir("../rem"), dvc("remote", "add", "-d", "r", "../rem"),
		dvc("push", "--glob", "s/*.dvc"), dvc("push", "-R", "s"), dvc("push", "--glob", "*.dvc"), wipeCache(), rm("s/a.csv", "s/t/b.csv", "c.csv"), dvc("fetch", "-R", "s"), dvc("pull", "--glob", "c*.dvc"), dvc("pull", "-R", "s"))},
	{"pull over local changes", steps(withRemote(), dvc("push", "-q"), git("checkout", "-q", "v1"), write("f", "mine"), dvc("pull", "-r", "origin").stdoutMayDiffer(othersGoOn).fileMayDiffer("w/d", othersGoOn), dvc("status").stdoutMayDiffer(othersGoOn), dvc("pull", "-f").stdoutMayDiffer(othersGoOn))},
	{"push empty files and folders", steps(repo(write("e", ""), mkdir("v"), write("d/e", ""), dvc("add", "-q", "e", "v", "d"), commit("x")), mkdir("../rem"), dvc("remote", "add", "-d", "r", "../rem"), dvc("push"), dvc("status", "-c"),
		wipeCache(), rm("e", "v", "d"), dvc("pull"), dvc("status"))},
	// Not with é: DVC cannot write a configuration that is not ASCII under LC_ALL=C.UTF-8.
	{"remote in a missing folder and with spaces", steps(twoRevs(), dvc("remote", "add", "-d", "r", "../rem dir/a x"), dvc("push"), dvc("status", "-c"), wipeCache(), dvc("fetch"), dvc("remote", "list"))},
	{"damaged remote object", steps(withRemote(), dvc("push", "-q"), wipeCache(), rm("f"), chmod("../rem/files/md5/b8/a9f715dbb64fd5c56e7783c6820a61", 0o644), write("../rem/files/md5/b8/a9f715dbb64fd5c56e7783c6820a61", "bad"),
		dvc("config", "remote.origin.verify", "true"), dvc("pull", "f").stdoutMayDiffer(saysUpToDate).fileMayDiffer("rem", "DVC deletes the damaged object from the remote; cairn refuses it and leaves the evidence"), dvc("status"))},
	{"status of the cloud in json", steps(withRemote(), dvc("status", "-c", "--json"), dvc("push", "-q", "f"), dvc("status", "-c", "--json"), dvc("status", "-c", "f"), dvc("status", "-c", "-q"), dvc("push", "-q"), wipeCache(), dvc("status", "-c", "--json"), dvc("status", "-c"), dvc("status", "-q", "-c"))},
}

var statusScenarios = []scenario{
	{"status in all states", steps(twoRevs(), write("f", "x"), rm("d"), dvc("status"), dvc("status", "--json"), dvc("status", "f.dvc"), dvc("status", "d"), dvc("status", "f", "--json"), dvc("status", "nope"), dvc("status", "-q"),
		write("d", "a file now"), dvc("status"), rm("d", ".dvc/cache"), dvc("status", "--json"), write("f", "two"), dvc("status"))},
	{"status with nothing tracked", repo(dvc("status"), dvc("status", "--json"), dvc("data", "status"), dvc("diff"), dvc("checkout"), dvc("push"), dvc("commit"), dvc("status", "-q"))},
	{"status recursive and with deps", steps(repo(write("s/a", "1"), write("s/t/b", "2"), dvc("add", "-q", "s/a", "s/t/b")), write("s/a", "x"), write("s/t/b", "y"), dvc("status", "-R", "s"), dvc("status", "-R", "s/t"), dvc("status", "s/t/b.dvc"), dvc("status", "--with-deps", "s/a.dvc"), dvcIn("s", "status"))},
	{"data status of clean and dirty", steps(twoRevs(), dvc("data", "status"), dvc("data", "status", "--json"), dvc("data", "status", "--unchanged"), dvc("data", "status", "--unchanged", "--json", "--granular"),
		write("f", "x"), write("d/a", "y"), rm("d/n"), write("d/z", "added"), write("loose", "l"), dvc("data", "status"), dvc("data", "status", "--granular"), dvc("data", "status", "--json"),
		dvc("data", "status", "--json", "--granular"), dvc("data", "status", "--json", "--granular", "--unchanged", "--untracked-files"), dvc("data", "status", "--untracked-files"), dvc("data", "status", "-q"))},
	{"data status of committed changes", steps(twoRevs(), write("f", "3"), dvc("add", "-q", "f"), write("g", "new"), dvc("add", "-q", "g"), mv("d/n", "d/renamed"), dvc("add", "-q", "d"), dvc("data", "status"), dvc("data", "status", "--granular", "--json"),
		dvc("data", "status", "--with-dirs", "--granular", "--json"), write("f", "4"), rm("g"), dvc("data", "status", "--json", "--unchanged"), dvc("remove", "-q", "d.dvc"), dvc("data", "status", "--json", "--granular"))},
	{"data status without cache and remote", steps(withRemote(), dvc("data", "status", "--not-in-remote", "--json", "--granular"), dvc("data", "status", "--not-in-remote"), dvc("push", "-q", "f"), dvc("data", "status", "--not-in-remote", "--json"),
		dvc("push", "-q"), dvc("data", "status", "--not-in-remote", "--json"), wipeCache(), dvc("data", "status", "--json"), dvc("data", "status", "--json", "--granular").stdoutMayDiffer(remembers), dvc("data", "status", "--not-in-remote"), rm("f", "d"), dvc("data", "status", "--json", "--granular").stdoutMayDiffer(remembers), dvc("data", "status"))},
	{"data status of targets and before the first commit", steps(repo(write("f", "1"), write("d/a", "2"), dvc("add", "-q", "f", "d")), dvc("data", "status", "--json"), dvc("data", "status", "--json", "--granular", "d"), commit("x"), write("f", "2"), write("d/a", "3"),
		dvc("data", "status", "--json", "f"), dvc("data", "status", "--json", "--granular", "d/a"), dvcIn("d", "data", "status", "--json", "--granular"))},
	{"diff between revisions", steps(twoRevs(), dvc("diff"), dvc("diff", "v1"), dvc("diff", "--json", "v1"), dvc("diff", "--json", "--show-hash", "v1"), dvc("diff", "--json", "v1", "HEAD"), dvc("diff", "--show-hash", "v1", "HEAD"), dvc("diff", "--md", "v1"), dvc("diff", "--hide-missing", "v1"),
		dvc("diff", "HEAD", "v1", "--json"), dvc("diff", "--md", "--show-hash", "v1", "HEAD"), dvc("diff", "--json", "nope"), dvc("diff", "HEAD", "HEAD"), dvc("diff", "HEAD", "HEAD", "--json"), dvc("diff", "--targets", "f", "--", "v1"), dvc("diff", "--json", "v1", "--targets", "d/a", "f"), dvc("diff", "v1", "--targets", "nope"))},
	{"diff with the workspace", steps(twoRevs(), write("f", "x"), mv("d/n", "d/moved"), rm("d/a"), write("d/z", "z"), write("g", "g"), dvc("add", "-q", "g"), dvc("diff"), dvc("diff", "--json"), dvc("diff", "--json", "--show-hash"), dvc("diff", "--show-hash"),
		rm("f"), dvc("diff", "--json"), wipeCache(), dvc("diff", "--json").stdoutMayDiffer(remembers), dvc("diff").stdoutMayDiffer(remembers), dvc("diff", "--hide-missing", "--json").stdoutMayDiffer(remembers))},
	{"diff of renames", steps(repo(write("a", "content a"), write("d/x", "content x"), write("d/y", "content y"), dvc("add", "-q", "a", "d"), commit("one")), dvc("move", "-q", "a", "b"), mv("d/x", "d/s/x"), dvc("add", "-q", "d"), commit("two"),
		dvc("diff", "HEAD~1"), dvc("diff", "HEAD~1", "--json"), dvc("diff", "HEAD~1", "HEAD", "--show-hash", "--json"), dvc("diff", "HEAD~1", "--md"))},
}
