package git

import (
	"strings"
	"time"
)

// Commit is what is shown of a commit.
type Commit struct {
	SHA     string
	Parents []string
	Time    time.Time // of the committer
	Subject string    // the first line of the message
}

// Commit reads a commit by its SHA.
func (r *Repo) Commit(sha string) (Commit, error) {
	db, err := r.objects()
	if err != nil {
		return Commit{}, err
	}
	c, err := db.commit(sha)
	if err != nil {
		return Commit{}, err
	}
	_, data, err := db.read(sha)
	if err != nil {
		return Commit{}, err
	}
	_, message, _ := strings.Cut(string(data), "\n\n")
	subject, _, _ := strings.Cut(strings.TrimLeft(message, "\n"), "\n")
	return Commit{SHA: sha, Parents: c.parents, Time: time.Unix(c.time, 0), Subject: strings.TrimSpace(subject)}, nil
}

// Ancestors lists a commit and its first parents, n commits at most; n < 0 is
// all of them. A shallow clone ends where its history does.
func (r *Repo) Ancestors(sha string, n int) ([]string, error) {
	db, err := r.objects()
	if err != nil {
		return nil, err
	}
	cut, err := r.shallow()
	if err != nil {
		return nil, err
	}
	var list []string
	for sha != "" && (n < 0 || len(list) < n) {
		c, err := db.commit(sha)
		if err != nil {
			return nil, err
		}
		list = append(list, sha)
		if cut[sha] || len(c.parents) == 0 {
			break
		}
		sha = c.parents[0]
	}
	return list, nil
}
