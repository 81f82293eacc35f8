//go:build unix

package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cairndata/cairn/pkg/report"
)

// drawDVC draws graphs as `dvc dag` does: pairs are (stage, what it needs).
const drawDVC = `
import json, sys
from dvc.dagascii import draw
json.dump([draw(g["nodes"], [tuple(e) for e in g["edges"]]) for g in json.load(sys.stdin)], sys.stdout)
`

type boxGraph struct {
	Nodes []string    `json:"nodes"`
	Edges [][2]string `json:"edges"`
}

// inventTree makes up stages that each need one other, or are each needed by one.
func inventTree(r *rand.Rand, joins bool) boxGraph {
	g := boxGraph{Edges: [][2]string{}}
	for i := range 1 + r.Intn(9) {
		n := fmt.Sprintf("%s%d", []string{"a", "train", "prepare.dvc", "s"}[r.Intn(4)], i)
		if i > 0 {
			e := [2]string{n, g.Nodes[r.Intn(i)]}
			if joins {
				e = [2]string{e[1], e[0]}
			}
			g.Edges = append(g.Edges, e)
		}
		g.Nodes = append(g.Nodes, n)
	}
	return g
}

// The drawings of chains and trees are DVC's, to the blank.
func TestBoxesOfTrees(t *testing.T) {
	if dvcTool == nil || *update {
		t.Skip("needs the real DVC: set CAIRN_DVC to its path")
	}
	t.Parallel()
	var graphs []boxGraph
	for seed := range int64(200) {
		graphs = append(graphs, inventTree(rand.New(rand.NewSource(seed)), seed%2 == 1))
	}
	in, err := json.Marshal(graphs)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(filepath.Dir(dvcTool.path), "python"), "-c", drawDVC)
	var problems bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, problems.String())
	}
	var want []string
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	for i, g := range graphs {
		if got := drawBoxes(g); got != want[i] {
			t.Errorf("seed %d, %v: DVC\n%s\ncairn\n%s", i, g, want[i], got)
		}
	}
}

func drawBoxes(g boxGraph) string {
	at := map[string]int{}
	for i, n := range g.Nodes {
		at[n] = i
	}
	var edges [][2]int
	for _, e := range g.Edges {
		edges = append(edges, [2]int{at[e[1]], at[e[0]]})
	}
	return report.Boxes(g.Nodes, edges)
}
