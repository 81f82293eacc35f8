package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cairndata/cairn/pkg/progress"
)

// showPhases tells, with -vv, where the time of the command went: on standard
// error like all that goes with -v, also of a command that failed.
func (a *App) showPhases() {
	if a.phases == nil {
		return
	}
	if r := a.phases.Report(); len(r.Phases) > 0 {
		a.UI.Tracef("%s", phaseTable(r))
	}
}

// phaseTable is a report as text.
func phaseTable(r progress.PhaseReport) string {
	// The rest is what lies between phases: parsing, printing, ending.
	rows := append(r.Phases, progress.PhaseTime{Name: "the rest", Time: r.Rest})
	width := 0
	for _, p := range append(rows, r.Meters...) {
		width = max(width, len(p.Name))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%.3f s in all\n", r.Wall.Seconds())
	fmt.Fprintf(&b, "  %-*s  %9s  %6s\n", width, "phase", "seconds", "share")
	for _, p := range rows {
		share := 0.0
		if r.Wall > 0 {
			share = 100 * float64(p.Time) / float64(r.Wall)
		}
		b.WriteString(strings.TrimRight(fmt.Sprintf("  %-*s  %9.3f  %5.1f%%  %s", width, p.Name, p.Time.Seconds(), share, phaseCounts(p)), " ") + "\n")
	}
	if len(r.Meters) > 0 {
		b.WriteString("  at once with these, added up over workers:\n")
	}
	for _, p := range r.Meters {
		fmt.Fprintf(&b, "  %-*s  %9.3f  %6s  %s\n", width, p.Name, p.Time.Seconds(), "", phaseCounts(p))
	}
	return strings.TrimRight(b.String(), "\n")
}

// phaseCounts is how much was done: "1,200 files, 3,400 bytes, in 2 goes".
func phaseCounts(p progress.PhaseTime) string {
	var parts []string
	if p.Count > 0 {
		unit := p.Unit
		if p.Count == 1 {
			unit = strings.TrimSuffix(unit, "s")
		}
		parts = append(parts, strings.TrimSpace(thousands(p.Count)+" "+unit))
	}
	if p.Bytes > 0 {
		parts = append(parts, thousands(p.Bytes)+" bytes")
	}
	if p.Calls > 1 {
		parts = append(parts, fmt.Sprintf("in %d goes", p.Calls))
	}
	return strings.Join(parts, ", ")
}

// thousands writes a number with commas.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
