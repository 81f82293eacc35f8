// Package webserver runs HTTP and WebDAV servers for tests: [NewFiles], a web
// server that takes uploads, and [NewDAV], a WebDAV server, both in the
// process, which need nothing installed, count, fail and ask for logins on
// demand; and [StartApache], a separate program of somebody else's making.
//
// All keep their files in a folder, each named by its key, so that a test can
// look at them, and damage them, behind everybody's back.
package webserver
