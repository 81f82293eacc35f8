// Package chaostest is a bad line for tests: a proxy between cairn and a real
// server that delays, refuses, breaks off, shortens, damages, repeats and
// swallows what passes. [HTTP] knows requests and answers; [TCP] knows bytes
// only and is for every other protocol.
//
// A test sends its client to the proxy's address and expects that nothing is
// lost, nothing wrong is accepted, that success is said only of what succeeded,
// and that trying again completes. What strikes is drawn from a seed, which
// belongs in the test's log.
package chaostest
