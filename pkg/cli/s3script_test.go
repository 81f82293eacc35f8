package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/remote/s3server"
)

// s3Servers are the servers in this process, by the script that started them.
var s3Servers sync.Map // *testscript.TestScript → *s3server.Memory

// s3Verbs are what a script can do to its server.
var s3Verbs = map[string]func(ts *testscript.TestScript, m *s3server.Memory, args []string){
	"keys": func(ts *testscript.TestScript, m *s3server.Memory, _ []string) {
		fmt.Fprintln(ts.Stdout(), strings.Join(m.Keys(), "\n"))
	},
	"requests": func(ts *testscript.TestScript, m *s3server.Memory, _ []string) {
		for _, r := range m.Requests() {
			fmt.Fprintln(ts.Stdout(), r.Status, r)
		}
	},
	"most": func(ts *testscript.TestScript, m *s3server.Memory, args []string) {
		list := m.Requests()
		if most := s3Int(ts, args, 0); len(list) > most {
			ts.Fatalf("%d requests, want at most %d: %v", len(list), most, list)
		}
	},
	"fail": func(ts *testscript.TestScript, m *s3server.Memory, args []string) {
		m.FailAfter(s3Int(ts, args, 0), s3Int(ts, args, 1))
	},
	"recover": func(_ *testscript.TestScript, m *s3server.Memory, _ []string) { m.Recover() },
	"stop":    func(_ *testscript.TestScript, m *s3server.Memory, _ []string) { m.Close() },
	"damage":  s3Damage,
	"purge": func(ts *testscript.TestScript, m *s3server.Memory, args []string) {
		if len(args) != 1 {
			ts.Fatalf("usage: s3 purge end-of-key")
		}
		ts.Check(m.Purge(context.Background(), s3Key(ts, m, args[0])))
	},
}

// scriptS3 runs an S3 server in the test's process: see the README.
func scriptS3(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: s3 start|stop|keys|requests|most|fail|recover|damage ...")
	}
	if args[0] == "start" {
		s3Start(ts, args[1:])
		return
	}
	m, ok := s3Servers.Load(ts)
	do := s3Verbs[args[0]]
	if !ok || do == nil {
		ts.Fatalf("s3 %s: unknown, or there is no server: s3 start", args[0])
	}
	do(ts, m.(*s3server.Memory), args[1:])
}

func s3Start(ts *testscript.TestScript, args []string) {
	var o s3server.MemoryOptions
	for _, a := range args {
		switch region, isRegion := strings.CutPrefix(a, "-region="); {
		case isRegion:
			o.Region = region
		case a == "-tls":
			o.TLS = true
		case a == "-public":
			o.Public = true
		case a == "-versions":
			o.Versions = true
		default:
			ts.Fatalf("usage: s3 start [-tls] [-public] [-versions] [-region=REGION]")
		}
	}
	m := s3server.NewMemory(o)
	s3Servers.Store(ts, m)
	ts.Defer(func() { m.Close(); s3Servers.Delete(ts) })
	for key, value := range map[string]string{"S3_URL": m.URL, "S3_BUCKET": m.Bucket, "S3_REGION": m.Region, "S3_KEY": m.AccessKey, "S3_SECRET": m.SecretKey} {
		ts.Setenv(key, value)
	}
	if m.Certificate != nil {
		ca := ts.MkAbs("s3-ca.pem")
		ts.Check(os.WriteFile(ca, m.Certificate, 0o666))
		ts.Setenv("S3_CA", ca)
	}
}

func s3Int(ts *testscript.TestScript, args []string, i int) int {
	if i >= len(args) {
		ts.Fatalf("s3: a number is missing")
	}
	n, err := strconv.Atoi(args[i])
	ts.Check(err)
	return n
}

// s3Damage spoils the object with the content of a file, or, by its key's end,
// any other, or by a folder in its key:
// s3 damage flip|cut|longer|html|remove file-or-end-of-key-or-folder/.
func s3Damage(ts *testscript.TestScript, m *s3server.Memory, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: s3 damage flip|cut|longer|html|remove file-or-end-of-key")
	}
	key := s3Key(ts, m, args[1])
	how := map[string]func([]byte) []byte{
		"flip":   func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"cut":    func(b []byte) []byte { return b[:len(b)/2] },
		"longer": func(b []byte) []byte { return append(b, b...) },
		"html":   func([]byte) []byte { return []byte("<html><body>please log in</body></html>") },
	}[args[0]]
	switch {
	case args[0] == "remove":
		ts.Check(m.Delete(key))
	case how == nil:
		ts.Fatalf("s3 damage %s: unknown", args[0])
	default:
		ts.Check(m.Change(key, func(b []byte) []byte { return how(bytes.Clone(b)) }))
	}
}

func s3Key(ts *testscript.TestScript, m *s3server.Memory, what string) string {
	ends := []string{what}
	if b, err := os.ReadFile(ts.MkAbs(what)); err == nil {
		ends = []string{object.Sum(object.MD5, b).Key(), object.Sum(object.BLAKE3, b).Key()}
	}
	for _, k := range m.Keys() {
		for _, end := range ends {
			if strings.HasSuffix(k, end) || strings.HasSuffix(end, "/") && strings.Contains(k, end) {
				return k
			}
		}
	}
	ts.Fatalf("s3: no object of %s; the server has %v", what, m.Keys())
	return ""
}
