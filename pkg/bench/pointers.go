package bench

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// pointersFamily is a repository of many pointer files and stages of which a
// command is asked about one. The files are written as DVC writes them, so that
// no tool has to add ten thousand files first; cairn's repository is an md5 one.
func pointersFamily() family {
	first := func(z Sizes) string { return pointerName(z.Pointers / 2) }
	what := func(z Sizes) string {
		return fmt.Sprintf("%s .dvc files and %s stages", countText(z.Pointers), countText(z.PointerStages))
	}
	titled := func(format string) func(Sizes) string {
		return func(z Sizes) string { return fmt.Sprintf(format, what(z)) }
	}
	return family{
		name: "pointers", rounds: 1,
		space: func(z Sizes) int64 { return int64(z.Pointers)*(20<<10) + int64(z.PointerStages)*(2<<10) + 1<<20 },
		setup: func(ctx context.Context, s *site) error {
			if !s.tool.dvcLike() {
				return errCannot
			}
			if err := s.initialize(ctx, "md5", linkCopy); err != nil {
				return err
			}
			if err := writePointers(ctx, s); err != nil {
				return err
			}
			return s.connect(ctx)
		},
		steps: []step{
			{name: "load", title: titled("list the stages of %s"), do: dvcOnly("stage", "list", "--all")},
			{
				name: "status-target", title: titled("status of one target among %s"),
				do: func(ctx context.Context, s *site) (command, error) {
					return dvcOnly("status", first(s.l.sizes)+".dvc")(ctx, s)
				},
			},
			{
				name: "pull-target", title: titled("pull one target among %s"),
				do: func(ctx context.Context, s *site) (command, error) {
					target := first(s.l.sizes)
					if err := removeAll(s.path(target)); err != nil {
						return command{}, err
					}
					if err := removeAll(s.path(".dvc", "cache")); err != nil {
						return command{}, err
					}
					return s.tool.cmd("pull", "-q", target+".dvc"), nil
				},
			},
		},
	}
}

// pointerName is the i-th data file, a hundred to a folder.
func pointerName(i int) string { return fmt.Sprintf("p%03d/%05d.txt", i/100, i) }

// writePointers makes the data files, their pointer files, the objects in the
// remote, dvc.yaml and dvc.lock.
func writePointers(ctx context.Context, s *site) error {
	z := s.l.sizes
	sum := func(data []byte) string {
		d := md5.Sum(data)
		return hex.EncodeToString(d[:])
	}
	for i := 0; i < z.Pointers; i += 100 {
		if err := os.MkdirAll(filepath.Dir(s.path(pointerName(i))), 0o777); err != nil {
			return err
		}
	}
	for i := range 256 {
		if err := os.MkdirAll(filepath.Join(s.remote, "files", "md5", fmt.Sprintf("%02x", i)), 0o777); err != nil {
			return err
		}
	}
	err := parallel(ctx, z.Pointers, 64, func(i int, buf []byte) error {
		seeded(seedPointer, uint64(i)).fill(buf)
		digits := sum(buf)
		path := s.path(filepath.FromSlash(pointerName(i)))
		pointer := fmt.Sprintf("outs:\n- md5: %s\n  size: %d\n  hash: md5\n  path: %s\n", digits, len(buf), filepath.Base(path))
		object := filepath.Join(s.remote, "files", "md5", digits[:2], digits[2:])
		for _, f := range []struct {
			path string
			data []byte
		}{{path, buf}, {path + ".dvc", []byte(pointer)}, {object, buf}} {
			if err := os.WriteFile(f.path, f.data, 0o666); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || z.PointerStages == 0 {
		return err
	}
	var yaml, lock bytes.Buffer
	yaml.WriteString("stages:\n")
	lock.WriteString("schema: '2.0'\nstages:\n")
	for i := range z.PointerStages {
		dep, data := pointerName(i%max(1, z.Pointers)), make([]byte, 64)
		seeded(seedPointer, uint64(i%max(1, z.Pointers))).fill(data)
		fmt.Fprintf(&yaml, "  s%d:\n    cmd: cp %s out/%d\n    deps:\n    - %s\n    outs:\n    - out/%d\n", i, dep, i, dep, i)
		entry := func(path string) string {
			return fmt.Sprintf("    - path: %s\n      hash: md5\n      md5: %s\n      size: %d\n", path, sum(data), len(data))
		}
		fmt.Fprintf(&lock, "  s%d:\n    cmd: cp %s out/%d\n    deps:\n%s    outs:\n%s", i, dep, i, entry(dep), entry(fmt.Sprintf("out/%d", i)))
	}
	if err := os.WriteFile(s.path("dvc.yaml"), yaml.Bytes(), 0o666); err != nil {
		return err
	}
	return os.WriteFile(s.path("dvc.lock"), lock.Bytes(), 0o666)
}
