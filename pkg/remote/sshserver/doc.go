// Package sshserver runs SSH servers with SFTP for tests: [New] in the
// process, which needs nothing installed and breaks on demand, and [Start],
// somebody else's sshd with a configuration of its own. Both listen on the
// loopback interface, have their own random host key, and let in the holder
// of a random key only, besides what a test asks for.
package sshserver
