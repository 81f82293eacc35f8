// Package ignore decides which paths are left out: .dvcignore as DVC reads
// it, and .gitignore as Git does.
//
// A [Matcher] belongs to one repository. From it comes a [Dir] for a folder,
// an immutable value that answers for the names in that folder; a walk asks
// Dir.Match for each name and goes down with Dir.Child, from as many
// goroutines as it likes. Ignore files are read when a walk reaches their
// folder. A folder without one costs a small allocation, and its names a few
// comparisons.
//
//	d, err := m.Dir("data")
//	for _, e := range entries {
//		if d.Match(e.Name, e.IsDir()) { continue }
//		...
//	}
//	var marks ignore.Marks
//	for _, e := range childEntries { marks |= ignore.Mark(e.Name) }
//	child, err := d.Child("images", marks) // child.Ignored(): a repository of its own
//
// Both syntaxes share the patterns: the last match wins, "!" takes back, a
// final slash means folders only, a slash before the end anchors the pattern
// at the folder of its file, and what lies in an ignored folder is ignored.
// DVC differs from Git in this:
//
//   - Lines are stripped on both sides, and no escape keeps a final blank.
//   - A pattern that matches a folder matches all below it. So "!data" after
//     "*" takes back the whole tree, not only the folder; but a pattern with
//     a final slash says nothing of files, so "!data/" takes back folders.
//   - "data/**" matches the folder data itself.
//   - "?" and "[...]" stand for a character, not a byte; a backslash within
//     brackets is itself, and there are no classes like [:alpha:].
//   - An ignore file that is itself ignored is not read.
//   - A folder with an entry .dvc is another repository and ignored whole.
//
// Where DVC only fails, cairn says so: a pattern that it cannot compile is an
// error with file and line. Built-in rules (.git, .hg/, .dvc/) cannot be
// taken back, though DVC lets "!.*" do it.
package ignore
