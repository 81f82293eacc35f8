package cli

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/errs"
)

// DVC's command line is Python's argparse, and scripts rely on its ways: long
// options may be shortened as long as they stay unambiguous, options and
// positional arguments may be mixed, -5 is a number, an option may take any
// number of values. Cobra does none of this, so the arguments are sorted out
// here, over cobra's tree of commands.

// Annotations with which a command's declaration says more than pflag can.
const (
	// nargsKey on a flag: "?" for an optional value, "*" for any number of
	// values, "+" for at least one, all up to the next option.
	nargsKey = "cairn_nargs"
	// choicesKey on a flag lists the values it takes.
	choicesKey = "cairn_choices"
	// exclusiveKey on a command lists groups of flags, joined by commas, of
	// which one at most may be given.
	exclusiveKey = "cairn_exclusive"
	// shortOnlyKey on a flag: it has a letter and no long form.
	shortOnlyKey = "cairn_short_only"
	// remainderKey on a command: from the first positional argument on, nothing
	// is an option.
	remainderKey = "cairn_remainder"
)

// nargs lets a flag take values as argparse's nargs does: "?", "*" or "+". The
// flag's Set is called once for each value; with "?" and no value it is set to
// its NoOptDefVal.
func nargs(cmd *cobra.Command, flag, count string) {
	annotate(cmd, flag, nargsKey, count)
}

// choices limits the values of a flag.
func choices(cmd *cobra.Command, flag string, values ...string) {
	annotate(cmd, flag, choicesKey, values...)
}

func annotate(cmd *cobra.Command, flag, key string, values ...string) {
	if err := cmd.Flags().SetAnnotation(flag, key, values); err != nil {
		panic(err) // a mistake in the declaration
	}
}

// exclusive declares flags of which one at most may be given.
func exclusive(cmd *cobra.Command, flags ...string) {
	addNote(cmd, exclusiveKey, strings.Join(flags, ","))
}

// remainder makes all that follows the first positional argument positional,
// for verbs that take another program's command line.
func remainder(cmd *cobra.Command) {
	addNote(cmd, remainderKey, "true")
}

func addNote(cmd *cobra.Command, key, value string) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	if old := cmd.Annotations[key]; old != "" {
		value = old + ";" + value
	}
	cmd.Annotations[key] = value
}

// call is a command line sorted out: flags are set, positionals counted.
type call struct {
	cmd           *cobra.Command
	args          []string
	help, version bool
}

// changed reports whether the command has such a flag and it was given.
func (c call) changed(flag string) bool {
	f := c.cmd.Flags().Lookup(flag)
	return f != nil && f.Changed
}

// usageError is a mistake in the command line.
type usageError struct {
	cmd  *cobra.Command
	msg  string
	hint string
}

func (e *usageError) Error() string { return e.msg }

// Unwrap classifies the error.
func (e *usageError) Unwrap() error { return &errs.Error{Kind: errs.Usage} }

// UsageErrorf is the error of a verb that finds its arguments wrong.
func UsageErrorf(cmd *cobra.Command, msg string) error {
	return &usageError{cmd: cmd, msg: msg}
}

// parser walks the arguments of one command after the other, from the root to
// the verb.
type parser struct {
	call
	options    map[string]*pflag.Flag // by "-j" and "--jobs"
	names      []string               // keys of options in order of declaration
	rest       []string
	positional []string
	unknown    []string
	verbatim   bool // after "--"
}

// parseArgs sets the flags that args name and returns the command with its
// positional arguments. Errors are *usageError.
func parseArgs(root *cobra.Command, args []string) (call, error) {
	p := &parser{rest: args}
	p.enter(root)
	for len(p.rest) > 0 && !p.help && !p.version {
		if err := p.next(); err != nil {
			return p.call, err
		}
	}
	if p.help || p.version {
		return p.call, nil
	}
	return p.call, p.finish()
}

// enter makes cmd the command whose options are understood.
func (p *parser) enter(cmd *cobra.Command) {
	p.cmd = cmd
	p.options, p.names = map[string]*pflag.Flag{}, nil
	p.verbatim = false
	for _, f := range flagsOf(cmd) {
		if f.Shorthand != "" {
			p.declare("-"+f.Shorthand, f)
		}
		if !shortOnly(f) {
			p.declare("--"+f.Name, f)
		}
	}
}

// shortOnly reports whether a flag has no long form.
func shortOnly(f *pflag.Flag) bool { return len(f.Annotations[shortOnlyKey]) > 0 }

func (p *parser) declare(name string, f *pflag.Flag) {
	if p.options[name] == nil {
		p.options[name] = f
		p.names = append(p.names, name)
	}
}

// flagsOf lists the flags that cmd understands: help, its own, and those that
// commands above share, in order of declaration.
func flagsOf(cmd *cobra.Command) []*pflag.Flag {
	if cmd.Flags().Lookup("help") == nil {
		cmd.Flags().BoolP("help", "h", false, "Show this help message and exit.")
	}
	var shared, own []*pflag.Flag
	seen := map[string]bool{}
	add := func(list *[]*pflag.Flag) func(*pflag.Flag) {
		return func(f *pflag.Flag) {
			if !seen[f.Name] {
				seen[f.Name] = true
				*list = append(*list, f)
			}
		}
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().VisitAll(add(&own))
	for c := cmd; c != nil; c = c.Parent() {
		c.PersistentFlags().SortFlags = false
		c.PersistentFlags().VisitAll(add(&shared))
	}
	i := slices.IndexFunc(own, func(f *pflag.Flag) bool { return f.Name == "help" })
	help := own[i]
	own = slices.Delete(own, i, i+1)
	return slices.Concat([]*pflag.Flag{help}, shared, own)
}

// next takes the next argument, and those that belong to it.
func (p *parser) next() error {
	arg := p.take()
	if !p.verbatim && arg == "--" {
		if p.cmd.Annotations[remainderKey] != "" {
			return p.takePositional(arg) // argparse leaves it to the other command line
		}
		p.verbatim = true
		return nil
	}
	if p.verbatim {
		return p.takePositional(arg)
	}
	o, err := p.option(arg)
	switch {
	case err != nil:
		return err
	case o.positional:
		return p.takePositional(arg)
	case o.flag == nil:
		p.unknown = append(p.unknown, arg)
		return nil
	}
	return p.takeOption(o)
}

func (p *parser) take() string {
	arg := p.rest[0]
	p.rest = p.rest[1:]
	return arg
}

func (p *parser) takePositional(arg string) error {
	if p.cmd.HasSubCommands() {
		sub := findSub(p.cmd, arg)
		if sub == nil {
			return p.unknownCommand(arg)
		}
		p.enter(sub)
		return nil
	}
	p.positional = append(p.positional, arg)
	if p.cmd.Annotations[remainderKey] != "" {
		p.positional = append(p.positional, p.rest...)
		p.rest = nil
	}
	return nil
}

func findSub(cmd *cobra.Command, name string) *cobra.Command {
	for _, c := range cmd.Commands() {
		if c.Name() == name || c.HasAlias(name) {
			return c
		}
	}
	return nil
}

func (p *parser) unknownCommand(arg string) error {
	var names []string
	for _, c := range p.cmd.Commands() {
		if !c.Hidden {
			for _, n := range append([]string{c.Name()}, c.Aliases...) {
				names = append(names, pyQuote(n))
			}
		}
	}
	e := p.errorf("argument " + subMeta(p.cmd) + ": invalid choice: " + pyQuote(arg) +
		" (choose from " + strings.Join(names, ", ") + ")")
	p.cmd.SuggestionsMinimumDistance = 2
	if near := p.cmd.SuggestionsFor(arg); len(near) > 0 {
		e.hint = "Did you mean `" + strings.TrimSpace(p.cmd.CommandPath()+" "+near[0]) + "`?"
	}
	return e
}

// subMeta is the name of the argument that names a sub-command.
func subMeta(cmd *cobra.Command) string {
	if cmd.HasParent() {
		return "cmd"
	}
	return "command"
}

// matched is an argument held against the options.
type matched struct {
	name        string
	flag        *pflag.Flag
	value       string // text that came with it: --opt=value, -j4, -qv
	hasValue    bool
	positional  bool
	isShortForm bool
}

// negativeNumber reports whether arg, which begins with a minus, is a number
// such as -5, -1.5 or -.5.
func negativeNumber(arg string) bool {
	whole, fraction, isDecimal := strings.Cut(arg[1:], ".")
	if isDecimal {
		return isDigits(fraction) && fraction != "" && isDigits(whole)
	}
	return isDigits(whole)
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// option decides what an argument is, by the rules of argparse.
func (p *parser) option(arg string) (matched, error) {
	if len(arg) < 2 || arg[0] != '-' {
		return matched{positional: true}, nil
	}
	if f := p.options[arg]; f != nil {
		return matched{name: arg, flag: f, isShortForm: arg[1] != '-'}, nil
	}
	found := p.prefixes(arg)
	if len(found) > 1 {
		var names []string
		for _, m := range found {
			names = append(names, m.name)
		}
		return matched{}, p.errorf("ambiguous option: " + ui.Quote(arg) + " could match " + strings.Join(names, ", "))
	}
	if len(found) == 1 {
		return found[0], nil
	}
	if negativeNumber(arg) || strings.Contains(arg, " ") {
		return matched{positional: true}, nil
	}
	return matched{}, nil
}

// prefixes finds the options that arg may stand for.
func (p *parser) prefixes(arg string) []matched {
	if !strings.HasPrefix(arg, "--") {
		if f := p.options[arg[:2]]; f != nil {
			value := arg[2:]
			if f.Value.Type() != "bool" && f.Value.Type() != "count" {
				value = strings.TrimPrefix(value, "=")
			}
			return []matched{{name: arg[:2], flag: f, value: value, hasValue: true, isShortForm: true}}
		}
		return nil
	}
	prefix, value, hasValue := strings.Cut(arg, "=")
	if f := p.options[prefix]; f != nil {
		return []matched{{name: prefix, flag: f, value: value, hasValue: hasValue}}
	}
	var found []matched
	for _, name := range p.names {
		if strings.HasPrefix(name, prefix) && !p.options[name].Hidden {
			found = append(found, matched{name: name, flag: p.options[name], value: value, hasValue: hasValue})
		}
	}
	return found
}

// takeOption sets the flag of an option with its values.
func (p *parser) takeOption(m matched) error {
	switch m.flag.Name {
	case "help":
		p.help = true
		return nil
	case "version":
		if !p.cmd.HasParent() {
			p.version = true
			return nil
		}
	}
	count := valueCount(m.flag)
	if m.hasValue {
		if count != "0" {
			return p.set(m.flag, m.value)
		}
		return p.takeCluster(m)
	}
	switch count {
	case "0":
		return p.set(m.flag, m.flag.NoOptDefVal)
	case "1":
		if !p.valueAhead() {
			return p.errorf("argument " + display(m.flag) + ": expected one argument")
		}
		return p.set(m.flag, p.take())
	case "?":
		if !p.valueAhead() {
			return p.set(m.flag, m.flag.NoOptDefVal)
		}
		return p.set(m.flag, p.take())
	}
	if count == "+" && !p.valueAhead() {
		return p.errorf("argument " + display(m.flag) + ": expected at least one argument")
	}
	m.flag.Changed = true
	for p.valueAhead() {
		if err := p.set(m.flag, p.take()); err != nil {
			return err
		}
	}
	return nil
}

// takeCluster handles -qR: a flag without value, with more letters behind it.
func (p *parser) takeCluster(m matched) error {
	refused := p.errorf("argument " + display(m.flag) + ": ignored explicit argument " + pyQuote(m.value))
	if !m.isShortForm || m.value == "" {
		return refused
	}
	next := p.options["-"+m.value[:1]]
	if next == nil {
		return refused
	}
	if err := p.set(m.flag, m.flag.NoOptDefVal); err != nil {
		return err
	}
	n := matched{name: "-" + m.value[:1], flag: next, value: m.value[1:], hasValue: len(m.value) > 1, isShortForm: true}
	return p.takeOption(n)
}

// valueAhead reports whether the next argument can be an option's value.
func (p *parser) valueAhead() bool {
	if len(p.rest) == 0 || p.rest[0] == "--" {
		return false
	}
	m, err := p.option(p.rest[0])
	return err == nil && m.positional
}

// valueCount is argparse's nargs of a flag: 0, 1, ?, * or +.
func valueCount(f *pflag.Flag) string {
	if n := f.Annotations[nargsKey]; len(n) > 0 {
		return n[0]
	}
	if t := f.Value.Type(); t == "bool" || t == "count" {
		return "0"
	}
	return "1"
}

func (p *parser) set(f *pflag.Flag, value string) error {
	if allowed := f.Annotations[choicesKey]; len(allowed) > 0 && !slices.Contains(allowed, value) {
		quoted := make([]string, len(allowed))
		for i, c := range allowed {
			quoted[i] = pyQuote(c)
		}
		return p.errorf("argument " + display(f) + ": invalid choice: " + pyQuote(value) +
			" (choose from " + strings.Join(quoted, ", ") + ")")
	}
	if err := f.Value.Set(value); err != nil {
		return p.errorf("argument " + display(f) + ": " + valueProblem(f, value, err))
	}
	f.Changed = true
	return nil
}

func valueProblem(f *pflag.Flag, value string, err error) string {
	switch t := f.Value.Type(); t {
	case "int", "int64", "uint", "float64":
		return "invalid " + strings.TrimRight(strings.TrimPrefix(t, "u"), "46") + " value: " + pyQuote(value)
	}
	return err.Error()
}

// finish checks the whole once all arguments are taken.
func (p *parser) finish() error {
	if p.cmd.HasSubCommands() {
		if len(p.unknown) > 0 {
			return p.errorf("unrecognized arguments: " + ui.Quote(strings.Join(p.unknown, " ")))
		}
		return p.errorf("the following arguments are required: " + subMeta(p.cmd))
	}
	spec := positionals(p.cmd)
	var missing []string
	for _, f := range flagsOf(p.cmd) {
		if need := f.Annotations[cobra.BashCompOneRequiredFlag]; len(need) > 0 && need[0] == "true" && !f.Changed {
			missing = append(missing, display(f))
		}
	}
	least, most := 0, 0
	for _, s := range spec {
		if s.required {
			least++
			if len(p.positional) < least {
				missing = append(missing, s.name)
			}
		}
		if most++; s.many {
			most = len(p.positional)
		}
	}
	if len(missing) > 0 {
		return p.errorf("the following arguments are required: " + strings.Join(missing, ", "))
	}
	if err := p.checkExclusive(); err != nil {
		return err
	}
	if n := len(p.positional); n > most {
		p.unknown = append(p.unknown, p.positional[most:]...)
	}
	if len(p.unknown) > 0 {
		return p.errorf("unrecognized arguments: " + ui.Quote(strings.Join(p.unknown, " ")))
	}
	p.args = p.positional
	return nil
}

func (p *parser) checkExclusive() error {
	flags := map[string]*pflag.Flag{}
	for _, f := range flagsOf(p.cmd) {
		flags[f.Name] = f
	}
	for c := p.cmd; c != nil; c = c.Parent() {
		for _, g := range exclusiveGroups(c) {
			var given *pflag.Flag
			for _, name := range g {
				f := flags[name]
				if f == nil || !f.Changed {
					continue
				}
				if given != nil {
					return p.errorf("argument " + display(f) + ": not allowed with argument " + display(given))
				}
				given = f
			}
		}
	}
	return nil
}

func exclusiveGroups(cmd *cobra.Command) [][]string {
	var groups [][]string
	for g := range strings.SplitSeq(cmd.Annotations[exclusiveKey], ";") {
		if g != "" {
			groups = append(groups, strings.Split(g, ","))
		}
	}
	return groups
}

func (p *parser) errorf(msg string) *usageError { return &usageError{cmd: p.cmd, msg: msg} }

// positional is one positional argument as a Use line declares it.
type positional struct {
	name           string
	required, many bool
}

// positionals reads the Use line of a verb.
func positionals(cmd *cobra.Command) []positional {
	var out []positional
	words := strings.Fields(cmd.Use)[1:]
	for i := 0; i < len(words); i++ {
		w := words[i]
		many := i+1 < len(words) && words[i+1] == "...]"
		name := strings.Trim(w, "[]")
		switch {
		case many && len(out) > 0 && out[len(out)-1].name == name: // name [name ...]
			out[len(out)-1].many = true
			i++
		case many:
			out = append(out, positional{name: name, many: true})
			i++
		default:
			out = append(out, positional{name: name, required: w[0] != '['})
		}
	}
	return out
}

// display is a flag as messages name it: -j/--jobs.
func display(f *pflag.Flag) string {
	if shortOnly(f) {
		return "-" + f.Shorthand
	}
	if f.Shorthand != "" {
		return "-" + f.Shorthand + "/--" + f.Name
	}
	return "--" + f.Name
}

// pyQuote quotes a word as Python shows strings.
func pyQuote(s string) string {
	if q := ui.Quote(s); q != s {
		return q
	}
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `\'`) + "'"
}

// asUsage finds a usage error in err's chain.
func asUsage(err error) (*usageError, bool) { return errors.AsType[*usageError](err) }
