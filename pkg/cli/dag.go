package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairndata/cairn/pkg/cli/ui"
	"github.com/cairndata/cairn/pkg/repo"
	"github.com/cairndata/cairn/pkg/report"
)

func newDag(a *App) *cobra.Command {
	var o repo.DagOptions
	var dot, mermaid, markdown bool
	cmd := &cobra.Command{
		Use:   "dag [target]",
		Short: "Visualize the project's DAG.",
		Long: `Show which stages need the outputs of which, as boxes: what is needed stands above.
With a target, a stage or an output, only what it needs is shown, or with --full
all that is connected with it.`,
		Example: "  cairn dag\n  cairn dag --outs model.pkl\n  cairn dag --collapse-foreach-matrix --md > dag.md\n  cairn dag --dot | dot -Tsvg > dag.svg",
	}
	f := cmd.Flags()
	f.BoolVar(&dot, "dot", false, "Print DAG with .dot format.")
	f.BoolVar(&mermaid, "mermaid", false, "Print DAG with mermaid format.")
	f.BoolVar(&markdown, "md", false, "Print DAG with mermaid format wrapped in Markdown block.")
	f.BoolVar(&o.Collapse, "collapse-foreach-matrix", false, "Collapse stages from each foreach/matrix definition into a single node.")
	f.BoolVar(&o.Full, "full", false, "Show full DAG that the target belongs to, instead of showing DAG consisting only of ancestors.")
	f.BoolVarP(&o.Outs, "outs", "o", false, "Print output files instead of stages.")
	argHelp(cmd, "target", "Stage name or output to show pipeline for. Finds all stages in the workspace by default.")
	a.JSONFlag(cmd)
	a.Complete(cmd, CompleteStages)
	cmd.RunE = a.Run(func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			o.Target = args[0]
		}
		r, err := a.Repo()
		if err != nil {
			return err
		}
		defer r.Close()
		d, err := r.Dag(ctx, o)
		if err != nil {
			return err
		}
		text := ""
		switch {
		case a.JSON:
			return a.UI.JSON(d)
		case dot:
			text = dotText(d)
		case markdown:
			text = "```mermaid\n" + mermaidText(d) + "\n```"
		case mermaid:
			text = mermaidText(d)
		default:
			text = boxText(d)
		}
		_, err = fmt.Fprintln(a.UI.Out(), text)
		return err
	})
	return cmd
}

// boxText draws the pipelines one below the other.
func boxText(d *repo.Dag) string {
	var drawn []string
	for _, p := range d.Pipelines() {
		at := make(map[string]int, len(p.Nodes))
		labels := make([]string, len(p.Nodes))
		for i, n := range p.Nodes {
			at[n], labels[i] = i, ui.Quote(n)
		}
		edges := make([][2]int, len(p.Edges))
		for i, e := range p.Edges {
			edges[i] = [2]int{at[e.From], at[e.To]}
		}
		drawn = append(drawn, report.Boxes(labels, edges))
	}
	return strings.Join(drawn, "\n")
}

// dotText is the graph in the language of Graphviz.
func dotText(d *repo.Dag) string {
	quote := func(n string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(ui.Clean(n)) + `"`
	}
	var b strings.Builder
	b.WriteString("strict digraph {\n")
	for _, n := range d.Nodes {
		b.WriteString(quote(n) + ";\n")
	}
	for _, e := range d.Edges {
		b.WriteString(quote(e.From) + " -> " + quote(e.To) + ";\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// mermaidText is the graph in Mermaid's language: names sorted within each
// pipeline, and numbered.
func mermaidText(d *repo.Dag) string {
	text := "flowchart TD"
	count := 0
	for _, p := range d.Pipelines() {
		id := map[string]string{}
		for _, n := range slices.Sorted(slices.Values(p.Nodes)) {
			count++
			id[n] = fmt.Sprintf("node%d", count)
			text += fmt.Sprintf("\n\t%s[\"%s\"]", id[n], strings.ReplaceAll(ui.Clean(n), `"`, "#quot;"))
		}
		edges := slices.Clone(p.Edges)
		slices.SortFunc(edges, func(a, b repo.DagEdge) int {
			if c := strings.Compare(a.From, b.From); c != 0 {
				return c
			}
			return strings.Compare(a.To, b.To)
		})
		for _, e := range edges {
			text += "\n\t" + id[e.From] + "-->" + id[e.To]
		}
	}
	return text
}
