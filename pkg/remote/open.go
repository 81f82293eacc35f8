package remote

import (
	"context"
	"maps"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/progress"
)

// Config is a remote as the configuration has it.
type Config struct {
	Name    string            // as the user calls it
	URL     string            // resolved: no remote://, relative paths made absolute
	Options map[string]string // the other options, keys in lower case
	Jobs    int               // requests at the same time; 0 is the driver's choice

	// Committed is whether an option stands in a file that whoever cloned the
	// repository has got with it. Programs that it names are not run. nil is
	// for a configuration without such files.
	Committed func(option string) bool
}

// Env is the world that a remote may look at.
type Env struct {
	Getenv func(string) string // nil is an empty environment
	Home   string              // for "~" in paths; "" is none

	// Prompt asks the user, for a password for instance; the answer is shown
	// if echo. nil: nobody is there to be asked.
	Prompt func(ctx context.Context, question string, echo bool) (answer string, err error)

	// Local opens the object store in a folder of this machine. shared asks
	// for folders that the group may write to.
	Local func(dir string, shared bool) (object.Store, error)

	// Phases hears of requests; may be nil.
	Phases *progress.Phases
}

func (e Env) getenv(key string) string {
	if e.Getenv == nil {
		return ""
	}
	return e.Getenv(key)
}

// drivers is the one table of what there is besides folders, by URL scheme.
// A driver checks the options and makes a bare backend. It may ask where a
// bucket is, but does not ask whether the place is there.
var drivers = map[string]func(context.Context, Config, Env) (Backend, error){
	"azure":   openAzure,
	"gs":      openGCS,
	"http":    openHTTP,
	"https":   openHTTP,
	"s3":      openS3,
	"ssh":     openSSH,
	"webdav":  openWebDAV,
	"webdavs": openWebDAV,
}

// retryLimits is what a driver's backend has besides if its options say how
// long silence may last.
type retryLimits interface{ retryOptions() RetryOptions }

// Open opens a remote as a store of objects. It checks the options, but does
// not ask whether the remote is there. A scheme without a driver is
// errs.Unsupported; wrong options are errs.Config. If the store is an
// io.Closer, the caller closes it.
func Open(ctx context.Context, c Config, env Env) (object.Store, error) {
	if isFolder(c.URL) && c.URL != "" {
		return openLocal(ctx, c, env)
	}
	// Those remotes keep files under their own names and have no objects.
	for _, key := range []string{"worktree", "version_aware"} {
		if on, err := parseBool(c.Options[key]); err == nil && on {
			return nil, errs.New(errs.Unsupported, "remote %q: option %q is not supported", c.Name, key)
		}
	}
	b, err := OpenBackend(ctx, c, env)
	if err != nil {
		return nil, err
	}
	return NewStore(b, "remote "+strconv.Quote(c.Name)), nil
}

// OpenBackend opens what a URL names as a place of bytes by key, with
// [WithRetry] around it: for data that lies there under its own names. Keys
// are relative to the URL. Folders of this machine have no backend. Errors are
// those of [Open]. The caller closes it.
func OpenBackend(ctx context.Context, c Config, env Env) (Backend, error) {
	if c.URL == "" {
		return nil, errs.New(errs.Config, "remote %q has no url", c.Name)
	}
	scheme := Scheme(c.URL)
	open, ok := drivers[scheme]
	if !ok {
		known := slices.Sorted(maps.Keys(drivers))
		return nil, errs.WithHint(errs.New(errs.Unsupported, "remote %q: cairn has no driver for %s:// addresses", c.Name, scheme),
			"It can use a folder, or an address that begins with file://, %s://.", strings.Join(known, "://, "))
	}
	b, err := open(ctx, c, env)
	if err != nil {
		return nil, err
	}
	var o RetryOptions
	if l, ok := b.(retryLimits); ok {
		o = l.retryOptions()
	}
	o.Requests = env.Phases.Meter("requests, a listing being one", "requests")
	return WithRetry(b, o), nil
}

func isFolder(url string) bool {
	scheme := Scheme(url)
	return scheme == "" || scheme == "file"
}

// Scheme returns the scheme of a remote's URL in lower case, "" for a path.
func Scheme(raw string) string {
	scheme, _, ok := strings.Cut(raw, "://")
	if !ok {
		return ""
	}
	return strings.ToLower(scheme)
}

func openLocal(_ context.Context, c Config, env Env) (object.Store, error) {
	if env.Local == nil {
		return nil, errs.New(errs.Unsupported, "remote %q: folders are not supported here", c.Name)
	}
	dir, err := localPath(c, env)
	if err != nil {
		return nil, err
	}
	shared := false
	for key, value := range c.Options {
		switch key {
		case "url", "jobs", "checksum_jobs", "no_traverse", "protected", "type":
			// A remote's files are always copied, protected, and of one type.
		case "verify", "slow_link_warning":
			if _, err := parseBool(value); err != nil {
				return nil, optionError(c, key, "%v", err)
			}
		case "worktree", "version_aware":
			if on, err := parseBool(value); err != nil || on {
				return nil, errs.New(errs.Unsupported, "remote %q: option %q is not supported", c.Name, key)
			}
		case "shared":
			if shared = value == "group"; !shared {
				return nil, optionError(c, key, "is %q; it can only be group", value)
			}
		default:
			return nil, errs.New(errs.Config, "remote %q: folders have no option %q", c.Name, key)
		}
	}
	return env.Local(dir, shared)
}

func localPath(c Config, env Env) (string, error) {
	if Scheme(c.URL) == "" {
		dir, err := env.path(c.URL)
		if err != nil {
			return "", optionError(c, "url", "%v", err)
		}
		return dir, nil
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Host != "" && u.Host != "localhost" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.Path == "" {
		return "", optionError(c, "url", "is not of the form file:///path")
	}
	p := u.Path
	if runtime.GOOS == "windows" && len(p) > 2 && p[2] == ':' {
		p = p[1:] // file:///C:/data
	}
	return filepath.FromSlash(p), nil
}
