package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
)

// LockOptions say how to wait for a lock.
type LockOptions struct {
	Timeout time.Duration // how long to wait; 0 means not at all, negative for ever
	// Waiting is called once when the lock turns out to be held, with a
	// description of the holder. It may be nil.
	Waiting func(holder string)
}

// Lock is a held kernel lock on a file. It goes when the process ends,
// however it ends.
type Lock struct{ f *os.File }

// lockPoll is how often a held lock is tried again.
const lockPoll = 25 * time.Millisecond

// lockPatience is how long a lock may be held before Waiting hears of it: most
// holders are gone by then.
const lockPatience = 300 * time.Millisecond

// Acquire takes the lock that DVC takes on the same file: an exclusive flock
// on POSIX, with the holder's process number as the file's text. The file is
// never deleted. If the lock stays held the error is errs.Locked and names
// the holder.
func Acquire(ctx context.Context, path string, o LockOptions) (*Lock, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	told := false
	for {
		ok, err := tryLock(f)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %q: %w", path, err)
		}
		if ok && isStill(f, path) {
			break
		}
		if ok {
			// Somebody deleted the file before we had its lock, so that the
			// lock of the name is another one now.
			f.Close()
			if f, err = openRegular(path); err != nil {
				return nil, err
			}
			continue
		}
		waited := time.Since(begin)
		if o.Timeout >= 0 && waited >= o.Timeout {
			holder := lockHolder(path)
			f.Close()
			return nil, &errs.Error{Kind: errs.Locked, Msg: fmt.Sprintf("the repository is locked by %s", holder),
				Hint: "Wait for it to end, or give a longer limit: cairn config cairn.lock_timeout SECONDS."}
		}
		if !told && waited >= lockPatience && o.Waiting != nil {
			o.Waiting(lockHolder(path))
			told = true
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
	// DVC reads nothing from the file; the number is for people.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(" "+strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &Lock{f: f}, nil
}

func openRegular(path string) (*os.File, error) {
	f, err := openLock(path)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = errs.New(errs.Invalid, "lock %q is not a regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// isStill reports whether path still names the open file f.
func isStill(f *os.File, path string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(open, named)
}

// Release gives the lock up.
func (l *Lock) Release() error {
	if l == nil || l.f == nil {
		return nil
	}
	f := l.f
	l.f = nil
	return errors.Join(unlock(f), f.Close())
}

func lockHolder(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "another process"
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 64))
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return "another process"
	}
	if cmd := commandLine(pid); cmd != "" {
		return fmt.Sprintf("process %d (%s)", pid, Quote(cmd))
	}
	return fmt.Sprintf("process %d", pid)
}

// commandLine is the program and the verb that process pid was started with,
// or "". The rest of a command line may hold a secret.
func commandLine(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil || len(b) == 0 {
		return ""
	}
	words := strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
	name := filepath.Base(words[0])
	for _, w := range words[1:] {
		// An interpreter's script comes before the verb.
		if filepath.Base(w) != w {
			name = filepath.Base(w)
			continue
		}
		if !strings.HasPrefix(w, "-") && len(w) <= 32 {
			return name + " " + w
		}
	}
	return name
}
