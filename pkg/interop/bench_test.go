//go:build unix

package interop

import (
	"encoding/json"
	"os"
	"testing"
)

// TestBench: cairn and the real DVC both get through scenarios of `cairn bench` that use all their commands.
func TestBench(t *testing.T) {
	if dvcTool == nil || *update {
		t.Skip("needs the real DVC: set CAIRN_DVC to its path")
	}
	t.Parallel()
	s := newSandbox(t, cairnTool, "cairn")
	for _, suite := range []struct {
		args  []string
		least int
	}{
		{[]string{"--only", "status-many,push-noop,status-cloud,pull-many,checkout-branch,repro-noop", "--files", "5"}, 6},
		{[]string{"--only", "pull-target", "--scale", "0.001"}, 1},
		{[]string{"--files", "5", "--only", "small-checkout,small-fetch"}, 2},
	} {
		args := append([]string{"cairn", "bench", "--no-peers", "--tool", "dvc=" + dvcTool.path, "-n", "1", "--big", "10K", "--stages", "2", "--dir", s.root, "--json"}, suite.args...)
		out := s.exec("", "", nil, args...)
		if out.Exit != 0 {
			t.Fatalf("%s: exit %d\n%s", quoteArgs(args), out.Exit, out.Stderr)
		}
		var res struct {
			Tools     []struct{ Name, Version string }
			Scenarios []struct {
				Scenario string
				Tools    []struct {
					Name string
					Wall float64 `json:"wall_seconds"`
				}
			}
			Failures []struct{ Tool, Scenario, Error string }
		}
		if err := json.Unmarshal([]byte(out.Stdout), &res); err != nil {
			t.Fatal(err)
		}
		for _, f := range res.Failures {
			t.Errorf("%s: %s: %s", f.Tool, f.Scenario, f.Error)
		}
		if len(res.Scenarios) != suite.least {
			t.Errorf("%d scenarios, want %d", len(res.Scenarios), suite.least)
		}
		for _, sc := range res.Scenarios {
			if len(sc.Tools) != 2 || sc.Tools[0].Wall <= 0 || sc.Tools[1].Wall <= 0 {
				t.Errorf("%s: measured %v, want both tools", sc.Scenario, sc.Tools)
			}
		}
		if len(res.Tools) != 2 || res.Tools[1].Version == "" {
			t.Errorf("tools: %v", res.Tools)
		}
	}
	entries, err := os.ReadDir(s.root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if len(e.Name()) > 12 && e.Name()[:12] == ".cairn-bench" {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}
