package remote

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/cairndata/cairn/pkg/errs"
)

// sshHostKeys decides whether a server is the one it claims to be, by the
// known_hosts files, as ssh does.
type sshHostKeys struct {
	o     *sshTarget
	known []knownKey // of this host

	// suspect is set for a changed key that StrictHostKeyChecking=no lets
	// pass: no password is sent to such a server.
	suspect bool
}

// knownKey is a line of known_hosts that is about the host.
type knownKey struct {
	file      string
	line      int
	key       ssh.PublicKey
	authority bool // @cert-authority
	revoked   bool // @revoked
	portless  bool // found without the port, which counts less
}

// readHostKeys reads what is known of o's host. Lines that cannot be read are
// passed over, as ssh does.
func readHostKeys(o *sshTarget) (*sshHostKeys, error) {
	h := &sshHostKeys{o: o}
	for _, path := range slices.Concat(o.knownHosts, o.globalHosts) {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, &errs.Error{Kind: errs.Config, Err: err}
		}
		n := 0
		for line := range bytes.Lines(b) {
			n++
			if len(bytes.TrimSpace(line)) == 0 || bytes.TrimSpace(line)[0] == '#' {
				continue
			}
			marker, hosts, key, _, _, err := ssh.ParseKnownHosts(line)
			if err != nil {
				continue
			}
			k := knownKey{file: path, line: n, key: key, authority: marker == "cert-authority", revoked: marker == "revoked"}
			switch {
			case matchKnown(o.knownName(), hosts):
			case o.hostKeyAlias == "" && o.port != "22" && matchKnown(strings.ToLower(o.host), hosts):
				k.portless = true
			default:
				continue
			}
			h.known = append(h.known, k)
		}
	}
	return h, nil
}

// matchKnown matches the host field of a line: patterns, or one hash.
func matchKnown(name string, hosts []string) bool {
	if len(hosts) == 1 && strings.HasPrefix(hosts[0], "|1|") {
		salt, sum, ok := strings.Cut(hosts[0][3:], "|")
		s, err1 := base64.StdEncoding.DecodeString(salt)
		want, err2 := base64.StdEncoding.DecodeString(sum)
		if !ok || err1 != nil || err2 != nil {
			return false
		}
		return hmac.Equal(want, hashKnown(s, name))
	}
	return matchPatterns(name, hosts)
}

func hashKnown(salt []byte, name string) []byte {
	m := hmac.New(sha1.New, salt)
	m.Write([]byte(name))
	return m.Sum(nil)
}

// algorithms orders the kinds of host key, those that are known first, so
// that the server shows a key that can be compared.
func (h *sshHostKeys) algorithms(all []string) []string {
	var first, rest []string
	for _, a := range all {
		isCert := strings.Contains(a, "-cert-v01@")
		kind := a
		if a == ssh.KeyAlgoRSASHA256 || a == ssh.KeyAlgoRSASHA512 {
			kind = ssh.KeyAlgoRSA
		}
		known := slices.ContainsFunc(h.known, func(k knownKey) bool {
			return k.authority && isCert || !k.authority && !k.revoked && !isCert && k.key.Type() == kind
		})
		switch {
		case known:
			first = append(first, a)
		case !isCert: // a certificate without a known authority proves nothing
			rest = append(rest, a)
		}
	}
	return append(first, rest...)
}

// check is an ssh.HostKeyCallback.
func (h *sshHostKeys) check(_ string, _ net.Addr, key ssh.PublicKey) error {
	cert, _ := key.(*ssh.Certificate)
	plain := key
	if cert != nil {
		plain = cert.Key
	}
	for _, k := range h.known {
		if k.revoked && (sameKey(k.key, plain) || cert != nil && sameKey(k.key, cert.SignatureKey)) {
			return h.refuse("its key is marked as revoked in %s, line %d", "Ask who runs the server for its new key.", k.file, k.line)
		}
	}
	if cert != nil {
		checker := &ssh.CertChecker{IsHostAuthority: func(auth ssh.PublicKey, _ string) bool {
			return slices.ContainsFunc(h.known, func(k knownKey) bool { return k.authority && sameKey(k.key, auth) })
		}}
		name := h.o.hostKeyAlias
		if name == "" {
			name = h.o.host
		}
		err := checker.CheckHostKey(net.JoinHostPort(name, h.o.port), nil, key)
		if err == nil {
			return nil
		}
		return h.refuse("its certificate is not valid here: %s", "Check the @cert-authority lines of known_hosts.", oneLine(err.Error()))
	}
	var other *knownKey
	for i, k := range h.known {
		if k.authority || k.revoked {
			continue
		}
		if sameKey(k.key, key) {
			return nil
		}
		if !k.portless && (other == nil || other.key.Type() != key.Type()) {
			other = &h.known[i]
		}
	}
	print := key.Type() + " " + ssh.FingerprintSHA256(key)
	if other != nil {
		if h.o.strict == "no" {
			h.suspect = true
			return nil
		}
		return h.refuse("its key is %s, but %s, line %d has another one",
			"If the server was set up anew: ssh-keygen -f %q -R %q, then log in once with ssh. If not, somebody may stand between.",
			print, other.file, other.line, other.file, h.o.knownName())
	}
	switch h.o.strict {
	case "no", "accept-new":
		h.remember(key)
		return nil
	}
	file := "known_hosts"
	if len(h.o.knownHosts) > 0 {
		file = h.o.knownHosts[0]
	}
	return h.refuse("its key, %s, is not in %s", "Log in once with: %s, and compare the key.", print, file, h.o.command())
}

// refuse makes the error; the last arguments are the hint's.
func (h *sshHostKeys) refuse(format, hint string, args ...any) error {
	n := strings.Count(format, "%")
	return errs.WithHint(errs.New(errs.Config, "host %s is not trusted: "+format, append([]any{h.o.knownName()}, args[:n]...)...), hint, args[n:]...)
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// remember adds a key to the user's file. As with ssh, that it cannot is no
// reason to fail.
func (h *sshHostKeys) remember(key ssh.PublicKey) {
	if len(h.o.knownHosts) == 0 {
		return
	}
	path := h.o.knownHosts[0]
	name := h.o.knownName()
	if h.o.hashNames {
		salt := make([]byte, sha1.Size)
		_, _ = rand.Read(salt)
		name = "|1|" + base64.StdEncoding.EncodeToString(salt) + "|" + base64.StdEncoding.EncodeToString(hashKnown(salt, name))
	}
	_ = os.MkdirAll(filepath.Dir(path), 0o700)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	line := name + " " + string(ssh.MarshalAuthorizedKey(key))
	if fi, err := f.Stat(); err == nil && fi.Size() > 0 {
		var last [1]byte
		if _, err := f.ReadAt(last[:], fi.Size()-1); err == nil && last[0] != '\n' {
			line = "\n" + line
		}
	}
	// One write, which other programs' lines do not come between.
	_, _ = f.WriteString(line)
	h.known = append(h.known, knownKey{file: path, key: key})
}

// knownName is the host as known_hosts has it.
func (o *sshTarget) knownName() string {
	if o.hostKeyAlias != "" {
		return strings.ToLower(o.hostKeyAlias)
	}
	host := strings.ToLower(o.host)
	if o.port == "22" {
		return host
	}
	return "[" + host + "]:" + o.port
}

// command is how the user reaches the host by hand.
func (o *sshTarget) command() string {
	var b strings.Builder
	b.WriteString("ssh ")
	if p, err := strconv.Atoi(o.port); err == nil && p != 22 && o.portAsked {
		b.WriteString("-p " + o.port + " ")
	}
	b.WriteString(o.user + "@" + o.alias)
	return b.String()
}
