package config

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cairndata/cairn/pkg/object"
)

// Config is the merged configuration of all levels, checked. It does not
// change and is safe for concurrent use.
type Config struct {
	Core    Core
	Cache   Cache
	Exp     Exp
	Parsing Parsing
	Hydra   Hydra
	Plots   Plots
	Studio  Studio
	Cairn   Cairn

	// Warnings are lines for the user about options without effect.
	Warnings []string

	tree  *section
	files []*levelFile
}

// Core is the section core.
type Core struct {
	Remote       string           // the default remote; "" is none
	ChecksumJobs int              // files hashed at a time; 0 is the program's choice
	Hash         object.Algorithm // MD5 or BLAKE3
	SiteCacheDir string           // folder for disposable state; "" is the system's
	Interactive  bool
	Analytics    bool
	HardlinkLock bool
	NoSCM        bool
	Autostage    bool
	CheckUpdate  bool
}

// Cache is the section cache.
type Cache struct {
	Dir             string   // absolute; "" outside of a repository
	Committed       bool     // a file that came with the clone says where it is
	Types           []string // reflink, hardlink, symlink, copy: the first that works
	Shared          bool     // writable by the group
	SlowLinkWarning bool
	Verify          bool
}

// Exp is the section exp.
type Exp struct {
	AutoPush  bool
	GitRemote string
}

// Parsing is the section parsing.
type Parsing struct {
	Bool string // "store_true" or "boolean_optional"
	List string // "nargs" or "append"
}

// Hydra is the section hydra.
type Hydra struct {
	Enabled                                          bool
	ConfigDir, ConfigModule, ConfigName, PluginsPath string
}

// Plots is the section plots.
type Plots struct {
	HTMLTemplate, OutDir string
	AutoOpen             bool
	// Which of them a file that came with the clone says.
	HTMLTemplateCommitted, OutDirCommitted, AutoOpenCommitted bool
}

// Studio is the section studio. Token is secret.
type Studio struct {
	Token, URL, RepoURL string
	Offline             bool
}

// Cairn holds the options that only cairn has.
type Cairn struct {
	LockTimeout time.Duration // how long to wait for another command's lock
	TrashDays   int           // how long what gc deletes can be brought back; 0 deletes for good
	ReadRemotes []string      // asked, in this order, for what a remote lacks
	Resources   string        // totals that stages running at the same time share: "gpu=1,mem=8GB"
}

// Load reads all levels, merges them and checks the whole. What is wrong is
// errs.Config, and a *[Problem] in the error's chain says where.
func Load(o LoadOptions) (*Config, error) {
	tree, files, err := o.merged()
	if err != nil {
		return nil, err
	}
	c := check(tree)
	if len(c.problems) > 0 {
		return nil, c.problems[0].asError()
	}
	cfg := &Config{Warnings: c.warnings, tree: tree, files: files}
	cfg.fill(&o)
	return cfg, nil
}

// merged reads all levels and lays them over each other.
func (o *LoadOptions) merged() (*section, []*levelFile, error) {
	var all []*levelFile
	for _, l := range Levels() {
		files, err := o.readLevel(l)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, files...)
	}
	tree, err := o.mergeFiles(all)
	return tree, all, err
}

func (o *LoadOptions) mergeFiles(files []*levelFile) (*section, error) {
	tree := &section{}
	for _, f := range files {
		if err := f.checkPlace(); err != nil {
			return nil, err
		}
		tree.merge(f.resolved(o))
		if !f.sibling {
			for _, s := range sections {
				tree.ensureSection(s)
			}
		}
	}
	return tree, nil
}

// ensureSection adds an empty section unless something has the name.
func (s *section) ensureSection(name string) {
	if s.get(name) == nil {
		s.set(name, &node{sect: &section{}})
	}
}

// checkPlace refuses options in the wrong one of a level's two files.
func (f *levelFile) checkPlace() error {
	for _, e := range f.tree.entries {
		empty := e.val.sect != nil && len(e.val.sect.entries) == 0 && e.val.origin.file == nil
		if empty || f.sibling == (e.key == cairnSection) {
			continue
		}
		n := e.val
		if n.origin.file == nil && n.sect != nil { // gathered from titled sections
			n = n.sect.entries[0].val
		}
		c := &checker{}
		hint := "Section [cairn] belongs into " + f.shown + CairnSuffix + ", which DVC does not read."
		if f.sibling {
			hint = "Only section [cairn] may stand here; the rest belongs into " + strings.TrimSuffix(f.shown, CairnSuffix) + "."
		}
		c.add(n, []string{e.key}, hint, "extra keys not allowed")
		return c.problems[0].asError()
	}
	return nil
}

// view reads a section's options, whose values have been checked.
type view struct {
	name   string
	scheme string
	s      *section
}

func (v view) raw(name string) (*node, *Option) { return v.s.get(name), option(v.name, name, v.scheme) }

func (v view) text(name string) string {
	n, o := v.raw(name)
	switch {
	case n != nil && o != nil && (o.Type == Lower || o.Type == Choice):
		return strings.ToLower(n.String())
	case n != nil:
		return n.String()
	case o != nil:
		return o.Default
	}
	return ""
}

func (v view) bool(name string) bool {
	b, _ := parseBool(v.text(name))
	return b
}

// committed reports whether a file that came with the clone says so.
func (v view) committed(name string) bool {
	n := v.s.get(name)
	return n != nil && n.origin.file != nil && n.origin.file.level == Project
}

func (v view) int(name string) int {
	i, _ := parseInt(v.text(name))
	return i
}

func (v view) links(name string) []string {
	n, o := v.raw(name)
	if n == nil && o != nil {
		n = textNode(o.Default)
	}
	if n == nil || !n.isList && n.text == "" {
		return nil
	}
	return slices.Clone(linkTypes(n))
}

func (c *Config) view(name string) view { return view{name: name, s: c.tree.sub(name)} }

func (c *Config) fill(o *LoadOptions) {
	v := c.view("core")
	c.Core = Core{
		Remote: v.text("remote"), ChecksumJobs: v.int("checksum_jobs"), SiteCacheDir: v.text("site_cache_dir"),
		Interactive: v.bool("interactive"), Analytics: v.bool("analytics"), HardlinkLock: v.bool("hardlink_lock"),
		NoSCM: v.bool("no_scm"), Autostage: v.bool("autostage"), CheckUpdate: v.bool("check_update"),
	}
	c.Core.Hash, _ = object.AlgorithmByName(v.text("hash"))

	v = c.view("cache")
	c.Cache = Cache{
		Types: v.links("type"), Shared: v.text("shared") == "group",
		SlowLinkWarning: v.bool("slow_link_warning"), Verify: v.bool("verify"),
	}
	if n := v.s.get("dir"); n != nil {
		c.Cache.Dir = n.text
		c.Cache.Committed = v.committed("dir")
	} else if o.DvcDir != "" {
		c.Cache.Dir = filepath.Join(o.DvcDir, "cache")
	}

	v = c.view("exp")
	c.Exp = Exp{AutoPush: v.bool("auto_push"), GitRemote: v.text("git_remote")}
	v = c.view("parsing")
	c.Parsing = Parsing{Bool: v.text("bool"), List: v.text("list")}
	v = c.view("hydra")
	c.Hydra = Hydra{v.bool("enabled"), v.text("config_dir"), v.text("config_module"), v.text("config_name"), v.text("plugins_path")}
	v = c.view("plots")
	c.Plots = Plots{
		v.text("html_template"), v.text("out_dir"), v.bool("auto_open"),
		v.committed("html_template"), v.committed("out_dir"), v.committed("auto_open"),
	}
	v = c.view("studio")
	c.Studio = Studio{v.text("token"), v.text("url"), v.text("repo_url"), v.bool("offline")}
	v = c.view(cairnSection)
	c.Cairn = Cairn{LockTimeout: seconds(v.int("lock_timeout")), Resources: v.text("resources"),
		TrashDays: v.int("trash_days"), ReadRemotes: names(v.text("read_remotes"))}
}

// names splits a list of names, in lower case as those of remotes are.
func names(list string) []string {
	var all []string
	for n := range strings.SplitSeq(list, ",") {
		if n = strings.ToLower(strings.TrimSpace(n)); n != "" {
			all = append(all, n)
		}
	}
	return all
}

// seconds is a duration that does not overflow.
func seconds(n int) time.Duration {
	const most = int64(1<<63-1) / int64(time.Second)
	return time.Duration(min(int64(n), most)) * time.Second
}

// DB is a named database connection. Password is secret.
type DB struct{ Name, URL, Username, Password string }

// DB returns the connection of the name.
func (c *Config) DB(name string) (DB, bool) {
	s := c.tree.sub("db").sub(strings.ToLower(name))
	if s == nil {
		return DB{}, false
	}
	v := view{name: "db", s: s}
	return DB{strings.ToLower(name), v.text("url"), v.text("username"), v.text("password")}, true
}
