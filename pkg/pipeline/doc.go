// Package pipeline reads and writes stage files: .dvc files, dvc.yaml with
// its templates, and dvc.lock; files of parameters; and the graph of stages.
//
// [ParseDvcFile] and [ParseLock] read one text each. A [Loader] reads the
// files of a workspace or a commit, given as an [io/fs.FS]: one stage with
// [Loader.Stages], a file with [Loader.File], all files with [Loader.Load],
// and what a target of the command line stands for with [Loader.Collect]. It
// expands expressions, foreach and matrix, and fills in what the lock knows.
// [Pipeline.Graph] connects the stages.
//
// Texts are checked as strictly as DVC checks them, and errors have its words
// together with file and line. What is wrong with one stage does not keep
// others from being read; [Pipeline.Errors] has it, and the caller decides.
//
// Values of YAML are those of package yamlfmt. The functions that change a
// text ([AddStage], [SetFrozen], [UpdateLock] and so on) return the new text
// and write nothing.
package pipeline
