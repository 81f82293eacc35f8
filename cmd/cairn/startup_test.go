package main

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// What every start may cost before main runs, used or not. The figures are
// counts of the runtime's, the same on every machine; they are raised with a
// reason only, and the reason is not that an SDK was handy.
const (
	mostInitBytes  = 900_000 // of all packages; measured 862,000, of which Amazon's client and logins 560,000
	mostInitAllocs = 7_100   // measured 6,780
	mostOwnBytes   = 4_096   // of one package of cairn's own; the largest takes 1,200
	mostOwnAllocs  = 48
)

// heavy are modules that were linked once, by way of another, and cost more
// than they gave.
var heavy = []string{"google.golang.org/grpc", "google.golang.org/protobuf", "go.opentelemetry.io/", "gocloud.dev", "github.com/apache/arrow"}

// The test program is the command with package testing.
func TestInitIsCheap(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^$")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	initLine := regexp.MustCompile(`(?m)^init (\S+) @\S+ ms, \S+ ms clock, (\d+) bytes, (\d+) allocs$`)
	var bytes, allocs, packages int
	for _, m := range initLine.FindAllStringSubmatch(string(out), -1) {
		pkg := m[1]
		b, _ := strconv.Atoi(m[2])
		n, _ := strconv.Atoi(m[3])
		bytes, allocs, packages = bytes+b, allocs+n, packages+1
		if strings.Contains(pkg, "cairndata/cairn/") && (b > mostOwnBytes || n > mostOwnAllocs) {
			t.Errorf("%s allocates %d bytes in %d allocations at every start: make it when it is first used, with sync.OnceValue", pkg, b, n)
		}
		for _, h := range heavy {
			if strings.HasPrefix(pkg, h) {
				t.Errorf("%s is linked: go mod why -m says by whom", pkg)
			}
		}
	}
	if packages < 50 {
		t.Fatalf("only %d packages in the trace:\n%s", packages, out)
	}
	t.Logf("%d packages allocate %d bytes in %d allocations", packages, bytes, allocs)
	if bytes > mostInitBytes || allocs > mostInitAllocs {
		t.Errorf("packages allocate %d bytes in %d allocations at every start, most allowed are %d and %d; see them with GODEBUG=inittrace=1",
			bytes, allocs, mostInitBytes, mostInitAllocs)
	}
}
