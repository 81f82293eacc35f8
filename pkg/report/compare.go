package report

import (
	"maps"
	"slices"

	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// FileValues are the values of one file.
type FileValues struct {
	Path   string
	Values any   // as loaded; nil if the file could not be read
	Err    error // why it could not
}

// RevisionValues are the values of the files of one revision.
type RevisionValues struct {
	Label string
	Files []FileValues
	Err   error // why nothing could be read
}

// MetricsTable shows the metrics of revisions, a row for each file. withRev
// adds a column for the revision.
func MetricsTable(revs []RevisionValues, withRev bool, digits int) *Table {
	var columns []any
	known := map[string]bool{}
	var flats []Flat
	for _, r := range revs {
		for _, f := range r.Files {
			var flat Flat
			if f.Err == nil {
				flat = Flatten(f.Values)
			}
			for _, k := range flat.Keys {
				if name := yamlfmt.PyStr(k); !known[name] {
					known[name] = true
					columns = append(columns, k)
				}
			}
			flats = append(flats, flat)
		}
	}
	slices.SortStableFunc(columns, CompareKeys)
	column := map[string]int{}
	t := &Table{Headers: []string{"Path"}}
	if withRev {
		t.Headers = []string{"Revision", "Path"}
	}
	first := len(t.Headers)
	for i, k := range columns {
		name := yamlfmt.PyStr(k)
		column[name] = first + i
		t.Headers = append(t.Headers, name)
	}
	next := 0
	for _, r := range revs {
		for _, f := range r.Files {
			row := make([]any, len(t.Headers))
			if withRev {
				row[0] = r.Label
			}
			row[first-1] = f.Path
			flat := flats[next]
			next++
			for i, k := range flat.Keys {
				row[column[yamlfmt.PyStr(k)]] = Rounded(flat.Values[i], digits)
			}
			t.Add(row...)
		}
	}
	return t
}

// FileChanges are the changes of the values of one file.
type FileChanges struct {
	Path    string
	Changes []Change
}

// CompareFiles compares the files of two revisions: see [Compare]. Files in
// which nothing changed are left out, the others sorted by path.
func CompareFiles(before, after []FileValues, all bool) []FileChanges {
	sides := [2]map[string]any{{}, {}}
	paths := map[string]bool{}
	for i, files := range [][]FileValues{before, after} {
		for _, f := range files {
			paths[f.Path] = true
			sides[i][f.Path] = f.Values
		}
	}
	var list []FileChanges
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		if c := Compare(sides[0][p], sides[1][p], all); len(c) > 0 {
			list = append(list, FileChanges{p, c})
		}
	}
	return list
}

// ChangesOptions say how changes are shown.
type ChangesOptions struct {
	Title    string // of the column of keys: "Metric" or "Param"
	Old, New string // the names of the states
	NoPath   bool
	NoChange bool // leave out the difference
	Digits   int  // see Rounded
}

// ChangesTable shows changes, a row for each.
func ChangesTable(files []FileChanges, o ChangesOptions) *Table {
	t := &Table{Headers: []string{"Path", o.Title, o.Old, o.New, "Change"}}
	from, to := 0, len(t.Headers)
	if o.NoPath {
		from = 1
	}
	if o.NoChange {
		to--
	}
	t.Headers = t.Headers[from:to]
	show := func(v any) any {
		if v == nil {
			return nil
		}
		return Rounded(v, o.Digits)
	}
	for _, f := range files {
		for _, c := range f.Changes {
			row := []any{f.Path, yamlfmt.PyStr(c.Key), show(c.Old), show(c.New), show(c.Diff)}
			t.Add(row[from:to]...)
		}
	}
	return t
}

// Unread reports whether anything of the revision could not be read.
func (r RevisionValues) Unread() bool {
	return r.Err != nil || slices.ContainsFunc(r.Files, func(f FileValues) bool { return f.Err != nil })
}
