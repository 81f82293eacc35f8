package remote

import (
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/cairndata/cairn/pkg/errs"
)

// sshOptions are the options of an SSH remote, checked.
type sshOptions struct {
	host, port, user string // as the URL and the options have them; "" is ssh_config's
	base             string // the folder, with a slash at its end; "" is where logins begin

	password, passphrase       string
	askPassword, askPassphrase bool
	keyFile                    string
	noAgent                    bool
	timeout                    time.Duration // 0 is the default
	sessions                   int           // on one connection, at most
	jobs                       int
}

// parseSSH reads an ssh:// URL and the options that DVC knows for it. What is
// not honoured is refused by name.
func parseSSH(c Config, env Env) (*sshOptions, error) {
	o := &sshOptions{jobs: c.Jobs, sessions: sshPerConn}
	if err := o.parseURL(c); err != nil {
		return nil, err
	}
	for key, value := range c.Options {
		if err := o.set(c, env, key, value); err != nil {
			return nil, err
		}
	}
	if err := checkSSHUser(o.user); err != nil {
		return nil, optionError(c, "user", "%v", err)
	}
	return o, nil
}

// parseURL takes the address apart as DVC does: nothing is unescaped, and a
// path is from the root of the server's files.
func (o *sshOptions) parseURL(c Config) error {
	form := "is not of the form ssh://user@host:port/path"
	_, rest, _ := strings.Cut(c.URL, "://")
	place, dir := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		place, dir = rest[:i], rest[i:]
	}
	if strings.Contains(dir, "?") {
		return optionError(c, "url", "must not hold a question mark")
	}
	if i := strings.LastIndexByte(place, '@'); i >= 0 {
		var hasPassword bool
		if o.user, o.password, hasPassword = strings.Cut(place[:i], ":"); hasPassword && o.password == "" || o.user == "" {
			return optionError(c, "url", "%s", form)
		}
		place = place[i+1:]
	}
	var err error
	if o.host, o.port, err = splitSSHHost(place); err != nil {
		return optionError(c, "url", "%s: %v", form, err)
	}
	if o.base, err = sshFolder(dir); err != nil {
		return optionError(c, "url", "%v", err)
	}
	return nil
}

// sshFolder checks the path of an address.
func sshFolder(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	if !utf8.ValidString(dir) || strings.ContainsFunc(dir, unicode.IsControl) || !strings.HasPrefix(dir, "/") {
		return "", errs.New(errs.Config, "has the path %q", dir)
	}
	if slices.Contains(strings.Split(dir, "/"), "..") {
		return "", errs.New(errs.Config, "must not hold \"..\"")
	}
	if dir = path.Clean(dir); dir != "/" {
		dir += "/"
	}
	return dir, nil
}

// splitSSHHost splits "host:port"; the port may be left out.
func splitSSHHost(s string) (host, port string, err error) {
	host = s
	if rest, ok := strings.CutPrefix(s, "["); ok { // an IPv6 address
		var after string
		if host, after, ok = strings.Cut(rest, "]"); !ok || after != "" && after[0] != ':' {
			return "", "", errs.New(errs.Config, "%q", s)
		}
		port = strings.TrimPrefix(after, ":")
	} else if strings.Count(s, ":") == 1 {
		host, port, _ = strings.Cut(s, ":")
	}
	if err := checkSSHHost(host); err != nil {
		return "", "", err
	}
	if port != "" {
		if err := checkSSHPort(port); err != nil {
			return "", "", err
		}
	}
	return host, port, nil
}

func checkSSHPort(port string) error {
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || port[0] == '+' {
		return errs.New(errs.Config, "is %q, not a port from 1 to 65535", port)
	}
	return nil
}

// checkSSHHost refuses what a program could take for an option, or a shell
// for more than a name: hosts reach a ProxyCommand.
func checkSSHHost(host string) error {
	if host == "" {
		return errs.New(errs.Config, "there is no host")
	}
	if host[0] == '-' || strings.ContainsFunc(host, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-:%", r) || r > unicode.MaxASCII && unicode.IsLetter(r))
	}) {
		return errs.New(errs.Config, "the host is %q", host)
	}
	return nil
}

// checkSSHUser does the same for users, of whom ssh allows more.
func checkSSHUser(name string) error {
	if strings.HasPrefix(name, "-") || !utf8.ValidString(name) || strings.HasSuffix(name, "\\") ||
		strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || strings.ContainsRune("'`\"$;&<>|(){}", r) }) {
		return errs.New(errs.Config, "is %q", name)
	}
	return nil
}

// set takes one option. Secrets stay out of the errors.
func (o *sshOptions) set(c Config, env Env, key, value string) (err error) {
	flag := func(to *bool) { *to, err = parseBool(value) }
	switch key {
	case "url", "jobs", "checksum_jobs", "no_traverse", "type":
		// read by the caller, or without effect for a remote in DVC too
	case "verify":
		flag(new(bool)) // cairn always verifies
	case "worktree", "version_aware":
		var on bool
		if flag(&on); on {
			return errs.New(errs.Unsupported, "remote %q: option %q is not supported", c.Name, key)
		}
	case "gss_auth":
		var on bool
		if flag(&on); on {
			return errs.WithHint(errs.New(errs.Unsupported, "remote %q: option %q is not supported: cairn does not log in by Kerberos", c.Name, key),
				"Use a key, an agent or a password.")
		}
	case "port":
		if err = checkSSHPort(value); err == nil {
			o.port = strings.TrimLeft(value, "0")
		}
	case "user":
		o.user = value
	case "password":
		o.password = value
	case "ask_password":
		flag(&o.askPassword)
	case "passphrase":
		o.passphrase = value
	case "ask_passphrase":
		flag(&o.askPassphrase)
	case "keyfile":
		o.keyFile, err = env.path(value)
	case "timeout":
		o.timeout, err = parseSeconds(value)
	case "allow_agent":
		flag(&o.noAgent)
		o.noAgent = !o.noAgent
	case "max_sessions":
		n, nerr := strconv.Atoi(value)
		if nerr != nil || n < 1 {
			err = errs.New(errs.Config, "is %q, not a number above 0", value)
		}
		o.sessions = min(sshPerConn, n)
	default:
		return errs.New(errs.Config, "remote %q: SSH remotes have no option %q", c.Name, key)
	}
	if err != nil {
		return optionError(c, key, "%v", err)
	}
	return nil
}

// sshTarget is a host to log in to: the remote's, or one on the way, with
// what ssh_config says of it.
type sshTarget struct {
	alias     string // as the user wrote it
	host      string
	port      string
	portAsked bool // not left to ssh_config
	user      string
	network   string

	connect    time.Duration
	aliveEvery time.Duration
	aliveTries int

	jumps        []string
	proxyCommand string

	identities     []string
	certificates   []string
	identitiesOnly bool
	agent          string // socket; "" is none
	methods        []string

	knownHosts, globalHosts []string
	strict                  string // yes, accept-new, no
	hostKeyAlias            string
	hashNames               bool

	kex, ciphers, macs, hostKeys []string // nil is the usual

	final bool // the remote itself: its password and key file are for it
}

func (o *sshTarget) addr() string {
	if strings.Contains(o.host, ":") {
		return "[" + o.host + "]:" + o.port
	}
	return o.host + ":" + o.port
}

// sshDialer logs in to hosts.
type sshDialer struct {
	env    Env
	name   string // of the remote
	o      *sshOptions
	onAsk  func() // a login had to ask what it will have to ask again
	memory sshMemory
}

// remote is the target that the remote's address names.
func (d *sshDialer) remote() (*sshTarget, error) {
	t, err := d.resolve(d.o.host, d.o.port, d.o.user)
	if err != nil {
		return nil, err
	}
	t.final = true
	if d.o.timeout > 0 {
		t.connect = d.o.timeout
		t.aliveEvery = min(max(d.o.timeout/sshAliveTries, 100*time.Millisecond), sshAlive)
	}
	return t, nil
}

// target is a host on the way: "[user@]host[:port]", or that with ssh://
// before it. before are the hosts before it.
func (d *sshDialer) target(spec string, before []string) (*sshTarget, error) {
	s := strings.TrimPrefix(spec, "ssh://")
	user := ""
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		user, s = s[:i], s[i+1:]
	}
	host, port, err := splitSSHHost(s)
	if err == nil {
		err = checkSSHUser(user)
	}
	if err != nil {
		return nil, errs.New(errs.Config, "ProxyJump %q: %w", spec, err)
	}
	t, err := d.resolve(host, port, user)
	if err == nil && len(before) > 0 {
		t.jumps, t.proxyCommand = before, ""
	}
	return t, err
}

// resolve looks a host up in ssh_config.
func (d *sshDialer) resolve(alias, port, user string) (*sshTarget, error) {
	env := d.env
	s, err := readSSHConfig(env, alias, user)
	if err != nil {
		return nil, err
	}
	bad := func(keyword, value string) error {
		return errs.New(errs.Config, "ssh_config: %s is %q", keyword, value)
	}
	t := &sshTarget{alias: alias, host: alias, port: port, portAsked: port != "", user: user, network: "tcp", hostKeyAlias: s.get("hostkeyalias")}
	if h := s.get("hostname"); h != "" {
		if t.host, err = (sshTokens{'%': "%", 'h': alias}).expand(h); err != nil || checkSSHHost(t.host) != nil {
			return nil, bad("HostName", h)
		}
	}
	if t.port == "" {
		if t.port = s.get("port"); t.port == "" {
			t.port = "22"
		}
		if checkSSHPort(t.port) != nil {
			return nil, bad("Port", t.port)
		}
	}
	localUser := env.localUser()
	if t.user == "" {
		if t.user = s.get("user"); t.user == "" {
			t.user = localUser
		}
		if t.user == "" || checkSSHUser(t.user) != nil {
			return nil, bad("User", t.user)
		}
	}
	switch af := strings.ToLower(s.get("addressfamily")); af {
	case "inet":
		t.network = "tcp4"
	case "inet6":
		t.network = "tcp6"
	}
	seconds := func(keyword string, otherwise time.Duration) time.Duration {
		if d, err := parseSSHTime(s.get(keyword)); err == nil && d > 0 {
			return d
		}
		return otherwise
	}
	t.connect = seconds("connecttimeout", sshTimeout)
	t.aliveEvery = seconds("serveraliveinterval", sshAlive)
	t.aliveTries = sshAliveTries
	if n, err := strconv.Atoi(s.get("serveralivecountmax")); err == nil && n > 0 {
		t.aliveTries = n
	}

	tokens := env.sshTokens(alias, t.host, t.port, t.user, localUser, t.hostKeyAlias)
	paths := func(keyword string, list []string) (out []string, err error) {
		for _, p := range list {
			if strings.EqualFold(p, "none") {
				continue
			}
			if p, err = tokens.expand(p); err != nil {
				return nil, bad(keyword, p)
			}
			if p = env.sshPath(p); !filepath.IsAbs(p) {
				p = filepath.Join(env.Home, p)
			}
			out = append(out, p)
		}
		return out, nil
	}
	if t.identities, err = paths("IdentityFile", s["identityfile"]); err != nil {
		return nil, err
	}
	if len(s["identityfile"]) == 0 {
		for _, kind := range []string{"rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk"} {
			t.identities = append(t.identities, filepath.Join(env.Home, ".ssh", "id_"+kind))
		}
	}
	if t.certificates, err = paths("CertificateFile", s["certificatefile"]); err != nil {
		return nil, err
	}
	t.identitiesOnly = strings.EqualFold(s.get("identitiesonly"), "yes")
	t.agent = env.getenv("SSH_AUTH_SOCK")
	switch a := s.get("identityagent"); {
	case a == "" || a == "SSH_AUTH_SOCK":
	case strings.EqualFold(a, "none"):
		t.agent = ""
	case strings.HasPrefix(a, "$") && !strings.HasPrefix(a, "${"):
		t.agent = env.getenv(a[1:])
	default:
		list, err := paths("IdentityAgent", []string{a})
		if err != nil {
			return nil, err
		}
		t.agent = list[0]
	}

	user1, global := s["userknownhostsfile"], s["globalknownhostsfile"]
	if user1 == nil {
		user1 = []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2"}
	}
	if global == nil {
		global = []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}
	}
	if t.knownHosts, err = paths("UserKnownHostsFile", user1); err != nil {
		return nil, err
	}
	if t.globalHosts, err = paths("GlobalKnownHostsFile", global); err != nil {
		return nil, err
	}
	switch v := strings.ToLower(s.get("stricthostkeychecking")); v {
	case "no", "off":
		t.strict = "no"
	case "accept-new":
		t.strict = v
	case "", "yes", "ask":
		t.strict = "yes" // there may be nobody to answer
	default:
		return nil, bad("StrictHostKeyChecking", v)
	}
	t.hashNames = strings.EqualFold(s.get("hashknownhosts"), "yes")
	if v := s.get("revokedhostkeys"); v != "" && !strings.EqualFold(v, "none") {
		return nil, errs.WithHint(errs.New(errs.Unsupported, "ssh_config: RevokedHostKeys is not supported"), "Use @revoked lines in known_hosts.")
	}

	// The first of the two that is set counts; "none" switches both off.
	if j := s.get("proxyjump"); j != "" && !strings.EqualFold(j, "none") {
		t.jumps = strings.Split(j, ",")
		// Who reaches everything by one host reaches that one without it.
		last := t.jumps[len(t.jumps)-1]
		if name, _, err := splitSSHHost(last[strings.LastIndexByte(last, '@')+1:]); err == nil && strings.EqualFold(name, alias) {
			t.jumps = nil
		}
	} else if c := s.get("proxycommand"); j == "" && c != "" && !strings.EqualFold(c, "none") {
		if t.proxyCommand, err = tokens.expand(c); err != nil {
			return nil, errs.New(errs.Config, "ssh_config: ProxyCommand: %w", err)
		}
	}
	return t, t.algorithms(s)
}

// algorithms applies what ssh_config says of them. New keys, ciphers and the
// rest that only old servers have must be named there.
func (t *sshTarget) algorithms(s sshSettings) error {
	good, weak := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	for _, a := range []struct {
		keyword    string
		to         *[]string
		good, weak []string
	}{
		{"kexalgorithms", &t.kex, good.KeyExchanges, weak.KeyExchanges},
		{"ciphers", &t.ciphers, good.Ciphers, weak.Ciphers},
		{"macs", &t.macs, good.MACs, weak.MACs},
		{"hostkeyalgorithms", &t.hostKeys, good.HostKeys, weak.HostKeys},
	} {
		value := s.get(a.keyword)
		if value == "" {
			continue // the library's choice and order
		}
		how := value[0]
		names := strings.Split(strings.TrimLeft(value, "+-^"), ",")
		all := slices.Concat(a.good, a.weak)
		var picked []string
		for _, n := range names {
			for _, have := range all {
				if wildcard(n, have) && !slices.Contains(picked, have) {
					picked = append(picked, have)
				}
			}
		}
		isPicked := func(n string) bool { return slices.Contains(picked, n) }
		others := slices.DeleteFunc(slices.Clone(a.good), isPicked)
		switch how {
		case '+':
			*a.to = slices.Concat(others, picked)
		case '-':
			*a.to = others
		case '^':
			*a.to = slices.Concat(picked, others)
		default:
			*a.to = picked
		}
		if len(*a.to) == 0 {
			return errs.New(errs.Config, "ssh_config: cairn has none of %s %q", a.keyword, value)
		}
	}
	t.methods = []string{"publickey", "keyboard-interactive", "password"}
	if v := s.get("preferredauthentications"); v != "" {
		t.methods = strings.Split(strings.ToLower(v), ",")
	}
	off := func(method string, keywords ...string) {
		for _, k := range keywords {
			if strings.EqualFold(s.get(k), "no") {
				t.methods = slices.DeleteFunc(t.methods, func(m string) bool { return m == method })
			}
		}
	}
	off("publickey", "pubkeyauthentication")
	off("password", "passwordauthentication")
	off("keyboard-interactive", "kbdinteractiveauthentication", "challengeresponseauthentication")
	return nil
}

// parseSSHTime reads a time as ssh_config has it: 90, 90s, 1m30s.
func parseSSHTime(s string) (time.Duration, error) {
	if n, err := strconv.Atoi(s); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	return time.ParseDuration(strings.ToLower(s))
}

// localUser is who runs the program.
func (e Env) localUser() string {
	for _, k := range []string{"LOGNAME", "USER", "USERNAME"} {
		if v := e.getenv(k); v != "" {
			return v
		}
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}
