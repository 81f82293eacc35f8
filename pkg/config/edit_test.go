package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

// newRepo makes a repository in a folder of its own, with levels below it.
func newRepo(t *testing.T, files map[string]string) LoadOptions {
	t.Helper()
	root := t.TempDir()
	o := LoadOptions{
		DvcDir: filepath.Join(root, "r", ".dvc"),
		Dir:    filepath.Join(root, "r", "sub"),
		Home:   "/home/u",
		Getenv: func(k string) string {
			return map[string]string{
				"DVC_GLOBAL_CONFIG_DIR": filepath.Join(root, "g"),
				"DVC_SYSTEM_CONFIG_DIR": filepath.Join(root, "s"),
			}[k]
		},
		UserHome: func(string) (string, bool) { return "", false },
	}
	for _, d := range []string{"r/.dvc", "r/sub", "g", "s"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(name)), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func read(t *testing.T, o LoadOptions, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(o.DvcDir, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}

// run does what a command line of DVC's asks for.
func run(o LoadOptions, args []string) error {
	l, flags := Project, map[string]bool{}
	var rest []string
	for _, a := range args {
		switch {
		case a == "--local":
			l = Local
		case strings.HasPrefix(a, "-"):
			flags[a] = true
		default:
			rest = append(rest, a)
		}
	}
	switch verb := strings.Join(rest[:min(2, len(rest))], " "); verb {
	case "remote remove":
		_, err := RemoveRemote(o, rest[2], l)
		return err
	case "remote rename":
		_, err := RenameRemote(o, rest[2], rest[3], l)
		return err
	default:
		e, err := Open(o, l)
		if err != nil {
			return err
		}
		if err := edit(e, verb, rest, flags); err != nil {
			return err
		}
		return e.Save()
	}
}

func edit(e *Editor, verb string, rest []string, flags map[string]bool) error {
	rest = append(rest, "", "", "")
	switch verb {
	case "remote add":
		return e.AddRemote(rest[2], rest[3], flags["-d"], flags["-f"])
	case "remote modify":
		return e.ModifyRemote(rest[2], rest[3], rest[4], flags["-u"])
	case "remote default":
		return e.SetDefaultRemote(rest[2])
	case "cache dir":
		return e.Set(Key{Section: "cache", Option: "dir"}, rest[2])
	}
	k, err := ParseKey(rest[1])
	if err != nil {
		return err
	}
	if flags["-u"] {
		return e.Unset(k)
	}
	return e.Set(k, rest[2])
}

func TestEditAsDVC(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("recorded with POSIX paths")
	}
	goldens(t, "edit.jsonl", func(t *testing.T, line []byte) {
		var steps []struct {
			Args   []string
			Exit   int
			Error  string
			Config string
			Local  string `json:"config.local"`
		}
		if err := json.Unmarshal(line, &steps); err != nil {
			t.Fatal(err)
		}
		o := newRepo(t, nil)
		for _, s := range steps {
			err := run(o, s.Args)
			if (err != nil) != (s.Exit != 0) {
				t.Errorf("%v: %v, DVC: exit %d %s", s.Args, err, s.Exit, s.Error)
			}
			if err != nil && s.Exit == 251 && (!errs.Is(err, errs.Config) || !strings.HasPrefix(err.Error(), s.Error)) {
				t.Errorf("%v: %v\nDVC: %s", s.Args, err, s.Error)
			}
			// DVC writes files that it has nothing to say in.
			if got := read(t, o, "config"); strings.TrimSpace(got) != strings.TrimSpace(s.Config) {
				t.Errorf("%v: config\n%s\nDVC:\n%s", s.Args, got, s.Config)
			}
			if got := read(t, o, "config.local"); strings.TrimSpace(got) != strings.TrimSpace(s.Local) {
				t.Errorf("%v: config.local\n%s\nDVC:\n%s", s.Args, got, s.Local)
			}
		}
	})
}

func TestCairnOptions(t *testing.T) {
	t.Parallel()
	o := newRepo(t, map[string]string{"r/.dvc/config": "# kept\n[core]\nautostage=true\n"})
	e, err := Open(o, Project)
	if err != nil {
		t.Fatal(err)
	}
	k := Key{Section: "cairn", Option: "lock_timeout"}
	if err := e.Set(k, "30"); err != nil {
		t.Fatal(err)
	}
	if err := e.Save(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, o, "config.cairn"); got != "[cairn]\n    lock_timeout = 30\n" {
		t.Errorf("config.cairn: %q", got)
	}
	if got := read(t, o, "config"); !strings.HasPrefix(got, "# kept") {
		t.Errorf("config was written: %q", got)
	}
	cfg, err := Load(o)
	if err != nil || cfg.Cairn.LockTimeout.Seconds() != 30 || !cfg.Core.Autostage {
		t.Errorf("%+v %v", cfg, err)
	}
	if err := e.Unset(k); err != nil {
		t.Fatal(err)
	}
	if err := e.Save(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(o.DvcDir, "config.cairn")); !os.IsNotExist(err) {
		t.Errorf("the empty file stays: %v", err)
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	o := newRepo(t, nil)
	e, err := Open(o, Project)
	if err != nil {
		t.Fatal(err)
	}
	var asked []object.Algorithm
	e.GuardHash = func(a object.Algorithm) error { asked = append(asked, a); return nil }
	k := Key{Section: "core", Option: "hash"}
	for _, step := range []struct{ set, want string }{{"blake3", "[core]\n    hash = blake3\n"}, {"md5", "\n"}} {
		if err := e.Set(k, step.set); err != nil {
			t.Fatal(err)
		}
		if err := e.Save(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, o, "config"); got != step.want {
			t.Errorf("%s: %q", step.set, got)
		}
		cfg, err := Load(o)
		if err != nil || cfg.Core.Hash.Name() != step.set {
			t.Errorf("%s: %v", step.set, err)
		}
	}
	if len(asked) != 2 {
		t.Errorf("asked %v", asked)
	}
	e.GuardHash = func(object.Algorithm) error { return errs.New(errs.Conflict, "objects") }
	if err := e.Set(k, "blake3"); !errs.Is(err, errs.Conflict) {
		t.Error(err)
	}
	if err := e.Set(k, "sha1"); !errs.Is(err, errs.Config) || errs.HintOf(err) == "" {
		t.Error(err)
	}
	g, err := Open(o, Global)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Set(k, "blake3"); !errs.Is(err, errs.Config) {
		t.Error(err)
	}
}

func TestRenameEverywhere(t *testing.T) {
	t.Parallel()
	o := newRepo(t, map[string]string{
		"r/.dvc/config":       "[core]\nremote = a\n['remote \"a\"']\nurl = s3://b\n['remote \"sub\"']\nurl = remote://a/x\n",
		"r/.dvc/config.local": "['remote \"a\"']\nsecret_access_key = k\n",
	})
	notes, err := RenameRemote(o, "a", "B", Project)
	if err != nil {
		t.Fatal(err)
	}
	if len(notes) != 1 || !strings.Contains(notes[0], ".dvc/config.local") {
		t.Error(notes)
	}
	if got, want := read(t, o, "config"), "[core]\n    remote = b\n['remote \"sub\"']\n    url = remote://b/x\n['remote \"b\"']\n    url = s3://b\n"; got != want {
		t.Errorf("config %q", got)
	}
	if got, want := read(t, o, "config.local"), "['remote \"b\"']\n    secret_access_key = k\n"; got != want {
		t.Errorf("config.local %q", got)
	}
	cfg, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := cfg.Remote("sub")
	if err != nil || r.URL != "s3://b/x" || r.Option("secret_access_key") != "k" {
		t.Errorf("%+v %v", r, err)
	}
	if notes, err = RemoveRemote(o, "b", Project); err != nil || len(notes) != 2 {
		t.Error(notes, err)
	}
	if _, err := Load(o); err != nil {
		t.Error(err)
	}
}

func TestSaveRefuses(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"r/.dvc/config":       "['remote \"a\"']\nurl = s3://b\n",
		"r/.dvc/config.local": "['remote \"a\"']\nsecret_access_key = k\n",
	}
	t.Run("what breaks a stronger level", func(t *testing.T) {
		t.Parallel()
		o := newRepo(t, files)
		if err := run(o, []string{"config", "-u", "remote.a.url"}); !errs.Is(err, errs.Config) {
			t.Error(err)
		}
		if err := run(o, []string{"remote", "modify", "a", "url", "gs://b"}); !errs.Is(err, errs.Config) {
			t.Error(err)
		}
		if got := read(t, o, "config"); got != files["r/.dvc/config"] {
			t.Errorf("%q", got)
		}
	})
	t.Run("what cannot be read back", func(t *testing.T) {
		t.Parallel()
		o := newRepo(t, nil)
		for _, v := range []string{"%(x)s", "a\rb", "'''\"\"\"", "a'''\n\"b", "x\u2028y"} {
			if err := run(o, []string{"config", "core.site_cache_dir", v}); !errs.Is(err, errs.Config) {
				t.Errorf("%q: %v", v, err)
			}
		}
	})
	t.Run("a file changed meanwhile", func(t *testing.T) {
		t.Parallel()
		o := newRepo(t, files)
		e, err := Open(o, Project)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Set(Key{Section: "core", Option: "autostage"}, "true"); err != nil {
			t.Fatal(err)
		}
		if err := run(o, []string{"config", "core.analytics", "false"}); err != nil {
			t.Fatal(err)
		}
		if err := e.Save(); !errs.Is(err, errs.Conflict) {
			t.Error(err)
		}
	})
	t.Run("mending step by step", func(t *testing.T) {
		t.Parallel()
		o := newRepo(t, map[string]string{"r/.dvc/config": "[core]\nfoo = 1\nbar = 2\n"})
		if err := run(o, []string{"config", "core.autostage", "true"}); !errs.Is(err, errs.Config) {
			t.Error(err)
		}
		for _, k := range []string{"core.foo", "core.bar"} {
			if err := run(o, []string{"config", "-u", k}); err != nil {
				t.Error(err)
			}
		}
		if _, err := Load(o); err != nil {
			t.Error(err)
		}
	})
	t.Run("through a link", func(t *testing.T) {
		t.Parallel()
		o := newRepo(t, map[string]string{"r/elsewhere": ""})
		if err := os.Symlink("../elsewhere", filepath.Join(o.DvcDir, "config")); err != nil {
			t.Skip(err)
		}
		if err := run(o, []string{"config", "core.autostage", "true"}); !errs.Is(err, errs.Conflict) {
			t.Error(err)
		}
	})
}

func TestLocalIsPrivate(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	o := newRepo(t, map[string]string{"r/.dvc/config.local": ""})
	if err := run(o, []string{"config", "--local", "studio.token", "t"}); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(filepath.Join(o.DvcDir, "config.local"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Error(st.Mode(), err)
	}
}

func TestKeyHint(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"core.remote":         "",
		"core.remot":          `Did you mean "core.remote"?`,
		"cor.remote":          `Did you mean "core.remote"?`,
		"remote.r.url":        "",
		"remote.r.prot":       `Did you mean "remote.r.port"?`,
		"db.x.pasword":        `Did you mean "db.x.password"?`,
		"cairn.lock_timeout":  "",
		"cairn.lock_timout":   `Did you mean "cairn.lock_timeout"?`,
		"core.nothinglikeit":  "",
		"nothinglikeit.url":   "",
		"cache.slow_link":     `Did you mean "cache.slow_link_warning"?`,
		"cache.type":          "",
		"CORE.Remot":          `Did you mean "core.remote"?`,
		"feature.unheard_of":  "",
		"parsing.lists":       `Did you mean "parsing.list"?`,
		"hydra.plugin_path":   `Did you mean "hydra.plugins_path"?`,
		"remote.r.secret_key": "",
	} {
		k, err := ParseKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if got := k.Hint(); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

func TestRenameAcrossLevels(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		files         map[string]string
		level         Level
		wantErr       bool
		project, glob string
	}{
		{"the default of a weaker level", map[string]string{
			"g/config": "[core]\nremote = a\n", "r/.dvc/config": "['remote \"a\"']\nurl = /x\n",
		}, Project, false, "[core]\n    remote = b\n['remote \"b\"']\n    url = /x\n", "[core]\nremote = a\n"},
		{"a weaker level's own remote", map[string]string{
			"g/config": "[core]\nremote = a\n['remote \"a\"']\nurl = /g\n", "r/.dvc/config": "['remote \"a\"']\nurl = /x\n",
		}, Project, false, "['remote \"b\"']\n    url = /x\n", "[core]\nremote = a\n['remote \"a\"']\nurl = /g\n"},
		{"options without the URL", map[string]string{
			"g/config": "['remote \"a\"']\nurl = /g\n", "r/.dvc/config": "['remote \"a\"']\njobs = 2\n",
		}, Project, true, "['remote \"a\"']\njobs = 2\n", "['remote \"a\"']\nurl = /g\n"},
		{"from the weakest on", map[string]string{
			"g/config": "['remote \"a\"']\nurl = /g\n", "r/.dvc/config": "['remote \"a\"']\njobs = 2\n",
		}, Global, false, "['remote \"b\"']\n    jobs = 2\n", "['remote \"b\"']\n    url = /g\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := newRepo(t, tt.files)
			_, err := RenameRemote(o, "a", "b", tt.level)
			if (err != nil) != tt.wantErr {
				t.Fatalf("error %v, want one: %v", err, tt.wantErr)
			}
			if got := read(t, o, "config"); got != tt.project {
				t.Errorf("project\n%s\nwant\n%s", got, tt.project)
			}
			glob, _ := os.ReadFile(o.Path(Global))
			if string(glob) != tt.glob {
				t.Errorf("global\n%s\nwant\n%s", glob, tt.glob)
			}
			if _, err := Load(o); err != nil {
				t.Errorf("broken: %v", err)
			}
		})
	}
}
