// Command cairn versions data, models and pipelines next to Git.
package main

import (
	"os"

	"github.com/cairndata/cairn/pkg/cli"
)

func main() {
	if os.Getenv("GOGC") == "" { // whoever sets it knows better
		governMemory()
	}
	cli.NoProfile()
	ctx, stop := cli.Signals()
	code := cli.Main(ctx, cli.OSEnv())
	stop()
	os.Exit(code)
}
