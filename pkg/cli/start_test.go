package cli

import (
	"bytes"
	"context"
	"testing"
	"time"
)

// startEnv is a world for commands that look at nothing but their arguments.
func startEnv(dir string, args ...string) Env {
	var out bytes.Buffer
	return Env{
		Args: append([]string{"cairn"}, args...), Stdin: &bytes.Buffer{}, Stdout: &out, Stderr: &out,
		Getenv: func(string) string { return "" }, Environ: func() []string { return nil },
		Dir: dir, Now: time.Now, Executable: func() (string, error) { return "cairn", nil },
	}
}

// BenchmarkStart is what a command costs that does next to nothing, after the
// packages have been initialized; see cmd/cairn for that.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	if code := Main(context.Background(), startEnv(dir, "init", "--no-scm", "-q")); code != 0 {
		b.Fatalf("init: exit code %d", code)
	}
	for name, args := range map[string][]string{
		"version": {"--version"}, "help": {"--help"}, "status": {"status"}, "complete": {"__complete", "sta"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if code := Main(context.Background(), startEnv(dir, args...)); code != 0 {
					b.Fatalf("exit code %d", code)
				}
			}
		})
	}
}
