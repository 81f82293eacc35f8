package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/cairndata/cairn/pkg/errs"
)

// sshMemory keeps what the user typed, for further connections.
type sshMemory struct {
	mu      sync.Mutex
	answers map[string]string
	asked   map[string]int
}

// ask asks the user once. Only one question is asked at a time.
func (d *sshDialer) ask(ctx context.Context, limit *dialLimit, text string) (string, error) {
	d.memory.mu.Lock()
	defer d.memory.mu.Unlock()
	if a, ok := d.memory.answers[text]; ok {
		return a, nil
	}
	a, err := d.promptLocked(ctx, limit, text, false)
	if err == nil {
		if d.memory.answers == nil {
			d.memory.answers = map[string]string{}
		}
		d.memory.answers[text] = a
	}
	return a, err
}

// forget has ask ask again.
func (d *sshDialer) forget(text string) {
	d.memory.mu.Lock()
	defer d.memory.mu.Unlock()
	delete(d.memory.answers, text)
}

// prompt asks each time.
func (d *sshDialer) prompt(ctx context.Context, limit *dialLimit, text string, echo bool) (string, error) {
	d.memory.mu.Lock()
	defer d.memory.mu.Unlock()
	return d.promptLocked(ctx, limit, text, echo)
}

func (d *sshDialer) promptLocked(ctx context.Context, limit *dialLimit, text string, echo bool) (string, error) {
	limit.rest()
	defer limit.feed()
	// A terminal may remember what it was told. A question that comes again
	// is another one: what was typed was wrong, or is of no use twice.
	n := d.memory.asked[text]
	if d.memory.asked == nil {
		d.memory.asked = map[string]int{}
	}
	d.memory.asked[text] = n + 1
	return d.env.Prompt(ctx, text+strings.Repeat(" ", n), echo)
}

// canAsk reports whether there is somebody to be asked.
func (d *sshDialer) canAsk() bool { return d.env.Prompt != nil }

// sshLogin is one attempt to log in.
type sshLogin struct {
	d      *sshDialer
	o      *sshTarget
	ctx    context.Context
	limit  *dialLimit
	config *ssh.ClientConfig
	hosts  *sshHostKeys
	agent  net.Conn
	heard  *heardConn

	password, passphrase string
	asked                bool // for what must be asked again next time

	err   error    // ours, of which the library tells the text at most
	notes []string // why keys were left out
	keys  int      // that were offered
}

// login prepares logging in to o: reads what is known of its key, and asks for
// what the remote's options want asked.
func (d *sshDialer) login(ctx context.Context, o *sshTarget, limit *dialLimit) (*sshLogin, error) {
	l := &sshLogin{d: d, o: o, ctx: ctx, limit: limit}
	var err error
	if l.hosts, err = readHostKeys(o); err != nil {
		return nil, err
	}
	if o.final {
		l.password, l.passphrase = d.o.password, d.o.passphrase
		for _, a := range []struct {
			option string
			want   bool
			to     *string
		}{{"password", d.o.askPassword, &l.password}, {"passphrase", d.o.askPassphrase, &l.passphrase}} {
			if !a.want || *a.to != "" {
				continue
			}
			if !d.canAsk() {
				return nil, errs.WithHint(errs.New(errs.Config, "option \"ask_%s\" is set, but there is no terminal to ask on", a.option),
					"Set it in the file that is not shared: cairn remote modify --local %s %s ...", d.name, a.option)
			}
			if *a.to, err = d.ask(ctx, limit, d.question(a.option)); err != nil {
				return nil, err
			}
		}
	}
	methods, err := l.methods()
	if err != nil {
		return nil, err
	}
	hostKeys := o.hostKeys
	if hostKeys == nil {
		hostKeys = ssh.SupportedAlgorithms().HostKeys
	}
	l.config = &ssh.ClientConfig{
		Config:            ssh.Config{KeyExchanges: o.kex, Ciphers: o.ciphers, MACs: o.macs},
		User:              o.user,
		Auth:              methods,
		HostKeyAlgorithms: l.hosts.algorithms(hostKeys),
		HostKeyCallback: func(host string, addr net.Addr, key ssh.PublicKey) error {
			return l.keep(l.hosts.check(host, addr, key))
		},
		ClientVersion: "SSH-2.0-cairn",
	}
	return l, nil
}

// question is DVC's.
func (d *sshDialer) question(what string) string {
	who := d.o.host
	if d.o.user != "" {
		who = d.o.user + "@" + who
	}
	if d.o.port != "" {
		who += ":" + d.o.port
	}
	return "Enter a " + what + " for " + who + ":\n"
}

func (l *sshLogin) close() {
	if l.agent != nil {
		_ = l.agent.Close()
	}
}

// keep remembers an error of ours.
func (l *sshLogin) keep(err error) error {
	if err != nil && l.err == nil {
		l.err = err
	}
	return err
}

// methods are the ways to log in. As with DVC, an explicit password or key
// leaves out the others.
func (l *sshLogin) methods() ([]ssh.AuthMethod, error) {
	o := l.o
	own := o.final && (l.d.o.keyFile != "" || l.passphrase != "")
	usePassword := o.final && l.password != ""
	var list []ssh.AuthMethod
	for _, m := range o.methods {
		switch m {
		case "publickey":
			if usePassword && !own {
				continue
			}
			signers, err := l.signers()
			if err != nil {
				return nil, err
			}
			if l.keys = len(signers); l.keys > 0 {
				list = append(list, ssh.PublicKeys(signers...))
			}
		case "keyboard-interactive":
			switch {
			case usePassword:
				list = append(list, ssh.KeyboardInteractive(l.challenge))
			case l.d.canAsk() && !own:
				list = append(list, ssh.RetryableAuthMethod(ssh.KeyboardInteractive(l.challenge), passwordTries))
			}
		case "password":
			switch {
			case usePassword:
				list = append(list, ssh.PasswordCallback(func() (string, error) { return l.password, l.safe() }))
			case l.d.canAsk() && !own:
				list = append(list, ssh.RetryableAuthMethod(ssh.PasswordCallback(func() (string, error) {
					if err := l.safe(); err != nil {
						return "", err
					}
					l.asked = true
					answer, err := l.d.prompt(l.ctx, l.limit, fmt.Sprintf("%s@%s's password: ", o.user, o.alias), false)
					return answer, l.keep(err)
				}), passwordTries))
			}
		}
	}
	return list, nil
}

const passwordTries = 3

// safe refuses to tell a password to a server with another key than known.
func (l *sshLogin) safe() error {
	if l.hosts.suspect {
		return l.keep(errs.New(errs.Config, "host %s has another key than known_hosts says: no password is sent to it", l.o.knownName()))
	}
	return nil
}

// challenge answers a server's questions.
func (l *sshLogin) challenge(name, instruction string, questions []string, echos []bool) ([]string, error) {
	answers := make([]string, len(questions))
	if len(questions) == 0 {
		return answers, nil
	}
	if err := l.safe(); err != nil {
		return nil, err
	}
	if l.o.final && l.password != "" && len(questions) == 1 && !echos[0] {
		answers[0] = l.password
		return answers, nil
	}
	if !l.d.canAsk() {
		return nil, l.keep(errs.New(errs.Denied, "the server asks %q, and there is no terminal to answer on", questions[0]))
	}
	l.asked = true
	for i, q := range questions {
		before := ""
		if i == 0 && name+instruction != "" {
			before = strings.TrimSpace(name+"\n"+instruction) + "\n"
		}
		var err error
		if answers[i], err = l.d.prompt(l.ctx, l.limit, fmt.Sprintf("%s(%s@%s) %s", before, l.o.user, l.o.alias, q), echos[i]); err != nil {
			return nil, l.keep(err)
		}
	}
	return answers, nil
}

// signers are the keys to offer: the remote's key file, or those of the agent
// and ssh_config's or the usual files.
func (l *sshLogin) signers() ([]ssh.Signer, error) {
	if l.o.final && l.d.o.keyFile != "" {
		list, err := l.fromFile(l.d.o.keyFile, true)
		if err == nil && len(list) == 0 {
			err = errs.New(errs.Config, "key file %q holds no private key", l.d.o.keyFile)
		}
		return list, err
	}
	var files []ssh.Signer
	for _, path := range l.o.identities {
		list, err := l.fromFile(path, false)
		if err != nil {
			return nil, err
		}
		files = append(files, list...)
	}
	var held []ssh.Signer
	if l.o.agent != "" && !(l.o.final && l.d.o.noAgent) {
		if conn, err := net.Dial("unix", l.o.agent); err == nil {
			l.agent = conn
			if held, err = agent.NewClient(conn).Signers(); err != nil {
				l.notes = append(l.notes, "the agent gives no keys: "+oneLine(err.Error()))
			}
		} else {
			l.notes = append(l.notes, "the agent does not answer")
		}
	}
	// The agent's keys that files name come first, then its others, then
	// files that it does not hold.
	var named, others, rest []ssh.Signer
	for _, f := range files {
		i := slices.IndexFunc(held, func(h ssh.Signer) bool { return sameKey(h.PublicKey(), f.PublicKey()) })
		if i >= 0 {
			named = append(named, held[i])
			held = slices.Delete(held, i, i+1)
		} else if _, only := f.(publicOnly); !only {
			rest = append(rest, f)
		}
	}
	if !l.o.identitiesOnly {
		others = held
	}
	return slices.Concat(named, others, rest), nil
}

// publicOnly is a key of which only the public half is at hand.
type publicOnly struct{ pub ssh.PublicKey }

func (p publicOnly) PublicKey() ssh.PublicKey { return p.pub }
func (p publicOnly) Sign(io.Reader, []byte) (*ssh.Signature, error) {
	return nil, errors.New("there is no private key")
}

// fromFile reads a private key, and the certificate beside it. A file that
// was not asked for by name may be missing or of no use.
func (l *sshLogin) fromFile(path string, must bool) ([]ssh.Signer, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		if must {
			return nil, &errs.Error{Kind: errs.Config, Msg: "key file", Err: err}
		}
		if pub := readPublicKey(path + ".pub"); pub != nil {
			return []ssh.Signer{publicOnly{pub}}, nil
		}
		return nil, nil
	}
	signer, err := l.parseKey(path, b, must)
	if err != nil || signer == nil {
		return nil, err
	}
	list := []ssh.Signer{signer}
	certs := l.o.certificates
	if must || len(certs) == 0 {
		certs = []string{path + "-cert.pub"}
	}
	for _, c := range certs {
		cert, ok := readPublicKey(c).(*ssh.Certificate)
		if !ok || !sameKey(cert.Key, signer.PublicKey()) {
			continue
		}
		if s, err := ssh.NewCertSigner(cert, signer); err == nil {
			list = slices.Insert(list, 0, s)
		}
	}
	return list, nil
}

func (l *sshLogin) parseKey(path string, b []byte, must bool) (ssh.Signer, error) {
	signer, err := ssh.ParsePrivateKey(b)
	if err == nil {
		return signer, nil
	}
	locked, isLocked := errors.AsType[*ssh.PassphraseMissingError](err)
	if !isLocked {
		if pub, _, _, _, perr := ssh.ParseAuthorizedKey(b); perr == nil && !must {
			return publicOnly{pub}, nil
		}
		if must {
			return nil, errs.WithHint(errs.New(errs.Config, "key file %q: %s", path, oneLine(err.Error())),
				"If it is a private key in another format: ssh-keygen -p -f %q rewrites it in OpenSSH's.", path)
		}
		l.notes = append(l.notes, fmt.Sprintf("%s cannot be read as a key", path))
		return nil, nil
	}
	pub := locked.PublicKey
	if pub == nil {
		pub = readPublicKey(path + ".pub")
	}
	if l.passphrase == "" && !l.d.canAsk() {
		if must {
			return nil, errs.WithHint(errs.New(errs.Denied, "key file %q needs its pass phrase", path),
				"cairn remote modify --local %s passphrase ..., or add the key to an agent with ssh-add.", l.d.name)
		}
		l.notes = append(l.notes, fmt.Sprintf("%s needs its pass phrase", path))
		if pub != nil {
			return publicOnly{pub}, nil // the agent may hold it
		}
		return nil, nil
	}
	lazy := &lockedKey{l: l, path: path, pem: b, pub: pub}
	if pub == nil {
		// An old format: who it belongs to is known when it is open.
		if err := lazy.open(); err != nil {
			return nil, err
		}
		lazy.pub = lazy.signer.PublicKey()
	}
	return lazy, nil
}

func readPublicKey(path string) ssh.PublicKey {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	pub, _, _, _, err := ssh.ParseAuthorizedKey(b)
	if err != nil {
		return nil
	}
	return pub
}

// lockedKey is a key that is opened when a server wants it: not before, since
// opening takes the user's time, and a tenth of a second of the machine's.
type lockedKey struct {
	l      *sshLogin
	path   string
	pem    []byte
	pub    ssh.PublicKey
	signer ssh.Signer
}

var _ ssh.AlgorithmSigner = (*lockedKey)(nil)

func (k *lockedKey) PublicKey() ssh.PublicKey { return k.pub }

func (k *lockedKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(rand, data, k.pub.Type())
}

func (k *lockedKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if err := k.open(); err != nil {
		return nil, err
	}
	if s, ok := k.signer.(ssh.AlgorithmSigner); ok {
		return s.SignWithAlgorithm(rand, data, algorithm)
	}
	return k.signer.Sign(rand, data)
}

func (k *lockedKey) open() error {
	if k.signer != nil {
		return nil
	}
	l := k.l
	signer, err := k.parse()
	if err != nil {
		return l.keep(err)
	}
	if k.pub != nil && !bytes.Equal(signer.PublicKey().Marshal(), k.pub.Marshal()) {
		return l.keep(errs.New(errs.Config, "key file %q does not belong to %s.pub", k.path, k.path))
	}
	k.signer = signer
	return nil
}

func (k *lockedKey) parse() (ssh.Signer, error) {
	wrong := errs.New(errs.Denied, "key file %q: the pass phrase is wrong", k.path)
	if k.l.passphrase != "" {
		signer, err := ssh.ParsePrivateKeyWithPassphrase(k.pem, []byte(k.l.passphrase))
		if err != nil {
			return nil, wrong
		}
		return signer, nil
	}
	question := fmt.Sprintf("Enter passphrase for key %q: ", k.path)
	for range passwordTries {
		phrase, err := k.l.d.ask(k.l.ctx, k.l.limit, question)
		if err != nil {
			return nil, err
		}
		if signer, err := ssh.ParsePrivateKeyWithPassphrase(k.pem, []byte(phrase)); err == nil {
			return signer, nil
		}
		k.l.d.forget(question)
	}
	return nil, wrong
}

// explain gives a failure of the handshake its class and a remedy.
func (l *sshLogin) explain(err error) error {
	if l.err != nil {
		return l.err
	}
	if e, ok := errors.AsType[*errs.Error](err); ok {
		return e // of what carries the connection
	}
	if l.ctx.Err() != nil {
		return l.ctx.Err()
	}
	text := oneLine(err.Error())
	switch {
	case strings.Contains(text, "unable to authenticate"), strings.Contains(text, "Too many authentication failures"):
		return l.refused()
	case strings.Contains(text, "no common algorithm"):
		return errs.WithHint(errs.New(errs.Config, "%s", strings.TrimPrefix(text, "ssh: handshake failed: ssh: ")),
			"For an old server, name what it has in ~/.ssh/config: KexAlgorithms, Ciphers, MACs or HostKeyAlgorithms with a +.")
	}
	if rest, ok := strings.CutPrefix(text, "ssh: handshake failed: "); ok {
		text = rest
	}
	if text == "EOF" {
		text = "the server ended the connection before the login"
	}
	if head := l.heard.head; len(head) > 0 && !bytes.Contains(head, []byte("SSH-")) {
		return errs.WithHint(errs.New(errs.Config, "what answers at %s is not an SSH server", l.o.addr()), "Check host and port of the remote's address.")
	}
	return errs.New(errs.Unavailable, "%s", text)
}

// refused says what was tried in vain.
func (l *sshLogin) refused() error {
	var tried []string
	if l.keys > 0 {
		tried = append(tried, fmt.Sprintf("%d %s", l.keys, map[bool]string{true: "key", false: "keys"}[l.keys == 1]))
	}
	if l.o.final && l.password != "" {
		tried = append(tried, "the password")
	} else if l.asked {
		tried = append(tried, "what was typed")
	}
	what := strings.Join(tried, ", ")
	if what == "" {
		what = "no key or password at hand"
	}
	if len(l.notes) > 0 {
		what += "; " + strings.Join(l.notes, "; ")
	}
	return errs.WithHint(errs.New(errs.Denied, "the server refuses user %q (%s)", l.o.user, what),
		"Check user, keyfile or password of the remote, the agent's keys (ssh-add -l), or by hand: %s", l.o.command())
}

// oneLine keeps foreign text to a line of decent length.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "..."
	}
	return s
}
