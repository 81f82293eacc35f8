package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Widths of help texts, as argparse has them on a terminal of 80 columns.
const (
	helpWidth  = 78
	helpColumn = 24
)

// writeHelp prints the help text of a command.
func writeHelp(w io.Writer, cmd *cobra.Command, debug bool) error {
	text := helpText(cmd)
	if debug {
		text += debugHelp(cmd)
	}
	_, err := io.WriteString(w, text)
	return err
}

func helpText(cmd *cobra.Command) string {
	var b strings.Builder
	b.WriteString(usageText(cmd))
	fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(longOf(cmd)))
	if args := positionals(cmd); !cmd.HasSubCommands() && len(args) > 0 {
		b.WriteString("\npositional arguments:\n")
		for _, p := range args {
			helpRow(&b, "  "+p.name, cmd.Annotations[argHelpKey+p.name])
		}
	}
	b.WriteString("\noptions:\n")
	for _, f := range flagsOf(cmd) {
		if !f.Hidden {
			_, text := flagUsage(f)
			helpRow(&b, "  "+optionNames(f), text)
		}
	}
	if cmd.HasSubCommands() {
		b.WriteString("\nAvailable Commands:\n")
		for _, c := range cmd.Commands() {
			if !c.Hidden {
				helpRow(&b, "  "+c.Name(), c.Short)
			}
		}
		fmt.Fprintf(&b, "\nUse `%s %s --help` for command-specific help.\n", cmd.CommandPath(), subMeta(cmd))
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nexamples:\n%s\n", strings.TrimRight(examples(cmd), "\n"))
	}
	return b.String()
}

// debugHelp is what --help says besides after -v, as in DVC: the options for
// finding out what the program does.
func debugHelp(cmd *cobra.Command) string {
	f := cmd.Root().PersistentFlags().Lookup(profileFlag)
	if f == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString("\ndebug options:\n")
	_, text := flagUsage(f)
	helpRow(&b, "  "+optionNames(f), text)
	return b.String()
}

// argHelpKey, with an argument's name, annotates a command with its help.
const argHelpKey = "cairn_arg_"

// argHelp describes a positional argument of a verb.
func argHelp(cmd *cobra.Command, name, text string) { addNote(cmd, argHelpKey+name, text) }

func longOf(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Long
	}
	return cmd.Short
}

// examples shows a verb's examples under the name that the program runs as.
func examples(cmd *cobra.Command) string {
	return strings.ReplaceAll(cmd.Example, "cairn ", cmd.Root().Name()+" ")
}

// usageText is the "usage:" paragraph.
func usageText(cmd *cobra.Command) string {
	var parts []string
	grouped := map[string]bool{}
	flags := map[string]*pflag.Flag{}
	for _, f := range flagsOf(cmd) {
		flags[f.Name] = f
	}
	for _, f := range flagsOf(cmd) {
		if f.Hidden || grouped[f.Name] {
			continue
		}
		parts = append(parts, usagePart(cmd, f, flags, grouped))
	}
	switch {
	case cmd.HasSubCommands():
		parts = append(parts, subMeta(cmd), "...")
	default:
		if _, args, ok := strings.Cut(cmd.Use, " "); ok {
			parts = append(parts, args)
		}
	}
	head := "usage: " + cmd.CommandPath()
	return wrapWords(head, parts, strings.Repeat(" ", len(head)+1)) + "\n"
}

// usagePart is a flag in brackets, with those it excludes.
func usagePart(cmd *cobra.Command, f *pflag.Flag, flags map[string]*pflag.Flag, grouped map[string]bool) string {
	for c := cmd; c != nil; c = c.Parent() {
		for _, g := range exclusiveGroups(c) {
			if g[0] != f.Name {
				continue
			}
			var names []string
			for _, n := range g {
				if other := flags[n]; other != nil {
					grouped[n] = true
					names = append(names, shortForm(other))
				}
			}
			return "[" + strings.Join(names, " | ") + "]"
		}
	}
	if need := f.Annotations[cobra.BashCompOneRequiredFlag]; len(need) > 0 {
		return shortForm(f)
	}
	return "[" + shortForm(f) + "]"
}

func shortForm(f *pflag.Flag) string {
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand
	}
	return name + metaOf(f)
}

// metaOf is the placeholder of a flag's value with a blank before it.
func metaOf(f *pflag.Flag) string {
	meta, _ := flagUsage(f)
	switch valueCount(f) {
	case "0":
		return ""
	case "?":
		return " [" + meta + "]"
	case "*":
		return " [" + meta + " ...]"
	case "+":
		return " " + meta + " [" + meta + " ...]"
	}
	return " " + meta
}

// flagUsage splits a flag's help into the placeholder, which pflag has in
// backquotes, and the text.
func flagUsage(f *pflag.Flag) (meta, text string) {
	if c := f.Annotations[choicesKey]; len(c) > 0 {
		return "{" + strings.Join(c, ",") + "}", strings.ReplaceAll(f.Usage, "`", "")
	}
	meta, text = pflag.UnquoteUsage(f)
	if meta == "" || !strings.Contains(f.Usage, "`") {
		meta = "<" + f.Name + ">"
	}
	return meta, text
}

func optionNames(f *pflag.Flag) string {
	if shortOnly(f) {
		return "-" + f.Shorthand + metaOf(f)
	}
	if f.Shorthand != "" {
		return "-" + f.Shorthand + metaOf(f) + ", --" + f.Name + metaOf(f)
	}
	return "--" + f.Name + metaOf(f)
}

// helpRow writes a name and its text in two columns.
func helpRow(b *strings.Builder, name, text string) {
	pad := strings.Repeat(" ", helpColumn)
	switch {
	case text == "":
		b.WriteString(name + "\n")
		return
	case len(name) > helpColumn-2:
		b.WriteString(name + "\n" + pad)
	default:
		b.WriteString(name + pad[len(name):])
	}
	b.WriteString(strings.TrimLeft(wrapWords(pad, strings.Fields(text), pad), " ") + "\n")
}

// wrapWords fills lines with words; the first starts with head, the others with
// indent.
func wrapWords(head string, words []string, indent string) string {
	var b strings.Builder
	b.WriteString(head)
	col, fresh := len(head), strings.TrimSpace(head) == ""
	for _, w := range words {
		if col+1+len(w) > helpWidth && !fresh {
			b.WriteString("\n" + indent)
			col, fresh = len(indent), true
		}
		if !fresh {
			b.WriteString(" ")
			col++
		}
		b.WriteString(w)
		col += len(w)
		fresh = false
	}
	return b.String()
}

// usageNote is what stands under a usage error: how the command is called, and
// where no command was given, which there are.
func usageNote(u *usageError) string {
	if u.cmd.HasSubCommands() && u.hint == "" {
		return "\n" + strings.TrimRight(helpText(u.cmd), "\n")
	}
	return "\n" + usageText(u.cmd) + "Use `" + u.cmd.CommandPath() + " --help` for more."
}
