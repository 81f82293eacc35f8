//go:build unix

package interop

const ownPage = "cairn's page is its own: it holds Vega instead of fetching it"

const keepsLayout = "DVC sorts the stage's plots and writes anew what it changes; cairn changes the properties and nothing else"

const sortsPictures = "DVC cannot put pictures in order of which only some have a number for a name"

// plotFiles are data files in every language, good and bad.
func plotFiles() []step {
	return steps(
		write("loss.csv", "step,loss,acc\n0,1.5,0.1\n1,0.5,0.2\n2,0.25,0.4\n"),
		write("roc.json", `{"train": [{"fpr": 0, "tpr": 0.1}, {"fpr": 1, "tpr": 1.0}], "note": "x", "test": [{"thr": 0.5}, {"thr": 0.7}, {"thr": 1e-7}]}`),
		write("hist.yaml", "runs:\n- {epoch: 1, v: 2.50}\n- {epoch: 2, v: .nan}\n"),
		write("cm.tsv", "actual\tpredicted\ncat\tdog\ncat\tcat\n\"do\"\"g\"\tdog\n"),
		write("quoted.csv", "a,\"b, c\",d.e,f[0]\n1,\"x\ny\",3,4\n\n5,6\n7,8,9,10\n"),
		write("long.csv", "a,b\n1,2,3\n4,5\n"),
		write("nohead.csv", "1,2\n3,4\n"),
		write("broken.json", "{"), write("empty.json", "[]"), write("empty.csv", ""), write("headonly.csv", "a,b\n"),
		write("scalar.json", "5"), write("text.json", `"abc"`), write("nested.json", `{"a": {"b": [{"x": 1, "y": null}, {"x": 2, "y": true}]}, "c": [1, 2]}`),
		write("ragged.json", `[{"a": 1}, {"a": 2, "b": 3}]`), write("lacking.json", `[{"a": 1, "b": 2}, {"a": 2}]`),
		write("nan.json", `[{"a": NaN}, {"a": Infinity}, {"a": -Infinity}, {"a": 12345678901234567890}]`),
		write("emptylist.yaml", "a: []\n"), write("bin.csv", "a,b\n\xff\xfe,2\n"), write("odd.txt", "hi"), write("v.toml", "[[r]]\na = 1\nb = 2.0\n[[r]]\na = 2\nb = 1e-9\n"),
		write("déjà vu.csv", "x,ÿ\n1,2\n"),
	)
}

// plotDefs defines plots of them in every form.
func plotDefs() []step {
	return steps(
		write("dvc.yaml", `stages:
  train:
    cmd: echo
    plots:
    - loss.csv: {x: step, y: loss, cache: false, title: Loss}
    - imgs: {cache: false}
    - nohead.csv: {cache: false, header: false}
plots:
- loss.csv
- roc.json
- cm: {x: actual, y: {cm.tsv: predicted}, template: confusion, x_label: true class}
- norm: {x: {cm.tsv: actual}, y: {cm.tsv: predicted}, template: confusion_normalized}
- both: {x: step, y: {loss.csv: [loss, acc]}, template: simple, y_label: value}
- files: {x: {loss.csv: step}, y: {loss.csv: loss, sub/other.csv: loss}, template: scatter}
- joined: {x: {loss.csv: step, sub/other.csv: epoch}, y: {loss.csv: loss, sub/other.csv: acc}, template: scatter_jitter}
- toomany: {x: {loss.csv: step, sub/other.csv: epoch}, y: {loss.csv: [loss, acc], sub/other.csv: acc}}
- unequal: {x: {sub/short.csv: v}, y: {loss.csv: loss}}
- bars: {x: loss, y: {loss.csv: step}, template: bar_horizontal_sorted}
- bars2: {x: loss, y: {loss.csv: step, sub/other.csv: epoch}, template: bar_horizontal}
- wrong: {y: {loss.csv: nope}}
- sub: {title: all of it}
- sub/short.csv: {title: the short one}
- hist.yaml: {x: epoch, y: [v]}
- quoted.csv: {x: "d.e", y: "b, c"}
- quoted.csv::two: {y: {quoted.csv: "f[0]"}}
- gone.csv
- "déjà vu.csv"
`),
		write("sub/other.csv", "epoch,loss,acc\n5,1,2\n6,3,4\n7,5,6\n"), write("sub/short.csv", "v\n1\n"),
		write("imgs/0.png", "zero"), write("imgs/10.png", "ten"), write("imgs/a.svg", "<svg/>"), write("imgs/empty.jpg", ""),
	)
}

func plots(args ...string) step {
	return dvc(append([]string{"plots"}, args...)...).fileMayDiffer("w/dvc_plots/index.html", ownPage)
}

var plotScenarios = []scenario{
	{"plots of files without definitions", steps(repo(plotFiles()), plots("show", "--json", "loss.csv"), plots("show", "--json", "roc.json", "hist.yaml", "cm.tsv"),
		plots("show", "--json", "quoted.csv", "long.csv"), plots("show", "--json", "nohead.csv", "--no-header"), plots("show", "--json", "loss.csv", "-x", "loss", "-y", "acc", "--title", "T", "--x-label", "X", "--y-label", "Y", "-t", "scatter"),
		plots("show", "--json", "loss.csv", "-y", "nope"), plots("show", "--json", "loss.csv", "-x", "nope"), plots("show", "--json", "broken.json"), plots("show", "--json", "empty.json", "empty.csv", "headonly.csv"),
		plots("show", "--json", "scalar.json"), plots("show", "--json", "text.json"), plots("show", "--json", "nested.json", "ragged.json", "lacking.json"), plots("show", "--json", "nan.json"), plots("show", "--json", "emptylist.yaml"),
		plots("show", "--json", "bin.csv"), plots("show", "--json", "odd.txt", "gone.csv"), plots("show", "--json", "v.toml"), plots("show", "--json", "déjà vu.csv"), plots("show", "--json", "--split", "loss.csv"),
		plots("show", "--json", "empty.csv", "--no-header"), plots("show", "--json", "."), plots("show"), plots("diff"), plots("diff", "--json"))},
	{"plots by definition", steps(repo(plotFiles(), plotDefs()), commit("one"), plots("show", "--json"), plots("show", "--json", "--split"), plots("show", "--json", "loss"), plots("show", "--json", "dvc.yaml::loss.csv", "bars"),
		plots("show", "--json", "sub"), plots("show", "--json", "sub/other.csv"), plots("show", "--json", "*.csv"), plots("show", "--json", "zzz"), plots("show", "--json", "loss.csv", "-y", "acc"), plots("show", "--json", "imgs", "-o", "out/deep"),
		plots("show", "--json", "cm", "-t", "linear"), plots("show", "--show-vega", "cm$"), plots("show", "--show-vega", "wrong"), plots("show", "--show-vega", "imgs"), plots("show", "--show-vega"), plots("show", "--show-vega", "a", "b"), plots("show", "--show-vega", "--json", "a"),
		plots("show", "-t", "nowhere", "loss.csv"), plots("show", "nohead.csv", "--json"),
		plots("show").mayDiffer(sortsPictures), plots("show", "-o", "elsewhere").mayDiffer(sortsPictures), plots("show", "zzz"))},
	{"plots from a subfolder", steps(repo(plotFiles(), plotDefs()), write("sub/dvc.yaml", "plots:\n- other.csv\n- ../loss.csv\n- roc: {y: {other.csv: acc}}\n- loss.csv\n"),
		replaceIn("dvc.yaml", ", header: false", ""), // which DVC overlooks in a subfolder
		replaceIn("hist.yaml", ".nan", "4"), commit("one"),
		dvcIn("sub", "plots", "show", "--json"), dvcIn("sub", "plots", "show", "--json", "other.csv"), dvcIn("sub", "plots", "show", "--json", "../loss.csv"), dvcIn("sub", "plots", "show", "--json", "gone.csv"), plots("show", "--json"), dvcIn("sub", "plots", "diff", "--json", "HEAD"))},
	{"plots of revisions", steps(repo(plotFiles(), plotDefs()), commit("one"), git("tag", "v1"),
		write("loss.csv", "step,loss\n0,9\n"), rm("roc.json", "sub/other.csv"), mv("imgs/0.png", "imgs/1.png"), write("cm.tsv", "actual\tpredicted\nx\ty\n"), replaceIn("dvc.yaml", "template: simple", "template: scatter"), replaceIn("dvc.yaml", "title: Loss", "title: More loss"), commit("two"),
		git("checkout", "-qb", "side/branch"), write("hist.yaml", "broken: [\n"), write("new.csv", "a,b\n1,2\n"), appendTo("dvc.yaml", "- new.csv\n"), commit("three"), git("checkout", "-q", "main"),
		plots("diff", "--json", "v1"), plots("diff", "--json", "v1", "HEAD", "side/branch"), plots("diff", "--json", "--split", "v1", "workspace"), plots("diff", "--json", "HEAD", "HEAD"), plots("diff", "--json", "v1", "--targets", "loss.csv", "new.csv"),
		plots("diff", "--json"), write("loss.csv", "step,loss\n0,1\n"), plots("diff", "--json"), plots("diff", "--json", "nope"), plots("diff", "nope"), plots("diff", "v1", "--targets", "imgs", "--json", "-o", "pics"), plots("diff", "v1", "-t", "simple", "--json", "--targets", "both"), plots("diff", "v1").mayDiffer(sortsPictures))},
	{"plots of data in the cache", steps(repo(write("d/a.csv", "x,y\n1,2\n"), write("d/s/b.json", `[{"q": 1}]`), write("m.csv", "x,y\n3,4\n"), dvc("add", "-q", "d", "m.csv"), write("dvc.yaml", "plots:\n- d\n- m.csv: {x: x, y: y}\n"), commit("one"), git("tag", "v1"),
		write("m.csv", "x,y\n5,6\n"), rm("d/a.csv"), write("d/c.csv", "x,y\n7,8\n"), dvc("add", "-q", "d", "m.csv"), commit("two")),
		plots("show", "--json"), plots("diff", "--json", "v1"), rm("m.csv", "d"), plots("show", "--json"), plots("diff", "--json", "v1", "HEAD"), plots("show", "--json", "d"), plots("show", "--json", "d/c.csv"))},
	{"plots of stages", steps(repo(write("params.yaml", "name: curve\nlist: [a, b]\n"), write("dvc.yaml", `stages:
  one:
    wdir: w
    cmd: mkdir -p plots && printf 'x,y\n1,2\n' > plots/a.csv && printf 'x\ty\n3\t4\n' > plots/b.tsv && printf '[{"q":5}]' > ../top.json
    plots:
    - plots: {x: x, y: y, template: simple}
    - ../top.json
  each:
    foreach: ${list}
    do:
      cmd: mkdir -p out && printf 'v\n1\n2\n' > out/${item}.csv
      plots:
      - out/${item}.csv: {cache: false, title: "of ${item}", x_label: n}
plots:
- ${name}:
    x: x
    y: {w/plots/a.csv: y, w/plots/b.tsv: y}
- w/plots: {y_label: mine}
- out
`), write("nested/dvc.yaml", "plots:\n- live/metrics: {x: step}\n- live/images\n- curve: {x: step, y: {live/metrics/acc.tsv: acc}}\n"),
		write("nested/live/metrics/acc.tsv", "step\tacc\n0\t0.5\n1\t0.75\n"), write("nested/live/metrics/train/loss.tsv", "step\tloss\n0\t2\n"), write("nested/live/images/pic/0.png", "0"), write("nested/live/images/pic/1.png", "1"), write("nested/live/images/c.jpg", "c")),
		mkdir("w"), dvc("repro", "-q"), plots("show", "--json"), commit("one"), plots("show", "--json", "curve"), plots("show", "--json", "nested/dvc.yaml::curve", "out"), dvcIn("nested", "plots", "show", "--json"), rm("w/plots", "out"), plots("show", "--json"), plots("diff", "--json", "HEAD"), wipeCache(), plots("show", "--json", "w/plots").stdoutMayDiffer(remembers), plots("diff", "--json", "HEAD", "--targets", "w/plots/a.csv"),
		plots("diff", "--json", "--split", "HEAD", "--targets", "nested/live", "top.json"), plots("modify", "w/plots", "--title", "All").fileMayDiffer("w/dvc.yaml", keepsLayout), plots("modify", "out/a.csv", "--title", "no"), dvcIn("nested", "plots", "modify", "../top.json", "-x", "q").fileMayDiffer("w/dvc.yaml", keepsLayout), plots("show", "--json", "w/plots", "top.json").stdoutMayDiffer(remembers))},
	{"plots of broken stage files", steps(repo(plotFiles(), write("dvc.yaml", "plots:\n- loss.csv\n"), commit("good"), git("tag", "good"), write("dvc.yaml", "plots: [\n"), commit("syntax"), git("tag", "syntax"), write("dvc.yaml", "plots:\n- loss.csv: {z: 1}\nmore: 1\n"), commit("schema"), git("tag", "schema"),
		write("dvc.yaml", "plots:\n- ${nowhere}\n"), commit("template"), git("tag", "template"), write("dvc.yaml", "plots:\n- roc.json\n")),
		plots("diff", "--json", "good", "syntax"), plots("diff", "--json", "good", "schema"), plots("diff", "--json", "good", "template"), plots("diff", "--json", "schema", "--targets", "loss.csv"), plots("diff", "syntax", "schema"), git("checkout", "-q", "-f", "schema"), plots("show", "--json"), plots("show"), plots("show", "--json", "loss.csv"))},
	{"plots templates", steps(repo(write("a.csv", "x,y\n1,2\n")), plots("templates"), plots("templates", "simple"), plots("templates", "linear"), plots("templates", "smooth"), plots("templates", "confusion"), plots("templates", "confusion_normalized"), plots("templates", "scatter"),
		plots("templates", "scatter_jitter"), plots("templates", "bar_horizontal"), plots("templates", "bar_horizontal_sorted"), plots("templates", "nope"),
		write(".dvc/plots/mine.json", `{"data": {"values": "<DVC_METRIC_DATA>"}, "m": ["<DVC_METRIC_X>", {"t": "about <DVC_METRIC_TITLE>"}], "w": "<DVC_METRIC_PLOT_WIDTH>"}`), write("nodata.json", `{"m": "<DVC_METRIC_X>"}`), write("plain.json", `{"data": {"values": "<DVC_METRIC_DATA>"}, "y": "<DVC_METRIC_Y>"}`), write("bad.json", "{"),
		plots("show", "--json", "a.csv", "-t", "mine"), plots("show", "--json", "a.csv", "-t", "mine.json", "--split", "--title", "<T>"), plots("show", "--json", "a.csv", "-t", "plain.json"), plots("show", "--json", "a.csv", "-t", "nodata.json"), plots("show", "--json", "a.csv", "-t", "bad.json"), plots("show", "--json", "a.csv", "-t"),
		write(".dvc/plots/linear.json", `{"own": "<DVC_METRIC_DATA>"}`), plots("show", "--json", "a.csv"))},
	{"plots modify", steps(repo(write("a.csv", "x,y\n1,2\n"), write("d/b.csv", "x,y\n1,2\n"), write("dvc.yaml", "stages:\n  s:\n    cmd: echo\n    plots:\n    - a.csv:\n        cache: false\n        x: x\n    outs:\n    - c.csv\n    - d/b.csv:\n        cache: false\n")), dvc("add", "-q", "d/../raw.csv").mayDiffer("nothing there"),
		plots("modify", "a.csv", "-y", "y"), plots("modify", "a.csv", "--unset", "x"), plots("modify", "a.csv", "--unset", "x"), plots("modify", "zzz", "-x", "x"), plots("modify", "a.csv", "-t", "nope"), plots("modify", "c.csv", "--unset", "x"), plots("modify", "a.csv", "--unset", "y"),
		plots("show", "--json"))},
	{"plots configured", steps(repo(write("a.csv", "x,y\n1,2\n"), write("i.png", "p"), write("dvc.yaml", "plots:\n- a.csv\n- i.png\n")), dvc("config", "plots.out_dir", "pages"), plots("show").fileMayDiffer("w/pages/index.html", ownPage), plots("show", "--json"),
		dvc("config", "plots.html_template", "page.html"), write(".dvc/page.html", "<b>{plot_divs}</b>"), plots("show").fileMayDiffer("w/pages/index.html", ownPage), write(".dvc/page.html", "<b></b>"), plots("show").fileMayDiffer("w/pages/index.html", ownPage), plots("show", "--html-template", "nope.html").fileMayDiffer("w/pages/index.html", ownPage))},
}
