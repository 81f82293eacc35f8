package repo

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// InstallOptions of [Repo.Install].
type InstallOptions struct {
	// Program is how Git's shell calls this program; Name is the program's
	// name alone, for the pre-commit tool.
	Program, Name string
	// PreCommitTool adds the hooks to the pre-commit tool's configuration
	// instead of writing them.
	PreCommitTool bool
	// ShellQuote makes a word one word for a shell.
	ShellQuote func(string) string
}

// InstallResult tells what was installed; nothing without Git.
type InstallResult struct {
	Files []string `json:"files"` // absolute paths of hooks and configuration
}

// Install makes Git call this program after a checkout, before a commit,
// before a push, and to merge pointer files with the attribute merge=dvc.
// Hooks that exist already are errs.Conflict, and then nothing is changed. In
// a repository below Git's root the hooks name its folder: Git runs them in
// the root.
func (r *Repo) Install(o InstallOptions) (InstallResult, error) {
	var res InstallResult
	if r.Git == nil {
		return res, nil
	}
	sub := r.gitPath(".")
	if o.PreCommitTool {
		name := o.Name
		if sub != "." {
			if strings.Trim(sub, plainLetters) != "" {
				return res, errs.WithHint(errs.New(errs.Unsupported, "cannot name the folder %q in the configuration of the pre-commit tool", sub),
					"Install without --use-pre-commit-tool.")
			}
			name += " --cd " + sub
		}
		if _, err := r.Git.InstallPreCommit(name); err != nil {
			return res, err
		}
		res.Files = []string{filepath.Join(r.Git.Root(), ".pre-commit-config.yaml")}
	} else {
		program := o.Program
		if sub != "." {
			program += " --cd " + o.ShellQuote(sub)
		}
		files, err := r.installHooks(program)
		if err != nil {
			return res, err
		}
		res.Files = files
	}
	driver := strings.ReplaceAll(o.Program, "%", "%%")
	if sub != "." {
		driver += " --cd " + strings.ReplaceAll(o.ShellQuote(sub), "%", "%%")
	}
	return res, r.Git.InstallMergeDriver(driver)
}

// plainLetters need no quotes in a shell or in YAML, wherever they stand.
const plainLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./"

// installHooks installs the hooks unless all are there: DVC takes a second
// installation for a mistake. Some of ours are what an interruption has left.
func (r *Repo) installHooks(program string) ([]string, error) {
	dir, err := r.Git.HooksDir()
	if err != nil {
		return nil, err
	}
	all := true
	for _, name := range []string{"post-checkout", "pre-commit", "pre-push"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			all = false
		}
	}
	if all {
		return nil, errs.New(errs.Conflict, "Hook 'post-checkout' already exists. Please refer to <https://man.dvc.org/install> for more info.")
	}
	return r.Git.InstallHooks(program)
}

// IsRebasing reports whether Git is in the middle of a rebase.
func (r *Repo) IsRebasing() bool {
	if r.Git == nil {
		return false
	}
	for _, name := range []string{"rebase-merge", "rebase-apply"} {
		if st, err := os.Stat(filepath.Join(r.Git.GitDir(), name)); err == nil && st.IsDir() {
			return true
		}
	}
	return false
}
