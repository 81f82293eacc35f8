package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// family is a repository and what is done with it, step by step.
type family struct {
	name string
	// rounds is how often a round is repeated: what takes milliseconds is
	// measured more often.
	rounds int
	// space is how many bytes one site takes at most.
	space func(Sizes) int64
	// setup makes a tool's repository, with the data in it; errCannot if the
	// tool has no use for it.
	setup func(ctx context.Context, s *site) error
	// floor makes the folder in which the floor is measured; nil if there is no
	// floor.
	floor func(ctx context.Context, s *site) error
	steps []step
}

// step is one scenario: what comes before, untimed, and the command.
type step struct {
	name  string
	title func(Sizes) string
	// needs are earlier steps without which this one makes no sense.
	needs []string
	// do prepares and returns the command; errCannot if the tool has none.
	do func(ctx context.Context, s *site) (command, error)
	// floors are what the step is compared with.
	floors []floor
}

// floor is a plain way to the same end, or a part of it.
type floor struct {
	name string
	do   func(ctx context.Context, s *site) (command, error)
}

// text is a title without sizes.
func text(t string) func(Sizes) string { return func(Sizes) string { return t } }

func cp(args ...string) command { return command{path: "cp", args: append([]string{"cp"}, args...)} }

// plain wraps a command that needs no preparation.
func plain(make func(s *site) command) func(context.Context, *site) (command, error) {
	return func(_ context.Context, s *site) (command, error) { return make(s), nil }
}

// dvcOnly wraps a command of DVC's command line.
func dvcOnly(args ...string) func(context.Context, *site) (command, error) {
	return func(_ context.Context, s *site) (command, error) {
		if !s.tool.dvcLike() {
			return command{}, errCannot
		}
		return s.tool.cmd(args...), nil
	}
}

// repository is the setup of one without data.
func repository(as link) func(context.Context, *site) error {
	return func(ctx context.Context, s *site) error { return s.initialize(ctx, s.l.o.Hash, as) }
}

// families are all of them, in the order in which they run.
func families() []family {
	return []family{
		startFamily(),
		bigFamily("big", "add-big", "add %s", linkCopy, false),
		bigFamily("hardlink", "add-hardlink", "add %s, hard links", linkHardlink, false),
		bigFamily("reflink", "add-reflink", "add %s, reflinks", linkReflink, false),
		bigFamily("sparse", "add-sparse", "add %s without a byte in it (sparse)", linkCopy, true),
		manyFamily(),
		pipelineFamily(),
		pointersFamily(),
		dudFamily("few", "4 files of %s in one folder", fewTree),
		dudFamily("small", "%d files of %s in one folder", smallTree),
		remoteFamily("remote-many", false),
		remoteFamily("remote-big", true),
	}
}

func startFamily() family {
	return family{
		name: "start", rounds: 5,
		space: func(Sizes) int64 { return 1 << 20 },
		setup: repository(linkCopy),
		steps: []step{
			{name: "version", title: text("start-up: version"), do: func(_ context.Context, s *site) (command, error) {
				switch s.tool.Kind {
				case Cairn, DVC:
					return s.tool.cmd("--version"), nil
				case Annex:
					return s.tool.cmd("version", "--raw"), nil
				}
				return s.tool.cmd("version"), nil
			}},
			{name: "startup", title: text("start-up: status of an empty repository"), do: func(_ context.Context, s *site) (command, error) {
				if s.tool.Kind == Dud { // which calls that an error
					return command{}, errCannot
				}
				return s.status(), nil
			}},
		},
	}
}

// bigFamily adds one large file.
func bigFamily(name, scenario, title string, as link, sparse bool) family {
	data := func(ctx context.Context, s *site) error {
		return writeBig(ctx, s.path("big.bin"), seedBig, s.l.sizes.Big, sparse)
	}
	floors := []floor{
		{"hash", plain(func(s *site) command {
			return command{floor: floorHash, args: []string{s.l.o.Hash, "big.bin"}}
		})},
	}
	if as == linkCopy {
		floors = append(floors, floor{"cp", func(_ context.Context, s *site) (command, error) {
			return cp("big.bin", ".floor"), removeAll(s.path(".floor"))
		}})
	}
	return family{
		name: name, rounds: 1,
		space: func(z Sizes) int64 { // a tool may write out what is not there
			if as == linkHardlink || as == linkReflink {
				return z.Big + 1<<20
			}
			return 2*z.Big + 1<<20
		},
		setup: func(ctx context.Context, s *site) error {
			if as == linkReflink && !s.l.reflinks() {
				return errCannot
			}
			if err := s.initialize(ctx, s.l.o.Hash, as); err != nil {
				return err
			}
			if err := data(ctx, s); err != nil {
				return err
			}
			return s.track(ctx, "big.bin", false)
		},
		floor: data,
		steps: []step{{
			name: scenario, title: func(z Sizes) string { return fmt.Sprintf(title, sizeText(z.Big)) },
			do:     plain(func(s *site) command { return s.add("big.bin", as) }),
			floors: floors,
		}},
	}
}

// changedEvery is the part of a folder that another branch has otherwise: one
// file in a hundred.
const changedEvery = 100

func manyFamily() family {
	many := func(s *site) tree { return manyTree(s.l.sizes.Files) }
	data := func(ctx context.Context, s *site) error {
		return many(s).writeAll(ctx, s.path("many"))
	}
	walk := floor{"lstat walk", plain(func(*site) command { return command{floor: floorWalk, args: []string{"many"}} })}
	// copied makes the floor's copy, where the step that does so was left out.
	copied := func(ctx context.Context, s *site) error {
		if _, err := os.Lstat(s.path(".floor")); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return s.run(ctx, cp("-r", "many", ".floor"))
	}
	changeOne := func(ctx context.Context, s *site) error {
		s.n++
		return many(s).change(ctx, s.path("many"), max(1, s.l.sizes.Files), seedChange+uint64(s.n))
	}
	counted := func(format string) func(Sizes) string {
		return func(z Sizes) string { return fmt.Sprintf(format, countText(z.Files)) }
	}
	return family{
		name: "many", rounds: 1,
		space: func(z Sizes) int64 { return 3 * manyTree(z.Files).diskBytes() },
		setup: func(ctx context.Context, s *site) error {
			if err := s.initialize(ctx, s.l.o.Hash, linkCopy); err != nil {
				return err
			}
			if err := data(ctx, s); err != nil {
				return err
			}
			return s.track(ctx, "many", true)
		},
		floor: data,
		steps: []step{
			{
				name: "add-many", title: counted("add %s files of 0.2 to 4 KB"),
				do: plain(func(s *site) command { return s.add("many", linkCopy) }),
				floors: []floor{{"cp -r", func(_ context.Context, s *site) (command, error) {
					return cp("-r", "many", ".floor"), removeAll(s.path(".floor"))
				}}},
			},
			{
				name: "status-many", title: counted("status, nothing changed, %s"), needs: []string{"add-many"},
				do: func(ctx context.Context, s *site) (command, error) {
					return s.status(), s.run(ctx, s.status()) // the first one fills memories
				},
				floors: []floor{walk},
			},
			{
				name: "status-one", title: text("status, one file changed"), needs: []string{"add-many"},
				do: func(ctx context.Context, s *site) (command, error) {
					return s.status(), changeOne(ctx, s)
				},
				floors: []floor{walk},
			},
			{
				name: "readd-one", title: text("add again, one file changed"), needs: []string{"add-many"},
				do: func(ctx context.Context, s *site) (command, error) {
					return s.add("many", linkCopy), changeOne(ctx, s)
				},
				floors: []floor{walk},
			},
			{
				name: "push-many", title: counted("push %s to a folder"), needs: []string{"add-many"},
				do: func(ctx context.Context, s *site) (command, error) {
					// What a step before has changed but not added.
					if err := s.run(ctx, s.add("many", linkCopy)); err != nil {
						return command{}, err
					}
					if err := s.save(ctx); err != nil {
						return command{}, err
					}
					return s.push(), s.connect(ctx)
				},
				floors: []floor{{"cp -r", func(ctx context.Context, s *site) (command, error) {
					return cp("-r", ".floor", s.remote), copied(ctx, s)
				}}},
			},
			{
				name: "push-noop", title: text("push again, nothing to do"), needs: []string{"push-many"},
				do: plain(func(s *site) command { return s.push() }),
			},
			{
				name: "status-cloud", title: text("status -c, nothing to do"), needs: []string{"push-many"},
				do: dvcOnly("status", "-c"),
			},
			{
				name: "pull-many", title: counted("pull %s into an empty cache"), needs: []string{"push-many"},
				do: func(ctx context.Context, s *site) (command, error) {
					return s.pull(linkCopy), s.forget(ctx, "many")
				},
			},
			{
				name: "checkout-many", title: counted("checkout %s"), needs: []string{"add-many"},
				do: func(_ context.Context, s *site) (command, error) {
					return s.checkout("many", linkCopy), removeAll(s.path("many"))
				},
				floors: []floor{{"cp -r", func(ctx context.Context, s *site) (command, error) {
					if err := copied(ctx, s); err != nil {
						return command{}, err
					}
					return cp("-r", ".floor", "many"), removeAll(s.path("many"))
				}}},
			},
			{
				name: "checkout-branch", title: text("checkout of a branch with 1 % changed"), needs: []string{"add-many"},
				do: otherBranch(many),
			},
		},
	}
}

// otherBranch leaves the repository where a checkout has to change one file in
// a hundred.
func otherBranch(data func(*site) tree) func(context.Context, *site) (command, error) {
	return func(ctx context.Context, s *site) (command, error) {
		if s.tool.Kind == Dud { // which leaves files that are there as they are
			return command{}, errCannot
		}
		if err := s.run(ctx, s.add("many", linkCopy)); err != nil {
			return command{}, err
		}
		if err := s.save(ctx); err != nil {
			return command{}, err
		}
		if err := s.run(ctx, git("checkout", "-q", "-b", "other")); err != nil {
			return command{}, err
		}
		if err := data(s).change(ctx, s.path("many"), changedEvery, seedChange); err != nil {
			return command{}, err
		}
		if err := s.run(ctx, s.add("many", linkCopy)); err != nil {
			return command{}, err
		}
		if err := s.save(ctx); err != nil {
			return command{}, err
		}
		to := func(branch string) command { return git("checkout", "-q", branch) }
		if !s.tool.dvcLike() {
			return to("other"), s.run(ctx, to("main"))
		}
		checkout := s.tool.cmd("checkout", "-q")
		return checkout, s.run(ctx, to("main"), checkout, to("other"))
	}
}

// pipelineFamily is a pipeline of copies in chains of ten.
func pipelineFamily() family {
	return family{
		name: "pipeline", rounds: 1,
		space: func(z Sizes) int64 { return int64(z.Stages)*(64<<10) + 1<<20 },
		setup: func(ctx context.Context, s *site) error {
			if !s.tool.dvcLike() {
				return errCannot
			}
			if err := s.initialize(ctx, s.l.o.Hash, linkCopy); err != nil {
				return err
			}
			var b strings.Builder
			b.WriteString("stages:\n")
			for i := range s.l.sizes.Stages {
				dep := "seed.txt"
				if i%10 != 0 {
					dep = fmt.Sprintf("out%d", i-1)
				}
				fmt.Fprintf(&b, "  s%d:\n    cmd: cp %s out%d\n    deps:\n    - %s\n    outs:\n    - out%d\n", i, dep, i, dep, i)
			}
			if err := os.WriteFile(s.path("dvc.yaml"), []byte(b.String()), 0o666); err != nil {
				return err
			}
			return os.WriteFile(s.path("seed.txt"), []byte("seed\n"), 0o666)
		},
		steps: []step{
			{
				name: "repro-first", title: func(z Sizes) string { return fmt.Sprintf("repro, %s stages, first run", countText(z.Stages)) },
				do: dvcOnly("repro", "-q"),
			},
			{
				name: "repro-noop", title: text("repro, nothing to do"), needs: []string{"repro-first"},
				do: dvcOnly("repro", "-q"),
			},
		},
	}
}

// dudFamily is one of dud's own benchmarks, with its definitions: links are
// symbolic, fetch does not check out. See docs/benchmarks.md.
func dudFamily(name, title string, data func(Sizes) dudTree) family {
	const dir = "data"
	what := func(z Sizes) string {
		t := data(z)
		if t.big {
			return fmt.Sprintf(title, sizeText(t.most))
		}
		return fmt.Sprintf(title, t.files, sizeText(t.most))
	}
	titled := func(verb string) func(Sizes) string {
		return func(z Sizes) string { return verb + ", " + what(z) }
	}
	removeCache := func(s *site) (string, error) {
		cache := s.path(".dvc", "cache")
		if s.tool.Kind == Dud {
			cache = s.path(".dud", "cache")
		}
		if err := removeAll(cache); err != nil {
			return cache, err
		}
		return cache, os.Mkdir(cache, 0o777)
	}
	return family{
		name: name, rounds: 1,
		space: func(z Sizes) int64 { return 2*data(z).bytes() + 1<<20 },
		setup: func(ctx context.Context, s *site) error {
			if !s.tool.dvcLike() && s.tool.Kind != Dud {
				return errCannot
			}
			if err := s.initialize(ctx, s.l.o.Hash, linkSymlink); err != nil {
				return err
			}
			if err := data(s.l.sizes).writeAll(ctx, s.path(dir)); err != nil {
				return err
			}
			return s.track(ctx, dir, true)
		},
		floor: func(ctx context.Context, s *site) error { return data(s.l.sizes).writeAll(ctx, s.path(dir)) },
		steps: []step{
			{
				name: name + "-commit", title: titled("commit"),
				do:     plain(func(s *site) command { return s.add(dir, linkSymlink) }),
				floors: []floor{{"hash", plain(func(s *site) command { return command{floor: floorHash, args: []string{s.l.o.Hash, dir}} })}},
			},
			{
				name: name + "-status", title: titled("status"), needs: []string{name + "-commit"},
				do: plain(func(s *site) command { return s.status() }),
			},
			{
				name: name + "-checkout", title: titled("checkout"), needs: []string{name + "-commit"},
				do: func(_ context.Context, s *site) (command, error) {
					return s.checkout(dir, linkSymlink), removeAll(s.path(dir))
				},
			},
			{
				name: name + "-push", title: titled("push to a folder"), needs: []string{name + "-commit"},
				do:     func(ctx context.Context, s *site) (command, error) { return s.push(), s.connect(ctx) },
				floors: []floor{{"cp -r", plain(func(s *site) command { return cp("-r", dir, s.remote) })}},
			},
			{
				name: name + "-fetch", title: titled("fetch from a folder"), needs: []string{name + "-push"},
				do: func(_ context.Context, s *site) (command, error) {
					_, err := removeCache(s)
					return s.tool.cmd("fetch"), err
				},
			},
		},
	}
}

// dudTree is one of dud's data sets.
type dudTree struct {
	tree
	big bool
}

func fewTree(z Sizes) dudTree {
	return dudTree{tree: tree{seed: seedBig, files: 4, least: z.Big, most: z.Big}, big: true}
}

func smallTree(z Sizes) dudTree {
	const size = 100 << 10
	return dudTree{tree: tree{seed: seedMany, files: z.Files, least: size, most: size}}
}

func (t dudTree) bytes() int64 { return t.diskBytes() }

func (t dudTree) writeAll(ctx context.Context, dir string) error {
	if !t.big {
		return t.tree.writeAll(ctx, dir)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for i := range t.files {
		if err := writeBig(ctx, filepath.Join(dir, t.name(i)), t.seed+uint64(i)<<32, t.most, false); err != nil {
			return err
		}
	}
	return nil
}

// remoteFamily is a remote of the user's.
func remoteFamily(name string, big bool) family {
	path, suffix := "many", "many"
	if big {
		path, suffix = "big.bin", "big"
	}
	what := func(z Sizes) string {
		if big {
			return sizeText(z.Big)
		}
		return countText(z.Files) + " files of 0.2 to 4 KB"
	}
	titled := func(format string) func(Sizes) string {
		return func(z Sizes) string { return fmt.Sprintf(format, what(z)) }
	}
	push := "remote-push-" + suffix
	steps := []step{
		{
			name: push, title: titled("push %s"),
			do: func(ctx context.Context, s *site) (command, error) { return s.push(), s.connect(ctx) },
		},
		{
			name: "remote-push-noop-" + suffix, title: titled("push %s again, nothing to do"), needs: []string{push},
			do: plain(func(s *site) command { return s.push() }),
		},
		{
			name: "remote-status-" + suffix, title: titled("status -c, nothing to do, %s"), needs: []string{push},
			do: dvcOnly("status", "-c"),
		},
		{
			name: "remote-pull-" + suffix, title: titled("pull %s into an empty cache"), needs: []string{push},
			do: func(ctx context.Context, s *site) (command, error) { return s.pull(linkCopy), s.forget(ctx, path) },
		},
	}
	return family{
		name: name, rounds: 1,
		space: func(z Sizes) int64 {
			if big {
				return 3*z.Big + 1<<20
			}
			return 3 * manyTree(z.Files).diskBytes()
		},
		setup: func(ctx context.Context, s *site) error {
			if !s.tool.dvcLike() || s.l.o.Remote == nil {
				return errCannot
			}
			if err := s.initialize(ctx, s.l.o.Hash, linkCopy); err != nil {
				return err
			}
			var err error
			if big {
				err = writeBig(ctx, s.path(path), seedBig, s.l.sizes.Big, false)
			} else {
				err = manyTree(s.l.sizes.Files).writeAll(ctx, s.path(path))
			}
			if err != nil {
				return err
			}
			return s.run(ctx, s.add(path, linkCopy))
		},
		steps: steps,
	}
}
