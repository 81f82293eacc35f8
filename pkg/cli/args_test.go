package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// parsed is what a test command was given.
type parsed struct {
	Path     string
	Args     []string
	Glob     bool
	NoCommit bool
	Jobs     int
	Remote   string
	Rev      string
	Targets  []string
	Quiet    int
	Verbose  int
	Cd       string
}

// testTree is a small program with one of everything.
func testTree(got *parsed) *cobra.Command {
	root := &cobra.Command{Use: "cairn"}
	root.PersistentFlags().CountVarP(&got.Quiet, "quiet", "q", "")
	root.PersistentFlags().CountVarP(&got.Verbose, "verbose", "v", "")
	exclusive(root, "quiet", "verbose")
	root.Flags().StringVar(&got.Cd, "cd", "", "")
	root.Flags().BoolP("version", "V", false, "")
	verb := func(use string) *cobra.Command {
		c := &cobra.Command{Use: use, Run: func(*cobra.Command, []string) {}}
		f := c.Flags()
		f.BoolVarP(&got.Glob, "glob", "g", false, "")
		f.BoolVar(&got.NoCommit, "no-commit", false, "")
		f.IntVarP(&got.Jobs, "jobs", "j", 0, "")
		f.StringVarP(&got.Remote, "remote", "r", "", "")
		f.StringVar(&got.Rev, "rev", "", "")
		f.Lookup("rev").NoOptDefVal = "HEAD"
		nargs(c, "rev", "?")
		f.StringArrayVar(&got.Targets, "targets", nil, "")
		nargs(c, "targets", "*")
		exclusive(c, "glob", "no-commit")
		return c
	}
	run := verb("run [command ...]")
	remainder(run)
	need := verb("need name")
	need.Flags().StringP("stage", "n", "", "")
	if err := need.MarkFlagRequired("stage"); err != nil {
		panic(err)
	}
	sub := &cobra.Command{Use: "remote"}
	sub.AddCommand(verb("add name url"), verb("list"))
	root.AddCommand(verb("add targets [targets ...]"), verb("pull [targets ...]"), verb("move src dst"),
		verb("config [name] [value]"), run, need, sub)
	return root
}

func TestParseArgs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		line string
		want parsed
	}{
		{"add a", parsed{Path: "cairn add", Args: []string{"a"}}},
		{"add a --glob b -j 4 c", parsed{Path: "cairn add", Args: []string{"a", "b", "c"}, Glob: true, Jobs: 4}},
		{"add -j4 a", parsed{Path: "cairn add", Args: []string{"a"}, Jobs: 4}},
		{"add -j=4 a", parsed{Path: "cairn add", Args: []string{"a"}, Jobs: 4}},
		{"add --jobs=4 a", parsed{Path: "cairn add", Args: []string{"a"}, Jobs: 4}},
		{"add --jo 4 a", parsed{Path: "cairn add", Args: []string{"a"}, Jobs: 4}},
		{"add --rem=up a", parsed{Path: "cairn add", Args: []string{"a"}, Remote: "up"}},
		{"add -gq a", parsed{Path: "cairn add", Args: []string{"a"}, Glob: true, Quiet: 1}},
		{"add -gj3 a", parsed{Path: "cairn add", Args: []string{"a"}, Glob: true, Jobs: 3}},
		{"-vv add -v a", parsed{Path: "cairn add", Args: []string{"a"}, Verbose: 3}},
		{"--cd x add a", parsed{Path: "cairn add", Args: []string{"a"}, Cd: "x"}},
		{"--cd=x add a", parsed{Path: "cairn add", Args: []string{"a"}, Cd: "x"}},
		{"add -- -x --glob", parsed{Path: "cairn add", Args: []string{"-x", "--glob"}}},
		{"add a -5 -.5", parsed{Path: "cairn add", Args: []string{"a", "-5", "-.5"}}},
		{"add -", parsed{Path: "cairn add", Args: []string{"-"}}},
		{"add -j -5 a", parsed{Path: "cairn add", Args: []string{"a"}, Jobs: -5}},
		{"add a --rev", parsed{Path: "cairn add", Args: []string{"a"}, Rev: "HEAD"}},
		{"add a --rev main", parsed{Path: "cairn add", Args: []string{"a"}, Rev: "main"}},
		{"add --rev= a", parsed{Path: "cairn add", Args: []string{"a"}}},
		{"pull --targets a b --glob c", parsed{Path: "cairn pull", Args: []string{"c"}, Targets: []string{"a", "b"}, Glob: true}},
		{"pull --targets a b -- c", parsed{Path: "cairn pull", Args: []string{"c"}, Targets: []string{"a", "b"}}},
		{"pull", parsed{Path: "cairn pull"}},
		{"config a.b", parsed{Path: "cairn config", Args: []string{"a.b"}}},
		{"config a.b c", parsed{Path: "cairn config", Args: []string{"a.b", "c"}}},
		{"remote add n u", parsed{Path: "cairn remote add", Args: []string{"n", "u"}}},
		{"run --glob python --glob -x", parsed{Path: "cairn run", Args: []string{"python", "--glob", "-x"}, Glob: true}},
		{"run --glob -- python --glob", parsed{Path: "cairn run", Args: []string{"--", "python", "--glob"}, Glob: true}},
		{"need -n s x", parsed{Path: "cairn need", Args: []string{"x"}}},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			t.Parallel()
			var got parsed
			c, err := parseArgs(testTree(&got), strings.Fields(tt.line))
			if err != nil {
				t.Fatalf("parseArgs: %v", err)
			}
			got.Path, got.Args = c.cmd.CommandPath(), c.args
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestParseArgsErrors(t *testing.T) {
	t.Parallel()
	tests := []struct{ line, want string }{
		{"", "the following arguments are required: command"},
		{"remote", "the following arguments are required: cmd"},
		{"addd", "argument command: invalid choice: 'addd' (choose from 'add', 'config', 'move', 'need', 'pull', 'remote', 'run')"},
		{"remote foo", "argument cmd: invalid choice: 'foo' (choose from 'add', 'list')"},
		{"add", "the following arguments are required: targets"},
		{"add -x", "the following arguments are required: targets"},
		{"move a", "the following arguments are required: dst"},
		{"move", "the following arguments are required: src, dst"},
		{"need x", "the following arguments are required: -n/--stage"},
		{"add a --foo -x", "unrecognized arguments: --foo -x"},
		{"add --foo=3 a", "unrecognized arguments: --foo=3"},
		{"--foo add a", "unrecognized arguments: --foo"},
		{"move a b c", "unrecognized arguments: c"},
		{"add a --cd x", "unrecognized arguments: --cd"},
		{"add a --re x", "ambiguous option: --re could match --remote, --rev"},
		{"add a --jobs", "argument -j/--jobs: expected one argument"},
		{"add a --jobs -- 4", "argument -j/--jobs: expected one argument"},
		{"add a -r --glob", "argument -r/--remote: expected one argument"},
		{"add a -j x", "argument -j/--jobs: invalid int value: 'x'"},
		{"add a --glob=1", "argument -g/--glob: ignored explicit argument '1'"},
		{"add a -gz", "argument -g/--glob: ignored explicit argument 'z'"},
		{"add a --glob --no-commit", "argument --no-commit: not allowed with argument -g/--glob"},
		{"-q add a -v", "argument -v/--verbose: not allowed with argument -q/--quiet"},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			t.Parallel()
			_, err := parseArgs(testTree(&parsed{}), strings.Fields(tt.line))
			if err == nil || err.Error() != tt.want {
				t.Fatalf("got %v, want %s", err, tt.want)
			}
			if got := exitCode(err); got != exitUsage {
				t.Errorf("exit code %d, want %d", got, exitUsage)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	root := testTree(&parsed{})
	tests := []struct{ path, want string }{
		{"add", "usage: cairn add [-h] [-q | -v] [-g | --no-commit] [-j <jobs>] [-r <remote>]\n" +
			"                 [--rev [<rev>]] [--targets [<targets> ...]]\n" +
			"                 targets [targets ...]\n"},
		{"remote", "usage: cairn remote [-h] [-q | -v] cmd ...\n"},
	}
	for _, tt := range tests {
		if got := usageText(findSub(root, tt.path)); got != tt.want {
			t.Errorf("usage of %s:\n%s\nwant\n%s", tt.path, got, tt.want)
		}
	}
}

// FuzzParseArgs: no command line makes the parser fail otherwise than with a
// usage error.
func FuzzParseArgs(f *testing.F) {
	for _, s := range []string{"add a --glob", "-qv add", "--cd= add -- --", "run -- x", "add --=", "add -=", "pull --targets", "- -- -", "add -g=", "add --rev=\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		_, err := parseArgs(testTree(&parsed{}), strings.Split(line, " "))
		if _, ok := asUsage(err); err != nil && !ok {
			t.Fatalf("got %v, want a usage error", err)
		}
	})
}
