//go:build unix

package interop

import "strings"

const long = "long-name-"

// nameScenarios: names of files and folders that break what quotes, matches or splits them.
var nameScenarios = []scenario{
	{"names unicode", repo(
		write("é.txt", "e acute\n"), write("日本/写真 1.bin", "\x00\x01"), write("日本/😀", "smile"), write("e\u0301-decomposed", "x"),
		dvc("add", "é.txt", "日本", "e\u0301-decomposed"), dvc("status"), rm("é.txt", "日本"), dvc("status"), dvc("checkout"),
		dvc("ls", ".", "-R"), dvc("status", "--json"), rm("é.txt"), dvc("status", "--json"), dvc("data", "status", "--json"))},
	{"names spaces and quotes", repo(
		write("a b.txt", "1"), write(`it's "q".txt`, "2"), write("two  blanks", "3"), write(" lead", "4"), write("trail ", "5"),
		dvc("add", "a b.txt"), dvc("add", `it's "q".txt`), dvc("add", "two  blanks"), dvc("add", " lead"), dvc("add", "trail ").fileMayDiffer("w/.gitignore", "DVC does not escape the last blank, which git then ignores, so its line hides another file"),
		dvc("status"), dvc("ls", "."))},
	{"names specials of gitignore and yaml", repo(
		write("a b#[x].txt", "1"), write("#hash", "2"), write("!bang", "3"), write("star*", "4"), write("q?", "5"), write("back\\slash", "6"),
		write("{c}", "7"), write("%p", "8"), write("@at", "9"), write("key: v", "10"), write("null", "11"), write("1.0", "12"), write("~", "13"),
		write("&amp", "14"), write("2020-01-01", "15"), write("x #y", "16"), write("true", "17"), write("it's", "18"),
		dvc("add", "a b#[x].txt", "#hash", "!bang"), dvc("add", "star*"), dvc("add", "q?"), dvc("add", "back\\slash"),
		dvc("add", "{c}", "%p", "@at", "key: v", "null", "1.0"), dvc("add", "./~", "&amp", "2020-01-01", "x #y", "true", "it's"),
		dvc("status"), git("add", "-A"), git("commit", "-qm", "x"), rm("a b#[x].txt", "null"), dvc("checkout").stdoutMayDiffer("DVC's printer takes [x] for markup and drops it"))},
	{"names with a leading dash", repo(
		write("-x", "1"), write("--all", "2"), mkdir("d"), write("d/-n", "3"),
		dvc("add", "-x"), dvc("add", "--", "-x"), dvc("add", "./--all"), dvc("add", "d"), dvc("status", "--", "-x"))},
	{"names in a folder", repo(
		write("d/a", "1"), write("d/a b", "2"), write("d/a!/q", "3"), write("d/b.txt", "4"), write("d/b/y", "5"), write("d/é.txt", "6"),
		write("d/😀", "7"), write("d/tab\there", "8"), write("d/q\"u'o", "9"), write("d/Z", "10"), write("d/new\nline", "11"), write("d/back\\slash", "12"),
		dvc("add", "d"), dvc("status"), dvc("ls", "-R", ".").stdoutMayDiffer("cairn quotes a name with a control character, so that a line is a name"), rm("d/tab\there"), dvc("diff", "--json"), dvc("data", "status", "--granular", "--json"),
		rm("d"), dvc("checkout"))},
	{"names very long", repo(
		write(strings.Repeat(long, 20), "1"), write("d/"+strings.Repeat(long, 24)+"/"+strings.Repeat(long, 24), "2"),
		write(strings.Repeat("word ", 24)+"end", "3"), write(strings.Repeat("é", 100), "4"),
		dvc("add", strings.Repeat(long, 20)), dvc("add", "d"), dvc("add", strings.Repeat("word ", 24)+"end"), dvc("add", strings.Repeat("é", 100)),
		dvc("status"))},
	{"names that DVC itself uses", repo(
		write("data.dvc.txt", "1"), write("dvc.lock.bak", "2"), write("sub/.gitkeep", ""), write(".hidden", "h"), write("d/.gitignore", "*.o\n"), write("d/x.o", "o"),
		dvc("add", "data.dvc.txt"), dvc("add", "dvc.lock.bak"), dvc("add", ".hidden"), dvc("add", "sub"), dvc("add", "d"), dvc("status"))},
}

// forgetsSize is DVC losing a number: the digest of the same step is compared through the manifest in the cache.
const forgetsSize = "DVC drops the size of the folder when a part of it is added a second time"

const provesOnUse = "DVC reads objects that are not read-only again and deletes wrong ones; cairn proves every object it hands out, changes nothing by asking and keeps the evidence"

var addScenarios = []scenario{
	{"init and add a file", steps(git("init", "-q"), dvc("init"), write("a.txt", "hello\n"), dvc("add", "a.txt"), dvc("add", "a.txt"),
		dvc("status"), commit("one"), dvc("status"), dvc("status", "-q"), dvc("root"))},
	{"add a folder", repo(
		write("data/a", "1"), write("data/sub/b", "22"), write("data/sub/c", "1"), dvc("add", "data"), dvc("add", "data"), dvc("status"),
		write("data/a", "changed"), dvc("status"), dvc("add", "data"), rm("data/sub/b"), dvc("add", "data"), dvc("status"))},
	{"add empty files and folders", repo(
		write("empty", ""), mkdir("none"), write("d/e", ""), mkdir("d/void"), dvc("add", "empty"), dvc("add", "none"), dvc("add", "d"),
		dvc("status"), rm("none", "empty", "d"), dvc("status"), dvc("checkout"), dvc("status"))},
	{"add many targets", repo(
		write("a", "1"), write("b", "2"), write("c/d", "3"), write("e/f/g", "4"), dvc("add", "a", "b", "c", "e/f/g"), dvc("status"), commit("x"),
		write("b", "22"), write("a", "11"), dvc("status"), dvc("add", "b", "a"), dvc("status"))},
	{"add with glob", repo(
		write("d/1.csv", "1"), write("d/2.csv", "2"), write("d/3.txt", "3"), write("d/s/4.csv", "4"), write("[x].csv", "5"),
		dvc("add", "--glob", "d/*.csv").linesInAnyOrder(".gitignore", "DVC appends in the order the disk returns names"), dvc("add", "--glob", "d/**/*.csv"), dvc("add", "d/*.txt"), dvc("add", "--glob", "nothing*"), dvc("status"))},
	{"add executables", repo(
		writeMode("run.sh", "#!/bin/sh\n", 0o755), writeMode("d/run.sh", "#!/bin/sh\necho\n", 0o755), writeMode("ro", "ro", 0o444), writeMode("gx", "g", 0o654),
		dvc("add", "run.sh").fileMayDiffer("w/run.sh", keepsModes), dvc("add", "d"), dvc("add", "ro").fileMayDiffer("w/ro", keepsModes), dvc("add", "gx").fileMayDiffer("w/gx", keepsModes), dvc("status"), rm("run.sh", "d"), dvc("checkout").fileMayDiffer("w/run.sh", keepsModes),
		dvc("status"), chmod("run.sh", 0o644), dvc("status"), dvc("add", "run.sh"), chmod("run.sh", 0o755), dvc("commit", "-f").fileMayDiffer("w/run.sh", keepsModes))},
	{"add links", repo(
		write("target", "t"), write("dir/f", "f"), link("target", "l"), link("dir", "ld"), link("nowhere", "broken"),
		dvc("add", "l"), dvc("add", "ld"), dvc("add", "broken"), dvc("status"))},
	{"add a folder with links", repo(
		write("out/f", "f"), write("outdir/g", "g"), write("d/a", "a"), link("../out/f", "d/lf"), link("a", "d/inner"), link("../outdir", "d/ld"),
		dvc("add", "d"), dvc("status"), rm("d"), dvc("checkout"))},
	{"add a folder with a broken link", repo(
		write("d/a", "a"), link("nowhere", "d/b"), dvc("add", "d").stderrMayDiffer("wording of the operating system"), dvc("status"))},
	{"add below a linked folder", repo(
		write("real/f", "f"), link("real", "ln"), dvc("add", "ln/f"), dvc("status"))},
	{"add part of a tracked folder", repo(
		write("data/a", "1"), write("data/s/b", "2"), dvc("add", "data"), commit("x"), write("data/new.png", "png"), write("data/a", "changed"),
		dvc("add", "data/new.png"), dvc("status"), dvc("data", "status", "--granular"), dvc("add", "data/a").fileMayDiffer("w/data.dvc", forgetsSize), dvc("status"),
		write("data/t/u/v", "deep"), dvc("add", "data/t/u").fileMayDiffer("w/data.dvc", forgetsSize), dvc("status"), rm("data/s/b"), dvc("add", "data/s/b").fileMayDiffer("w/data.dvc", forgetsSize), dvc("commit", "data/s", "-f").mayDiffer("DVC fails over a part of a tracked folder that has no files any more"), dvc("status"))},
	{"add out", repo(
		write("../src/file", "out of the repository"), write("../srcdir/x/y", "y"), write("../srcdir/z", "z"), dvc("add", "../src/file", "-o", "in"), dvc("status"),
		dvc("add", "../srcdir", "--out", "dir"), mkdir("sub"), dvc("add", "../src/file", "-o", "sub/other"), dvc("status"), dvc("add", "../src/nope", "-o", "n"))},
	{"add no-commit then commit", repo(
		write("a", "1"), write("d/x", "2"), dvc("add", "--no-commit", "a", "d"), dvc("status"), dvc("commit"), dvc("status"),
		write("a", "new"), dvc("commit", "-f", "a.dvc"), dvc("status"), write("d/x", "changed"), dvc("commit", "-f", "d"), dvc("commit", "-q"))},
	{"commit asks nothing when nothing changed", repo(
		write("a", "1"), dvc("add", "a"), dvc("commit"), dvc("commit", "a"), write("a", "2"), dvc("commit"), dvc("status"), dvc("commit", "nope"))},
	{"add modified and back", repo(
		write("a", "1"), dvc("add", "a"), write("a", "2"), dvc("status"), dvc("add", "a"), write("a", "1"), dvc("status"), dvc("add", "a"), dvc("status"))},
	{"file becomes folder and back", repo(
		write("x", "file"), dvc("add", "x"), commit("file"), rm("x"), write("x/in", "folder"), dvc("status"), dvc("add", "x"), commit("folder"),
		dvc("status"), rm("x"), write("x", "file again"), dvc("status"), dvc("add", "x"), commit("again"), dvc("diff", "HEAD~2", "HEAD~1", "--json"),
		dvc("diff", "HEAD~1", "--json"), git("checkout", "-q", "HEAD~1"), dvc("checkout", "--force"), dvc("status"), git("checkout", "-q", "HEAD~1"), dvc("checkout"))},
	{"add keeps annotations and comments", repo(
		write("a", "1"), dvc("add", "a"), appendTo("a.dvc", "  desc: some words # and a comment\n  labels: [one, two]\n  meta:\n    k: 'v'\n# end\nmeta: {x: 1, y: [a, b]}\ndesc: top\n"),
		dvc("status"), write("a", "22"), dvc("add", "a"), dvc("status"), dvc("move", "a", "b"), dvc("status"))},
	{"long lines in desc", repo(
		write("a", "1"), dvc("add", "a"), appendTo("a.dvc", "desc: "+strings.Repeat("many words in a row ", 12)+"end\n"), write("a", "2"), dvc("add", "a"),
		appendTo("a.dvc", "meta:\n  q: \""+strings.Repeat("it's a 'quoted' text ", 8)+"\"\n  s: '"+strings.Repeat("null ", 30)+": x'\n  m: |\n    block\n    text\n  f: >-\n    folded\n    text\n"),
		write("a", "3"), dvc("add", "a"), dvc("move", "a", "b"))},
	{"move", repo(
		write("a", "1"), write("d/x", "2"), mkdir("e"), dvc("add", "a", "d"), commit("x"), dvc("move", "a", "b"), dvc("move", "d", "e"), dvc("status"),
		dvc("move", "b", "e/c"), dvc("status"), dvc("move", "nope", "z"), dvc("move", "e/c", "e/d/x"), dvc("status"))},
	{"move onto something", repo(
		write("a", "1"), write("b", "2"), dvc("add", "a"), dvc("move", "a", "b").mustFail("DVC overwrites the untracked file b without a word"), dvc("status"))},
	{"remove", repo(
		write("a", "1"), write("b", "2"), write("d/x", "3"), dvc("add", "a", "b", "d"), commit("x"), dvc("remove", "a.dvc"), dvc("status"),
		dvc("remove", "--outs", "d.dvc"), dvc("remove", "b"), dvc("remove", "nope.dvc"), dvc("remove", "b.dvc"), dvc("status"))},
	{"remove several with autostage", repo(
		dvc("config", "core.autostage", "true"), write("a", "1"), write("b", "2"), write("s/c", "3"), dvc("add", "a", "b", "s/c"), dvc("status"), git("commit", "-qm", "x"),
		dvc("remove", "a.dvc", "s/c.dvc"), dvc("remove", "b.dvc", "--outs"))},
	{"unprotect", repo(
		dvc("config", "cache.type", "hardlink,symlink"), write("a", "1"), write("d/x", "2"), write("d/e", ""), writeMode("s.sh", "#!", 0o755),
		dvc("add", "a", "d", "s.sh"), dvc("unprotect", "a"), dvc("status").fileMayDiffer("w/s.sh", losesExec), dvc("unprotect", "d", "s.sh").fileMayDiffer("w/.dvc/cache", losesExec), dvc("status"), dvc("unprotect", "nope"))},
	{"cache type symlink", repo(
		dvc("config", "cache.type", "symlink"), write("a", "1"), write("d/x", "2"), write("d/e", ""), dvc("add", "a", "d"), dvc("status"),
		dvc("add", "a"), rm("a", "d"), dvc("checkout"), dvc("status"), dvc("config", "cache.type", "copy"), dvc("checkout", "--relink"), dvc("status"))},
	{"cache type hardlink", repo(
		dvc("config", "cache.type", "hardlink"), write("a", "1"), write("d/x", "2"), write("d/e", ""), writeMode("x.sh", "#!x", 0o755), dvc("add", "a", "d", "x.sh"), dvc("status").fileMayDiffer("w/x.sh", losesExec),
		rm("a", "d"), dvc("checkout").stdoutMayDiffer(losesExec), dvc("status").fileMayDiffer("w/x.sh", losesExec), dvc("config", "cache.type", "symlink"), dvc("checkout", "--relink", "d"), dvc("checkout", "--relink").mayDiffer(losesExec), dvc("status").fileMayDiffer("w/x.sh", losesExec),
		dvc("config", "cache.type", "copy,hardlink"), dvc("checkout", "--relink").mayDiffer(losesExec))},
	{"shared cache folder", steps(git("init", "-q"), dvc("init", "-q"), dvc("cache", "dir", "../cache"), dvc("config", "cache.shared", "group"), dvc("cache", "dir"),
		write("a", "1"), write("d/x", "2"), dvc("add", "a", "d"), dvc("status"), commit("x"),
		git("clone", "-q", ".", "../w2"), dvcIn("../w2", "checkout"), dvcIn("../w2", "status"), dvcIn("../w2", "cache", "dir"))},
	{"autostage", repo(
		dvc("config", "core.autostage", "true"), write("a", "1"), write("s/b", "2"), dvc("add", "a"), dvc("add", "s/b"), dvc("move", "a", "c"), dvc("status"), dvc("remove", "c.dvc"))},
	{"add in a subfolder and by other ways", repo(
		write("s/t/a", "1"), write("s/b", "2"), write("top", "3"), dvcIn("s", "add", "t/a"), dvcIn("s/t", "add", "../b"), dvcIn("s", "add", "../top"),
		dvcIn("s", "status"), dvcIn("s", "status", "t/a.dvc"), dvcIn("s/t", "root"), dvc("--cd", "s", "status"), dvcIn("s", "checkout"), dvcIn("s/t", "add", "$ROOT/w/s/b"))},
	{"add quiet and verbose", repo(
		write("a", "1"), dvc("add", "-q", "a"), dvc("status", "-q"), write("a", "2"), dvc("status", "-q"), dvc("checkout", "-q"), dvc("checkout", "-q", "-f"))},
	{"add with existing gitignore", repo(
		write(".gitignore", "*.bin\nlast"), write("x.bin", "1"), write("y", "2"), dvc("add", "x.bin"), dvc("add", "y"), write("s/.gitignore", "a\r\nb\r\n"), write("s/z", "3"),
		dvc("add", "s/z"), dvc("remove", "s/z.dvc"), dvc("remove", "y.dvc"), dvc("status"))},
	{"add without git", steps(dvc("init", "--no-scm"), write("a", "1"), write("d/x", "2"), dvc("add", "a"), dvc("add", "d"), dvc("status"), rm("a"), dvc("status"),
		dvc("checkout"), dvc("remove", "a.dvc"), dvc("diff"), dvc("data", "status"), dvc("version", "-q").stdoutMayDiffer("names its own version"))},
	{"add to-remote", repo(
		mkdir("../rem"), dvc("remote", "add", "-d", "r", "../rem"), write("../src/f", "content"), write("../src/d/x", "x"), dvc("add", "--to-remote", "../src/f"),
		dvc("add", "--to-remote", "../src/d", "-o", "dd"), dvc("status"), dvc("status", "-c"), dvc("pull").stdoutMayDiffer("DVC's status -c has stored the manifest already: "+askingWrites), dvc("status"))},
	{"add a file twice under two names", repo(
		write("a", "same"), write("b", "same"), write("d/c", "same"), dvc("add", "a", "b", "d"), dvc("status"), rm("a"), dvc("checkout", "a"))},
	{"corrupted cache object is noticed", repo(
		write("a", "good"), dvc("add", "a"), chmod(".dvc/cache/files/md5/75/5f85c2723bb39381c7379a604160d8", 0o644),
		write(".dvc/cache/files/md5/75/5f85c2723bb39381c7379a604160d8", "evil"), dvc("status").stdoutMayDiffer(provesOnUse), rm("a"), dvc("checkout"), dvc("status").stdoutMayDiffer(provesOnUse))},
}
