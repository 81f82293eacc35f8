package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
)

// dvcVersion is the release of DVC whose behaviour and files cairn has.
const dvcVersion = "3.67.1"

// version is set by the linker: -X github.com/cairndata/cairn/pkg/cli.version=0.1.0.
var version string

// buildVersion is cairn's own version.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return strings.TrimPrefix(info.Main.Version, "v")
	}
	return "devel"
}

// infoLine is a field of `version`: a name, and a value or several.
type infoLine struct {
	Name   string
	Value  string
	Values []string // shown below the name, one a line
}

// newVersion is `cairn version`, also called doctor.
func newVersion(a *App) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Aliases: []string{"doctor"},
		Short:   "Display the version and information about the system and the repository.",
		Long: "Shows the versions of cairn and of the DVC that it follows, the platform, the\n" +
			"supported remotes and, in a repository, its cache, remotes and file systems.\n" +
			"The cache types are those that work here: each link is made and removed.",
		Example: "  cairn version\n  cairn doctor",
		RunE: a.Run(func(ctx context.Context, _ []string) error {
			lines, repoErr := a.versionInfo(ctx)
			head := fmt.Sprintf("DVC version: %s (cairn %s)", dvcVersion, buildVersion())
			w := a.UI.Out()
			fmt.Fprintf(w, "%s\n%s\n", head, strings.Repeat("-", len(head)))
			for _, l := range lines {
				l.write(w)
			}
			return repoErr
		}),
	}
}

func (l infoLine) write(w interface{ Write([]byte) (int, error) }) {
	if l.Values == nil {
		fmt.Fprintf(w, "%s: %s\n", l.Name, ui.Quote(l.Value))
		return
	}
	fmt.Fprintf(w, "%s:\n", l.Name)
	for i, v := range l.Values {
		comma := ""
		if l.Name == "Supports" && i < len(l.Values)-1 {
			comma = ","
		}
		fmt.Fprintf(w, "\t%s%s\n", ui.Quote(v), comma)
	}
}

func (a *App) versionInfo(ctx context.Context) ([]infoLine, error) {
	global, system := a.seams.configDirs()
	lines := []infoLine{
		{Name: "Platform", Value: fmt.Sprintf("%s on %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH)},
		{Name: "Supports", Values: supported},
		{Name: "Config", Values: []string{"Global: " + global, "System: " + system}},
	}
	more, err := a.seams.repoInfo(ctx)
	if errs.Is(err, errs.NotInRepo) {
		return lines, nil
	}
	return append(lines, withFileSystems(more)...), err
}

// supported lists the schemes of remotes, for `version`.
var supported = []string{"local", "s3"}

// linkTypes tries each way to link a file of the folder from into the folder
// to, and returns the names of those that work.
func linkTypes(from, to string) []string {
	src, err := disk.OpenDir(from)
	if err != nil {
		return nil
	}
	defer src.Close()
	dst, err := disk.OpenDir(to)
	if err != nil {
		return nil
	}
	defer dst.Close()
	name := fmt.Sprintf(".cairn-doctor-%d", os.Getpid())
	f, err := src.Create(name, 0o600)
	if err != nil {
		return nil
	}
	defer src.Remove(name)
	_, err = f.Write([]byte("cairn"))
	if err = errorsFirst(err, f.Close()); err != nil {
		return nil
	}
	var works []string
	for _, try := range []struct {
		name string
		link func(name, link string) bool
	}{
		{"reflink", func(name, link string) bool { return tryReflink(src, dst, name, link) }},
		{"hardlink", func(name, link string) bool { return src.Link(name, dst, link) == nil }},
		{"symlink", func(name, link string) bool {
			return dst.Symlink(filepath.Join(from, name), link) == nil
		}},
	} {
		link := name + "-" + try.name
		if try.link(name, link) {
			works = append(works, try.name)
		}
		_ = dst.Remove(link) // it need not be there
	}
	return works
}

func tryReflink(src, dst *disk.Dir, name, link string) bool {
	in, err := src.OpenFile(name)
	if err != nil {
		return false
	}
	defer in.Close()
	out, err := dst.Create(link, 0o600)
	if err != nil {
		return false
	}
	ok, err := disk.Reflink(out, in)
	return errorsFirst(err, out.Close()) == nil && ok
}

// errorsFirst returns the first error that is one.
func errorsFirst(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}
