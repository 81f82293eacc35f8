package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cairndata/cairn/pkg/errs"
)

// AddRemote gives the level a new remote, and makes it the default if asked to.
// One that exists at the level is errs.Config unless force replaces it.
func (e *Editor) AddRemote(name, url string, isDefault, force bool) error {
	name = strings.ToLower(name)
	if err := checkRemoteName(name); err != nil {
		return err
	}
	if e.HasRemote(name) {
		if !force {
			return failf("remote '%s' already exists. Use `-f|--force` to overwrite it.", name)
		}
		s := e.touchRemote(name)
		*s = section{}
	}
	e.touchRemote(name)
	if err := e.set(RemoteKey(name, "url"), url); err != nil {
		return err
	}
	if isDefault {
		return e.set(Key{Section: "core", Option: "remote"}, name)
	}
	return nil
}

// checkRemoteName refuses names that a file cannot hold.
func checkRemoteName(name string) error {
	if strings.TrimSpace(name) == "" || strings.ContainsAny(name, "'\"\n\r\x00") {
		return failf("remote name %s cannot be used: it is empty or holds quotes or line breaks", pyRepr(name))
	}
	return nil
}

// ModifyRemote sets a remote's option at this level, or unsets it. The remote
// must exist at this level or a weaker one.
func (e *Editor) ModifyRemote(name, option, value string, unset bool) error {
	name = strings.ToLower(name)
	known, err := e.remotesUpTo()
	if err != nil {
		return err
	}
	if !slices.Contains(known, name) {
		return elsewhere(e.o, name, e.level, known)
	}
	k, grew := RemoteKey(name, option), e.grew
	e.touchRemote(name)
	if unset {
		e.drop(k)
		e.grew = grew
		return nil
	}
	return e.set(k, value)
}

// remotesUpTo are the remotes of this level and the weaker ones.
func (e *Editor) remotesUpTo() ([]string, error) {
	var names []string
	for _, l := range Levels()[:e.level] {
		if e.o.Path(l) == "" {
			continue
		}
		below, err := Open(e.o, l)
		if err != nil {
			return nil, err
		}
		names = append(names, below.Remotes()...)
	}
	return append(names, e.Remotes()...), nil
}

func remoteGone(name string, known []string) error {
	err := failf("remote '%s' doesn't exist.", name)
	if near := Nearest(name, known); near != "" {
		return errs.WithHint(err, "Did you mean %q?", near)
	}
	return err
}

// SetDefaultRemote makes a remote the default at this level. It must exist at
// this level or a weaker one.
func (e *Editor) SetDefaultRemote(name string) error {
	name = strings.ToLower(name)
	known, err := e.remotesUpTo()
	if err != nil {
		return err
	}
	if !slices.Contains(known, name) {
		err := failf("default remote must be present in remote list.")
		if hint := errs.HintOf(elsewhere(e.o, name, e.level, known)); hint != "" {
			return errs.WithHint(err, "%s", hint)
		}
		return err
	}
	return e.set(Key{Section: "core", Option: "remote"}, name)
}

// UnsetDefaultRemote leaves this level without a default remote.
func (e *Editor) UnsetDefaultRemote() { e.drop(Key{Section: "core", Option: "remote"}) }

// editors opens the level and the stronger ones.
func editors(o LoadOptions, from Level) ([]*Editor, error) {
	var eds []*Editor
	for _, l := range Levels()[from:] {
		if o.Path(l) == "" && l > from {
			continue
		}
		e, err := Open(o, l)
		if err != nil {
			return nil, err
		}
		eds = append(eds, e)
	}
	return eds, nil
}

// RemoveRemote removes a remote from a level, and from the stronger ones what
// would be left without a URL, or names it as the default. It returns a line
// for each change beyond the removal asked for.
func RemoveRemote(o LoadOptions, name string, l Level) ([]string, error) {
	name = strings.ToLower(name)
	eds, err := editors(o, l)
	if err != nil {
		return nil, err
	}
	if !eds[0].HasRemote(name) {
		return nil, elsewhere(o, name, l, eds[0].Remotes())
	}
	keepsURL, err := urlBelow(o, name, l)
	if err != nil {
		return nil, err
	}
	var notes []string
	for _, e := range eds[1:] {
		_, own := e.Get(RemoteKey(name, "url"))
		keepsURL = keepsURL || own
		if e.HasRemote(name) && !keepsURL {
			e.dropRemote(name)
			notes = append(notes, fmt.Sprintf("Removed the options of remote '%s' from %s, too.", name, e.files[0].shown))
		}
	}
	eds[0].dropRemote(name)
	core := Key{Section: "core", Option: "remote"}
	for _, e := range eds {
		if d, ok := e.Get(core); ok && d.Value == name {
			e.drop(core)
			notes = append(notes, fmt.Sprintf("Remote '%s' is no longer the default in %s.", name, e.files[0].shown))
		}
	}
	// The strongest first: options without a URL are an error, not the reverse.
	for _, e := range slices.Backward(eds) {
		if err := e.Save(); err != nil {
			return nil, err
		}
	}
	return notes, nil
}

// urlBelow reports whether a level weaker than l gives the remote a URL.
func urlBelow(o LoadOptions, name string, l Level) (bool, error) {
	if l == System {
		return false, nil
	}
	_, ok, err := Get(o, RemoteKey(name, "url"), Levels()[:l]...)
	return ok, err
}

// elsewhere says that a remote is not at a level, and where it is.
func elsewhere(o LoadOptions, name string, l Level, known []string) error {
	for _, other := range Levels() {
		if other == l || o.Path(other) == "" {
			continue
		}
		if e, err := Open(o, other); err == nil && e.HasRemote(name) {
			return errs.WithHint(failf("remote '%s' doesn't exist.", name), "It stands in %s; use --%s.", e.files[0].shown, other)
		}
	}
	return remoteGone(name, known)
}

// RenameRemote renames a remote at a level and wherever the repository's own
// files (project and local) have it: its section, core.remote, and URLs of
// remotes built upon it. It returns a line for each file changed beyond the
// level asked for.
func RenameRemote(o LoadOptions, from, to string, l Level) ([]string, error) {
	from, to = strings.ToLower(from), strings.ToLower(to)
	if err := checkRemoteName(to); err != nil {
		return nil, err
	}
	eds, err := editors(o, l)
	if err != nil {
		return nil, err
	}
	if l == Local {
		// The project's section must follow.
		if eds, err = editors(o, Project); err != nil {
			return nil, err
		}
	}
	if err := checkRename(o, eds, from, to, l); err != nil {
		return nil, err
	}
	// Old and new stand side by side until every level has the new name, so
	// that a broken-off rename leaves a configuration that works.
	var notes []string
	for _, e := range eds {
		if changed := e.copyRemote(from, to); changed && e.level != l {
			notes = append(notes, fmt.Sprintf("Renamed remote '%s' to '%s' in %s, too.", from, to, e.files[0].shown))
		}
	}
	note, err := keepDefault(o, eds, from, to, l)
	if err != nil {
		return nil, err
	}
	several := len(notes) > 0
	if note != "" {
		notes = append(notes, note)
	}
	if several {
		for _, e := range eds {
			if err := e.Save(); err != nil {
				return nil, err
			}
		}
	}
	for _, e := range slices.Backward(eds) {
		e.dropRemote(from)
		if err := e.Save(); err != nil {
			return nil, err
		}
	}
	return notes, nil
}

// keepDefault sets the new name as the default at the level l if the old one is
// it by a weaker level's word, which other repositories may need as it is.
func keepDefault(o LoadOptions, eds []*Editor, from, to string, l Level) (note string, err error) {
	core := Key{Section: "core", Option: "remote"}
	var own *Editor
	for _, e := range eds {
		if _, ok := e.Get(core); ok {
			return "", nil
		}
		if e.level == l {
			own = e
		}
	}
	weaker := Levels()[:eds[0].level]
	if len(weaker) == 0 {
		return "", nil
	}
	d, ok, err := Get(o, core, weaker...)
	if err != nil || !ok || strings.ToLower(d.Value) != from {
		return "", err
	}
	if keeps, err := urlBelow(o, from, eds[0].level); err != nil || keeps {
		return "", err
	}
	note = fmt.Sprintf("Remote '%s' is the default by %s: set '%s' as the default in %s.", from, d.Origin, to, own.files[0].shown)
	return note, own.set(core, to)
}

func checkRename(o LoadOptions, eds []*Editor, from, to string, l Level) error {
	for _, other := range Levels() {
		if o.Path(other) == "" {
			continue
		}
		e, err := Open(o, other)
		if err != nil {
			return err
		}
		if e.HasRemote(to) {
			return failf("Rename failed. Remote name %s already exists.", pyRepr(to))
		}
	}
	for _, e := range eds {
		if e.level == l && !e.HasRemote(from) {
			return elsewhere(o, from, l, e.Remotes())
		}
	}
	return checkURLMoves(o, eds, from, to)
}

// checkURLMoves refuses to rename the options of a remote whose URL would keep
// the old name, as it stands at a weaker level.
func checkURLMoves(o LoadOptions, eds []*Editor, from, to string) error {
	for _, e := range eds {
		if _, ok := e.Get(RemoteKey(from, "url")); ok {
			return nil
		}
	}
	for _, below := range slices.Backward(Levels()[:eds[0].level]) {
		if _, ok, err := Get(o, RemoteKey(from, "url"), below); err == nil && ok {
			err := failf("Rename failed. The URL of remote '%s' stands in the %s config.", from, below)
			return errs.WithHint(err, "Rename it there: cairn remote rename --%s %s %s", below, from, to)
		}
	}
	return nil
}

// copyRemote gives a remote's section at this level a second name, in the
// place after the last, and turns references to the new name.
func (e *Editor) copyRemote(from, to string) (changed bool) {
	remotes := e.files[0].tree.sub("remote")
	if remotes == nil {
		return false
	}
	if n := remotes.get(from); n != nil {
		remotes.set(to, n.clone())
		e.dirty[0], changed = true, true
	}
	core := e.files[0].tree.sub("core")
	if n := core.get("remote"); n != nil && strings.ToLower(n.text) == from {
		core.set("remote", &node{text: to, origin: n.origin})
		e.dirty[0], changed = true, true
	}
	for _, r := range remotes.entries {
		u := r.val.sect.get("url")
		if u == nil || r.key == from {
			continue
		}
		if scheme, _ := remoteScheme(u.text); scheme != "remote" {
			continue
		}
		if base, rest := splitRemoteURL(u.text); base == from {
			c := *u
			if c.text = "remote://" + to; rest != "" {
				c.text += "/" + rest
			}
			r.val.sect.set("url", &c)
			e.dirty[0], changed = true, true
		}
	}
	return changed
}
