package sshserver

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/crypto/ssh"
)

// Server is how to reach a server that runs.
type Server struct {
	Host string
	Port string
	User string
	Dir  string // a folder for the server's files, empty at first

	HostKey ssh.PublicKey
	Home    string // a home folder whose known_hosts has the host's key
	KeyFile string // a private key that is let in, in no usual place
}

// TB is what the servers need of a test: a *testing.T, or a script.
type TB interface {
	Helper()
	Fatal(args ...any)
	TempDir() string
	Cleanup(f func())
}

// newServer makes keys and folders below dir.
func newServer(t TB, user string) (*Server, ssh.Signer, ssh.PublicKey) {
	t.Helper()
	dir := t.TempDir()
	s := &Server{Host: "127.0.0.1", User: user, Dir: filepath.Join(dir, "files"), Home: filepath.Join(dir, "home"), KeyFile: filepath.Join(dir, "client")}
	for _, d := range []string{s.Dir, filepath.Join(s.Home, ".ssh")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	host := WriteKey(t, filepath.Join(dir, "host"), "")
	s.HostKey = host.PublicKey()
	return s, host, WriteKey(t, s.KeyFile, "").PublicKey()
}

// WriteKey makes an ed25519 key in a file, encrypted if there is a pass
// phrase, with the public half beside it.
func WriteKey(t TB, path, passphrase string) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return WritePrivateKey(t, path, passphrase, key)
}

// WritePrivateKey writes a key of any kind, as WriteKey does.
func WritePrivateKey(t TB, path, passphrase string, key any) ssh.Signer {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "test")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(pem.EncodeToMemory(block)))
	write(t, path+".pub", string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	return signer
}

func write(t TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// at sets the address and makes the host known.
func (s *Server) at(t TB, addr net.Addr) {
	s.Port = strconv.Itoa(addr.(*net.TCPAddr).Port)
	write(t, filepath.Join(s.Home, ".ssh", "known_hosts"), s.KnownHost(s.HostKey))
}

// KnownHost is a line of known_hosts.
func (s *Server) KnownHost(key ssh.PublicKey) string {
	return fmt.Sprintf("[%s]:%s %s", s.Host, s.Port, ssh.MarshalAuthorizedKey(key))
}

// URL is the address of a folder below Dir.
func (s *Server) URL(sub string) string {
	return fmt.Sprintf("ssh://%s@%s:%s%s", s.User, s.Host, s.Port, filepath.ToSlash(filepath.Join(s.Dir, sub)))
}

// Options are those of a cairn or DVC remote that logs in with the key.
func (s *Server) Options() map[string]string { return map[string]string{"keyfile": s.KeyFile} }
