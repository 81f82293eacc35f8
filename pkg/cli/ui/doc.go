// Package ui is the terminal: streams, colours, progress, questions.
//
// Results go to standard output, everything else to standard error. Colours,
// progress and questions need a terminal; DVC_IGNORE_ISATTY pretends there is
// one, NO_COLOR and TERM=dumb switch colours off.
package ui
