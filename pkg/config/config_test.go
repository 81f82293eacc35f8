package config

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
)

func TestPaths(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		goos   string
		env    map[string]string
		level  Level
		posix  bool
		expect string
	}{
		{"linux system", "linux", nil, System, true, "/etc/xdg/dvc/config"},
		{"linux system, XDG", "linux", map[string]string{"XDG_CONFIG_DIRS": "rel:/x:/y"}, System, true, "/x/dvc/config"},
		{"linux global", "linux", nil, Global, true, "/home/u/.config/dvc/config"},
		{"linux global, XDG", "linux", map[string]string{"XDG_CONFIG_HOME": "/x"}, Global, true, "/x/dvc/config"},
		{"linux global, relative XDG", "linux", map[string]string{"XDG_CONFIG_HOME": "x"}, Global, true, "/home/u/.config/dvc/config"},
		{"linux global, override", "linux", map[string]string{"XDG_CONFIG_HOME": "/x", "DVC_GLOBAL_CONFIG_DIR": "/o"}, Global, true, "/o/config"},
		{"linux global, relative override", "linux", map[string]string{"DVC_GLOBAL_CONFIG_DIR": "o"}, Global, true, "/work/o/config"},
		{"darwin system", "darwin", nil, System, true, "/Library/Application Support/dvc/config"},
		{"darwin global", "darwin", nil, Global, true, "/home/u/Library/Application Support/dvc/config"},
		{"windows system", "windows", map[string]string{"PROGRAMDATA": `C:\ProgramData`}, System, false, `C:\ProgramData\iterative\dvc\config`},
		{"windows global", "windows", map[string]string{"LOCALAPPDATA": `C:\L`}, Global, false, `C:\L\iterative\dvc\config`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.posix && runtime.GOOS == "windows" {
				t.Skip("POSIX paths")
			}
			o := LoadOptions{Home: "/home/u", Dir: "/work", Getenv: func(k string) string { return c.env[k] }, goos: c.goos}
			if got := o.Path(c.level); got != c.expect {
				t.Errorf("%s", got)
			}
		})
	}
	if got := (&LoadOptions{}).Path(Global); got != "" {
		t.Errorf("without a home: %q", got)
	}
}

func TestLoadMerges(t *testing.T) {
	t.Parallel()
	o := newRepo(t, map[string]string{
		"s/config":            "[core]\nchecksum_jobs = 2\nautostage = true\n",
		"g/config":            "[core]\nchecksum_jobs = 3\n[cache]\ntype = symlink\ndir = cc\n['remote \"r\"']\nurl = ../base\njobs = 7\n",
		"g/config.cairn":      "[cairn]\nlock_timeout = 5\n",
		"r/.dvc/config":       "[core]\nremote = R\nautostage = FALSE\n['remote \"r\"']\njobs = 8\n[feature]\nnew = 1\n",
		"r/.dvc/config.local": "['remote \"r\"']\nverify = True\ntype = hardlink, copy\n",
	})
	cfg, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Dir(filepath.Dir(o.DvcDir))
	if cfg.Core.ChecksumJobs != 3 || cfg.Core.Autostage || cfg.Core.Remote != "r" || cfg.Core.Hash != object.MD5 || !cfg.Core.Analytics {
		t.Errorf("core: %+v", cfg.Core)
	}
	if cfg.Cache.Dir != filepath.Join(root, "g", "cc") || !slices.Equal(cfg.Cache.Types, []string{"symlink"}) || !cfg.Cache.SlowLinkWarning {
		t.Errorf("cache: %+v", cfg.Cache)
	}
	if cfg.Cairn.LockTimeout != 5*time.Second {
		t.Errorf("cairn: %+v", cfg.Cairn)
	}
	if want := []string{"'feature.new' config option is unsupported"}; !slices.Equal(cfg.Warnings, want) {
		t.Errorf("warnings: %q", cfg.Warnings)
	}
	r, err := cfg.DefaultRemote()
	if err != nil {
		t.Fatal(err)
	}
	if r.URL != filepath.Join(root, "base") || r.Jobs != 8 || r.ChecksumJobs != 3 || !r.Bool("verify") || r.Option("type") != "hardlink,copy" || !r.Bool("slow_link_warning") {
		t.Errorf("remote: %+v", r)
	}
	if r.Levels["url"] != Global || r.Levels["jobs"] != Project || r.Origins["verify"] != ".dvc/config.local" {
		t.Errorf("origins: %v %v", r.Levels, r.Origins)
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	o := newRepo(t, nil)
	cfg, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Cache.Dir != filepath.Join(o.DvcDir, "cache") || !slices.Equal(cfg.Cache.Types, []string{"reflink", "copy"}) || cfg.Cairn.LockTimeout != 10*time.Minute {
		t.Errorf("%+v", cfg)
	}
	if _, err := cfg.DefaultRemote(); !errs.Is(err, errs.NotFound) {
		t.Error(err)
	}
	if _, err := Load(LoadOptions{}); err != nil {
		t.Error(err)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, file, text, want string }{
		{"unknown option", "config", "[core]\n\nremot = x\n", "config file error: extra keys not allowed @ data['core']['remot'] (.dvc/config, line 3)"},
		{"local without url", "config.local", "['remote \"ssh1\"']\nuser = x\n", "config file error: expected 'url' for dictionary value @ data['remote']['ssh1'] (.dvc/config.local, line 1)"},
		{"cairn in DVC's file", "config", "[cairn]\nlock_timeout = 3\n", "config file error: extra keys not allowed @ data['cairn'] (.dvc/config, line 1)"},
		{"DVC's in cairn's file", "config.cairn", "['remote \"r\"']\nurl = x\n", "config file error: extra keys not allowed @ data['remote'] (.dvc/config.cairn, line 1)"},
		{"unknown in cairn's file", "config.cairn", "[cairn]\nlock_time = 3\n", "config file error: extra keys not allowed @ data['cairn']['lock_time'] (.dvc/config.cairn, line 2)"},
		{"negative", "config.cairn", "[cairn]\nlock_timeout = -1\n", "config file error: value must be at least 0 for dictionary value @ data['cairn']['lock_timeout'] (.dvc/config.cairn, line 2)"},
		{"hash", "config", "[core]\nhash = sha9\n", "config file error: unknown hash 'sha9', expected one of blake3, md5 for dictionary value @ data['core']['hash'] (.dvc/config, line 2)"},
		{"hash of one checkout", "config.local", "[core]\nhash = blake3\n", "config file error: core.hash may stand in .dvc/config only @ data['core']['hash'] (.dvc/config.local, line 2)"},
		{"syntax", "config", "[core]\nautostage = true\n<<<<<<< HEAD\n", "config file error: neither a [section] nor an option = value (.dvc/config, line 3)"},
		{"bytes", "config", "[core]\nx = \xff\n", "config file error: invalid UTF-8 (.dvc/config, line 2)"},
		{"bomb", "config", "[core]\na0 = xxxxxxxxxxxxxxxx\n" + bomb(30), "references expand"},
		{"many references", "config", "k=" + strings.Repeat("%(", 400000), "extra keys"},
		{"many quotes", "config", "k=" + strings.Repeat("\",", 400000), "extra keys"},
		{"many brackets", "config", strings.Repeat("[", 1000000), "neither"},
		{"many bad lines", "config", strings.Repeat("k\n", 500000), "the first of 500000 such lines"},
		{"many unknown", "config", "[core]\n" + numbered(50000), "extra keys not allowed @ data['core']['k0']"},
		{"too large", "config", strings.Repeat("#\n", maxFile), "larger than"},
		{"circle", "config", "[core]\na = %(b)s\nb = %(a)s\n", "option 'a' refers to itself (.dvc/config, line 2)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := newRepo(t, map[string]string{"r/.dvc/" + c.file: c.text})
			_, err := Load(o)
			if !errs.Is(err, errs.Config) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %q", err)
			}
		})
	}
	t.Run("a folder", func(t *testing.T) {
		t.Parallel()
		o := newRepo(t, nil)
		if err := os.Mkdir(filepath.Join(o.DvcDir, "config"), 0o777); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(o); !errs.Is(err, errs.Config) {
			t.Error(err)
		}
	})
}

func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d=1\n", i)
	}
	return b.String()
}

func bomb(n int) string {
	var b strings.Builder
	for i := 1; i < n; i++ {
		p := "%(a" + string(rune('0'+(i-1)/10)) + string(rune('0'+(i-1)%10)) + ")s"
		if i == 1 {
			p = "%(a0)s"
		}
		b.WriteString("a" + string(rune('0'+i/10)) + string(rune('0'+i%10)) + " = " + p + p + "\n")
	}
	return b.String()
}

func TestInherit(t *testing.T) {
	t.Parallel()
	o := newRepo(t, map[string]string{"r/.dvc/config": `
[core]
remote = nope
['remote "server"']
url = ssh://localhost
user = root
ask_password = true
['remote "images"']
url = remote://server/tmp/pictures
user = alice
['remote "deep"']
url = remote://images/x
['remote "wrong"']
url = remote://server/x
region = eu
['remote "lost"']
url = remote://gone/x
['remote "round"']
url = remote://round/x
['remote "folder"']
url = ../store
['remote "sub"']
url = remote://folder/a
`})
	cfg, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := cfg.Remote("Images")
	if err != nil || r.URL != "ssh://localhost/tmp/pictures" || r.Scheme != "ssh" || r.Option("user") != "alice" || !r.Bool("ask_password") {
		t.Errorf("%+v %v", r, err)
	}
	if r, err = cfg.Remote("deep"); err != nil || r.URL != "ssh://localhost/tmp/pictures/x" || r.Option("user") != "alice" {
		t.Errorf("%+v %v", r, err)
	}
	if r, err = cfg.Remote("sub"); err != nil || r.URL != filepath.Join(filepath.Dir(o.DvcDir), "store")+"/a" || r.Scheme != "" {
		t.Errorf("%+v %v", r, err)
	}
	for name, kind := range map[string]errs.Kind{"wrong": errs.Config, "round": errs.Config, "lost": errs.NotFound, "image": errs.NotFound} {
		if _, err := cfg.Remote(name); !errs.Is(err, kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := cfg.Remote("image"); errs.HintOf(err) != `Did you mean "images"?` {
		t.Error(errs.HintOf(err))
	}
	if _, err := cfg.DefaultRemote(); !errs.Is(err, errs.NotFound) || err.Error() != "config file error: remote 'nope' doesn't exist" {
		t.Error(err)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"s3://b/p":                       "s3://b/p",
		"ssh://user@h/p":                 "ssh://user@h/p",
		"ssh://user:pw@h/p":              "ssh://user:***@h/p",
		"https://u:p@x:80/a?sig=abc&b=1": "https://u:***@x:80/a?sig=***&b=1",
		"https://u:p/w@x/a":              "https://u:***@x/a",
		"https://host:80/a@b":            "https://host:80/a@b",
		"https://ghp_0123456789012345678901234567890123456@github.com/x": "https://***@github.com/x",
		"https://alice@h/x": "https://alice@h/x",
		"/plain/path":       "/plain/path",
		"DefaultEndpointsProtocol=https;AccountName=a;AccountKey=k==;EndpointSuffix=x": "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=***;EndpointSuffix=x",
	} {
		if got := Redact(in); got != want {
			t.Errorf("%s -> %s", in, got)
		}
	}
	for _, s := range strings.Fields("password secret_access_key session_token sas_token connection_string account_key client_secret passphrase token custom_auth_header remote.r.oss_key_secret studio.token gdrive_client_secret sse_customer_key") {
		if !IsSecret(s) {
			t.Errorf("%s is secret", s)
		}
	}
	if IsSecret("user") || IsSecret("remote.password.url") {
		t.Error("not secret")
	}
	for _, c := range []struct {
		l             Level
		explicit      bool
		option, value string
		want          Level
	}{
		{Project, false, "password", "x", Local},
		{Project, true, "password", "x", Project},
		{Global, true, "password", "x", Global},
		{Project, false, "url", "ssh://u:p@h", Local},
		{Project, false, "url", "ssh://u@h", Project},
		{Project, false, "user", "x", Project},
	} {
		if got, moved := LevelFor(c.l, c.explicit, c.option, c.value); got != c.want || moved != (got != c.l) {
			t.Errorf("%+v: %v %v", c, got, moved)
		}
	}
}

func TestRiskyProjectOptions(t *testing.T) {
	t.Parallel()
	o := newRepo(t, map[string]string{
		"r/.dvc/config": `
[cache]
dir = ../../out
['remote "w"']
url = webdav://h
bearer_token_command = rm
key_path = ../inside.key
cert_path = /abs
ssl_verify = false
['remote "s"']
url = s3://b
use_ssl = true
ssl_verify = true
endpointurl = http://x
secret_access_key = k
[hydra]
plugins_path = p
`,
		"r/.dvc/config.local": "['remote \"s\"']\nconfigpath = /x\n",
	})
	cfg, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, r := range RiskyProjectOptions(cfg) {
		keys = append(keys, r.Key)
		if r.File != ".dvc/config" || r.Line == 0 || r.Reason == "" || r.Value == "k" {
			t.Errorf("%+v", r)
		}
	}
	slices.Sort(keys)
	want := []string{"cache.dir", "hydra.plugins_path", "remote.s.endpointurl", "remote.s.secret_access_key", "remote.w.bearer_token_command", "remote.w.cert_path", "remote.w.ssl_verify"}
	if !slices.Equal(keys, want) {
		t.Errorf("%q", keys)
	}
}

func TestListAndGet(t *testing.T) {
	t.Parallel()
	o := newRepo(t, map[string]string{
		"g/config":            "[core]\nchecksum_jobs = 3\n",
		"r/.dvc/config":       "[core]\nremote = R\nnosuch = 1\n['remote \"r\"']\nurl = ../x\n[cache]\ntype = reflink, copy\n",
		"r/.dvc/config.cairn": "[cairn]\nlock_timeout = 1\n",
	})
	list, err := List(o)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range list {
		lines = append(lines, filepath.Base(e.Origin)+" "+e.Key+"="+e.Value)
	}
	want := []string{
		"config core.checksum_jobs=3", "config remote.r.url=" + filepath.Join(filepath.Dir(o.DvcDir), "x"),
		"config core.remote=R", "config core.nosuch=1", "config cache.type=['reflink', 'copy']", "config.cairn cairn.lock_timeout=1",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("%q", lines)
	}
	k, err := ParseKey("Core.Checksum_Jobs")
	if err != nil {
		t.Fatal(err)
	}
	if e, ok, err := Get(o, k); err != nil || !ok || e.Value != "3" || e.Level != Global {
		t.Errorf("%+v %v %v", e, ok, err)
	}
	if _, ok, err := Get(o, k, Project); ok || err != nil {
		t.Error(ok, err)
	}
	for _, bad := range []string{"core", "", "a.b.c", "remote.a.b.c"} {
		if _, err := ParseKey(bad); !errs.Is(err, errs.Usage) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := Open(LoadOptions{}, Project); !errs.Is(err, errs.Config) {
		t.Error(err)
	}
}

func TestReadProject(t *testing.T) {
	t.Parallel()
	o := newRepo(t, map[string]string{"r/.dvc/config": "[core]\nfoo = 1\n", "r/.dvc/config.local": "[core]\nfoo = 1\n"})
	o.ReadProject = func(name string) ([]byte, error) {
		if name == "config" {
			return []byte("[core]\nhash = blake3\n"), nil
		}
		return nil, fs.ErrNotExist
	}
	cfg, err := Load(o)
	if err != nil || cfg.Core.Hash != object.BLAKE3 {
		t.Error(cfg, err)
	}
}

// The table must be consistent for validation and documentation to trust it.
func TestOptionsTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, o := range Options() {
		if o.Doc == "" || o.Section == "" || o.Name == "" || (o.Type == Choice) != (o.Choices != nil) {
			t.Errorf("%+v", o)
		}
		if o.Default != "" && o.check(textNode(o.Default)) != "" {
			t.Errorf("%s: default %q", o.Key(), o.Default)
		}
		schemes := o.Schemes
		if schemes == nil {
			schemes = []string{"*"}
		}
		for _, s := range schemes {
			k := o.Key() + " " + s
			if seen[k] || s != "*" && !slices.Contains(remoteSchemes, s) {
				t.Errorf("%s", k)
			}
			seen[k] = true
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("[core]\n    remote = x # c\n['remote \"a\"']\nurl = s3://b\n"))
	f.Add([]byte("k = '''a\nb''' # c\n[[x]]\ny = %(k)s, \"b\"\n"))
	f.Add([]byte("k=\"a\"b\",'c\r\n\x85[a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		top, err := parse(data, nil)
		if err != nil {
			return
		}
		tree := titled(named(lowered(top)))
		out, err := render(tree)
		if err != nil {
			return
		}
		again, err := parse(out, nil)
		if err != nil {
			return // the dialect cannot hold every text it can yield; Save checks
		}
		back := titled(named(lowered(again)))
		if !sameTree(tree, back) {
			return
		}
		if out2, err := render(back); err != nil || !bytes.Equal(out, out2) {
			t.Errorf("%q\n%q", out, out2)
		}
	})
}

// FuzzFastPaths holds the quick readers of ordinary lines to the grammar.
func FuzzFastPaths(f *testing.F) {
	for _, s := range []string{"[core]", "['remote \"a\"']", "k = \"a,b\"", "k=v ", "k = ", "  k\u00a0=\u2003v\v", "['a]b']"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "\n") || !isValid(line) {
			return
		}
		trimmed := strings.TrimFunc(line, isSpace)
		if trimmed == "" || trimmed[0] == '#' {
			return
		}
		p := &parser{}
		name, depth, ok := p.sectionMarker(line, trimmed)
		m := theGrammar().section.FindStringSubmatch(line)
		if ok != (m != nil) || ok && depth > 0 && name != unquote(m[2]) {
			t.Fatalf("section %q: %q %d %v, %q", line, name, depth, ok, m)
		}
		if ok {
			return
		}
		if key, value, ok := keyword(trimmed); ok {
			m := theGrammar().keyword.FindStringSubmatch(line)
			if m == nil || m[1] != key || strings.TrimRightFunc(m[2], isSpace) != value {
				t.Fatalf("keyword %q: %q %q, %q", line, key, value, m)
			}
			if strings.ContainsAny(value, "'\",#") && strings.Count(value, `"`) != 2 {
				return
			}
			n, ok := p.value(value)
			v := theGrammar().value.FindStringSubmatch(m[2])
			if v == nil && ok || ok && !n.isList && n.text != unquote(v[2]) {
				t.Fatalf("value %q: %+v %v, %q", value, n, ok, v)
			}
		}
	})
}

func isValid(s string) bool { return strings.ToValidUTF8(s, "") == s }

func BenchmarkLoad(b *testing.B) {
	root := b.TempDir()
	text := "[core]\n    remote = r\n    autostage = true\n[cache]\n    type = \"reflink,hardlink,copy\"\n['remote \"r\"']\n    url = s3://bucket/path\n    endpointurl = http://localhost:9000\n"
	if err := os.WriteFile(filepath.Join(root, "config"), []byte(text), 0o666); err != nil {
		b.Fatal(err)
	}
	o := LoadOptions{DvcDir: root, Home: root}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(o); err != nil {
			b.Fatal(err)
		}
	}
}
