package repo

import (
	"slices"
	"testing"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/remote"
)

const twoRemotes = `[core]
    remote = store
['remote "store"']
    url = s3://bucket/path
    endpointurl = http://127.0.0.1:1
    region = x
    jobs = 5
    allow_anonymous_login = true
['remote "backup"']
    url = ../backup
['remote "alien"']
    url = oss://bucket/path
`

// The command line's -j goes before the remote's jobs, also above the usual.
func TestRemoteJobs(t *testing.T) {
	p := newProject(t)
	p.write(".dvc/config", twoRemotes)
	r := p.open("")
	for jobs, want := range map[int]int{0: 5, 1: 1, 200: 200} {
		s, _, err := r.openRemoteJobs(t.Context(), "", jobs)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Properties().Concurrency; got != want {
			t.Errorf("-j %d: %d requests at the same time, want %d", jobs, got, want)
		}
		closeStore(s)
	}
}

// Which remotes are read from, in which order.
func TestSources(t *testing.T) {
	for name, c := range map[string]struct {
		read, remote string
		only         bool
		want         []string // nil is one store, no chain
		kind         errs.Kind
	}{
		"no list":         {},
		"the list":        {read: "backup", want: []string{`remote "store"`, `remote "backup"`}},
		"names twice":     {read: "backup, STORE,backup", want: []string{`remote "store"`, `remote "backup"`}},
		"pinned":          {read: "store", remote: "backup", want: []string{`remote "backup"`, `remote "store"`}},
		"named":           {read: "backup", remote: "store", only: true},
		"no driver":       {read: "alien,backup", want: []string{`remote "store"`, `remote "backup"`}},
		"no such":         {read: "nosuch", kind: errs.NotFound},
		"no such, named":  {read: "nosuch", remote: "store", only: true},
		"no such default": {remote: "nosuch", kind: errs.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t)
			p.write(".dvc/config", twoRemotes)
			if c.read != "" {
				p.write(".dvc/config.cairn", "[cairn]\n    read_remotes = \""+c.read+"\"\n")
			}
			s, err := p.open("").openSources(t.Context(), c.remote, 0, c.only)
			if c.kind != errs.Other {
				if !errs.Is(err, c.kind) {
					t.Errorf("got %v of kind %v, want %v", err, errs.KindOf(err), c.kind)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(s)
			chain, ok := s.(*remote.Chain)
			switch {
			case ok != (c.want != nil):
				t.Errorf("a chain: %t", ok)
			case ok && !slices.Equal(chain.Names(), c.want):
				t.Errorf("got %v, want %v", chain.Names(), c.want)
			}
		})
	}
}
