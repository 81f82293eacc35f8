package remote

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/cairndata/cairn/pkg/errs"
)

// webOptions are the options of an HTTP or WebDAV remote, checked.
type webOptions struct {
	scheme string   // as the user wrote it, for messages
	url    *url.URL // http or https, nothing after the path, no slash at its end
	query  string   // goes with every request

	auth           webAuth
	user, password string
	header         string   // that carries the password
	token          string   //
	tokenCommand   []string // prints the token
	tokenTime      time.Duration
	ask            bool

	skipVerify                bool
	caFile, certFile, keyFile string
	connect, read             time.Duration
	method                    string // of uploads
}

// webAuth is how to log in.
type webAuth uint8

const (
	authNone   webAuth = iota
	authAsked          // with user and password, by the method the server asks for
	authBasic          // Basic, unasked
	authDigest         // Digest, and nothing less
	authLogin          // Basic, unasked, or Digest if the server asks for that
	authHeader         // the password in a header
	authToken          // a bearer token
)

// parseHTTP reads an http:// or https:// URL and the options that DVC knows
// for it. What is not honoured is refused by name.
func parseHTTP(ctx context.Context, c Config, env Env) (*webOptions, error) {
	o := &webOptions{connect: webTimeout, read: webTimeout, method: http.MethodPost}
	if err := o.parseURL(c, ""); err != nil {
		return nil, err
	}
	auth := ""
	for key, value := range c.Options {
		var err error
		switch key {
		case "auth":
			if auth = strings.ToLower(value); auth != "basic" && auth != "digest" && auth != "custom" {
				err = errs.New(errs.Config, "is %q; it can be basic, digest or custom", value)
			}
		case "method":
			if o.method = strings.ToUpper(value); o.method != http.MethodPost && o.method != http.MethodPut {
				err = errs.New(errs.Config, "is %q; it can be POST or PUT", value)
			}
		case "connect_timeout":
			o.connect, err = parseLimit(value)
		case "read_timeout":
			o.read, err = parseLimit(value)
		default:
			if known, oerr := o.set(env, key, value); oerr != nil {
				err = oerr
			} else if !known {
				return nil, errs.New(errs.Config, "remote %q: HTTP remotes have no option %q", c.Name, key)
			}
		}
		if err != nil {
			return nil, optionError(c, key, "%w", err)
		}
	}
	o.fromURL(c)
	if o.ask && o.password == "" && auth != "" {
		if err := o.askPassword(ctx, c, env, o.user); err != nil {
			return nil, err
		}
	}
	switch auth {
	case "basic", "digest":
		if o.user == "" || o.password == "" {
			return nil, needs(c, "auth = "+auth, "user and password")
		}
		if o.auth = authBasic; auth == "digest" {
			o.auth = authDigest
		}
	case "custom":
		if o.header == "" || o.password == "" {
			return nil, needs(c, "auth = custom", "custom_auth_header and password")
		}
		o.auth = authHeader
	default:
		// Whoever names a user in the address wants it sent, as in DVC. Options
		// without auth are kept for a server that asks.
		switch {
		case userOf(c.URL) != nil:
			o.auth = authLogin
		case o.header != "":
			return nil, needs(c, "custom_auth_header", "auth = custom")
		case o.user != "" && (o.password != "" || o.ask):
			if o.password == "" {
				if err := o.askPassword(ctx, c, env, o.user); err != nil {
					return nil, err
				}
			}
			o.auth = authAsked
		case o.password != "" || o.ask:
			return nil, needs(c, "a password", "auth, and user or custom_auth_header")
		case o.user == "":
			if user, password, ok := netrcLogin(env, o.url.Hostname()); ok {
				o.user, o.password, o.auth = user, password, authLogin
			}
		}
	}
	return o, o.check(c)
}

func needs(c Config, what, needed string) error {
	return errs.WithHint(errs.New(errs.Config, "remote %q: %s needs %s", c.Name, what, needed),
		"Set it with: cairn remote modify --local %s OPTION VALUE", c.Name)
}

// set takes an option that both kinds have. The error has no secrets.
func (o *webOptions) set(env Env, key, value string) (known bool, err error) {
	flag := func(to *bool) { *to, err = parseBool(value) }
	switch key {
	case "url", "jobs", "checksum_jobs", "no_traverse":
		// read by the caller, or obsolete and without effect in DVC too
	case "verify":
		flag(new(bool)) // cairn always does
	case "worktree", "version_aware":
		var on bool
		if flag(&on); on {
			return true, errs.New(errs.Unsupported, "is not supported: these servers keep no versions")
		}
	case "user":
		o.user = value
	case "password":
		o.password = value
	case "ask_password":
		flag(&o.ask)
	case "custom_auth_header":
		o.header = value
	case "ssl_verify":
		on, berr := parseBool(value)
		if o.skipVerify = berr == nil && !on; berr != nil {
			o.caFile, err = env.path(value)
		}
	default:
		return false, nil
	}
	return true, err
}

// parseURL takes the address apart. prefix is what its scheme has before
// "http".
func (o *webOptions) parseURL(c Config, replace string) error {
	raw := c.URL
	scheme, rest, _ := strings.Cut(raw, "://")
	o.scheme = strings.ToLower(scheme)
	plain := "http"
	if strings.HasSuffix(o.scheme, "s") {
		plain = "https"
	}
	u, err := url.Parse(plain + "://" + rest)
	if err != nil || u.Hostname() == "" || strings.HasPrefix(u.Host, "-") {
		return optionError(c, "url", "is not of the form %s://host/path", o.scheme)
	}
	if u.Fragment != "" {
		return optionError(c, "url", "must not hold %q", "#")
	}
	if replace != "" && u.RawQuery != "" {
		return optionError(c, "url", "must be %s://host/path and nothing more", o.scheme)
	}
	o.query = u.RawQuery
	clean := strings.TrimRight(u.EscapedPath(), "/")
	if strings.Contains(clean, "/.") || strings.Contains(clean, "//") {
		clean = strings.TrimRight(path.Clean("/"+clean), "/")
	}
	p, err := url.PathUnescape(clean)
	if err != nil {
		return optionError(c, "url", "is not of the form %s://host/path", o.scheme)
	}
	o.url = &url.URL{Scheme: plain, Host: u.Host, Path: p, RawPath: clean}
	return nil
}

// userOf is the user of a URL, nil if there is none.
func userOf(raw string) *url.Userinfo {
	_, rest, _ := strings.Cut(raw, "://")
	u, err := url.Parse("http://" + rest)
	if err != nil || u.User == nil || u.User.Username() == "" {
		return nil
	}
	return u.User
}

// fromURL lets the address's user and password win over the options, as in
// DVC.
func (o *webOptions) fromURL(c Config) {
	if u := userOf(c.URL); u != nil {
		o.user = u.Username()
		if p, ok := u.Password(); ok {
			o.password = p
		}
	}
}

func (o *webOptions) askPassword(ctx context.Context, c Config, env Env, user string) error {
	if env.Prompt == nil {
		return errs.WithHint(optionError(c, "ask_password", "cannot be done here: there is nobody to ask"),
			"Set the password: cairn remote modify --local %s password PASSWORD", c.Name)
	}
	if user == "" {
		user = "custom"
	}
	host := (&url.URL{Scheme: o.scheme, Host: o.url.Host, Path: o.url.Path}).String()
	p, err := env.Prompt(ctx, "Enter a password for host '"+host+"' user '"+user+"':\n", false)
	if err != nil {
		return err
	}
	o.password = p
	return nil
}

// check refuses what no header can hold, and half a pair.
func (o *webOptions) check(c Config) error {
	switch {
	case o.header != "" && (!httpguts.ValidHeaderFieldName(o.header) || isFraming(o.header)):
		return optionError(c, "custom_auth_header", "is %q, which cannot be a header for a password", o.header)
	case !httpguts.ValidHeaderFieldValue(o.user + o.password):
		return errs.New(errs.Config, "remote %q: user or password holds a control character", c.Name)
	case !httpguts.ValidHeaderFieldValue(o.token):
		return errs.New(errs.Config, "remote %q: the token holds a control character", c.Name)
	case strings.Contains(o.user, ":") && (o.auth == authBasic || o.auth == authLogin):
		return errs.New(errs.Config, "remote %q: a user name for Basic authentication must not hold a colon", c.Name)
	case o.keyFile != "" && o.certFile == "":
		return needs(c, "key_path", "cert_path")
	}
	return nil
}

// isFraming is whether a header is not ours to set, because it says how the
// message is to be read.
func isFraming(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Content-Length", "Transfer-Encoding", "Host", "Connection", "Range", "Accept-Encoding", "Depth", "Destination", "Overwrite", "Expect", "Upgrade", "Trailer", "Te":
		return true
	}
	return false
}

// secrets are what must never reach a message.
func (o *webOptions) secrets() []string {
	var list []string
	for _, s := range []string{o.password, o.token, o.query} {
		if s != "" {
			list = append(list, s)
			if e := url.QueryEscape(s); e != s {
				list = append(list, e)
			}
		}
	}
	return list
}

// parseLimit reads seconds; 0 is no limit.
func parseLimit(s string) (time.Duration, error) {
	if d, err := parseSeconds(s); err == nil {
		return d, nil
	} else if strings.Trim(s, "0.") != "" || s == "" || s == "." {
		return 0, err
	}
	return webForever, nil
}

// loginHint is the remedy of a refusal.
func (o *webOptions) loginHint(name string, resp *http.Response) string {
	var offers []string
	for _, c := range parseChallenges(resp.Header.Values("Www-Authenticate")) {
		offers = append(offers, c.scheme)
	}
	offer := ""
	if len(offers) > 0 {
		offer = " The server asks for " + strings.Join(offers, " or ") + "."
	}
	switch {
	case resp.StatusCode == http.StatusForbidden && o.auth != authNone:
		return "Check that this user may do that there."
	case o.auth == authNone && strings.HasPrefix(o.scheme, "http"):
		return "If it wants a login: cairn remote modify --local " + name + " auth basic (or digest, custom), user, password." + offer
	case o.auth == authNone:
		return "If it wants a login: cairn remote modify --local " + name + " user USER, and password." + offer
	case o.auth == authToken:
		return "Check the token." + offer
	}
	return "Check user and password of the remote, and its auth option." + offer
}
