package webserver

import (
	"crypto/rand"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/webdav"
)

// Owner is what a server lives in: a test, or a script of one.
type Owner interface {
	TempDir() string
	Cleanup(f func())
	Fatal(args ...any)
}

// Options of a server in the process. The zero value is plain http, open to
// all.
type Options struct {
	Login Login // how to log in
	TLS   bool  // https, with HTTP/2 and a certificate that nobody trusts yet

	// Wrap comes before everything but the counting.
	Wrap func(http.Handler) http.Handler
}

// Server is one that runs in the process until its test ends.
type Server struct {
	URL            string // with scheme and the loopback host, without a path
	Dir            string // where the files lie
	User, Password string
	Header         string // of LoginHeader
	Certificate    string // file with the server's certificate; "" without TLS

	opts  Options
	login *guard

	mu       sync.Mutex
	requests []Request
}

// Request is one that the server got.
type Request struct {
	Method string
	Path   string // unescaped
	Status int    // of the answer
	Header http.Header
	Host   string
	Proto  string
}

// String is for tests that compare: "PUT /key 201".
func (r Request) String() string { return r.Method + " " + r.Path }

// Requests returns what came since the last call, in the order of the answers.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.requests
	s.requests = nil
	return list
}

// Keys lists the files, sorted, with slashes.
func (s *Server) Keys() []string {
	var keys []string
	_ = filepath.WalkDir(s.Dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(s.Dir, p)
			keys = append(keys, filepath.ToSlash(rel))
		}
		return nil
	})
	slices.Sort(keys)
	return keys
}

// NewFiles starts a web server of files. It takes PUT, POST and DELETE, and
// replaces a file by a rename. It lists nothing.
func NewFiles(t Owner, o Options) *Server {
	s := &Server{Dir: t.TempDir(), opts: o}
	s.start(t, http.HandlerFunc(s.files))
	return s
}

// NewDAV starts a WebDAV server, which writes a PUT straight to its name and
// removes what a MOVE replaces before it moves.
func NewDAV(t Owner, o Options) *Server {
	s := &Server{Dir: t.TempDir(), opts: o}
	s.start(t, &webdav.Handler{FileSystem: webdav.Dir(s.Dir), LockSystem: webdav.NewMemLS()})
	return s
}

func (s *Server) start(t Owner, h http.Handler) {
	s.User, s.Password, s.Header = "user", "pass word/"+rand.Text()[:8], "X-Secret-Login"
	s.login = newGuard(s)
	h = s.login.wrap(h)
	if s.opts.Wrap != nil {
		h = s.opts.Wrap(h)
	}
	srv := httptest.NewUnstartedServer(s.count(h))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that distrust the certificate, and aborted uploads
	if s.opts.TLS {
		srv.EnableHTTP2 = true
		srv.StartTLS()
		s.Certificate = filepath.Join(t.TempDir(), "ca.pem")
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
		if err := os.WriteFile(s.Certificate, block, 0o600); err != nil {
			t.Fatal(err)
		}
	} else {
		srv.Start()
	}
	s.URL = srv.URL
	t.Cleanup(srv.Close)
}

func (s *Server) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.requests = append(s.requests, Request{r.Method, r.URL.Path, rec.status, r.Header, r.Host, r.Proto})
		}()
		next.ServeHTTP(rec, r)
	})
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// files is the handler of NewFiles.
func (s *Server) files(w http.ResponseWriter, r *http.Request) {
	name := filepath.Join(s.Dir, filepath.FromSlash(path.Clean("/"+r.URL.Path)))
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		f, err := os.Open(name)
		if err != nil {
			http.Error(w, "no", http.StatusNotFound)
			return
		}
		defer f.Close()
		fi, err := f.Stat()
		if err != nil || fi.IsDir() {
			http.Error(w, "no", http.StatusNotFound)
			return
		}
		w.Header().Set("ETag", etag(fi))
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", fi.ModTime(), f)
	case http.MethodPut, http.MethodPost:
		if err := s.store(name, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
	case http.MethodDelete:
		if err := os.Remove(name); os.IsNotExist(err) {
			http.Error(w, "no", http.StatusNotFound)
			return
		} else if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		http.Error(w, "no", http.StatusMethodNotAllowed)
	}
}

func (s *Server) store(name string, body io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".upload-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = io.Copy(f, body)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

func etag(fi os.FileInfo) string {
	return `"` + strings.ToLower(strings.ReplaceAll(fi.ModTime().UTC().Format("150405.000000000"), ".", "")) + `-` + itoa(fi.Size()) + `"`
}
