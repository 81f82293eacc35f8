package remote

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseNetrc(t *testing.T) {
	t.Parallel()
	const text = "# mine\nmachine a.example login u password p\nmachine b.example\n\tpassword \"p w\\\"\"\n\tlogin me # why\nmacdef init\nmachine evil login x password y\n\nmachine c.example account acc password #1\ndefault login any password all\nmachine d.example login late password q\n"
	for host, want := range map[string]string{
		"a.example": "u:p", "A.Example": "u:p", "b.example": `me:p w"`, "c.example": "acc:#1", "evil": "any:all", "d.example": "late:q", "": "any:all",
	} {
		user, password, ok := parseNetrc(text, host)
		if got := user + ":" + password; !ok || got != want {
			t.Errorf("%s: %q, %v; want %q", host, got, ok, want)
		}
	}
	if _, _, ok := parseNetrc("machine a login u password p", "b"); ok {
		t.Error("a login for nobody")
	}
}

func FuzzParseNetrc(f *testing.F) {
	f.Add("machine h login u password p\nmacdef x\n\ndefault", "h")
	f.Fuzz(func(t *testing.T, text, host string) { parseNetrc(text, host) })
}

// What netrc says of a host is sent to it, unless the remote says otherwise.
func TestHTTPNetrc(t *testing.T) {
	t.Parallel()
	var got string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, p, _ := r.BasicAuth()
		got = u + ":" + p
	}))
	defer srv.Close()
	home := t.TempDir()
	name := filepath.Join(home, ".netrc")
	if err := os.WriteFile(name, []byte("machine 127.0.0.1 login me password secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		options map[string]string
		url     string
		env     Env
		want    string
	}{
		{nil, srv.URL, Env{Home: home}, "me:secret"},
		{nil, srv.URL, Env{Getenv: func(k string) string { return map[string]string{"NETRC": name}[k] }}, "me:secret"},
		{nil, srv.URL, Env{}, ":"},
		{map[string]string{"auth": "basic", "user": "u", "password": "p"}, srv.URL, Env{Home: home}, "u:p"},
		{nil, strings.Replace(srv.URL, "://", "://x:y@", 1), Env{Home: home}, "x:y"},
	} {
		b, err := OpenBackend(t.Context(), Config{Name: "r", URL: c.url, Options: c.options}, c.env)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Stat(t.Context(), "k"); err != nil {
			t.Error(err)
		}
		if got != c.want {
			t.Errorf("%v: sent %q, want %q", c, got, c.want)
		}
		b.Close()
	}
}
