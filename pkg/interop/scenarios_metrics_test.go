//go:build unix

package interop

const metricsYAML = `metrics:
- top.json
- evals
- gone.json
params: [conf, other.toml]
vars:
- v.yaml
- inline: 3
stages:
  train:
    cmd: echo ${m.x} ${inline} ${l}
    params:
    - train.lr
    - lst.1
    - cfg.json:
      - k.*
      - gone
    outs:
    - cached.yaml
    metrics:
    - plain.json:
        cache: false
`

// measured is a repository with metrics and parameters in all shapes: three commits on two branches with tags, of
// which one cannot be read, moved and broken files, and what JSON, YAML and TOML can hold.
func measured() []step {
	return repo(
		write("dvc.yaml", metricsYAML),
		write("v.yaml", "m: {x: 1, y: 2}\nl: z\n"),
		write("params.yaml", "train: {lr: 0.10, e: 5}\nlst: [1, {a: x}, \"s\", null, true, 1.5]\none: [1]\n"),
		write("cfg.json", `{"k": {"a": 1, "b": [1, 2]}, "z": 2}`), write("conf/a.yaml", "a: 1\nb: text\n"), write("other.toml", "x = 1\n[t]\ny = 2.50\n"),
		write("top.json", `{"acc": 0.5, "n": {"l": {"deep": 1}, "list": [1, 2]}, "b": true, "s": "x, y", "nan": NaN, "inf": -Infinity, "null": null, "empty": {}}`),
		write("evals/a.yaml", "f1: 0.123456789\nbig: 123456789012345678901234567890\nwhen: 2020-01-02\nsmall: 1e-7\n"),
		write("evals/b.json", "{broken"), write("evals/c.toml", "r = 0.5\nd = 1979-05-27\n"), write("evals/d.json", "0.25"), write("evals/é.json", `{"ö": 1}`),
		write("plain.json", `{"loss": 1.0}`),
		commit("one"), git("tag", "v1"), git("branch", "side"),
		mv("top.json", "moved.json"), replaceIn("dvc.yaml", "top.json", "moved.json"), replaceIn("moved.json", "0.5", "0.75"), replaceIn("moved.json", "true", "false"),
		replaceIn("params.yaml", "0.10", "1e-3"), replaceIn("params.yaml", "e: 5", "e: five"), replaceIn("v.yaml", "x: 1", "x: 7"), write("conf/a.yaml", "[1, 2]\n"),
		rm("evals/c.toml"), write("plain.json", `{"loss": 0.25, "more": 2}`), commit("two"), git("tag", "v2"),
		replaceIn("dvc.yaml", "cmd: echo", "cmd: echo ${nope}"), commit("broken"), git("tag", "broken"), git("checkout", "-q", "HEAD~1", "--", "dvc.yaml"), commit("mended"),
	)
}

var metricsScenarios = []scenario{
	{"metrics show", steps(measured(), dvc("metrics", "show"), dvc("metrics", "show", "--json"), dvc("metrics", "show", "--md"), dvc("metrics", "show", "--precision", "2"), dvc("metrics", "show", "--precision", "0"),
		dvc("metrics", "show", "-a"), dvc("metrics", "show", "-a", "--json"), dvc("metrics", "show", "-T", "--json"), dvc("metrics", "show", "-aT", "--md"), dvc("metrics", "show", "-A", "--json"), dvc("metrics", "show", "-A"),
		write("plain.json", `{"loss": 3}`), dvc("metrics", "show", "-a", "--json"), git("checkout", "-q", "-f", "v1"), dvc("metrics", "show", "-a", "--json"))},
	{"metrics show targets", steps(measured(), dvc("metrics", "show", "evals", "--json"), dvc("metrics", "show", "-R", "evals", "-T", "--json"), dvc("metrics", "show", "evals/a.yaml", "nope.json", "plain.json", "-a", "--json"),
		dvc("metrics", "show", "cfg.json", "params.yaml", "other.toml"), dvc("metrics", "show", "plain.json/x", "--json", "-T"), dvc("metrics", "show", "cached.yaml", "-T", "--json"),
		dvcIn("evals", "metrics", "show"), dvcIn("evals", "metrics", "show", "a.yaml", "../plain.json", "--json", "-a"), dvcIn("conf", "metrics", "show", "--json"), dvc("metrics", "show", "--nope"))},
	{"metrics diff", steps(measured(), dvc("metrics", "diff"), dvc("metrics", "diff", "--json"), dvc("metrics", "diff", "v1"), dvc("metrics", "diff", "v1", "--json"), dvc("metrics", "diff", "v1", "v2", "--json"), dvc("metrics", "diff", "v1", "v2", "--md", "--no-path"),
		dvc("metrics", "diff", "v1", "--all"), dvc("metrics", "diff", "v2", "side", "--all", "--json"), dvc("metrics", "diff", "v2", "broken", "--json"), dvc("metrics", "diff", "v1", "--precision", "1"),
		dvc("metrics", "diff", "v1", "side", "--all"), dvc("metrics", "diff", "v1", "v1", "--all", "--json"), dvc("metrics", "diff", "nope"), dvc("metrics", "diff", "v1", "nope", "--json"),
		dvc("metrics", "diff", "--targets", "plain.json", "evals", "--", "v1", "v2"), dvc("metrics", "diff", "v1", "--targets", "cfg.json", "nope.json", "--all", "--json"), dvcIn("conf", "metrics", "diff", "v1", "--json"))},
	{"params diff", steps(measured(), dvc("params", "diff"), dvc("params", "diff", "--json"), dvc("params", "diff", "v1"), dvc("params", "diff", "v1", "--json"), dvc("params", "diff", "v1", "v2", "--md", "--no-path"), dvc("params", "diff", "v1", "--all"), dvc("params", "diff", "v1", "--all", "--json"),
		dvc("params", "diff", "v1", "--deps"), dvc("params", "diff", "v1", "--deps", "--all", "--json"), dvc("params", "diff", "v1", "broken", "--json"), dvc("params", "diff", "v1", "--targets", "params.yaml", "conf", "--json"),
		dvc("params", "diff", "v1", "--targets", "nope.yaml", "--json"), dvc("params", "diff", "nope"), dvcIn("conf", "params", "diff", "v1", "--json"), dvcIn("conf", "params", "diff", "v1", "--targets", "conf/a.yaml"), dvcIn("conf", "params", "diff", "v1", "--targets", "a.yaml", "--json"),
		rm("v.yaml"), dvc("params", "diff", "--json"), write("params.yaml", "a: [\n"), dvc("params", "diff", "--json", "--targets", "params.yaml"))},
	{"metrics and params in unusual places", steps(mkdir("e"), dvcIn("e", "metrics", "show"), dvcIn("e", "params", "diff"), git("init", "-q"), write("m.json", `{"a": 1}`), dvc("metrics", "show", "m.json"), dvc("metrics", "diff"), dvc("metrics", "diff", "--json"), commit("bare"),
		dvc("metrics", "show", "m.json", "-a", "--json"), dvc("metrics", "diff", "--targets", "m.json", "--all"), mkdir("sub"), dvcIn("sub", "init", "-q", "--subdir"), write("sub/m.json", `{"a": 2}`), write("sub/dvc.yaml", "metrics: [m.json]\n"), dvcIn("sub", "metrics", "show", "-a", "--json"), commit("sub"),
		write("sub/m.json", `{"a": 3}`), dvcIn("sub", "metrics", "show", "-A", "--json"), dvcIn("sub", "metrics", "diff"), dvcIn("sub", "metrics", "diff", "HEAD~1", "--json"))},
	{"metrics without git", steps(dvc("init", "-q", "--no-scm"), write("m.json", `{"a": 1}`), write("dvc.yaml", "metrics: [m.json]\n"), dvc("metrics", "show"), dvc("metrics", "show", "-a", "--json"), dvc("metrics", "diff"), dvc("params", "diff", "--json"))},
	{"metrics in the cache and the remote", steps(repo(write("m.json", `{"a": 1}`), write("d/x.json", `{"b": 1}`), write("d/y.json", `{"b": 2}`), dvc("add", "-q", "m.json", "d"), write("dvc.yaml", "metrics: [m.json, d]\n"), mkdir("../rem"), dvc("remote", "add", "-q", "-d", "origin", "../rem"), commit("one")),
		dvc("metrics", "show", "--json"), write("m.json", `{"a": 2}`), rm("d/y.json"), dvc("add", "-q", "m.json", "d"), commit("two"), dvc("metrics", "show", "-A", "--json"), dvc("metrics", "diff", "HEAD~1", "--json"), dvc("push", "-q", "-A").mayDiffer(coversAll), wipeCache(),
		dvc("metrics", "show", "-A", "--json").stdoutMayDiffer(coversAll), rm("m.json", "d"), dvc("metrics", "show", "--json"), rm("../rem"), mkdir("../rem"), dvc("metrics", "show", "--json").stdoutMayDiffer(remembers))},
	{"metrics of stages in odd places", steps(repo(dvc("config", "cache.type", "symlink"), write("dvc.yaml", oddYAML), write("params.yaml", "lr: 1\n"), write("sub/deep/p.yaml", "{a: {b: 1, c: 2}, q: [1]}\n"),
		write("sub/deep/z.json", `{"z": 1}`), write("ig.json", `{"i": 1}`), write(".dvcignore", "ig.json\n"), dvc("repro", "-q"), commit("one"), git("tag", "v1")),
		dvc("metrics", "show", "-T", "--json"), dvc("metrics", "show", "c_x.yaml", "out_x", "out_y", "sub", "-T", "--json"), dvcIn("sub", "metrics", "show", "w.json", "..", "--json"), dvcIn("sub/deep", "params", "diff", "--all", "--json"),
		dvc("params", "diff", "--deps", "--all"), link("sub", "linkd"), link("nowhere", "dang.json"), dvc("metrics", "show", "linkd", "linkd/w.json", "dang.json", "--json"), rm("c_x.yaml", "out_x"), dvc("metrics", "show", "--json"), dvc("metrics", "show", "", "--json"))},
	{"conditions in dvc.yaml are meta", steps(repo(write("dvc.yaml", "stages:\n  a:\n    cmd: echo '{}' > m.json\n    metrics: [m.json]\n    meta: {cairn: {check: [a > 1]}}\n"), dvc("repro", "-q"), commit("one")),
		dvc("status"), dvc("stage", "list"), replaceIn("dvc.yaml", "a > 1", "a > ${x}"), write("params.yaml", "x: 2\n"), dvc("status"), dvc("repro"), dvc("metrics", "show"), dvc("params", "diff", "--json"))},
}

const oddYAML = `stages:
  a:
    foreach: [x, y]
    do:
      cmd: 'mkdir -p out_${item} && echo "{\"v\": 1}" > out_${item}/m.json && echo "k: 2" > c_${item}.yaml'
      outs:
      - out_${item}
      metrics:
      - c_${item}.yaml
  b:
    wdir: sub
    cmd: 'echo "{\"w\": 3}" > w.json'
    params:
    - ../params.yaml:
    - deep/p.yaml: [a.b, q]
    metrics:
    - w.json:
        cache: false
metrics:
- out_x
- sub/../sub/deep/z.json
- ig.json
`
