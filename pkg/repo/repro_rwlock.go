package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// While a stage's command runs the repository's lock is free, so that the
// command may use cairn or DVC itself. What the stage reads and writes stands
// in .dvc/tmp/rwlock meanwhile, in DVC's format: each tool keeps its hands off
// what the other is at.
const (
	rwlockFile  = tmpDir + "/rwlock"
	rwlockGuard = tmpDir + "/rwlock.lock"
	// rwlockPoll is how often a path that somebody else is at is asked for.
	rwlockPoll = 200 * time.Millisecond
)

// rwUser is a process at work on a path.
type rwUser struct {
	pid int64
	cmd string
}

// rwState is the content of the file. Paths are absolute.
type rwState struct {
	write map[string]rwUser
	read  map[string][]rwUser
}

// rwlock is our part of it. It is used under the repository's lock.
type rwlock struct {
	r    *Repo
	me   rwUser
	mine map[string]rwCount
	// above are the processes that wait for us: a stage whose command started
	// us. What they hold is not to be waited for.
	above []int64
}

type rwCount struct{ reads, writes int }

// parentsEnv names the processes of cairn that a command is run by.
const parentsEnv = "CAIRN_REPRO_PARENTS"

func newRWLock(r *Repo) *rwlock {
	l := &rwlock{r: r, me: rwUser{int64(os.Getpid()), r.env.Program + " repro"}, mine: map[string]rwCount{}}
	for p := range strings.SplitSeq(r.env.Getenv(parentsEnv), ":") {
		if pid, err := strconv.ParseInt(p, 10, 64); err == nil {
			l.above = append(l.above, pid)
		}
	}
	return l
}

// parents is the value of parentsEnv for commands.
func (l *rwlock) parents() string {
	var b strings.Builder
	for _, pid := range append(slices.Clone(l.above), l.me.pid) {
		if b.Len() > 0 {
			b.WriteByte(':')
		}
		b.WriteString(strconv.FormatInt(pid, 10))
	}
	return b.String()
}

// busyError says who is at a path.
type busyError struct {
	path  string
	by    []rwUser
	dir   string
	above bool
}

func (e *busyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "'%s' is busy, it is being blocked by:", e.path)
	for _, u := range e.by {
		fmt.Fprintf(&b, "\n  (PID %d): %s", u.pid, disk.Quote(u.cmd))
	}
	fmt.Fprintf(&b, "\n\nIf there are no processes with such PIDs, you can manually remove '%s/rwlock' and try again.", e.dir)
	return b.String()
}

// check fails with a *busyError if somebody else is at what we want to read
// or write. It only reads.
func (l *rwlock) check(read, write []string) error {
	st, err := l.load()
	if err != nil || st == nil {
		return err
	}
	_, err = l.blockers(st, read, write)
	return err
}

// acquire enters what we read and write.
func (l *rwlock) acquire(ctx context.Context, read, write []string) error {
	return l.edit(ctx, func(st *rwState) error {
		if _, err := l.blockers(st, read, write); err != nil {
			return err
		}
		for _, p := range read {
			c := l.mine[p]
			c.reads++
			l.mine[p] = c
		}
		for _, p := range write {
			c := l.mine[p]
			c.writes++
			l.mine[p] = c
		}
		return nil
	})
}

// release takes it out again.
func (l *rwlock) release(ctx context.Context, read, write []string) error {
	for _, p := range read {
		c := l.mine[p]
		c.reads--
		l.mine[p] = c
	}
	for _, p := range write {
		c := l.mine[p]
		c.writes--
		l.mine[p] = c
	}
	for p, c := range l.mine {
		if c == (rwCount{}) {
			delete(l.mine, p)
		}
	}
	return l.edit(ctx, func(*rwState) error { return nil })
}

// blockers finds the processes that are in the way, and drops from the state
// those that are gone.
func (l *rwlock) blockers(st *rwState, read, write []string) (changed bool, err error) {
	wanted := append(slices.Clone(read), write...)
	for p, u := range st.write {
		at := overlapping(wanted, p)
		if at == "" || u.pid == l.me.pid {
			continue
		}
		if disk.Alive(int(u.pid)) {
			return false, l.busy(at, u)
		}
		l.killed(p, u)
		delete(st.write, p)
		changed = true
	}
	for p, users := range st.read {
		at := overlapping(write, p)
		if at == "" {
			continue
		}
		left := users[:0]
		for _, u := range users {
			switch {
			case u.pid == l.me.pid:
			case disk.Alive(int(u.pid)):
				return false, l.busy(at, u)
			default:
				l.killed(p, u)
				changed = true
				continue
			}
			left = append(left, u)
		}
		st.read[p] = left
	}
	return changed, nil
}

func (l *rwlock) busy(at string, u rwUser) error {
	e := &busyError{path: at, by: []rwUser{u}, dir: l.r.abs(tmpDir), above: slices.Contains(l.above, u.pid)}
	return &errs.Error{Kind: errs.Locked, Err: e}
}

func (l *rwlock) killed(p string, u rwUser) {
	shown := p
	if rel, err := l.r.relative(p); err == nil {
		shown = l.r.Show(rel)
	}
	l.r.warn("Process '%s' with (Pid %d), in RWLock-file '%s' had been killed. Auto removed it from the lock file.", disk.Quote(u.cmd), u.pid, disk.Quote(shown))
}

// overlapping returns the path of list that p is, lies in, or contains.
func overlapping(list []string, p string) string {
	for _, q := range list {
		if p == q || strings.HasPrefix(p, q+string(filepath.Separator)) || strings.HasPrefix(q, p+string(filepath.Separator)) {
			return q
		}
	}
	return ""
}

// edit changes the file under its own lock, which DVC takes too.
func (l *rwlock) edit(ctx context.Context, change func(*rwState) error) error {
	guard, err := disk.Acquire(ctx, l.r.abs(rwlockGuard), disk.LockOptions{Timeout: 10 * time.Second})
	if err != nil {
		return err
	}
	defer guard.Release()
	st, err := l.load()
	if err != nil {
		return err
	}
	if st == nil {
		st = &rwState{write: map[string]rwUser{}, read: map[string][]rwUser{}}
	}
	if err := change(st); err != nil {
		return err
	}
	l.mix(st)
	return l.save(st)
}

// mix puts our entries in place of those that the state has of us. Those of
// processes that were killed go as well, before their numbers are used again.
func (l *rwlock) mix(st *rwState) {
	alive := map[int64]bool{l.me.pid: false}
	gone := func(u rwUser) bool {
		a, known := alive[u.pid]
		if !known {
			a = disk.Alive(int(u.pid))
			alive[u.pid] = a
		}
		return !a
	}
	for p, u := range st.write {
		if gone(u) {
			delete(st.write, p)
		}
	}
	for p, users := range st.read {
		st.read[p] = slices.DeleteFunc(users, gone)
	}
	for p, c := range l.mine {
		if c.writes > 0 {
			st.write[p] = l.me
		}
		if c.reads > 0 {
			st.read[p] = append(st.read[p], l.me)
		}
	}
}

// load reads the file; nil if there is none.
func (l *rwlock) load() (*rwState, error) {
	text, err := l.r.Dir.ReadFile(rwlockFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if string(text) == "{}" || len(text) == 0 {
		// It is not flushed, so a power cut may empty it. Nobody of those who
		// stood in it lives then.
		return nil, nil
	}
	type user struct {
		PID int64  `json:"pid"`
		Cmd string `json:"cmd"`
	}
	var raw struct {
		Write map[string]user   `json:"write"`
		Read  map[string][]user `json:"read"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, errs.WithHint(errs.New(errs.Invalid, "Unable to read RWLock-file '%s'. JSON structure is corrupted", l.r.Show(rwlockFile)),
			"If no other cairn or DVC is at work in this repository, delete it and try again.")
	}
	st := &rwState{write: map[string]rwUser{}, read: map[string][]rwUser{}}
	for p, u := range raw.Write {
		st.write[p] = rwUser{u.PID, u.Cmd}
	}
	for p, users := range raw.Read {
		for _, u := range users {
			st.read[p] = append(st.read[p], rwUser{u.PID, u.Cmd})
		}
	}
	return st, nil
}

// save writes the file. It says what is going on now, so it is not flushed.
func (l *rwlock) save(st *rwState) error {
	top := yamlfmt.NewMap()
	if w := sortedMap(st.write, func(u rwUser) any { return u.json() }); w.Len() > 0 {
		top.Set("write", w)
	}
	for p, users := range st.read {
		if len(users) == 0 {
			delete(st.read, p)
		}
	}
	read := sortedMap(st.read, func(users []rwUser) any {
		list := make([]any, len(users))
		for i, u := range users {
			list[i] = u.json()
		}
		return list
	})
	if read.Len() > 0 {
		top.Set("read", read)
	}
	return l.r.replaceQuickly(rwlockFile, yamlfmt.JSON(top, false))
}

func (u rwUser) json() any { return yamlfmt.NewMap("pid", u.pid, "cmd", u.cmd) }

func sortedMap[T any](m map[string]T, value func(T) any) *yamlfmt.Map {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := yamlfmt.NewMap()
	for _, k := range keys {
		out.Set(k, value(m[k]))
	}
	return out
}

// replaceQuickly is [disk.Dir.WriteFile] without the flush, for files that
// mean nothing after a power failure.
func (r *Repo) replaceQuickly(rel string, text []byte) error {
	dir, name, err := r.Dir.Parent(rel)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.ReplaceFile(name, text, 0o666)
}
