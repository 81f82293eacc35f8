package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/config"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/repo"
)

// levelFlags are the options that choose a level of the configuration.
type levelFlags struct{ system, global, project, local bool }

// newLevelFlags gives a verb those options.
func newLevelFlags(cmd *cobra.Command) *levelFlags {
	var l levelFlags
	f := cmd.Flags()
	f.BoolVar(&l.global, "global", false, "Use global config.")
	f.BoolVar(&l.system, "system", false, "Use system config.")
	f.BoolVar(&l.project, "project", false, "Use project config (.dvc/config).")
	f.BoolVar(&l.local, "local", false, "Use local config (.dvc/config.local).")
	exclusive(cmd, "global", "system", "project", "local")
	return &l
}

// level is the level named, or Project if none is.
func (l *levelFlags) level() (at config.Level, explicit bool) {
	switch {
	case l.system:
		return config.System, true
	case l.global:
		return config.Global, true
	case l.local:
		return config.Local, true
	}
	return config.Project, l.project
}

// read is where to look: the level named, which must exist, or all of them.
func (l *levelFlags) read(a *App) (o config.LoadOptions, at []config.Level, err error) {
	if o, err = a.repoEnv().LocalConfigOptions(); err != nil {
		return o, nil, err
	}
	at = config.Levels()
	if level, explicit := l.level(); explicit {
		_, err = config.Open(o, level)
		at = []config.Level{level}
	}
	return o, at, err
}

func newConfig(a *App) *cobra.Command {
	var unset, list, origin, secrets bool
	cmd := &cobra.Command{
		Use:   "config [name] [value]",
		Short: "Get or set config options.",
		Long: `Print, set or unset options. They stand at four levels, each stronger than the
one before: system, global (of the user), project (.dvc/config, committed) and
local (.dvc/config.local, this checkout only). All are read; the project level is
written unless another is named.

A secret, such as a remote's password or a URL with one, is written to the local
level, which only its owner can read, unless --project is spelled out. Secrets
are shown as *** unless --show-secrets asks for them.`,
		Example: "  cairn config core.remote\n  cairn config core.autostage true\n  cairn config --global cairn.lock_timeout 60\n" +
			"  cairn config -u cache.type\n  cairn config -l --show-origin",
	}
	levels := newLevelFlags(cmd)
	f := cmd.Flags()
	f.BoolVarP(&unset, "unset", "u", false, "Unset option.")
	f.BoolVarP(&list, "list", "l", false, "List all defined config values.")
	f.BoolVar(&origin, "show-origin", false, "Show the source file containing each config value.")
	f.BoolVar(&secrets, "show-secrets", false, "Show secrets as they are.")
	argHelp(cmd, "name", "Option name (section.option or remote.name.option).")
	argHelp(cmd, "value", "Option value.")
	cmd.ValidArgsFunction = a.completeOptions
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		var key config.Key
		if len(args) > 0 {
			var err error
			if key, err = config.ParseKey(args[0]); err != nil {
				return UsageErrorf(cmd, "argument name: "+err.Error())
			}
		}
		show := printer{a: a, origin: origin, secrets: secrets}
		switch {
		case origin && (unset || len(args) > 1):
			return Handled("", errs.New(errs.Usage, "--show-origin can't be used together with any of these options: -u/--unset, value"))
		case list && (unset || len(args) > 0):
			return Handled("", errs.New(errs.Usage, "-l/--list can't be used together with any of these options: -u/--unset, name, value"))
		case list:
			return show.list(levels)
		case len(args) == 0:
			return Handled("", errs.New(errs.Usage, "name argument is required"))
		case unset:
			return a.unsetOption(ctx, levels, key, func(ed *config.Editor) error { return ed.Unset(key) })
		case len(args) == 1:
			return show.get(levels, key)
		}
		if err := a.setOption(ctx, levels, key, args[1], func(ed *config.Editor) error { return ed.Set(key, args[1]) }); err != nil {
			return err
		}
		if key.String() == "cache.type" {
			a.UI.Warnf("You have changed the 'cache.type' option. This doesn't update any existing workspace file links, but it can be done with: %s checkout --relink", a.Prog)
		}
		return nil
	})
	return cmd
}

// printer shows options.
type printer struct {
	a               *App
	origin, secrets bool
}

// print shows an option's value, after its origin if asked for, and a label.
func (p printer) print(e config.Entry, label string) error {
	line := label + e.Value
	if !p.secrets {
		line = label + config.RedactValue(e.Key, e.Value)
	}
	if p.origin {
		line = e.Origin + "\t" + line
	}
	_, err := fmt.Fprintln(p.a.UI.Out(), ui.Clean(line))
	return err
}

func (p printer) list(levels *levelFlags) error {
	o, at, err := levels.read(p.a)
	if err != nil {
		return err
	}
	all, err := config.List(o, at...)
	if err != nil {
		return err
	}
	for _, e := range all {
		if err := p.print(e, e.Key+"="); err != nil {
			return err
		}
	}
	return nil
}

func (p printer) get(levels *levelFlags, key config.Key) error {
	o, at, err := levels.read(p.a)
	if err != nil {
		return err
	}
	e, ok, err := config.Get(o, key, at...)
	if err != nil {
		return err
	}
	if ok {
		if !p.secrets && config.RedactValue(e.Key, e.Value) != e.Value {
			p.a.UI.Notef("'%s' is secret: to see it, add --show-secrets.", key)
		}
		return p.print(e, "")
	}
	if len(at) == 1 {
		// Unset has the words for what is missing; nothing is saved.
		ed, err := config.Open(o, at[0])
		if err != nil {
			return err
		}
		return withKeyHint(ed.Unset(key), key)
	}
	// As with DVC an option that is not set is no failure, but a slip of the
	// pen is not passed over in silence.
	if hint := key.Hint(); hint != "" {
		p.a.UI.Warnf("there is no option '%s'. %s", key, hint)
	}
	return nil
}

// withKeyHint adds what the key may be meant to be.
func withKeyHint(err error, key config.Key) error {
	if hint := key.Hint(); err != nil && errs.HintOf(err) == "" && hint != "" {
		return errs.WithHint(err, "%s", hint)
	}
	return err
}

// setOption has a change made that gives an option a value, at the level that
// the value may stand at.
func (a *App) setOption(ctx context.Context, levels *levelFlags, key config.Key, value string, change func(*config.Editor) error) error {
	l, explicit := levels.level()
	at, moved := config.LevelFor(l, explicit, key.Option, value)
	var file string
	err := repo.EditConfig(ctx, a.repoEnv(), at, func(ed *config.Editor) error {
		file = ed.File(key)
		return change(ed)
	})
	if err != nil {
		return withKeyHint(err, key)
	}
	if moved {
		a.UI.Notef("'%s' is secret: it was written to %s, which is not committed. To have it in .dvc/config, add --project.", key, ui.Quote(file))
	}
	return a.warnAfter(key, at, moved)
}

// warnAfter tells of options without effect, and of values that an edit leaves
// in places where the user might not expect them.
func (a *App) warnAfter(key config.Key, at config.Level, moved bool) error {
	o, err := a.repoEnv().LocalConfigOptions()
	if err != nil {
		return err
	}
	if cfg, err := config.Load(o); err == nil {
		for _, w := range cfg.Warnings {
			a.UI.Warnf("%s", w)
		}
	}
	for _, l := range config.Levels()[at+1:] {
		if e, ok, err := config.Get(o, key, l); err == nil && ok {
			a.UI.Warnf("'%s' also stands in %s, and that value stays in effect", key, ui.Quote(e.Origin))
		}
	}
	if !moved {
		return nil
	}
	if e, ok, err := config.Get(o, key, config.Project); err == nil && ok && config.RedactValue(key.Option, e.Value) != e.Value {
		a.UI.Warnf("an earlier value of '%s' is still in %s, which is committed; remove it with: %s config --project -u %s",
			key, ui.Quote(e.Origin), a.Prog, shellQuote(key.String()))
	}
	return nil
}

// unsetOption has a change made that removes an option. Without a level it is
// looked for where setOption puts it.
func (a *App) unsetOption(ctx context.Context, levels *levelFlags, key config.Key, change func(*config.Editor) error) error {
	at, explicit := levels.level()
	var file string
	if !explicit {
		o, err := a.repoEnv().LocalConfigOptions()
		if err != nil {
			return err
		}
		_, there, err := config.Get(o, key, config.Project)
		if err == nil && !there && o.DvcDir != "" {
			e, ok, err := config.Get(o, key, config.Local)
			if err == nil && ok && config.RedactValue(key.Option, e.Value) != e.Value {
				at, file = config.Local, e.Origin
			}
		}
	}
	if err := repo.EditConfig(ctx, a.repoEnv(), at, change); err != nil {
		return withKeyHint(err, key)
	}
	if file != "" {
		a.UI.Notef("'%s' was removed from %s.", key, ui.Quote(file))
	}
	return nil
}

// completeOptions offers the names of options.
func (a *App) completeOptions(_ *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 || a.applyGlobals() != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var remotes []string
	if o, err := a.repoEnv().LocalConfigOptions(); err == nil {
		if all, err := remoteEntries(o, config.Levels()); err == nil {
			for _, r := range all {
				remotes = append(remotes, r.name)
			}
		}
	}
	var out []cobra.Completion
	for _, opt := range config.Options() {
		if opt.Has(config.Obsolete) {
			continue
		}
		keys := []string{opt.Key()}
		if strings.Contains(opt.Key(), "<name>") {
			keys = nil
			if opt.Section == "remote" {
				for _, r := range remotes {
					keys = append(keys, config.RemoteKey(r, opt.Name).String())
				}
			}
		}
		for _, k := range keys {
			if strings.HasPrefix(k, word) && !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// maskArgs is a command line as it may be printed: without the secrets that
// URLs and values of options hold.
func maskArgs(args []string) string {
	shown := make([]string, len(args))
	secret := false
	for i, arg := range args {
		shown[i] = config.Redact(arg)
		if secret && !strings.HasPrefix(arg, "-") {
			shown[i] = config.RedactValue(args[i-1], arg)
		}
		secret = config.IsSecret(arg)
	}
	return strings.Join(shown, " ")
}
