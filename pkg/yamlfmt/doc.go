// Package yamlfmt reads and writes YAML exactly as DVC does, which uses the
// Python library ruamel.yaml: the same texts are accepted, with the same
// values, and what is written has the same bytes.
//
// [Parse] reads a text; [Doc.Value] is its content, [Doc.Pos] where in the
// text a part of it stands. [Marshal] writes a value as DVC writes a new
// file. [Doc.Update] rewrites a text so that it says something else, keeping
// comments, the order of keys and the style of collections, as DVC does when
// it changes a file that a person may have written. [JSON] is Python's
// json.dumps, which DVC hashes.
//
// Values are *[Map], []any, string, int64, *big.Int (beyond int64), float64,
// bool, nil and [Date]. Marshal, JSON and Update also take int, []string,
// map-free Go values only; anything else panics, as it is a programming error.
//
// Text is foreign: its size, depth and the growth through aliases and merge
// keys are bounded, and what is wrong with it is a [*SyntaxError] with line
// and column. Collections that several aliases share are the same Go value;
// treat values as read only.
package yamlfmt
