//go:build !linux

package disk

// RenameNew is Rename for a name that must not exist yet; fs.ErrExist says
// that it does.
func (d *Dir) RenameNew(name string, to *Dir, newName string) error {
	if err := to.ask("rename", newName); err != nil {
		return err
	}
	return d.renameIfAbsent(name, to, newName)
}
