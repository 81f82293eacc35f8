// Package plot turns data files into plots: what DVC calls data points, filled
// Vega-Lite templates for its JSON and for clients such as the VS Code
// extension, a page that opens without a network, drawings for the terminal,
// and SVG made without a browser.
//
// [Build] matches the definitions of several revisions with the content of
// their files; a [Plot] is the result. Nothing here reads a file or writes one:
// pkg/repo brings content in and takes pages out.
//
// Data is kept in columns. A file of 100,000 rows that is drawn for three
// fields is one set of columns seen three times.
package plot
