package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// newGendocs is the hidden command that writes the reference in docs/.
func newGendocs(a *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "gendocs dir",
		Short:   "Write the reference of commands and exit codes.",
		Long:    "Writes commands/*.md, one page a command, and exit-codes.md into a folder.",
		Example: "  cairn gendocs docs",
		Hidden:  true,
	}
	cmd.RunE = a.Run(func(_ context.Context, args []string) error {
		dir := a.Path(args[0])
		pages := filepath.Join(dir, "commands")
		if err := os.MkdirAll(pages, 0o777); err != nil {
			return fmt.Errorf("write the reference: %w", err)
		}
		for name, text := range referencePages(cmd.Root()) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
				return fmt.Errorf("write the reference: %w", err)
			}
		}
		return nil
	})
	return cmd
}

// referencePages returns the generated pages by their path in docs/.
func referencePages(root *cobra.Command) map[string]string {
	pages := map[string]string{"exit-codes.md": exitCodesDoc()}
	var index strings.Builder
	index.WriteString("# Commands\n\nWritten by `make docs` from the help texts.\n\n| command | |\n|---|---|\n")
	eachCommand(root, func(cmd *cobra.Command) {
		name := pageName(cmd)
		pages["commands/"+name] = commandPage(cmd)
		fmt.Fprintf(&index, "| [%s](%s) | %s |\n", cmd.CommandPath(), name, strings.ReplaceAll(cmd.Short, "|", `\|`))
	})
	pages["commands/README.md"] = index.String()
	return pages
}

// eachCommand visits the commands that users see, parents first.
func eachCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			visit(c)
			eachCommand(c, visit)
		}
	}
}

func pageName(cmd *cobra.Command) string {
	words := strings.Fields(cmd.CommandPath())[1:]
	return strings.Join(words, "-") + ".md"
}

func commandPage(cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n\n", cmd.CommandPath(), strings.TrimSpace(cmd.Short))
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(&b, "Also: `%s`.\n\n", strings.Join(cmd.Aliases, "`, `"))
	}
	fmt.Fprintf(&b, "```\n%s```\n\n%s\n", usageText(cmd), strings.TrimSpace(cmd.Long))
	b.WriteString("\n## Options\n\n| option | |\n|---|---|\n")
	for _, f := range flagsOf(cmd) {
		if !f.Hidden {
			_, text := flagUsage(f)
			fmt.Fprintf(&b, "| `%s` | %s |\n", optionNames(f), strings.ReplaceAll(text, "|", `\|`))
		}
	}
	if cmd.HasSubCommands() {
		b.WriteString("\n## Commands\n\n")
		for _, c := range cmd.Commands() {
			if !c.Hidden {
				fmt.Fprintf(&b, "* [%s](%s): %s\n", c.CommandPath(), pageName(c), c.Short)
			}
		}
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\n## Examples\n\n```sh\n%s\n```\n", dedent(cmd.Example))
	}
	return b.String()
}

// dedent removes the two blanks that help texts have before examples.
func dedent(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}
