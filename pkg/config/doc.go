// Package config knows cairn's options: where they are written, what they may
// be, and what they mean.
//
// Options stand in files of DVC's dialect at four levels; a higher level
// overrides a lower one: [System], [Global], [Project] (.dvc/config, committed)
// and [Local] (.dvc/config.local, this checkout only). [Load] reads all of them,
// checks the merged whole against one table of options ([Options], from which
// the documentation is made too) and returns a typed view. [Open] edits one
// level.
//
// DVC must go on reading these files, and it refuses sections it does not know.
// Options that only cairn has therefore stand in a sibling of each file, named
// with the suffix ".cairn". The one exception is core.hash, whose very purpose
// is that DVC keeps off a BLAKE3 repository.
//
// The environment, the home folder and the working folder come in through
// [LoadOptions]; the package reads nothing but the files.
package config
