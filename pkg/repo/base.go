package repo

import (
	"context"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// Base is the revision that the workspace is compared with.
type Base struct {
	Name string // as it was named, or for people
	SHA  string
	// Fork is set if it is the commit at which HEAD left Name.
	Fork bool
}

// FindBase returns the commit that a revision names. With mergeBase set, that
// is where HEAD left it, so that what others did to it since does not count.
// Without a name it is what a change is looked at against: in the CI of a
// request to merge the commit where its branch begins, in other CI the parent
// of HEAD, and elsewhere HEAD.
func (r *Repo) FindBase(ctx context.Context, rev string, mergeBase bool) (Base, error) {
	if r.Git == nil {
		return Base{}, r.noGit()
	}
	b := Base{Name: rev}
	var err error
	switch {
	case rev != "":
		b.SHA, err = r.Git.Resolve(ctx, rev)
	default:
		b, mergeBase, err = r.baseOfCI(ctx)
	}
	if err != nil || !mergeBase {
		return b, err
	}
	head, err := r.Git.Resolve(ctx, "HEAD")
	if err != nil {
		return b, err
	}
	fork, err := r.Git.MergeBase(ctx, head, b.SHA)
	if err != nil {
		return b, errs.WithHint(err, "In CI, fetch the history too: `fetch-depth: 0` of actions/checkout, `GIT_DEPTH: 0` of GitLab.")
	}
	b.SHA, b.Fork = fork, true
	return b, nil
}

// baseOfCI looks at what CI services say of the job.
func (r *Repo) baseOfCI(ctx context.Context) (b Base, mergeBase bool, err error) {
	env := r.env.Getenv
	if target := env("GITHUB_BASE_REF"); target != "" {
		return r.targetBranch(ctx, target)
	}
	if sha := env("CI_MERGE_REQUEST_DIFF_BASE_SHA"); sha != "" {
		b = Base{Name: orText(env("CI_MERGE_REQUEST_TARGET_BRANCH_NAME"), "the target branch")}
		b.SHA, err = r.Git.Resolve(ctx, sha)
		b.Fork = true
		return b, false, err
	}
	if target := env("BITBUCKET_PR_DESTINATION_BRANCH"); target != "" {
		return r.targetBranch(ctx, target)
	}
	b.Name = "HEAD"
	if b.SHA, err = r.Git.Resolve(ctx, "HEAD"); err != nil {
		if errs.Is(err, errs.NotFound) {
			err = errs.New(errs.NotFound, "there is no commit to compare with yet")
		}
		return b, false, err
	}
	if ci := strings.ToLower(env("CI")); ci == "" || ci == "false" || ci == "0" {
		return b, false, nil
	}
	// Nothing has changed since HEAD in a fresh clone.
	parent, err := r.Git.Parent(b.SHA)
	if parent != "" {
		b = Base{Name: "HEAD~1", SHA: parent}
	}
	return b, false, err
}

func (r *Repo) targetBranch(ctx context.Context, branch string) (Base, bool, error) {
	for _, name := range []string{"refs/remotes/origin/" + branch, branch} {
		sha, err := r.Git.Resolve(ctx, name)
		if err == nil {
			return Base{Name: branch, SHA: sha}, true, nil
		}
		if !errs.Is(err, errs.NotFound) {
			return Base{}, false, err
		}
	}
	return Base{}, false, errs.WithHint(errs.New(errs.NotFound, "the branch '%s' that the change is to be merged into was not fetched", branch),
		"Fetch the history of all branches: `fetch-depth: 0` of actions/checkout.")
}

func orText(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
