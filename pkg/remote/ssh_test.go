package remote

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object/objecttest"
	"github.com/cairndata/cairn/pkg/remote/sshserver"
)

func TestSSHRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		url     string
		options map[string]string
		kind    errs.Kind
		text    string
	}{
		"no host":        {"ssh://", nil, errs.Config, "no host"},
		"user alone":     {"ssh://me@/p", nil, errs.Config, "no host"},
		"empty user":     {"ssh://@h/p", nil, errs.Config, "url"},
		"option as host": {"ssh://-oProxyCommand=x/p", nil, errs.Config, "url"},
		"option as user": {"ssh://-l@h/p", nil, errs.Config, "user"},
		"shell in host":  {"ssh://$(id)/p", nil, errs.Config, "url"},
		"shell in user":  {"ssh://a;id@h/p", nil, errs.Config, "user"},
		"space in host":  {"ssh://a b/p", nil, errs.Config, "url"},
		"bad port":       {"ssh://h:0/p", nil, errs.Config, "port"},
		"port word":      {"ssh://h:ssh/p", nil, errs.Config, "port"},
		"huge port":      {"ssh://h/p", map[string]string{"port": "65536"}, errs.Config, "port"},
		"query":          {"ssh://h/p?x=1", nil, errs.Config, "question mark"},
		"parent":         {"ssh://h/a/../b", nil, errs.Config, ".."},
		"control":        {"ssh://h/a\nb", nil, errs.Config, "path"},
		"open bracket":   {"ssh://[::1/p", nil, errs.Config, "url"},
		"unknown option": {"ssh://h/p", map[string]string{"colour": "red"}, errs.Config, "colour"},
		"kerberos":       {"ssh://h/p", map[string]string{"gss_auth": "true"}, errs.Unsupported, "gss_auth"},
		"versions":       {"ssh://h/p", map[string]string{"version_aware": "true"}, errs.Unsupported, "version_aware"},
		"worktree":       {"ssh://h/p", map[string]string{"worktree": "true"}, errs.Unsupported, "worktree"},
		"bad bool":       {"ssh://h/p", map[string]string{"allow_agent": "yes"}, errs.Config, "allow_agent"},
		"bad timeout":    {"ssh://h/p", map[string]string{"timeout": "0"}, errs.Config, "timeout"},
		"no sessions":    {"ssh://h/p", map[string]string{"max_sessions": "0"}, errs.Config, "max_sessions"},
		"user option":    {"ssh://h/p", map[string]string{"user": "-x"}, errs.Config, "user"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.options == nil {
				c.options = map[string]string{}
			}
			c.options["password"] = "geheim"
			_, err := OpenBackend(t.Context(), Config{Name: "r", URL: c.url, Options: c.options}, Env{})
			if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v of kind %v, want %q of kind %v", err, errs.KindOf(err), c.text, c.kind)
			}
			if err != nil && strings.Contains(err.Error()+errs.HintOf(err), "geheim") {
				t.Errorf("the password is in %q", err)
			}
		})
	}
}

func TestSSHAddress(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]sshOptions{
		"ssh://h":                  {host: "h"},
		"ssh://h/":                 {host: "h", base: "/"},
		"ssh://h/a/b":              {host: "h", base: "/a/b/"},
		"ssh://h//a///b//":         {host: "h", base: "/a/b/"},
		"ssh://u@h:2222/a":         {host: "h", port: "2222", user: "u", base: "/a/"},
		"ssh://u:p:w@h/a":          {host: "h", user: "u", password: "p:w", base: "/a/"},
		"ssh://u@d@h/a":            {host: "h", user: "u@d", base: "/a/"},
		"ssh://Host.Name/~/x":      {host: "Host.Name", base: "/~/x/"},
		"ssh://[2001:db8::1]:22/a": {host: "2001:db8::1", port: "22", base: "/a/"},
		"ssh://[::1]":              {host: "::1"},
		"ssh://h/a%20b":            {host: "h", base: "/a%20b/"},
		"ssh://h/a b#c":            {host: "h", base: "/a b#c/"},
		"SSH://h/x":                {host: "h", base: "/x/"},
	} {
		o, err := parseSSH(Config{Name: "r", URL: url}, Env{})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if o.host != want.host || o.port != want.port || o.user != want.user || o.base != want.base || o.password != want.password {
			t.Errorf("%s: got %+v, want %+v", url, o, want)
		}
	}
	// Options win over the address.
	o, err := parseSSH(Config{Name: "r", URL: "ssh://u:p@h:1/a", Options: map[string]string{"user": "v", "port": "2", "password": "q"}}, Env{})
	if err != nil || o.user != "v" || o.port != "2" || o.password != "q" {
		t.Errorf("options: %+v, %v", o, err)
	}
}

// home makes a home folder with an ssh_config.
func home(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeTo(t, filepath.Join(dir, ".ssh", "config"), config)
	return dir
}

func writeTo(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func env(home string, vars ...string) Env {
	m := map[string]string{"LOGNAME": "me"}
	for i := 0; i < len(vars); i += 2 {
		m[vars[i]] = vars[i+1]
	}
	return Env{Home: home, Getenv: func(k string) string { return m[k] }}
}

func TestSSHConfig(t *testing.T) {
	t.Parallel()
	h := home(t, `# the user's
Include more.conf
Host alias other
	HostName real.%h.example
	User "joe doe"
	Port=2200
	IdentityFile ~/.ssh/first
	ProxyJump j1:23,k@j2
Host *.lab !bad.lab
  ProxyCommand nc -X 5 %h %p # not a comment
  StrictHostKeyChecking accept-new
Match host real.alias.example user "joe doe"
	IdentityFile %d/second
	HostKeyAlias known
Match final host *.late
	Port 99
Match exec "test %n = ran"
	User ran
Host quoted
	UserKnownHostsFile "/a b/known" ~/'k 2'
	IdentityAgent none
	Ciphers +aes128-cbc
Host *
	User last
	Port 1
	UnknownWord yes
	ServerAliveInterval 1m
`)
	writeTo(t, filepath.Join(h, ".ssh", "more.conf"), "Host included\nUser inc\nHost alias\nConnectTimeout 7\n")
	resolve := func(alias string) *sshTarget {
		t.Helper()
		d := &sshDialer{env: env(h, "SSH_AUTH_SOCK", "/agent")}
		o, err := d.resolve(alias, "", "")
		if err != nil {
			t.Fatalf("%s: %v", alias, err)
		}
		return o
	}
	o := resolve("alias")
	if got := fmt.Sprint(o.host, o.user, o.port, o.jumps, o.connect, o.aliveEvery, o.hostKeyAlias, o.agent); got != "real.alias.examplejoe doe2200[j1:23 k@j2] 7s 1m0sknown/agent" {
		t.Errorf("alias: %s", got)
	}
	if want := []string{h + "/.ssh/first", h + "/second"}; !slices.Equal(o.identities, want) {
		t.Errorf("identities: %q", o.identities)
	}
	if o := resolve("x.lab"); o.proxyCommand != "nc -X 5 x.lab 1 # not a comment" || o.strict != "accept-new" || o.user != "last" {
		t.Errorf("lab: %+v", o)
	}
	if o := resolve("bad.lab"); o.proxyCommand != "" || o.strict != "yes" {
		t.Errorf("negated: %+v", o)
	}
	if o := resolve("included"); o.user != "inc" {
		t.Errorf("included: %+v", o)
	}
	if o := resolve("ran"); o.user != "ran" {
		t.Errorf("exec: %+v", o)
	}
	if o := resolve("a.late"); o.port != "1" { // the first pass found one
		t.Errorf("final: %+v", o)
	}
	o = resolve("quoted")
	if want := []string{"/a b/known", h + "/k 2"}; !slices.Equal(o.knownHosts, want) || o.agent != "" || !slices.Contains(o.ciphers, "aes128-cbc") || !slices.Contains(o.ciphers, "aes128-gcm@openssh.com") {
		t.Errorf("quoted: %+v", o)
	}
	// What the address and the options say counts more.
	d := &sshDialer{env: env(h)}
	if o, err := d.resolve("alias", "5", "u"); err != nil || o.port != "5" || o.user != "u" || o.hostKeyAlias != "" {
		t.Errorf("asked: %+v, %v", o, err)
	}
}

func TestSSHConfigRefused(t *testing.T) {
	t.Parallel()
	for config, text := range map[string]string{
		"Host *\nUser \"half":                     "config:2",
		"Match colour red":                        "config:1",
		"HostName -oProxyCommand=id":              "HostName",
		"HostName a;id":                           "HostName",
		"User $(id)":                              "User",
		"Port 0":                                  "Port",
		"StrictHostKeyChecking perhaps":           "StrictHostKeyChecking",
		"IdentityFile %z":                         "IdentityFile",
		"Ciphers none-that-is-there":              "ciphers",
		"RevokedHostKeys /x":                      "RevokedHostKeys",
		"Include ~/.ssh/config":                   "include each other",
		"Host *\nProxyCommand connect %h %q\n":    "ProxyCommand",
		"Host h\nHostName " + "\x00" + "\nPort 1": "HostName",
	} {
		_, err := OpenBackend(t.Context(), Config{Name: "r", URL: "ssh://h/p"}, env(home(t, config)))
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: got %v, want %q", config, err, text)
		}
	}
	h := home(t, "ProxyCommand touch /tmp/x")
	if err := os.Chmod(filepath.Join(h, ".ssh", "config"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenBackend(t.Context(), Config{Name: "r", URL: "ssh://h/p"}, env(h)); !errs.Is(err, errs.Config) {
		t.Errorf("a config that others may write: %v", err)
	}
}

func FuzzSSHConfig(f *testing.F) {
	f.Add("Host a b !c\n User \"x y\"\nMatch host a,b exec true\nPort 1\nInclude /nowhere/*\n", "a")
	f.Fuzz(func(t *testing.T, text, host string) {
		if strings.Contains(strings.ToLower(text), "exec") || strings.Contains(strings.ToLower(text), "include") {
			return // it would run or read what the fuzzer thinks of
		}
		h := home(t, text)
		d := &sshDialer{env: env(h)}
		o, err := d.resolve(host, "", "")
		if err == nil && checkSSHHost(host) == nil && (checkSSHHost(o.host) != nil || checkSSHUser(o.user) != nil || checkSSHPort(o.port) != nil) {
			t.Errorf("%q: %+v", text, o)
		}
	})
}

// openSSHWith opens a backend with other options and another world.
func openSSHWith(t testing.TB, s *sshserver.Server, options map[string]string, e Env) *sshBackend {
	t.Helper()
	if e.Home == "" {
		e.Home = s.Home
	}
	b, err := newSSH(Config{Name: "r", URL: s.URL(""), Options: options, Jobs: 4}, e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// login reports how logging in goes: a missing key is a success.
func login(t testing.TB, b *sshBackend) error {
	t.Helper()
	_, err := b.Stat(t.Context(), "nothing")
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err == nil {
		t.Error("a key that is not there")
	}
	return err
}

func wantLogin(t *testing.T, b *sshBackend) {
	t.Helper()
	if err := login(t, b); err != nil {
		t.Errorf("not let in: %v (%s)", err, errs.HintOf(err))
	}
}

func wantRefused(t *testing.T, b *sshBackend, kind errs.Kind, text string) {
	t.Helper()
	err := login(t, b)
	if !errs.Is(err, kind) || !strings.Contains(err.Error()+" "+errs.HintOf(err), text) {
		t.Errorf("got %v (%s) of kind %v, want %q of kind %v", err, errs.HintOf(err), errs.KindOf(err), text, kind)
	}
	if err != nil && strings.Contains(err.Error()+errs.HintOf(err), "geheim") {
		t.Errorf("a secret is in %q", err)
	}
}

func TestSSHKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	keys := []ssh.PublicKey{
		sshserver.WritePrivateKey(t, file("rsa"), "", rsaKey).PublicKey(),
		sshserver.WritePrivateKey(t, file("ec"), "", ecKey).PublicKey(),
		sshserver.WriteKey(t, file("ed"), "").PublicKey(),
		sshserver.WriteKey(t, file("locked"), "geheim").PublicKey(),
		sshserver.WritePrivateKey(t, file("lockedrsa"), "geheim", rsaKey).PublicKey(),
	}
	sshserver.WriteKey(t, file("stranger"), "")
	writeTo(t, file("nonsense"), "not a key")
	s := sshserver.New(t, sshserver.Options{Keys: keys, NoKey: true})
	for _, k := range []string{"rsa", "ec", "ed"} {
		wantLogin(t, openSSHWith(t, s.Server, map[string]string{"keyfile": file(k)}, Env{}))
	}
	for _, k := range []string{"locked", "lockedrsa"} {
		wantLogin(t, openSSHWith(t, s.Server, map[string]string{"keyfile": file(k), "passphrase": "geheim"}, Env{}))
	}
	wantRefused(t, openSSHWith(t, s.Server, map[string]string{"keyfile": file("locked"), "passphrase": "geheimnis"}, Env{}), errs.Denied, "pass phrase is wrong")
	wantRefused(t, openSSHWith(t, s.Server, map[string]string{"keyfile": file("locked")}, Env{}), errs.Denied, "ssh-add")
	wantRefused(t, openSSHWith(t, s.Server, map[string]string{"keyfile": file("locked"), "ask_passphrase": "true"}, Env{}), errs.Config, "no terminal")
	wantRefused(t, openSSHWith(t, s.Server, map[string]string{"keyfile": file("stranger")}, Env{}), errs.Denied, "refuses user \"tester\" (1 key)")
	wantRefused(t, openSSHWith(t, s.Server, map[string]string{"keyfile": file("absent")}, Env{}), errs.Config, "absent")
	wantRefused(t, openSSHWith(t, s.Server, map[string]string{"keyfile": file("nonsense")}, Env{}), errs.Config, "nonsense")
	wantRefused(t, openSSHWith(t, s.Server, nil, Env{}), errs.Denied, "no key or password")

	var questions []string
	asking := Env{Prompt: func(_ context.Context, q string, echo bool) (string, error) {
		questions = append(questions, q)
		if echo {
			t.Error("a secret is shown")
		}
		if len(questions) == 1 {
			return "wrong", nil
		}
		return "geheim", nil
	}}
	b := openSSHWith(t, s.Server, map[string]string{"keyfile": file("locked")}, asking)
	wantLogin(t, b)
	s.Break()
	for login(t, b) != nil { // the break may be noticed only now
	}
	if len(questions) != 2 || !strings.Contains(questions[0], "locked") || questions[0] == questions[1] {
		t.Errorf("asked %q, want twice, and not again for another connection", questions)
	}
	asking.Prompt = func(_ context.Context, q string, _ bool) (string, error) {
		if want := fmt.Sprintf("Enter a passphrase for tester@127.0.0.1:%s:\n", s.Port); q != want {
			t.Errorf("asked %q, want %q", q, want)
		}
		return "geheim", nil
	}
	wantLogin(t, openSSHWith(t, s.Server, map[string]string{"keyfile": file("locked"), "ask_passphrase": "true"}, asking))

	// The usual files, those of ssh_config, and a certificate beside a key.
	h := s.Home
	if err := os.Rename(file("ed"), filepath.Join(h, ".ssh", "id_ed25519")); err != nil {
		t.Fatal(err)
	}
	wantLogin(t, openSSHWith(t, s.Server, nil, Env{}))
	writeTo(t, filepath.Join(h, ".ssh", "config"), "Host 127.*\nIdentityFile "+file("stranger")+"\nIdentityFile "+file("ec"))
	wantLogin(t, openSSHWith(t, s.Server, nil, Env{}))
	writeTo(t, filepath.Join(h, ".ssh", "config"), "IdentityFile "+file("stranger"))
	wantRefused(t, openSSHWith(t, s.Server, nil, Env{}), errs.Denied, "1 key")
	writeTo(t, filepath.Join(h, ".ssh", "config"), "IdentityFile "+file("ec")+"\nPubkeyAuthentication no")
	wantRefused(t, openSSHWith(t, s.Server, nil, Env{}), errs.Denied, "no key")
	if err := os.Remove(filepath.Join(h, ".ssh", "config")); err != nil {
		t.Fatal(err)
	}
	if s := sshserver.New(t, sshserver.Options{}); true {
		wantLogin(t, openSSHWith(t, s.Server, s.Options(), Env{}))
	}
}

func TestSSHCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority := sshserver.WriteKey(t, filepath.Join(dir, "ca"), "")
	key := filepath.Join(dir, "key")
	signer := sshserver.WriteKey(t, key, "")
	s := sshserver.New(t, sshserver.Options{Authority: authority.PublicKey(), NoKey: true})
	wantRefused(t, openSSHWith(t, s.Server, map[string]string{"keyfile": key}, Env{}), errs.Denied, "refuses")
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"tester"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	writeTo(t, key+"-cert.pub", string(ssh.MarshalAuthorizedKey(cert)))
	wantLogin(t, openSSHWith(t, s.Server, map[string]string{"keyfile": key}, Env{}))
}

func TestSSHAgent(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "cairn") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: rsaKey}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _ = agent.ServeAgent(ring, c) }()
		}
	}()
	pub, err := ssh.NewPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	s := sshserver.New(t, sshserver.Options{Keys: []ssh.PublicKey{pub}})
	e := env("", "SSH_AUTH_SOCK", socket)
	wantLogin(t, openSSHWith(t, s.Server, nil, e))
	wantRefused(t, openSSHWith(t, s.Server, map[string]string{"allow_agent": "false"}, e), errs.Denied, "no key")
	wantRefused(t, openSSHWith(t, s.Server, nil, env("", "SSH_AUTH_SOCK", socket+"x")), errs.Denied, "the agent does not answer")
	config := filepath.Join(s.Home, ".ssh", "config")
	writeTo(t, config, "IdentitiesOnly yes")
	wantRefused(t, openSSHWith(t, s.Server, nil, e), errs.Denied, "no key")
	writeTo(t, filepath.Join(s.Home, "held.pub"), string(ssh.MarshalAuthorizedKey(pub)))
	writeTo(t, config, "IdentitiesOnly yes\nIdentityFile ~/held")
	wantLogin(t, openSSHWith(t, s.Server, nil, e))
	writeTo(t, config, "IdentityAgent "+socket)
	wantLogin(t, openSSHWith(t, s.Server, nil, env("")))
}

func TestSSHPasswords(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]sshserver.Options{"password": {Password: "geheim", NoKey: true}, "question": {Interactive: "geheim", NoKey: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sshserver.New(t, o)
			wantLogin(t, openSSHWith(t, s.Server, map[string]string{"password": "geheim"}, Env{}))
			wantRefused(t, openSSHWith(t, s.Server, nil, Env{}), errs.Denied, "no key or password")
			wantRefused(t, openSSHWith(t, s.Server, map[string]string{"ask_password": "true"}, Env{}), errs.Config, "no terminal")

			// A refusal is not asked for again: that locks accounts.
			b := openSSHWith(t, s.Server, map[string]string{"password": "geheimnis"}, Env{})
			wantRefused(t, b, errs.Denied, "the password")
			before := s.Attempts()
			wantRefused(t, b, errs.Denied, "the password")
			if n := s.Attempts() - before; n != 0 {
				t.Errorf("%d more attempts", n)
			}
			var asked atomic.Int32
			prompt := func(_ context.Context, q string, echo bool) (string, error) {
				if echo {
					t.Errorf("%q is answered openly", q)
				}
				if asked.Add(1) == 1 {
					return "wrong", nil
				}
				return "geheim", nil
			}
			wantLogin(t, openSSHWith(t, s.Server, nil, Env{Prompt: prompt}))
			if n := asked.Load(); n != 2 {
				t.Errorf("asked %d times, want 2", n)
			}
			b = openSSHWith(t, s.Server, map[string]string{"ask_password": "true"}, Env{Prompt: prompt})
			wantLogin(t, b)
			s.Break()
			for login(t, b) != nil {
			}
			if n := asked.Load(); n != 3 {
				t.Errorf("asked %d times, want 3", n)
			}
			no := errs.New(errs.Cancelled, "no answer")
			wantRefused(t, openSSHWith(t, s.Server, nil, Env{Prompt: func(context.Context, string, bool) (string, error) { return "", no }}), errs.Cancelled, "no answer")
		})
	}
}

func TestSSHHostKeys(t *testing.T) {
	t.Parallel()
	s := sshserver.New(t, sshserver.Options{Password: "geheim"})
	other := sshserver.WriteKey(t, filepath.Join(t.TempDir(), "k"), "").PublicKey()
	line := s.KnownHost(s.HostKey)
	keyPart := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.HostKey)))
	hashed := func(name string) string {
		m := &sshTarget{host: "x", port: "22", hashNames: true, knownHosts: []string{filepath.Join(t.TempDir(), "k")}}
		m.hostKeyAlias = name
		(&sshHostKeys{o: m}).remember(s.HostKey)
		b, err := os.ReadFile(m.knownHosts[0])
		if err != nil || !bytes.HasPrefix(b, []byte("|1|")) {
			t.Fatalf("%q, %v", b, err)
		}
		return string(b)
	}
	for name, c := range map[string]struct {
		known, config, refused string
		added                  bool
	}{
		"known":            {known: line},
		"among others":     {known: "# comment\n\nnonsense line\n" + s.KnownHost(other)[:20] + "\nelsewhere " + keyPart + "\n" + line},
		"hashed":           {known: hashed("[127.0.0.1]:" + s.Port)},
		"list":             {known: "a,[127.0.0.*]:" + s.Port + " " + keyPart},
		"without port":     {known: "127.0.0.1 " + keyPart},
		"alias":            {known: "known " + keyPart, config: "HostKeyAlias known"},
		"another file":     {known: "", config: "UserKnownHostsFile ~/.ssh/more"},
		"unknown":          {known: "", refused: "is not in"},
		"other host":       {known: "elsewhere " + keyPart, refused: "is not in"},
		"negated":          {known: "*,!127.0.0.1,![127.0.0.1]:" + s.Port + " " + keyPart, refused: "is not in"},
		"changed":          {known: s.KnownHost(other), refused: "ssh-keygen -f"},
		"changed, new ok":  {known: s.KnownHost(other), config: "StrictHostKeyChecking accept-new", refused: "has another one"},
		"revoked":          {known: line + "@revoked * " + keyPart, refused: "revoked"},
		"only authority":   {known: "@cert-authority * " + keyPart, refused: "is not in"},
		"accept new":       {known: "x y", config: "StrictHostKeyChecking accept-new", added: true},
		"accept new, hash": {known: "", config: "StrictHostKeyChecking accept-new\nHashKnownHosts yes", added: true},
		"no check":         {known: "", config: "StrictHostKeyChecking no", added: true},
		"no check, null":   {known: "", config: "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null"},
		"no check, other":  {known: s.KnownHost(other), config: "StrictHostKeyChecking no"},
	} {
		h := home(t, c.config)
		known := filepath.Join(h, ".ssh", "known_hosts")
		writeTo(t, known, c.known)
		writeTo(t, filepath.Join(h, ".ssh", "more"), line)
		b := openSSHWith(t, s.Server, s.Options(), Env{Home: h})
		err := login(t, b)
		if c.refused == "" && err != nil || c.refused != "" && (!errs.Is(err, errs.Config) || !strings.Contains(err.Error()+errs.HintOf(err), c.refused)) {
			t.Errorf("%s: got %v (%s), want %q", name, err, errs.HintOf(err), c.refused)
		}
		if c.refused != "" && err != nil && !strings.Contains(err.Error(), known) && !strings.Contains(c.known, "@cert") {
			t.Errorf("%s: the file is not named in %q", name, err)
		}
		if c.added {
			writeTo(t, filepath.Join(h, ".ssh", "config"), "")
			if err := login(t, openSSHWith(t, s.Server, s.Options(), Env{Home: h})); err != nil {
				t.Errorf("%s: the key was not kept: %v", name, err)
			}
		}
	}
	// Nobody tells a password to a server that may be another.
	h := home(t, "StrictHostKeyChecking no")
	writeTo(t, filepath.Join(h, ".ssh", "known_hosts"), s.KnownHost(other))
	wantRefused(t, openSSHWith(t, s.Server, map[string]string{"password": "geheim"}, Env{Home: h}), errs.Config, "no password is sent")
}

func TestSSHHostCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority, key := sshserver.WriteKey(t, filepath.Join(dir, "ca"), ""), sshserver.WriteKey(t, filepath.Join(dir, "host"), "")
	cert := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	host, err := ssh.NewCertSigner(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	s := sshserver.New(t, sshserver.Options{HostSigner: host})
	known := filepath.Join(s.Home, ".ssh", "known_hosts")
	writeTo(t, known, "@cert-authority [127.0.0.1]:* "+string(ssh.MarshalAuthorizedKey(authority.PublicKey())))
	wantLogin(t, openSSHWith(t, s.Server, s.Options(), Env{}))
	writeTo(t, known, "@cert-authority [127.0.0.1]:* "+string(ssh.MarshalAuthorizedKey(key.PublicKey())))
	wantRefused(t, openSSHWith(t, s.Server, s.Options(), Env{}), errs.Config, "certificate")
}

func TestSSHJumps(t *testing.T) {
	t.Parallel()
	s := sshserver.New(t, sshserver.Options{})
	hop, far := sshserver.New(t, sshserver.Options{Forward: true}), sshserver.New(t, sshserver.Options{Forward: true})
	for _, x := range []*sshserver.InProcess{hop, far} {
		b, err := os.ReadFile(filepath.Join(x.Home, ".ssh", "known_hosts"))
		if err != nil {
			t.Fatal(err)
		}
		old, err := os.ReadFile(filepath.Join(s.Home, ".ssh", "known_hosts"))
		if err != nil {
			t.Fatal(err)
		}
		writeTo(t, filepath.Join(s.Home, ".ssh", "known_hosts"), string(old)+string(b))
	}
	config := filepath.Join(s.Home, ".ssh", "config")
	writeTo(t, config, fmt.Sprintf(`Host 127.0.0.1
	ProxyJump hop,far
Host hop
	HostName 127.0.0.1
	Port %s
	User tester
	IdentityFile %s
Host far
	HostName 127.0.0.1
	Port %s
	User tester
	IdentityFile %s
`, hop.Port, hop.KeyFile, far.Port, far.KeyFile))
	b := openSSHWith(t, s.Server, s.Options(), Env{})
	wantLogin(t, b)
	if hop.Connections() != 1 || far.Connections() != 1 {
		t.Errorf("%d and %d connections to the hosts on the way", hop.Connections(), far.Connections())
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "hosts on the way are left", func() bool { return hop.Connections() == 0 && far.Connections() == 0 })
	// A host that all others are reached by is reached without itself.
	writeTo(t, config, fmt.Sprintf("Host hop\nHostName 127.0.0.1\nPort %s\nUser tester\nIdentityFile %s\nHost *\nProxyJump hop", hop.Port, hop.KeyFile))
	wantLogin(t, openSSHWith(t, s.Server, s.Options(), Env{}))
	writeTo(t, config, "Host 127.0.0.1\nProxyJump one\nHost one\nProxyJump two\nHost two\nProxyJump one")
	wantRefused(t, openSSHWith(t, s.Server, s.Options(), Env{}), errs.Config, "on the way")
	writeTo(t, config, "Host 127.0.0.1\nProxyJump hop\nHost hop\nHostName 127.0.0.1\nUser nobody\nPort "+hop.Port)
	wantRefused(t, openSSHWith(t, s.Server, s.Options(), Env{}), errs.Denied, "by way of 127.0.0.1:"+hop.Port)
}

// eventually waits for what other goroutines are about to do.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	for !f() {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestSSHProxyCommand(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/bin/bash"); err != nil {
		t.Skip("bash carries the connection")
	}
	s := sshserver.New(t, sshserver.Options{})
	config := filepath.Join(s.Home, ".ssh", "config")
	writeTo(t, config, `ProxyCommand /bin/bash -c 'exec 3<>/dev/tcp/%h/%p; cat <&3 & exec cat >&3'`)
	b := openSSHWith(t, s.Server, s.Options(), Env{})
	wantLogin(t, b)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	writeTo(t, config, "ProxyCommand echo it has no way >&2; exit 3")
	wantRefused(t, openSSHWith(t, s.Server, s.Options(), Env{}), errs.Unavailable, "it has no way")
	writeTo(t, config, "ProxyCommand none")
	wantLogin(t, openSSHWith(t, s.Server, s.Options(), Env{}))
}

// sshRetry is what a store puts around the backend, without the waits.
func sshRetry(b Backend) Backend {
	return WithRetry(b, RetryOptions{Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }, Stall: 2 * time.Second})
}

func putBytes(ctx context.Context, b Backend, key string, v []byte) error {
	return b.Put(ctx, key, int64(len(v)), bytes.NewReader(v))
}

func getBytes(ctx context.Context, b Backend, key string) ([]byte, error) {
	r, _, err := b.Open(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// filesOf are all files of a server's folder, temporary ones too.
func filesOf(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		fi, err := e.Info()
		if err == nil {
			rel, _ := filepath.Rel(dir, p)
			found[filepath.ToSlash(rel)] = fi.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Connections that break in the middle of uploads and downloads cost time,
// and nothing else.
func TestSSHBreaks(t *testing.T) {
	t.Parallel()
	s := sshserver.New(t, sshserver.Options{})
	raw := openSSHWith(t, s.Server, s.Options(), Env{})
	b := sshRetry(raw)
	v := objecttest.Bytes(7, 3<<20)
	for i := range 8 {
		s.BreakAfter(int64(1000 + i*500_000))
		if err := putBytes(t.Context(), b, fmt.Sprintf("a/%d", i), v); err != nil {
			t.Fatalf("put %d: %v", i, err)
		}
	}
	s.BreakAfter(-1)
	pp, ok := As[PartPutter](b)
	if !ok {
		t.Fatal("no parts")
	}
	parts, err := pp.BeginParts(t.Context(), "parts")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		s.BreakAfter(300_000)
		if err := parts.Put(t.Context(), i, v[i<<20:(i+1)<<20]); err != nil {
			t.Fatalf("part %d: %v", i, err)
		}
	}
	s.BreakAfter(100)
	if err := parts.Complete(t.Context(), 3, 3<<20); err != nil {
		t.Fatalf("complete: %v", err)
	}
	for key := range filesOf(t, s.Dir) {
		if isTemp(filepath.Base(key)) {
			continue
		}
		r, _, err := b.Open(t.Context(), key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		for n := int64(0); err == nil; n++ {
			_, err = io.CopyN(&got, r, 200_000)
			if n%5 == 0 {
				s.Break()
			}
		}
		r.Close()
		if err != io.EOF || !bytes.Equal(got.Bytes(), v) {
			t.Errorf("%s: %d bytes, %v", key, got.Len(), err)
		}
	}
	// What the breaks left is no key, and goes when the remote is closed.
	n := 0
	for e, err := range b.List(t.Context(), "") {
		if n++; err != nil || e.Size != int64(len(v)) || e.Meta.ModTime.IsZero() {
			t.Errorf("list: %+v, %v", e, err)
		}
	}
	if n != 9 {
		t.Errorf("%d keys, want 9", n)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	files := filesOf(t, s.Dir)
	maps.DeleteFunc(files, func(k string, _ int64) bool { return !isTemp(filepath.Base(k)) })
	if len(files) != 0 {
		t.Errorf("left over: %v", files)
	}
}

// A server that takes in nothing is given up on, and others that wait on its
// connection with it; afterwards a new connection works.
func TestSSHStalls(t *testing.T) {
	t.Parallel()
	s := sshserver.New(t, sshserver.Options{})
	b := openSSHWith(t, s.Server, map[string]string{"keyfile": s.KeyFile, "timeout": "1"}, Env{})
	if got := b.retryOptions().Stall; got != time.Second {
		t.Errorf("stall limit %v", got)
	}
	r := WithRetry(b, RetryOptions{Stall: 300 * time.Millisecond, Tries: 2})
	if err := putBytes(t.Context(), r, "k", []byte("value")); err != nil {
		t.Fatal(err)
	}
	s.Stall()
	if _, err := getBytes(t.Context(), r, "k"); !errs.Is(err, errs.Unavailable) {
		t.Errorf("read from a server that stands still: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := r.Stat(ctx, "k"); !errors.Is(err, context.Canceled) {
		t.Errorf("stat with an ended context: %v", err)
	}
	s.Resume()
	if v, err := getBytes(t.Context(), r, "k"); err != nil || string(v) != "value" {
		t.Errorf("afterwards: %q, %v", v, err)
	}
	// Connecting has a limit of its own.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	mute := *s.Server
	_, mute.Port, _ = net.SplitHostPort(silent.Addr().String())
	wantRefused(t, openSSHWith(t, &mute, map[string]string{"timeout": "1"}, Env{}), errs.Unavailable, "no answer in 1s")
}

// A connection of which nobody asks anything is noticed to be dead too.
func TestSSHKeepalive(t *testing.T) {
	t.Parallel()
	s := sshserver.New(t, sshserver.Options{})
	writeTo(t, filepath.Join(s.Home, ".ssh", "config"), "ServerAliveInterval 1\nServerAliveCountMax 1")
	b := openSSHWith(t, s.Server, s.Options(), Env{})
	wantLogin(t, b)
	s.Stall()
	eventually(t, "the connection is dropped", func() bool { return b.pool.idle() == nil })
	s.Resume()
	wantLogin(t, b)
}

func TestSSHNotWhatIsExpected(t *testing.T) {
	t.Parallel()
	none := sshserver.New(t, sshserver.Options{NoSFTP: true})
	wantRefused(t, openSSHWith(t, none.Server, none.Options(), Env{}), errs.Config, "no SFTP")

	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	go func() {
		for {
			c, err := web.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, strings.Repeat("HTTP/1.1 400 Bad Request\r\n", 100))
			c.Close()
		}
	}()
	wrong := *none.Server
	_, wrong.Port, _ = net.SplitHostPort(web.Addr().String())
	wantRefused(t, openSSHWith(t, &wrong, none.Options(), Env{}), errs.Config, "is not an SSH server")

	web.Close()
	wantRefused(t, openSSHWith(t, &wrong, none.Options(), Env{}), errs.Unavailable, "refused")

	// One session has to do where a server gives no more.
	s := sshserver.New(t, sshserver.Options{Sessions: 1})
	b := openSSHWith(t, s.Server, s.Options(), Env{})
	b.pool.mostConns = 1
	done := make(chan error)
	const n = 50
	for i := range n {
		go func() { done <- putBytes(t.Context(), b, fmt.Sprintf("d/%d", i), make([]byte, 10_000)) }()
	}
	for range n {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := len(filesOf(t, s.Dir)); got != n {
		t.Errorf("%d files", got)
	}
}

// A file that shrinks while it is read is no whole value.
func TestSSHTruncated(t *testing.T) {
	t.Parallel()
	s := sshserver.New(t, sshserver.Options{})
	b := openSSHWith(t, s.Server, s.Options(), Env{})
	v := objecttest.Bytes(3, 8<<20)
	if err := putBytes(t.Context(), b, "k", v); err != nil {
		t.Fatal(err)
	}
	r, size, err := b.Open(t.Context(), "k", 0, -1)
	if err != nil || size != int64(len(v)) {
		t.Fatalf("open: %d, %v", size, err)
	}
	defer r.Close()
	if err := os.Truncate(filepath.Join(s.Dir, "k"), 100_000); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r); !errs.Is(err, errs.Unavailable) || n >= int64(len(v)) {
		t.Errorf("got %d bytes, %v, want Unavailable", n, err)
	}
}

// What else may lie on a server: leftovers, links, things that are no files.
func TestSSHForeignFiles(t *testing.T) {
	t.Parallel()
	s := sshserver.New(t, sshserver.Options{})
	b := openSSHWith(t, s.Server, s.Options(), Env{})
	if err := putBytes(t.Context(), b, "d/k", []byte("value")); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(s.Dir, "d", name) }
	writeTo(t, in(b.tempName()), "left by a killed upload")
	writeTo(t, in(".cairn-host-1-0-1.tmp"), "left by another's")
	for name, to := range map[string]string{"link": "k", "loop": "..", "dangling": "nothing", "self": "self"} {
		if err := os.Symlink(to, in(name)); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("unix", in("s"))
	if err == nil {
		defer l.Close()
	}
	var got []string
	for e, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s=%d", e.Key, e.Size))
	}
	slices.Sort(got)
	if want := []string{"d/k=5", "d/link=5"}; !slices.Equal(got, want) {
		t.Errorf("list: got %q, want %q", got, want)
	}
	if e, err := b.Describe(t.Context(), "d/k"); err != nil || e.Size != 5 || time.Since(e.Meta.ModTime).Abs() > time.Hour {
		t.Errorf("describe: %+v, %v", e, err)
	}
	if err := putBytes(t.Context(), b, "d/"+b.tempName(), nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("put under the name of a temporary file: %v", err)
	}
	if err := putBytes(t.Context(), b, "d/k/below", nil); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "not a folder") {
		t.Errorf("put below a file: %v", err)
	}
	if err := putBytes(t.Context(), b, "d", nil); err == nil {
		t.Error("put in place of a folder succeeds")
	}
	for name := range filesOf(t, s.Dir) {
		if isTemp(filepath.Base(name)) && strings.Contains(name, b.temp) && !strings.HasSuffix(name, "-1.tmp") && !strings.HasSuffix(name, "-2.tmp") {
			t.Errorf("left over: %s", name)
		}
	}
}

// What processes left that died long ago goes with the next upload that looks.
func TestSSHStaleFiles(t *testing.T) {
	t.Parallel()
	s := sshserver.New(t, sshserver.Options{})
	old, fresh := filepath.Join(s.Dir, ".cairn-host-1-0-1.tmp"), filepath.Join(s.Dir, ".cairn-host-1-0-2.tmp")
	long := time.Now().Add(-sshStale - time.Hour)
	for _, p := range []string{old, fresh, filepath.Join(s.Dir, "k")} {
		writeTo(t, p, "x")
	}
	for _, p := range []string{old, filepath.Join(s.Dir, "k")} {
		if err := os.Chtimes(p, long, long); err != nil {
			t.Fatal(err)
		}
	}
	visit := func(write bool) map[string]int64 {
		b := openSSHWith(t, s.Server, s.Options(), Env{})
		for _, err := range b.List(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
		}
		if write {
			if err := putBytes(t.Context(), b, "new", nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		return filesOf(t, s.Dir)
	}
	if got := visit(false); len(got) != 3 {
		t.Errorf("after reading: %v", got)
	}
	if got := slices.Sorted(maps.Keys(visit(true))); !slices.Equal(got, []string{filepath.Base(fresh), "k", "new"}) {
		t.Errorf("after writing: %q", got)
	}
}

// Folders that become empty go with their last file, but for those of objects.
func TestSSHPrunes(t *testing.T) {
	t.Parallel()
	s := sshserver.New(t, sshserver.Options{})
	b := openSSHWith(t, s.Server, s.Options(), Env{})
	object := "files/md5/00/112233445566778899aabbccddeeff"
	for _, k := range []string{"a/b/c/1", "a/b/2", "d/3", "d/4", object} {
		if err := putBytes(t.Context(), b, k, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Delete(t.Context(), []string{"a/b/c/1", "a/b/2", "d/3", object, "x/never"}); err != nil {
		t.Fatal(err)
	}
	for dir, there := range map[string]bool{"a": false, "d": true, "files/md5/00": true, "x": false, "": true} {
		if _, err := os.Stat(filepath.Join(s.Dir, dir)); (err == nil) != there {
			t.Errorf("folder %q: %v", dir, err)
		}
	}
}

// Uploads that are interrupted leave nothing, however far they are.
func TestSSHInterrupted(t *testing.T) {
	t.Parallel()
	s := sshserver.New(t, sshserver.Options{})
	for i := range 20 {
		b := openSSHWith(t, s.Server, s.Options(), Env{})
		wantLogin(t, b)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		const n = 16
		for j := range n {
			go func() {
				v := objecttest.Bytes(uint64(j), 50_000)
				src := io.MultiReader(bytes.NewReader(v[:1000]), readerFunc(func([]byte) (int, error) {
					if j == i%n {
						cancel()
					}
					return 0, io.EOF
				}), bytes.NewReader(v[1000:]))
				done <- b.Put(ctx, fmt.Sprintf("%d/%d", i, j), 50_000, src)
			}()
		}
		for range n {
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) && !errs.Is(err, errs.Corrupt) {
				t.Errorf("put: %v", err)
			}
		}
		cancel()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	for name, size := range filesOf(t, s.Dir) {
		if isTemp(filepath.Base(name)) || size != 50_000 {
			t.Errorf("left over: %s with %d bytes", name, size)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A server without OpenSSH's rename does not replace; then the old value goes first.
func TestSSHPlainRename(t *testing.T) {
	t.Parallel()
	s := sshserver.New(t, sshserver.Options{})
	b := openSSHWith(t, s.Server, s.Options(), Env{})
	wantLogin(t, b)
	delete(b.pool.idle().ext, extPosixRename)
	for _, v := range []string{"first", "second", ""} {
		if err := putBytes(t.Context(), b, "k", []byte(v)); err != nil {
			t.Fatal(err)
		}
		if got, err := getBytes(t.Context(), b, "k"); err != nil || string(got) != v {
			t.Errorf("got %q, %v, want %q", got, err, v)
		}
	}
}

// refusing is a server's files that cannot be written to.
type refusing struct {
	sftp.FileWriter
	onOpen, onWrite error
}

func (r refusing) Filewrite(q *sftp.Request) (io.WriterAt, error) {
	if r.onOpen != nil {
		return nil, r.onOpen
	}
	return r, nil
}

func (r refusing) WriteAt([]byte, int64) (int, error) { return 0, r.onWrite }

func TestSSHFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files refusing
		kind  errs.Kind
		text  string
	}{
		"denied":      {refusing{onOpen: sftp.ErrSSHFxPermissionDenied}, errs.Denied, "owner and mode"},
		"full":        {refusing{onWrite: sftp.ErrSSHFxFailure}, errs.Other, "quota"},
		"lost":        {refusing{onWrite: sftp.ErrSSHFxConnectionLost}, errs.Unavailable, "connection lost"},
		"unsupported": {refusing{onOpen: sftp.ErrSSHFxOpUnsupported}, errs.Unsupported, "unsupported"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := sftp.InMemHandler()
			files.FilePut = c.files
			s := sshserver.New(t, sshserver.Options{Files: &files})
			b := openSSHWith(t, s.Server, s.Options(), Env{})
			b.o.base = "/"
			err := putBytes(t.Context(), b, "k", []byte("value"))
			if !errs.Is(err, c.kind) || !strings.Contains(err.Error()+" "+errs.HintOf(err), c.text) || !strings.Contains(err.Error(), "ssh://127.0.0.1") {
				t.Errorf("got %v (%s) of kind %v, want %q of kind %v", err, errs.HintOf(err), errs.KindOf(err), c.text, c.kind)
			}
		})
	}
	b := &sshBackend{o: &sshOptions{password: "geheim"}, where: "ssh://h"}
	for code, kind := range map[uint32]errs.Kind{fxNoSpace: errs.Conflict, fxQuotaExceeded: errs.Conflict, fxWriteProtect: errs.Denied, fxNoSuchFile: errs.NotFound, 99: errs.Other} {
		err := b.translate(&sftpStatus{code, "geheim\n\x1b[31m"}, "read x")
		if !errs.Is(err, kind) || strings.Contains(err.Error(), "geheim") || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("code %d: %q of kind %v, want %v", code, err, errs.KindOf(err), kind)
		}
	}
}

// Answers that no honest server gives end as errors.
func FuzzSFTPAnswers(f *testing.F) {
	f.Add([]byte{0, 0, 0, 9, fxpHandle, 0, 0, 0, 1, 0, 0, 0, 1, 'h'})
	f.Add([]byte{0, 0, 0, 1, fxpName, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, typ := range []byte{fxpStatus, fxpHandle, fxpData, fxpName, fxpAttrs} {
			answer := func() *sftpCall {
				c := &sftpCall{s: &sftpSession{}, done: make(chan sftpReply, 1)}
				p := newPacket(len(b))
				p.b = append(p.b, b...)
				c.done <- sftpReply{typ: typ, body: p, data: p.b}
				return c
			}
			_, _ = answer().handle(t.Context())
			_, _ = answer().attrs(t.Context())
			if _, data, err := answer().data(t.Context(), 10); err == nil && (len(data) == 0 || len(data) > 10) {
				t.Errorf("%d bytes of data", len(data))
			}
			if list, err := answer().names(t.Context()); err == nil && len(list) > len(b) {
				t.Errorf("%d names in %d bytes", len(list), len(b))
			}
			_ = answer().ok(t.Context())
		}
	})
}
