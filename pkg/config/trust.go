package config

import (
	"net/url"
	"slices"
	"strings"
)

// masked stands in place of a secret.
const masked = "***"

// IsSecret reports whether an option's value is never to be printed, and never
// to be written into a committed file unasked. The name may be that of the
// option alone or the whole key.
func IsSecret(name string) bool {
	name = strings.ToLower(name[strings.LastIndexByte(name, '.')+1:])
	return slices.ContainsFunc(options, func(o Option) bool { return o.Name == name && o.Has(Secret) })
}

// RunsProgram reports whether an option of a remote names a program or code.
func RunsProgram(name string) bool {
	return slices.ContainsFunc(options, func(o Option) bool { return o.Section == "remote" && o.Name == name && o.Has(Runs) })
}

// secretParams are parameters of URLs and parts of connection strings that
// carry credentials.
var secretParams = []string{
	"accountkey", "sharedaccesskey", "sharedaccesssignature", "sig", "signature", "token", "access_token", "auth",
	"password", "pwd", "passwd", "secret", "api_key", "apikey", "key", "x-amz-signature", "x-amz-security-token",
	"x-amz-credential", "x-goog-signature", "private_token", "client_secret",
}

// Redact replaces the credentials in a URL or connection string by "***".
// A text without any is returned unchanged.
func Redact(s string) string {
	head, rest, isURL := strings.Cut(s, "://")
	if isURL {
		end := len(rest)
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			end = i
		}
		// A password may hold an unescaped slash; the last @ before blanks ends it then.
		if at := strings.LastIndexByte(rest[:end], '@'); at >= 0 {
			rest = redactUser(head, rest[:at]) + rest[at:]
		} else if at := strings.LastIndexByte(rest, '@'); at > 0 && strings.Contains(rest[:end], ":") && !isHostPort(rest[:end]) {
			rest = redactUser(head, rest[:at]) + rest[at:]
		}
		s = head + "://" + rest
		if i := strings.IndexAny(s, "?#"); i >= 0 {
			return s[:i+1] + redactPairs(s[i+1:], "&")
		}
		return s
	}
	if strings.Contains(s, ";") || strings.Contains(s, "=") {
		return redactPairs(s, ";")
	}
	return s
}

func isHostPort(s string) bool {
	u, err := url.Parse("x://" + s)
	return err == nil && (u.Port() != "" || !strings.Contains(s, ":"))
}

// redactUser masks the password of a URL; a lone user name is one where it
// looks like a token.
func redactUser(scheme, user string) string {
	if name, _, ok := strings.Cut(user, ":"); ok {
		if looksLikeToken(scheme, name) {
			return masked + ":" + masked
		}
		return name + ":" + masked
	}
	if looksLikeToken(scheme, user) {
		return masked
	}
	return user
}

// looksLikeToken tells a token from a user name: servers that take one in
// place of the name make it long.
func looksLikeToken(scheme, user string) bool {
	const shortest = 20
	return len(user) >= shortest && (strings.HasSuffix(scheme, "http") || strings.HasSuffix(scheme, "https") || strings.HasPrefix(scheme, "webdav"))
}

func redactPairs(s, sep string) string {
	pairs := strings.Split(s, sep)
	for i, p := range pairs {
		k, v, ok := strings.Cut(p, "=")
		if ok && v != "" && slices.Contains(secretParams, strings.ToLower(strings.TrimSpace(k))) {
			pairs[i] = k + "=" + masked
		}
	}
	return strings.Join(pairs, sep)
}

// RedactValue is an option's value as it may be printed.
func RedactValue(name, value string) string {
	if IsSecret(name) && value != "" {
		return masked
	}
	if strings.Contains(value, "://") || strings.Contains(value, "=") {
		return Redact(value)
	}
	return value
}

// LevelFor decides where a value is written. A secret that the user did not
// ask to be written at the project level goes to the local one instead; moved
// says so. Explicit is whether the user named the level.
func LevelFor(l Level, explicit bool, option, value string) (at Level, moved bool) {
	if l != Project || explicit {
		return l, false
	}
	if RedactValue(option, value) != value {
		return Local, true
	}
	return l, false
}

// Risk is an option of the committed project level that could harm who clones
// the repository.
type Risk struct {
	Key    string
	Value  string // redacted
	File   string
	Line   int
	Reason string
	Harms  Harm
}

// Harm is what a risky option can do.
type Harm uint8

// The harms.
const (
	WeakensProtection Harm = iota
	RunsPrograms
	ReadsFiles // or writes them, outside of the repository
	ShowsSecret
)

// RiskyProjectOptions lists what the project level sets that runs programs,
// reads or writes outside of the repository, or weakens a protection, whether
// or not a stronger level overrides it. It is for the caller to act upon.
func RiskyProjectOptions(c *Config) []Risk {
	var out []Risk
	for _, f := range c.files {
		if f.level != Project || f.sibling {
			continue
		}
		for _, e := range f.tree.entries {
			if e.val.sect == nil {
				continue
			}
			if !slices.Contains(namedSections, e.key) {
				out = c.risks(out, f, e.key, e.key, e.val.sect)
				continue
			}
			for _, r := range e.val.sect.entries {
				if r.val.sect != nil {
					out = c.risks(out, f, e.key, e.key+"."+r.key, r.val.sect)
				}
			}
		}
	}
	return out
}

func (c *Config) risks(out []Risk, f *levelFile, word, prefix string, s *section) []Risk {
	for _, e := range s.entries {
		o := option(word, e.key, "*")
		if o == nil {
			continue
		}
		if why, harm := riskOf(o, e.val, f); why != "" {
			out = append(out, Risk{prefix + "." + e.key, RedactValue(e.key, e.val.String()), f.shown, e.val.origin.line, why, harm})
		}
	}
	return out
}

func riskOf(o *Option, n *node, f *levelFile) (string, Harm) {
	value := n.String()
	switch {
	case o.Has(Runs):
		return "runs a program or code", RunsPrograms
	case o.Has(Reads) && outside(value, f):
		return "reads or writes outside of the repository", ReadsFiles
	case o.Type == BoolOrPath && o.Has(Weakens):
		if b, ok := parseBool(value); ok && b {
			return "", 0
		} else if !ok {
			return "trusts other authorities", WeakensProtection
		}
		return "switches a protection off", WeakensProtection
	case o.Type == Bool && o.Has(Weakens):
		// The safe side is the default, and off where there is none but TLS.
		if b, _ := parseBool(value); b != (o.Default != "false") {
			return "switches a protection off", WeakensProtection
		}
	case o.Has(Weakens):
		return "sends credentials to a server of its choice", WeakensProtection
	case o.Has(Secret):
		return "is a secret in a committed file", ShowsSecret
	}
	return "", 0
}
