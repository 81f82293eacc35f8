package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/cairndata/cairn/pkg/disk"
	"github.com/cairndata/cairn/pkg/errs"
)

// Address says how Git reaches a repository.
type Address struct {
	URL  string // as the user has it
	Path string // of a repository on this machine, "" for another one
}

// protocols are the ways to reach a repository; Git knows more, of which some
// run whatever program the address names.
const protocols = "file:git:ssh:http:https"

// IsAddress reports whether Git would take s for an address rather than for a
// path: scheme://..., [user@]host:path, helper::...
func IsAddress(s string) bool {
	if strings.Contains(s, "://") {
		return true
	}
	host, _, ok := strings.Cut(s, ":")
	// One letter is a drive.
	return ok && len(host) > 1 && !strings.ContainsAny(host, `/\`)
}

// ParseAddress checks the address of a repository. Only file, ssh, git, http
// and https are let through; what git could take for an option, or for the
// name of a program to talk through, is refused with errs.Invalid or, for
// other schemes, errs.Unsupported. Messages hold no credentials.
func ParseAddress(s string) (Address, error) {
	a := Address{URL: s}
	shown := disk.Quote(Redact(s))
	switch {
	case s == "":
		return a, errs.New(errs.Invalid, "cannot set empty URL")
	case s[0] == '-':
		return a, errs.New(errs.Invalid, "'%s' is not the address of a repository", shown)
	case strings.ContainsAny(s, "\x00\n\r"):
		return a, errs.New(errs.Invalid, "'%s' holds a control character", shown)
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if head, _, helper := strings.Cut(s, "::"); helper && !strings.ContainsAny(head, `/\[:`) {
		return a, errs.WithHint(errs.New(errs.Unsupported, "'%s' names a program for Git to talk through", shown),
			"Repositories are reached by file://, ssh://, git://, http:// and https://.")
	}
	if !ok {
		host, _, _ := strings.Cut(s, ":")
		if _, h, user := strings.Cut(host, "@"); user {
			host = h
		}
		if strings.HasPrefix(host, "-") {
			return a, errs.New(errs.Invalid, "'%s' has a host that begins with a dash", shown)
		}
		return a, nil
	}
	switch strings.ToLower(scheme) {
	case "file":
		u, err := url.Parse(s)
		if err != nil || u.Host != "" && u.Host != "localhost" || u.Path == "" {
			return a, errs.New(errs.Invalid, "'%s' is not of the form file:///path", shown)
		}
		p := u.Path
		if len(p) > 2 && p[2] == ':' && filepath.Separator == '\\' {
			p = p[1:] // file:///C:/data
		}
		a.Path = filepath.FromSlash(p)
	case "ssh", "git+ssh", "ssh+git", "git", "http", "https":
		host := rest
		if i := strings.IndexByte(host, '/'); i >= 0 {
			host = host[:i]
		}
		if i := strings.LastIndexByte(host, '@'); i >= 0 {
			host = host[i+1:]
		}
		if strings.HasPrefix(host, "-") || strings.HasPrefix(rest, "-") || host == "" {
			return a, errs.New(errs.Invalid, "'%s' has no proper host", shown)
		}
	default:
		return a, errs.WithHint(errs.New(errs.Unsupported, "'%s' is no address of a Git repository that cairn uses", shown),
			"Repositories are reached by file://, ssh://, git://, http:// and https://.")
	}
	return a, nil
}

// Redact hides the credentials in an address.
func Redact(s string) string {
	head, secret, tail, ok := splitUser(s)
	if !ok {
		return s
	}
	if name, _, both := strings.Cut(secret, ":"); both && len(name) < 20 {
		return head + name + ":***" + tail
	} else if !both && (strings.HasPrefix(head, "ssh") || strings.HasPrefix(head, "git")) {
		return s // a user's name
	}
	return head + "***" + tail
}

// splitUser finds the user part of scheme://user@host.
func splitUser(s string) (head, user, tail string, ok bool) {
	i := strings.Index(s, "://")
	if i < 0 {
		return "", "", "", false
	}
	i += len("://")
	end := len(s)
	if j := strings.IndexAny(s[i:], "/?#"); j >= 0 {
		end = i + j
	}
	at := strings.LastIndexByte(s[i:end], '@')
	if at < 0 {
		// A password may hold an unescaped slash.
		if at = strings.LastIndexByte(s[i:], '@'); at < 0 || !strings.Contains(s[i:i+at], ":") {
			return "", "", "", false
		}
	}
	return s[:i], s[i : i+at], s[i+at:], true
}

// Mirror is a bare copy of a repository elsewhere that has the commits that
// were asked for, without their history, and files as they are read where the
// server can do that. It is disposable. It is safe for concurrent use.
type Mirror struct {
	*Repo
	url string
}

// OpenMirror opens the copy in dir, an absolute path, or makes it. dir must lie
// where only the user can write: git heeds the configuration in it.
func OpenMirror(address, dir string, o Options) (*Mirror, error) {
	if _, err := ParseAddress(address); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if st, err := os.Lstat(dir); err != nil || !st.IsDir() || runtime.GOOS != "windows" && st.Mode().Perm()&0o022 != 0 {
		return nil, errs.WithHint(errs.New(errs.Denied, "the folder %q cannot be used for copies of repositories: others may write to it", dir), "Remove it.")
	}
	if !isGitDir(dir) {
		if err := initBare(dir); err != nil {
			return nil, err
		}
	}
	r, err := open(dir, dir, o)
	if err != nil {
		return nil, err
	}
	r.bare, r.source = true, address
	return &Mirror{Repo: r, url: address}, nil
}

// initBare makes an empty repository as git does, without asking it: nothing
// of the user's templates is to be in it.
func initBare(dir string) error {
	for _, sub := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(sub)), 0o700); err != nil {
			return err
		}
	}
	const text = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n" +
		"[remote \"" + mirrorRemote + "\"]\n\tpromisor = true\n"
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(text), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "HEAD"), []byte("ref: refs/heads/main\n"), 0o600)
}

// IsBare reports whether a folder is a Git repository without a working tree.
func IsBare(dir string) bool {
	if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
		return false
	}
	return isGitDir(dir)
}

// OpenBare opens a repository on this machine of which only commits are to be
// read: dir is its Git folder or its working tree.
func OpenBare(dir string, o Options) (*Repo, error) {
	gitDir, err := gitDirOf(dir)
	if err != nil {
		return nil, err
	}
	if gitDir == "" {
		if !isGitDir(dir) {
			return nil, errs.New(errs.NotFound, "No git repository was found at %s", dir)
		}
		gitDir = dir
	}
	r, err := open(dir, gitDir, o)
	if err == nil {
		r.bare = gitDir == dir
	}
	return r, err
}

// remoteRef is what a name of the other side stands for.
type remoteRef struct {
	sha string // of the commit, also behind an annotated tag
	tag string // of the annotated tag's own object, or ""
}

// Where a revision may be found, in the order of Git.
func refNames(rev string) []string {
	if rev == "" || rev == "HEAD" {
		return []string{"HEAD"}
	}
	if strings.HasPrefix(rev, "refs/") {
		return []string{rev}
	}
	return []string{"refs/" + rev, "refs/tags/" + rev, "refs/heads/" + rev, "refs/remotes/origin/" + rev, "refs/exps/" + rev}
}

// Tip asks the other side which commit a revision is now, and fetches nothing.
// The name is the ref that says so, "" for a SHA. A revision that only the
// history could tell, such as main~2, is errs.NotFound.
func (m *Mirror) Tip(ctx context.Context, rev string) (sha, name string, err error) {
	if err := checkRev(rev); err != nil {
		return "", "", err
	}
	if m.isFullSHA(rev) {
		return rev, "", nil
	}
	if !validRefName(strings.TrimPrefix(rev, "refs/")) && rev != "" {
		return "", "", unknown(rev)
	}
	names := refNames(rev)
	patterns := slices.Clone(names)
	for _, n := range names {
		if strings.HasPrefix(n, "refs/") {
			patterns = append(patterns, n+"^{}")
		}
	}
	isName := rev != "" && !strings.Contains(rev, "/")
	if isName {
		patterns = append(patterns, "refs/exps/*/*/"+rev)
	}
	found, err := m.lsRemote(ctx, patterns)
	if err != nil {
		return "", "", err
	}
	for _, n := range names {
		if ref, ok := found[n]; ok {
			return ref.sha, n, nil
		}
	}
	if isName {
		// An experiment, by its name.
		for n, ref := range found {
			if strings.HasPrefix(n, "refs/exps/") && strings.Count(n, "/") == 4 && strings.HasSuffix(n, "/"+rev) {
				return ref.sha, n, nil
			}
		}
	}
	return "", "", unknown(rev)
}

func checkRev(rev string) error {
	if strings.HasPrefix(rev, "-") || strings.ContainsAny(rev, "\x00\n\r") {
		return unknown(rev)
	}
	return nil
}

// RemoteTags lists the annotated tags of the other side, by name, with the
// commits they name.
func (m *Mirror) RemoteTags(ctx context.Context) (map[string]string, error) {
	found, err := m.lsRemote(ctx, []string{"refs/tags/*"})
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	for name, ref := range found {
		if ref.tag != "" {
			tags[strings.TrimPrefix(name, "refs/tags/")] = ref.sha
		}
	}
	return tags, nil
}

// lsRemote asks for refs by pattern.
func (m *Mirror) lsRemote(ctx context.Context, patterns []string) (map[string]remoteRef, error) {
	out, err := m.network(ctx, nil, append([]string{"ls-remote", "--quiet", "--", mirrorRemote}, patterns...)...)
	if err != nil {
		return nil, err
	}
	found := map[string]remoteRef{}
	for line := range strings.Lines(string(out)) {
		sha, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok || !m.isFullSHA(sha) {
			continue
		}
		base, peeled := strings.CutSuffix(name, "^{}")
		ref := found[base]
		if peeled {
			ref.tag, ref.sha = ref.sha, sha
		} else if ref.sha == "" {
			ref.sha = sha
		}
		found[base] = ref
	}
	return found, nil
}

// Fetch makes sure that the mirror has the commit that a revision names, "" for
// the default branch, and returns its SHA. A SHA that is there already costs no
// request. An unknown revision is errs.NotFound.
func (m *Mirror) Fetch(ctx context.Context, rev string) (string, error) {
	if err := checkRev(rev); err != nil {
		return "", err
	}
	if m.isFullSHA(rev) && m.has(rev) {
		return strings.ToLower(rev), nil
	}
	unlock, err := m.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	sha, ref, err := m.Tip(ctx, rev)
	switch {
	case err == nil && m.has(sha):
		return sha, nil
	case err == nil:
		if ref == "" {
			ref = sha
		}
		if got, ferr := m.fetchOne(ctx, ref, sha); ferr == nil {
			return got, nil
		} else if ctx.Err() != nil {
			return "", ctx.Err()
		}
	case !errs.Is(err, errs.NotFound):
		return "", err
	}
	// What needs history, and servers that give out no single commit.
	if err := m.fetchAll(ctx); err != nil {
		return "", err
	}
	again, err := m.reopened()
	if err != nil {
		return "", err
	}
	defer again.Close()
	if rev == "" {
		rev = sha
	}
	if base, _, _ := splitSteps(rev); base == "HEAD" || base == "@" {
		// HEAD is the other side's, not the mirror's.
		if sha, _, err = m.Tip(ctx, ""); err != nil {
			return "", err
		}
		rev = sha + rev[len(base):]
	}
	return again.Resolve(ctx, rev)
}

// has reports whether the mirror holds a commit with its folders.
func (m *Mirror) has(sha string) bool {
	r, err := m.reopened()
	if err != nil {
		return false
	}
	defer r.Close()
	db, err := r.objects()
	if err != nil || !db.here(sha) {
		return false
	}
	c, err := db.commit(sha)
	return err == nil && db.here(c.tree)
}

// reopened is the mirror as it is on disk now.
func (m *Mirror) reopened() (*Repo, error) {
	r, err := open(m.root, m.gitDir, Options{Env: m.env})
	if err == nil {
		r.bare, r.source = true, m.url
	}
	return r, err
}

// here reports whether an object is stored, without asking the other side.
func (db *objectDB) here(id string) bool {
	if _, err := db.decode(id); err != nil {
		return false
	}
	if db.byProgram {
		return len(db.repo.absent(context.Background(), []string{id})) == 0
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	_, err := db.stored(plumbing.NewHash(id))
	return err == nil
}

// absent lists which of the objects are not stored. Git before 2.45 fetches
// them all the same, one by one.
func (r *Repo) absent(ctx context.Context, ids []string) []string {
	cmd, err := r.command(ctx, "look for objects", "cat-file", "--batch-check=%(objectname) %(objecttype)", "--buffer")
	if err != nil {
		return ids
	}
	cmd.Env = append(cmd.Env, "GIT_NO_LAZY_FETCH=1")
	cmd.Stdin = strings.NewReader(strings.Join(ids, "\n") + "\n")
	out, err := cmd.Output()
	if err != nil {
		return ids
	}
	var list []string
	for line := range strings.Lines(string(out)) {
		if id, ok := strings.CutSuffix(strings.TrimSuffix(line, "\n"), " missing"); ok {
			list = append(list, id)
		}
	}
	return list
}

// fetchOne fetches one commit without its history and, where the server can do
// it, without files.
func (m *Mirror) fetchOne(ctx context.Context, ref, sha string) (string, error) {
	to := "refs/cairn/" + sha
	_, err := m.network(ctx, nil, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no",
		"--depth=1", "--filter=blob:none", "--", mirrorRemote, "+"+ref+":"+to)
	if err != nil {
		return "", err
	}
	again, err := m.reopened()
	if err != nil {
		return "", err
	}
	defer again.Close()
	return again.Resolve(ctx, to)
}

// fetchAll fetches all branches and tags with their history.
func (m *Mirror) fetchAll(ctx context.Context) error {
	refs := []string{"+refs/heads/*:refs/remotes/" + mirrorRemote + "/*", "+refs/tags/*:refs/tags/*"}
	args := []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no"}
	try := [][]string{{"--filter=blob:none"}, nil}
	if _, err := os.Stat(filepath.Join(m.gitDir, "shallow")); err == nil {
		try = [][]string{{"--unshallow", "--filter=blob:none"}, {"--unshallow"}, nil}
	}
	var err error
	for _, more := range try {
		call := append(append(slices.Clone(args), more...), "--", mirrorRemote)
		if _, err = m.network(ctx, nil, append(call, refs...)...); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// Prefetch brings files that are going to be read, by their SHA, in one request
// instead of one each.
func (m *Mirror) Prefetch(ctx context.Context, blobs []string) error {
	db, err := m.objects()
	if err != nil {
		return err
	}
	var want []string
	if db.byProgram {
		want = m.absent(ctx, blobs)
	} else {
		for _, b := range blobs {
			if !db.here(b) {
				want = append(want, b)
			}
		}
	}
	const few = 2 // git asks for so many by itself
	if len(want) < few {
		return nil
	}
	// Not to succeed is no failure yet: each file is asked for when it is read.
	_, _ = m.network(ctx, []byte(strings.Join(want, "\n")+"\n"), "-c", "fetch.negotiationAlgorithm=noop", "fetch", "--quiet", "--no-tags",
		"--no-write-fetch-head", "--recurse-submodules=no", "--filter=blob:none", "--stdin", mirrorRemote)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return nil
}

const (
	// mirrorRemote is what the other side is called in a mirror.
	mirrorRemote = "origin"
	// mirrorWait is how long one command waits for another that fetches.
	mirrorWait = 10 * time.Minute
)

func (m *Mirror) lock(ctx context.Context) (func(), error) {
	l, err := disk.Acquire(ctx, filepath.Join(m.gitDir, "cairn.lock"), disk.LockOptions{Timeout: mirrorWait})
	if err != nil {
		return nil, err
	}
	return func() { _ = l.Release() }, nil
}

// network runs git where it talks to the other side.
func (m *Mirror) network(ctx context.Context, stdin []byte, args ...string) ([]byte, error) {
	cmd, err := m.command(ctx, "reach the repository '"+Redact(m.url)+"'", args...)
	if err != nil {
		return nil, err
	}
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.WaitDelay = 5 * time.Second // for what git started
	out, err := cmd.Output()
	if err == nil {
		return out, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, m.failed(err, stderr.String())
}

// failed words what git said, on one line and without credentials.
func (m *Mirror) failed(err error, said string) error {
	var lines []string
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		for _, prefix := range []string{"fatal: ", "error: "} {
			line = strings.TrimPrefix(line, prefix)
		}
		if line != "" && !strings.HasPrefix(line, "warning: ") && !strings.HasPrefix(line, "hint: ") {
			lines = append(lines, line)
		}
	}
	kind := errs.Unavailable
	text := strings.Join(lines, "; ")
	low := strings.ToLower(text)
	switch {
	case strings.Contains(low, "does not appear to be a git repository"), strings.Contains(low, "repository not found"),
		strings.Contains(low, "not found") && strings.Contains(low, "repository"):
		kind = errs.NotFound
	case strings.Contains(low, "authentication failed"), strings.Contains(low, "could not read username"), strings.Contains(low, "could not read password"),
		strings.Contains(low, "permission denied"), strings.Contains(low, "terminal prompts disabled"):
		kind = errs.Denied
	}
	if _, isExit := errors.AsType[*exec.ExitError](err); !isExit || text == "" {
		text = strings.TrimSpace(text + " " + err.Error())
	}
	return &errs.Error{Kind: kind, Msg: fmt.Sprintf("Failed to clone repo '%s': %s", disk.Quote(Redact(m.url)), disk.Quote(m.hide(text)))}
}

// hide takes the address's credentials out of a text.
func (m *Mirror) hide(text string) string {
	text = strings.ReplaceAll(text, m.url, Redact(m.url))
	_, user, _, ok := splitUser(m.url)
	if !ok || Redact(m.url) == m.url {
		return text
	}
	secrets := []string{user}
	if _, pass, both := strings.Cut(user, ":"); both {
		secrets = append(secrets, pass)
	}
	for _, s := range secrets {
		if plain, err := url.PathUnescape(s); err == nil && plain != s {
			secrets = append(secrets, plain)
		}
	}
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "***")
		}
	}
	return text
}

// mirrorEnv is the environment of git in a mirror. The other side is told by
// variables: neither a list of processes nor a file on the disk shows it.
func (r *Repo) mirrorEnv() []string {
	var env []string
	n := 0
	prompt := false
	for _, kv := range r.env {
		k, v, _ := strings.Cut(kv, "=")
		switch {
		case k == "GIT_CONFIG_COUNT":
			// The user's own, such as a proxy or a token, go before ours.
			if i, err := strconv.Atoi(v); err == nil && i > 0 && i < 1000 {
				n = i
			}
		case foreign[k] || k == "GIT_ALLOW_PROTOCOL" || k == "GIT_PROTOCOL_FROM_USER":
		case k == "GIT_TERMINAL_PROMPT":
			prompt = true
			env = append(env, kv)
		default:
			env = append(env, kv)
		}
	}
	for _, kv := range [][2]string{
		{"remote." + mirrorRemote + ".url", r.source},
		{"remote." + mirrorRemote + ".promisor", "true"},
		{"remote." + mirrorRemote + ".partialclonefilter", "blob:none"},
		{"core.hooksPath", os.DevNull},
		{"submodule.recurse", "false"},
		{"gc.auto", "0"},
		{"maintenance.auto", "false"},
	} {
		i := strconv.Itoa(n)
		env = append(env, "GIT_CONFIG_KEY_"+i+"="+kv[0], "GIT_CONFIG_VALUE_"+i+"="+kv[1])
		n++
	}
	env = append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(n), "GIT_ALLOW_PROTOCOL="+protocols, "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0")
	if !prompt && r.getenv("CI") != "" {
		env = append(env, "GIT_TERMINAL_PROMPT=0")
	}
	return env
}

// PruneMirrors removes the mirrors in a folder that no command has used since a
// time.
func PruneMirrors(dir string, since time.Time) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range list {
		p := filepath.Join(dir, e.Name())
		st, err := os.Stat(filepath.Join(p, "cairn.lock"))
		if errors.Is(err, fs.ErrNotExist) {
			st, err = os.Stat(filepath.Join(p, "HEAD"))
		}
		if err == nil && e.IsDir() && st.ModTime().Before(since) {
			_ = os.RemoveAll(p)
		}
	}
}
