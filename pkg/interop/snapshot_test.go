//go:build unix

package interop

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"syscall"
	"unicode/utf8"
)

// textLimit is the size up to which a file's text is recorded; larger and binary files are recorded by their sum.
const textLimit = 4096

// snapshot is the state of a sandbox: path relative to its root → what is there, in one printable line:
//
//	f 0644 = text            regular file; "links=2" after the mode if the inode has several names
//	f 0644 sha256:… 123      a binary or large one
//	d 0755                   folder
//	l -> target              link
//	100644 <blob> 0          entry of a Git index, under <folder>/.git:index/<path>
type snapshot map[string]string

// snap reads the state. Private parts are left out: the tools' own scratch (.dvc/tmp, site cache, home), Git's database.
func (s *sandbox) snap() snapshot {
	out := snapshot{}
	var emptyStores []string
	err := filepath.WalkDir(s.root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(s.root, p)
		if rel == "." {
			return nil
		}
		if tempNames.MatchString(d.Name()) {
			return nil // DVC leaves some behind; whether and how many is chance
		}
		if d.IsDir() {
			if !strings.Contains(rel, "/") && strings.HasPrefix(rel, ".") || strings.HasSuffix(rel, ".dvc/tmp") {
				return filepath.SkipDir
			}
			if d.Name() == "users.cairn" {
				return filepath.SkipDir // who uses a shared cache: for cairn's gc, and DVC looks past it
			}
			if d.Name() == ".git" {
				s.snapGit(out, p, rel)
				return filepath.SkipDir
			}
			if inStore(rel) {
				emptyStores = append(emptyStores, rel)
			}
		}
		out[printable(rel)] = s.entry(p)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	pruneEmpty(out, emptyStores)
	return out
}

// inStore tells folders of caches and remotes, where an empty one means nothing: DVC itself leaves them or not by chance.
func inStore(rel string) bool {
	top, _, _ := strings.Cut(rel, "/")
	return strings.Contains(rel, ".dvc/") || strings.HasPrefix(top, "rem") || strings.HasPrefix(top, "cache")
}

func pruneEmpty(out snapshot, dirs []string) {
	for i := len(dirs) - 1; i >= 0; i-- { // deepest last in walk order, so a parent is looked at after its children
		full := false
		prefix := printable(dirs[i]) + "/"
		for p := range out {
			if strings.HasPrefix(p, prefix) {
				full = true
				break
			}
		}
		if !full {
			delete(out, printable(dirs[i]))
		}
	}
}

// entry describes one path.
func (s *sandbox) entry(p string) string {
	fi, err := os.Lstat(p)
	if err != nil {
		return "? " + err.Error()
	}
	switch {
	case fi.Mode()&fs.ModeSymlink != 0:
		target, _ := os.Readlink(p)
		return "l -> " + s.normalise(target)
	case fi.IsDir():
		return fmt.Sprintf("d %04o", modeBits(fi.Mode()))
	case !fi.Mode().IsRegular():
		return "? " + fi.Mode().String()
	}
	head := fmt.Sprintf("f %04o", modeBits(fi.Mode()))
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
		head += fmt.Sprintf(" links=%d", st.Nlink)
	}
	data, err := os.ReadFile(p)
	if err != nil {
		return head + " ? " + err.Error()
	}
	if len(data) <= textLimit && utf8.Valid(data) && !bytes.ContainsRune(data, 0) {
		return head + " = " + s.normalise(string(data))
	}
	return fmt.Sprintf("%s sha256:%x %d", head, sha256.Sum256(data), len(data))
}

func modeBits(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	if m&fs.ModeSetgid != 0 {
		bits |= 0o2000
	}
	return bits
}

// snapGit records what the tools may touch of a Git folder: index, hooks, configuration.
func (s *sandbox) snapGit(out snapshot, dir, rel string) {
	work, err := filepath.Rel(filepath.Join(s.root, "w"), filepath.Dir(dir))
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "index")); err == nil {
		ls := s.exec(work, "", nil, "git", "ls-files", "-s", "-z")
		for _, line := range strings.Split(strings.TrimSuffix(ls.Stdout, "\x00"), "\x00") {
			if meta, path, ok := strings.Cut(line, "\t"); ok {
				out[printable(rel+":index/"+path)] = meta
			}
		}
	}
	out[rel+"/config"] = s.entry(filepath.Join(dir, "config"))
	hooks, _ := filepath.Glob(filepath.Join(dir, "hooks", "*"))
	for _, h := range hooks {
		if !strings.HasSuffix(h, ".sample") {
			out[rel+"/hooks/"+filepath.Base(h)] = s.entry(h)
		}
	}
}

// printable makes a path fit for JSON; a name that is not UTF-8 is quoted.
func printable(p string) string {
	if utf8.ValidString(p) {
		return p
	}
	return fmt.Sprintf("%+q", p)
}

// changes lists what differs from before to after; what has gone is "-".
func changes(before, after snapshot) map[string]string {
	out := map[string]string{}
	for p, e := range after {
		if before[p] != e {
			out[p] = e
		}
	}
	for p := range before {
		if _, ok := after[p]; !ok {
			out[p] = "-"
		}
	}
	return out
}

var (
	progWord   = regexp.MustCompile(`\bcairn\b`)
	wideBlanks = regexp.MustCompile(` {2,}`)
	tempNames  = regexp.MustCompile(`\.[A-Za-z0-9_-]{22}\.tmp`)
)

// normalise removes what must differ between two plays of one scenario: the sandbox's place, the tool's name, the
// order in which files are named in the hint about git add, widths of columns that hold absolute paths.
func (s *sandbox) normalise(text string) string {
	lines := strings.SplitAfter(text, "\n")
	for i, l := range lines {
		if strings.Contains(l, s.root) {
			l = strings.ReplaceAll(l, s.root, "$ROOT")
			l = wideBlanks.ReplaceAllString(l, "  ")
		}
		if s.name != "dvc" {
			l = progWord.ReplaceAllString(l, "dvc")
		}
		if rest, ok := strings.CutPrefix(l, "\tgit add "); ok {
			names := shellWords(rest)
			sort.Strings(names)
			l = "\tgit add " + strings.Join(names, " ") + "\n"
		}
		lines[i] = l
	}
	return strings.Join(lines, "")
}

// shellWords splits a line at blanks outside quotes; the quotes stay.
func shellWords(line string) []string {
	var words []string
	var word strings.Builder
	var quote rune
	for _, r := range strings.TrimSuffix(line, "\n") {
		switch {
		case quote == 0 && r == ' ':
			words = append(words, word.String())
			word.Reset()
			continue
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		case r == quote:
			quote = 0
		}
		word.WriteRune(r)
	}
	return append(words, word.String())
}
