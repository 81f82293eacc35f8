package git

import (
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/cairndata/cairn/pkg/errs"
)

// PreCommitFile is the configuration of the pre-commit tool, in the root.
const PreCommitFile = ".pre-commit-config.yaml"

// DVC's own hooks, as the release with that command line writes them.
const preCommitDVC = `- repo: https://github.com/treeverse/dvc
  rev: 3.67.1
  hooks:
  - id: dvc-pre-commit
    additional_dependencies:
    - .[all]
    language_version: python3
    stages:
    - pre-commit
  - id: dvc-pre-push
    additional_dependencies:
    - .[all]
    language_version: python3
    stages:
    - pre-push
  - id: dvc-post-checkout
    additional_dependencies:
    - .[all]
    language_version: python3
    stages:
    - post-checkout
    always_run: true
`

// Ours run the installed binary; there is nothing for the tool to fetch.
const preCommitLocal = `- repo: local
  hooks:
  - id: PROGRAM-pre-commit
    name: PROGRAM pre-commit
    entry: PROGRAM git-hook pre-commit
    language: system
    stages:
    - pre-commit
    always_run: true
    pass_filenames: false
    verbose: true
  - id: PROGRAM-pre-push
    name: PROGRAM pre-push
    entry: PROGRAM git-hook pre-push
    language: system
    stages:
    - pre-push
    always_run: true
    pass_filenames: false
  - id: PROGRAM-post-checkout
    name: PROGRAM post-checkout
    entry: PROGRAM git-hook post-checkout
    language: system
    stages:
    - post-checkout
    always_run: true
    pass_filenames: false
`

// InstallPreCommit adds the hooks to the pre-commit tool's configuration, and
// reports whether that changed. Called for "dvc" it adds DVC's hooks, else
// local ones that run program. The rest of the file stays as it is.
func (r *Repo) InstallPreCommit(program string) (bool, error) {
	old, err := r.dir.ReadFile(PreCommitFile)
	if err != nil && !missing(err) {
		return false, &errs.Error{Kind: errs.KindOf(err), Msg: "cannot edit " + PreCommitFile, Err: err}
	}
	text, err := addPreCommit(string(old), program)
	if err != nil || text == string(old) {
		return false, err
	}
	return true, r.dir.WriteFile(PreCommitFile, []byte(text), 0o666)
}

func addPreCommit(text, program string) (string, error) {
	block := preCommitDVC
	if program != "dvc" {
		block = strings.ReplaceAll(preCommitLocal, "PROGRAM", program)
	}
	at, err := findRepos(text, block)
	if err != nil || at.present {
		return text, err
	}
	lines := strings.SplitAfter(text, "\n")
	head := strings.Join(lines[:at.line], "")
	tail := strings.Join(lines[at.line:], "")
	if head != "" && !strings.HasSuffix(head, "\n") {
		head += "\n"
	}
	if at.newKey {
		head += "repos:\n"
	}
	if at.emptyFlow {
		head = head[:strings.LastIndex(head, "[")]
		head = strings.TrimRight(head, " ") + "\n"
	}
	pad := strings.Repeat(" ", at.indent)
	for line := range strings.Lines(block) {
		head += pad + line
	}
	out := head + tail
	// Read it back: an unforeseen shape is refused rather than broken.
	if at, err := findRepos(out, block); err != nil || !at.present {
		return "", cannotEditPreCommit(0)
	}
	return out, nil
}

func cannotEditPreCommit(line int) error {
	return &errs.Error{Kind: errs.Unsupported, File: PreCommitFile, Line: line, Msg: "cannot add hooks to a file of this shape",
		Hint: "Write repos as a list with one dash a line, or run the command without --use-pre-commit-tool."}
}

// place is where a new item of repos goes: before a line, counted from 0.
type place struct {
	line      int
	indent    int
	newKey    bool
	emptyFlow bool // the line before ends in "[]"
	present   bool
}

func findRepos(text, block string) (place, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return place{}, &errs.Error{Kind: errs.Invalid, File: PreCommitFile, Msg: "not valid YAML", Err: err}
	}
	end := strings.Count(text, "\n")
	if text != "" && !strings.HasSuffix(text, "\n") {
		end++
	}
	if len(doc.Content) == 0 {
		return place{line: end, newKey: true}, nil
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return place{line: end, newKey: true}, nil
	}
	if root.Kind != yaml.MappingNode || root.Style&yaml.FlowStyle != 0 {
		return place{}, cannotEditPreCommit(root.Line)
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value != "repos" {
			continue
		}
		next := end
		if i+2 < len(root.Content) {
			next = beforeComments(text, root.Content[i+2].Line-1)
		}
		return placeIn(root.Content[i+1], next, block)
	}
	return place{line: end, newKey: true}, nil
}

func placeIn(list *yaml.Node, next int, block string) (place, error) {
	switch {
	case list.Kind == yaml.ScalarNode && list.Tag == "!!null" && list.Value == "":
		return place{line: next}, nil
	case list.Kind != yaml.SequenceNode:
		return place{}, cannotEditPreCommit(list.Line)
	}
	var ours []any
	if err := yaml.Unmarshal([]byte(block), &ours); err != nil {
		return place{}, err
	}
	for _, item := range list.Content {
		var have any
		if err := item.Decode(&have); err == nil && reflect.DeepEqual(have, ours[0]) {
			return place{present: true}, nil
		}
	}
	if list.Style&yaml.FlowStyle != 0 {
		if len(list.Content) > 0 {
			return place{}, cannotEditPreCommit(list.Line)
		}
		return place{line: list.Line, emptyFlow: true}, nil
	}
	return place{line: next, indent: list.Column - 1}, nil
}

// beforeComments goes up from a line over blank lines and comments, which
// belong to what follows.
func beforeComments(text string, line int) int {
	lines := strings.Split(text, "\n")
	for line > 0 {
		if above := strings.TrimSpace(lines[line-1]); above != "" && above[0] != '#' {
			break
		}
		line--
	}
	return line
}
