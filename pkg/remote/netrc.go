package remote

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// netrcMost bounds what is read of a netrc file.
const netrcMost = 1 << 20

// netrcLogin is the login that the user's netrc file has for a host: that of the
// variable NETRC, or .netrc in the home folder. What cannot be read has none.
func netrcLogin(env Env, host string) (user, password string, ok bool) {
	name := env.getenv("NETRC")
	if name == "" {
		if env.Home == "" {
			return "", "", false
		}
		base := ".netrc"
		if runtime.GOOS == "windows" {
			base = "_netrc"
		}
		name = filepath.Join(env.Home, base)
	}
	st, err := os.Stat(name)
	if err != nil || !st.Mode().IsRegular() || st.Size() > netrcMost {
		return "", "", false
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", "", false
	}
	return parseNetrc(string(text), host)
}

// parseNetrc finds a host's login, or else the one for all hosts.
func parseNetrc(text, host string) (user, password string, ok bool) {
	words := netrcWords(text)
	next := func() string {
		if len(words) == 0 {
			return ""
		}
		w := words[0]
		words = words[1:]
		return w
	}
	var login, account, secret string
	mine, found, exact := false, false, false
	keep := func() {
		if !mine {
			return
		}
		if login == "" {
			login = account
		}
		user, password, found = login, secret, true
	}
	for len(words) > 0 {
		switch next() {
		case "machine":
			keep()
			mine, login, account, secret = false, "", "", ""
			if name := next(); !exact && strings.EqualFold(name, host) {
				mine, exact = true, true
			}
		case "default":
			keep()
			mine, login, account, secret = !exact && !found, "", "", ""
		case "login", "user":
			login = next()
		case "account":
			account = next()
		case "password":
			secret = next()
		}
	}
	keep()
	return user, password, found
}

// netrcWords splits a netrc file. Macros, up to an empty line, and comments are
// left out; a word may be quoted, and a backslash takes what follows as it is.
func netrcWords(text string) []string {
	var words []string
	inMacro := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if inMacro {
			inMacro = line != ""
			continue
		}
		for line != "" {
			var w strings.Builder
			quoted, i := line[0] == '"', 0
			if quoted {
				i = 1
			} else if line[0] == '#' && (len(words) == 0 || words[len(words)-1] != "password") {
				break
			}
			for ; i < len(line); i++ {
				c := line[i]
				if quoted && c == '"' || !quoted && (c == ' ' || c == '\t') {
					break
				}
				if c == '\\' && i+1 < len(line) {
					i++
					c = line[i]
				}
				w.WriteByte(c)
			}
			line = strings.TrimLeft(line[min(i+1, len(line)):], " \t")
			if w.String() == "macdef" && !quoted {
				inMacro = true
				break
			}
			words = append(words, w.String())
		}
	}
	return words
}
