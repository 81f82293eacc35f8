package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// Remote is one remote with all that it inherits.
type Remote struct {
	Name         string
	URL          string // as written, or the absolute path of a folder; may hold credentials, see [Redact]
	Scheme       string // "" is a folder
	Jobs         int    // transfers at a time; 0 is the program's choice
	ChecksumJobs int    // files hashed at a time; 0 is the program's choice
	Worktree     bool
	VersionAware bool
	// Options are all options set, but url: bools as "true" and "false", link
	// types separated by commas, paths absolute.
	Options map[string]string
	// Origins name the file that each option, and url, was set in.
	Origins map[string]string
	// Levels are the levels they were set at.
	Levels map[string]Level
}

// Option returns an option, or its default, or "".
func (r *Remote) Option(name string) string {
	if v, ok := r.Options[name]; ok {
		return v
	}
	if o := option("remote", name, r.Scheme); o != nil {
		return o.Default
	}
	return ""
}

// Bool returns an option of type bool; what is neither true nor false is false.
func (r *Remote) Bool(name string) bool {
	b, _ := parseBool(r.Option(name))
	return b
}

// Int returns an option of type integer; ok is false if it is not set.
func (r *Remote) Int(name string) (v int, ok bool) {
	return parseInt(r.Option(name))
}

// Float returns an option that is a number; ok is false if it is not set.
func (r *Remote) Float(name string) (v float64, ok bool) {
	return parseFloat(r.Option(name))
}

// Remotes are the names of all remotes, in the order of the files.
func (c *Config) Remotes() []string {
	var names []string
	for _, e := range c.tree.sub("remote").entries {
		names = append(names, e.key)
	}
	return names
}

// DefaultRemote is the remote that core.remote names. Without one the error is
// errs.NotFound.
func (c *Config) DefaultRemote() (*Remote, error) {
	if c.Core.Remote != "" {
		return c.Remote(c.Core.Remote)
	}
	err := errs.New(errs.NotFound, "config file error: no remote specified")
	if names := c.Remotes(); len(names) > 0 {
		return nil, errs.WithHint(err, "Set a default with `cairn remote default <name>`, or name one with `-r`; there are: %s.", strings.Join(names, ", "))
	}
	return nil, errs.WithHint(err, "Add one with `cairn remote add -d <name> <url>`.")
}

// maxChain bounds how many remotes one may be built upon.
const maxChain = 20

// Remote returns a remote by its name, with what it inherits from the remote
// that its URL names. An unknown one is errs.NotFound, a circle errs.Config.
func (c *Config) Remote(name string) (*Remote, error) {
	name = strings.ToLower(name)
	opts, err := c.inherit(name, nil)
	if err != nil {
		return nil, err
	}
	u := opts.get("url").text
	scheme, ok := remoteScheme(u)
	if !ok || !slices.Contains(remoteSchemes, scheme) {
		return nil, failf("Unsupported URL of remote %s", pyRepr(name))
	}
	if err := checkInherited(name, scheme, opts); err != nil {
		return nil, err
	}
	v := view{"remote", scheme, opts}
	r := &Remote{
		Name: name, URL: u, Scheme: scheme,
		Jobs: v.int("jobs"), ChecksumJobs: v.int("checksum_jobs"),
		Worktree: v.bool("worktree"), VersionAware: v.bool("version_aware"),
		Options: map[string]string{}, Origins: map[string]string{}, Levels: map[string]Level{},
	}
	if r.ChecksumJobs == 0 {
		r.ChecksumJobs = c.Core.ChecksumJobs
	}
	if r.Worktree && !r.VersionAware {
		if opts.get("version_aware") != nil {
			return nil, failf("worktree remotes require version_aware cloud")
		}
		r.VersionAware = true
	}
	for _, e := range opts.entries {
		if f := e.val.origin.file; f != nil {
			r.Origins[e.key], r.Levels[e.key] = f.shown, f.level
		}
		if e.key != "url" {
			r.Options[e.key] = v.normal(e.key)
		}
	}
	return r, nil
}

// normal is an option's value in one form.
func (v view) normal(name string) string {
	n, o := v.raw(name)
	if o == nil {
		return n.String()
	}
	switch o.Type {
	case Links:
		return strings.Join(linkTypes(n), ",")
	case Bool, BoolOrPath:
		if b, ok := parseBool(n.text); ok {
			return fmt.Sprint(b)
		}
		return n.text
	case Int:
		i, _ := parseInt(n.text)
		return fmt.Sprint(i)
	}
	return v.text(name)
}

// inherit collects a remote's options over those of the one its URL names.
func (c *Config) inherit(name string, chain []string) (*section, error) {
	s := c.tree.sub("remote").sub(name)
	if s == nil {
		return nil, c.unknownRemote(name)
	}
	if slices.Contains(chain, name) || len(chain) > maxChain {
		return nil, failf("remote '%s' is built upon itself: %s", name, strings.Join(append(chain, name), " -> "))
	}
	n := s.get("url")
	scheme, _ := remoteScheme(n.text)
	if scheme != "remote" {
		return s, nil
	}
	base, rest := splitRemoteURL(n.text)
	under, err := c.inherit(base, append(chain, name))
	if err != nil {
		return nil, err
	}
	out := under.clone()
	out.merge(s)
	joined := *n
	joined.text = strings.TrimRight(under.get("url").text, "/")
	if rest = strings.TrimLeft(rest, "/"); rest != "" {
		joined.text += "/" + rest
	}
	out.set("url", &joined)
	return out, nil
}

// splitRemoteURL splits "remote://name/sub/path".
func splitRemoteURL(u string) (name, rest string) {
	_, u, _ = strings.Cut(u, "://")
	name, rest, _ = strings.Cut(u, "/")
	return strings.ToLower(name), rest
}

// checkInherited checks the options of a remote whose kind only the other
// remote tells.
func checkInherited(name, scheme string, opts *section) error {
	c := &checker{}
	c.options("remote", scheme, opts, []string{"remote", name})
	if len(c.problems) > 0 {
		return c.problems[0].asError()
	}
	return nil
}

func (c *Config) unknownRemote(name string) error {
	err := errs.New(errs.NotFound, "config file error: remote '%s' doesn't exist", name)
	names := c.Remotes()
	if near := Nearest(name, names); near != "" {
		return errs.WithHint(err, "Did you mean %q?", near)
	}
	if len(names) > 0 {
		return errs.WithHint(err, "There are: %s.", strings.Join(names, ", "))
	}
	return errs.WithHint(err, "Add it with `cairn remote add %s <url>`.", name)
}
