// Package report presents values: one Table, rendered as text, Markdown, CSV,
// JSON or HTML.
package report
