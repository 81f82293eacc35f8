// Package s3server runs S3 servers for tests: [Memory] in the process, which
// needs nothing installed, counts, fails and damages on demand, and [Start],
// a separate program of somebody else's making.
//
// Both insist on signed requests with their own random keys, so that a test
// cannot pass by accident on what a real bucket would refuse.
package s3server
