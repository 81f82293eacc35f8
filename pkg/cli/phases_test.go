package cli

import (
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/progress"
)

func TestPhaseTable(t *testing.T) {
	got := phaseTable(progress.PhaseReport{
		Wall: 4 * time.Second,
		Rest: 500 * time.Millisecond,
		Phases: []progress.PhaseTime{
			{Name: "scan", Time: 3 * time.Second, Calls: 2, Unit: "files", Count: 1234567, Bytes: 999},
			{Name: "load stages", Time: 500 * time.Millisecond, Calls: 1, Unit: "stage files", Count: 1},
		},
		Meters: []progress.PhaseTime{{Name: "hash", Time: 6 * time.Second, Unit: "files", Count: 1000, Bytes: 1000}},
	})
	const want = `4.000 s in all
  phase          seconds   share
  scan             3.000   75.0%  1,234,567 files, 999 bytes, in 2 goes
  load stages      0.500   12.5%  1 stage file
  the rest         0.500   12.5%
  at once with these, added up over workers:
  hash             6.000          1,000 files, 1,000 bytes`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// A command that took no time at all.
	if got := phaseTable(progress.PhaseReport{}); got != "0.000 s in all\n  phase       seconds   share\n  the rest      0.000    0.0%" {
		t.Errorf("of nothing: %q", got)
	}
}
