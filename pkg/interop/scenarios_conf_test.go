//go:build unix

package interop

const inAnother = "DVC overwrites the inner repository's pointer file, puts the bytes where that repository does not look for them, and deletes the data with the next checkout"

const repairs = "DVC leaves a configuration behind that no command reads any more; cairn removes and renames a remote at all levels"

var configScenarios = []scenario{
	{"init variants", steps(git("init", "-q"), mkdir("sub/deep"), dvcIn("sub", "init"), dvcIn("sub", "init", "--subdir"), dvcIn("sub", "root"), dvcIn("sub/deep", "root"), dvcIn("sub", "init", "--subdir"), dvcIn("sub", "init", "--subdir", "-f"), dvc("init"), dvc("init"), dvc("init", "-f", "-q"),
		dvc("init", "--no-scm", "--subdir"), dvcIn("sub", "status"), dvc("status"))},
	{"init without git", steps(dvc("init"), dvc("init", "--no-scm"), dvc("config", "-l"), dvc("init", "--no-scm", "-f"), dvc("root"), dvc("destroy", "-f"), dvc("root"))},
	{"init keeps dvcignore and refuses an ignored folder", steps(git("init", "-q"), write(".dvcignore", "*.log\n"), write(".gitignore", "x"), dvc("init", "-q"), dvc("destroy"), dvc("destroy", "-f"), dvc("status"), write(".gitignore", ".dvc\n"), dvc("init"))},
	{"destroy", steps(twoRevs(), dvc("destroy", "-f"), git("status", "--short"))},
	{"destroy asks", steps(twoRevs(), dvcStdin("maybe\nn\n", "destroy"), dvcStdin("", "destroy"), dvcStdin("YES\n", "destroy"), dvc("status"))},
	{"config get and set", repo(
		dvc("config", "core.checksum_jobs", "4"), dvc("config", "core.checksum_jobs"), dvc("config", "cache.type", "reflink,hardlink,copy"), dvc("config", "cache.type"), dvc("config", "-l"), dvc("config", "core.analytics"), dvc("config", "core.nope", "x"),
		dvc("config", "nope.x", "y"), dvc("config", "core"), dvc("config", "core.checksum_jobs", "zero"), dvc("config", "core.autostage", "maybe"), dvc("config", "-u", "core.checksum_jobs"), dvc("config", "-u", "core.checksum_jobs"), dvc("config", "-l"),
		dvc("config", "CORE.Analytics", "False"), dvc("config", "core.analytics"), dvc("config", "-u", "core.analytics"), dvc("config", "-u", "cache.type"), dvc("config", "nodot"), dvc("config"), dvc("config", "cache.type", "warp"))},
	{"config levels", repo(
		dvc("config", "--global", "core.checksum_jobs", "1"), dvc("config", "--system", "core.checksum_jobs", "2"), dvc("config", "core.checksum_jobs", "3"), dvc("config", "--local", "core.checksum_jobs", "4"), dvc("config", "core.checksum_jobs"),
		dvc("config", "--project", "core.checksum_jobs"), dvc("config", "--global", "core.checksum_jobs"), dvc("config", "--system", "-l"), dvc("config", "-l", "--show-origin"), dvc("config", "--show-origin", "core.checksum_jobs"), dvc("config", "--local", "-u", "core.checksum_jobs"), dvc("config", "core.checksum_jobs"),
		dvc("config", "--global", "--local", "core.checksum_jobs"))},
	{"config files written by hand", repo(
		write(".dvc/config", "# a comment\n[cache]\n  type=copy , hardlink\n[core]\n    analytics = FALSE ; x\n\n[remote \"up\"]\n    url = '/tmp/a b'\n"), dvc("config", "-l"), dvc("remote", "list"), dvc("config", "core.autostage", "true"), dvc("config", "-l"),
		write(".dvc/config", "[core\nx"), dvc("config", "-l"), dvc("status"), write(".dvc/config", "[core]\nfoo = 1\n"), dvc("status"), dvc("config", "-l"), write(".dvc/config", "[foo]\na = 1\n"), dvc("status"), write(".dvc/config", "[core]\nautostage = perhaps\n"), dvc("status"), write(".dvc/config", "['remote \"x\"']\nverify = true\n"), dvc("status"), dvc("remote", "list").exitMayDiffer("DVC dies of an exception; it is a mistake in the configuration, which has its own exit code"))},
	{"config values that need quotes", repo(
		dvc("config", "core.site_cache_dir", "/tmp/a, b"), dvc("config", "core.site_cache_dir"), dvc("config", "core.site_cache_dir", " #x "), dvc("config", "core.site_cache_dir"), dvc("config", "core.site_cache_dir", `q"q`), dvc("config", "core.site_cache_dir"), dvc("config", "core.site_cache_dir", "it's"), dvc("config", "core.site_cache_dir"), dvc("config", "-u", "core.site_cache_dir"), dvc("config", "core.remote", "UPPER"), dvc("config", "core.remote"))},
	{"cache dir", repo(dvc("cache", "dir"), dvc("cache", "dir", "../cache x"), dvc("cache", "dir"), dvc("cache", "dir", "--unset"), dvc("cache", "dir", "--local", "$ROOT/cachel"), dvc("cache", "dir"), mkdir("sub"), dvcIn("sub", "cache", "dir", "../c"), dvcIn("sub", "cache", "dir"), dvc("cache", "dir", "-u"), dvc("cache"))},
	{"remote verbs", repo(
		dvc("remote", "list"), dvc("remote", "add", "one", "../rem"), dvc("remote", "add", "one", "../rem2"), dvc("remote", "add", "-f", "one", "../rem2"), dvc("remote", "add", "-d", "two", "s3://bucket/path"), dvc("remote", "add", "Three", "https://example.org/x"), dvc("remote", "list"), dvc("remote", "default"), dvc("remote", "default", "one"),
		dvc("remote", "default", "nope"), dvc("remote", "default", "-u"), dvc("remote", "default"), dvc("remote", "modify", "two", "region", "eu-west-1"), dvc("remote", "modify", "two", "nope", "x"), dvc("remote", "modify", "nope", "url", "x"),
		dvc("remote", "modify", "one", "url", "$ROOT/rem3"), dvc("remote", "modify", "two", "-u", "region"), dvc("remote", "rename", "two", "deux").fileMayDiffer("w/.dvc/config.local", "DVC makes an empty one"), dvc("remote", "rename", "nope", "n"), dvc("remote", "rename", "one", "three"), dvc("remote", "list"), dvc("remote", "default", "one"), dvc("remote", "remove", "one"), dvc("remote", "remove", "one"), dvc("remote", "list"), dvc("config", "-l"))},
	{"remote options at the local level", repo(dvc("remote", "add", "-d", "two", "s3://bucket/path"), dvc("remote", "modify", "--local", "two", "secret_access_key", "s3cr3t,#"), dvc("remote", "modify", "--local", "two", "url", "../rem"), dvc("remote", "list"), dvc("config", "-l").stdoutMayDiffer("DVC prints secrets"), dvc("config", "remote.two.url"), dvc("remote", "modify", "--local", "two", "-u", "url"), dvc("remote", "list"), dvc("remote", "remove", "two").mayDiffer(repairs), dvc("status").mayDiffer(repairs))},
	{"remote add at levels and in subfolders", repo(
		mkdir("sub"), dvcIn("sub", "remote", "add", "-d", "r", "../../rem"), dvc("remote", "add", "--local", "l", "rel/x"), dvc("remote", "add", "--global", "g", "$ROOT/remg"), dvc("remote", "list"), dvc("remote", "list", "--local"), dvc("remote", "list", "--global"), dvcIn("sub", "remote", "list"), dvc("remote", "add", "a b", "../x"), dvc("remote", "list"), dvc("remote", "modify", "r", "jobs", "many"), dvc("remote", "modify", "r", "jobs", "3"), dvc("remote", "add", "home", "~/data"), dvc("remote", "add", "other", "remote://r/below"), dvc("remote", "list"))},
	{"subfolder repository", steps(git("init", "-q"), mkdir("sub"), dvcIn("sub", "init", "-q", "--subdir"), dvc("init", "-q"), write("sub/f", "1"), write("f", "2"), dvcIn("sub", "add", "f"), dvc("add", "f"), dvc("status"), dvcIn("sub", "status"), commit("x"), write("sub/f", "3"), dvc("status"), dvcIn("sub", "status"), dvc("add", "sub/f").mustFail(inAnother), dvcIn("sub", "diff", "--json"), dvcIn("sub", "data", "status", "--json").stdoutMayDiffer(inAnother), dvc("ls", "-R", "."), dvc("add", "sub"))},
	{"version and help", repo(dvc("--version").stdoutMayDiffer("the product's own version"), dvc("root"), dvc("--cd", "nope", "root"), dvc("-q", "root"), dvc("doctor").stdoutMayDiffer("names the machine"))},
}

var ignoreScenarios = []scenario{
	{"ignored files in a folder", repo(
		write(".dvcignore", "*.log\n!keep.log\n/d/tmp/\n"), write("d/a", "1"), write("d/x.log", "l"), write("d/keep.log", "k"), write("d/tmp/t", "t"), write("d/s/tmp/u", "u"), dvc("add", "d"), dvc("status"), write("d/y.log", "new"), dvc("status"), write(".dvcignore", "a\n"), dvc("status"), dvc("add", "d"), dvc("checkout"), dvc("status"))},
	{"nested dvcignore", repo(
		write("p/.dvcignore", "*.o\n/only-here\n"), write("p/q/.dvcignore", "!k.o\n"), write("p/q/k.o", "k"), write("p/q/l.o", "l"), write("p/only-here", "x"), write("p/q/only-here", "y"), dvc("check-ignore", "p/q/k.o", "p/q/l.o", "p/only-here", "p/q/only-here"), dvc("add", "p/q/l.o"), dvc("add", "p/q/k.o"), dvc("add", "p"))},
	{"dvcignore inside a tracked folder", repo(write("d/a", "1"), write("d/.dvcignore", "a\n"), dvc("add", "d"), dvc("status"))},
	{"check-ignore", repo(
		write(".dvcignore", "# comment\n*.log\n!keep.log\n  /lead\nd/\n\\#x\nsp\\ ace\n[ab].c\n**/deep/f\n"), mkdir("d"), dvc("check-ignore", "x.log"), dvc("check-ignore", "keep.log", "a.log", "none"), dvc("check-ignore", "-d", "x.log", "keep.log", "none"), dvc("check-ignore", "-d", "-n", "x.log", "none"), dvc("check-ignore", "-d", "-a", "keep.log", "x.log"),
		dvc("check-ignore", "-d", "-a", "-n", "none"), dvc("check-ignore", "-n", "x"), dvc("check-ignore", "-a", "x"), dvc("check-ignore", "-q", "x.log"), dvc("check-ignore", "-q", "x.log", "-d"), dvcStdin("x.log\nnone\nlead\nd\n#x\na.c\nz/deep/f\n", "check-ignore", "--stdin"), dvcStdin("x.log\nnone\n", "check-ignore", "--stdin", "-d", "-n"),
		dvc("check-ignore"), dvc("check-ignore", "--stdin", "x"), dvc("check-ignore", "none"), dvc("check-ignore", ".git", ".dvc/config", "d", "d/x", "-d"), dvcIn("d", "check-ignore", "-d", "y.log", "../y.log"), dvc("check-ignore", "../outside"), dvc("check-ignore", "$ROOT/w/x.log"))},
	{"ignored targets and tracked files", repo(
		write(".dvcignore", "*.log\nhid/\n"), write("x.log", "1"), write("hid/f", "2"), write("ok", "3"), dvc("add", "x.log"), dvc("add", "hid"), dvc("add", "hid/f"), dvc("add", "ok", "x.log"), dvc("status"), dvc("add", "ok"), write(".dvcignore", "ok\nok.dvc\n"), dvc("status"), dvc("checkout"), dvc("ls", "."))},
}

// legacyScenarios: repositories as DVC 2 wrote them: no hash key, objects at the cache's top level, text hashed as if with LF.
var legacyScenarios = []scenario{
	{"legacy repository is read and kept", repo(
		write("t.txt", "line one\r\nline two\r\n"), write("t.txt.dvc", "outs:\n- md5: 987929d61c9b69f0c6406b840aa77fd8\n  size: 20\n  path: t.txt\n"), write(".gitignore", "/t.txt\n"), dvc("status"), write("b.bin", "\x00bin\r\n"), write("b.bin.dvc", "outs:\n- md5: bd6c16aece4903eeba3c06b85fa44f6d\n  size: 6\n  path: b.bin\n"), dvc("status"), dvc("status", "--json"), dvc("commit", "-f"), dvc("status"), dvc("add", "t.txt"), dvc("status"))},
	{"legacy cache layout", repo(
		write("f.dvc", "outs:\n- md5: 8b1a9953c4611296a827abf8c47804d7\n  size: 5\n  path: f\n"), writeMode(".dvc/cache/8b/1a9953c4611296a827abf8c47804d7", "Hello", 0o444), write(".gitignore", "/f\n"), commit("legacy"), dvc("status"), dvc("checkout"), dvc("status"), dvc("add", "f"), dvc("status"),
		mkdir("../rem"), dvc("remote", "add", "-d", "r", "../rem"), dvc("push"), dvc("status", "-c"), wipeCache(), rm("f"), dvc("pull"), dvc("status"), dvc("diff"), dvc("ls", "--show-hash", "."), write("f", "changed"), dvc("status"), dvc("commit", "-f", "f.dvc"), dvc("status"))},
	{"legacy folder", repo(
		writeMode(".dvc/cache/5d/41402abc4b2a76b9719d911017c592", "hello", 0o444), writeMode(".dvc/cache/7d/793037a0760186574b0282f2f435e7", "world", 0o444),
		writeMode(".dvc/cache/38/40735e47fc9e000ffda532ca0647a2.dir", `[{"md5": "5d41402abc4b2a76b9719d911017c592", "relpath": "a"}, {"md5": "7d793037a0760186574b0282f2f435e7", "relpath": "b"}]`, 0o444),
		write("d.dvc", "outs:\n- md5: 3840735e47fc9e000ffda532ca0647a2.dir\n  size: 10\n  nfiles: 2\n  path: d\n"), write(".gitignore", "/d\n"), commit("legacy"), dvc("status"), dvc("checkout"), dvc("status"), write("d/c", "new"), dvc("status"), dvc("data", "status", "--json", "--granular"), dvc("add", "d"), dvc("status"), dvc("diff", "--json"),
		mkdir("../rem"), dvc("remote", "add", "-d", "r", "../rem"), dvc("push"), dvc("push", "-A").mayDiffer(coversAll))},
	{"legacy text of every kind of line end", repo(
		write("d/lf", "a\nb\n"), write("d/crlf", "a\r\nb\r\n"), write("d/cr", "a\rb"), write("d/bin", "\x00\r\n"), write("d/latin", "\xe9\xe8\r\n"), dvc("add", "-q", "d"), write("d.dvc", "outs:\n- md5: 00000000000000000000000000000000.dir\n  size: 10\n  nfiles: 5\n  path: d\n"), dvc("status"), dvc("commit", "-f").fileMayDiffer("w/.dvc/cache/d1", "a by-product: DVC stores the manifest in DVC 2's way that it only compared with"), dvc("status"))},
	{"old keys in pointer files", repo(
		write("a", "1"), write("a.dvc", "md5: 0123456789abcdef0123456789abcdef\nouts:\n- md5: C4CA4238A0B923820DCC509A6F75849B\n  path: a\n  cache: true\n  metric: false\n  persist: false\nwdir: .\nlocked: false\n"), dvc("status"), dvc("add", "a"), dvc("status"), write("a", "2"), dvc("add", "a"), dvc("status"))},
}
