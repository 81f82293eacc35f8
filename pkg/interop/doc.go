// Package interop proves that cairn and the real DVC can be exchanged for each other on one repository. It holds tests only.
//
// A scenario is a list of steps: files are written, removed or moved, git runs, the tool under test runs. It is played in a
// fresh folder by each tool and every run of the tool is compared: exit code, stdout, the ERROR lines of stderr, and what
// the step changed on disk, names, bytes, mode bits and links of workspace, cache, remote, Git index and hooks.
//
//   - scenarios: the table, by theme, in scenarios_*_test.go. The DVC side is recorded in testdata/dvc-<version>/.
//   - turns: both tools on one repository, alternately.
//   - blake3: the real DVC refuses what it cannot read, and cairn's own story in that mode.
//
// Environment and flags:
//
//	CAIRN_DVC=<path>  the real DVC. With it DVC runs live and must also agree with its recording; without it cairn is
//	                  compared with the recording alone, and the tests that need both tools are skipped.
//	CAIRN_DVC_FRESH=1 starts DVC anew for each command, instead of forking a process that has started: five times slower.
//	CAIRN_CHURN_PYTHON=<path>  a Python with examples/churn/requirements.txt, for the test that runs that project.
//	CAIRN_BIN=<path>  the binary under test; built from ./cmd/cairn when unset. Naming a DVC here checks the harness itself.
//	-update           records DVC's side anew (needs CAIRN_DVC); cairn is not run.
//
// Where cairn differs on purpose, the step carries a tolerance with its reason; there is no other way to differ.
package interop
