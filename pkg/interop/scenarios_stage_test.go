//go:build unix

package interop

const (
	wordsOfMistakes = "cairn adds where it is, or a remedy"
	takesBack       = "DVC takes back the lines of .gitignore when the run fails, though the stage stays in dvc.yaml"
)

const stagesByHand = `stages:
  one:
    desc: |
      first line
      second
    cmd: echo 1 > a
    deps:
    - raw
    outs:
    - a
  group:
    foreach:
    - x
    - y
    do:
      cmd: echo ${item} > ${item}
      outs:
      - ${item}
  none:
    cmd: echo
  reads:
    cmd: cat a x > r
    deps:
    - a
    - x
    params:
    - lr
    metrics:
    - r:
        cache: false
`

var pipelineScenarios = []scenario{
	{"stage add", repo(
		write("a", "1\n"), mkdir("sub"),
		dvc("stage", "add", "-n", "one", "-d", "a", "-o", "b", "cp a b"), dvc("stage", "add", "-n", "one", "echo"), dvc("stage", "add", "-n", "s.1", "echo"), dvc("stage", "add", "-n", "x"),
		dvc("stage", "add", "-n", "x", "-o", "y", "-o", "y", "echo"), dvc("stage", "add", "-n", "x", "-o", "y", "-d", "./y", "echo"), dvc("stage", "add", "-n", "x", "-p", "params.yaml:", "-d", "params.yaml", "echo"),
		dvc("stage", "add", "-n", "x", "-o", "../y", "echo"), dvc("stage", "add", "-n", "x", "-w", "nope", "echo"), dvc("stage", "add", "-n", "x", "-w", "a", "echo"), dvc("stage", "add", "-n", "x", "-w", "..", "echo"),
		dvc("stage", "add", "-n", "many", "-d", "b", "-d", "a", "-p", "lr,z", "-p", "foo.yaml:b,a", "-p", "bar.json:", "-o", "xx", "-O", "yy", "--outs-persist", "p", "--outs-persist-no-cache", "pp", "-m", "m.json", "-M", "m2.json",
			"--plots", "pl.csv", "--plots-no-cache", "pl2.csv", "--desc", "hello world", "-w", "sub", "--always-changed", "--", "python", "x.py", "a b", `q"q`, "", "--opt=3"),
		dvc("stage", "add", "-n", "late", "-d", "b", "-o", "c", "--run", "cp b c").stderrMayDiffer("DVC names the missing file as an unexpected error").fileMayDiffer("w/.gitignore", takesBack),
		dvc("stage", "add", "-q", "-n", "run", "-d", "a", "-o", "d", "--run", "cp a d").fileMayDiffer("w/.gitignore", takesBack), dvc("stage", "add", "-f", "-n", "run", "-d", "a", "-o", "d", "--run", "cp a d"), dvc("stage", "add", "-n", "bad", "--run", "exit 3"),
		dvcIn("sub", "stage", "add", "-n", "t", "-d", "../a", "-o", "here", "cp ../a here"), dvc("repro", "-q", "one"), dvc("status", "--json"))},
	{"stage list, freeze and dag", repo(
		write("raw", "r\n"), write("params.yaml", "lr: 1\n"), write("dvc.yaml", stagesByHand), dvc("stage", "list"), dvc("stage", "list", "--all"), dvc("stage", "list", "--name-only", "group"), dvc("stage", "list", "one", "reads"), dvc("stage", "list", "nope"),
		dvc("stage", "list", "-R", "."), dvc("dag"), dvc("dag", "--dot"), dvc("dag", "--md"), dvc("dag", "--mermaid", "--outs"), dvc("dag", "--full", "a"), dvc("dag", "--collapse-foreach-matrix", "reads"), dvc("dag", "nope").stderrMayDiffer(wordsOfMistakes),
		dvc("freeze", "one", "nope", "group@x", "dvc.yaml", "group"), dvc("freeze", "one"), dvc("status", "--json"), dvc("repro", "-q", "reads").stderrMayDiffer("cairn says it once"), dvc("unfreeze", "one"), dvc("repro", "-q"), dvc("status", "--json"))},
	{"remove stages", repo(
		write("raw", "r\n"), write("params.yaml", "lr: 1\n"), write("dvc.yaml", stagesByHand), dvc("repro", "-q"), dvc("remove", "nope"), dvc("remove", "a"), dvc("remove", "group"), dvc("remove", "none"), dvc("remove", "reads"), dvc("remove", "one", "--outs"), dvc("move", "x", "z"), dvc("status", "--json"))},
}
