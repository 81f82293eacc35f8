package report

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
)

func TestBoxes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		nodes []string
		edges [][2]int
		want  string
	}{
		{"nothing", nil, nil, ""},
		{"one", []string{"a"}, nil, `
+---+  |
| a |  |
+---+  |`},
		{"chain", []string{"raw.dvc", "prep", "train"}, [][2]int{{0, 1}, {1, 2}}, `
+---------+  |
| raw.dvc |  |
+---------+  |
      *      |
      *      |
      *      |
  +------+   |
  | prep |   |
  +------+   |
      *      |
      *      |
      *      |
 +-------+   |
 | train |   |
 +-------+   |`},
		{"diamond", []string{"a", "b", "c", "d"}, [][2]int{{0, 1}, {0, 2}, {1, 3}, {2, 3}}, `
     +---+       |
     | a |       |
     +---+       |
     *    *      |
    *      *     |
   *        *    |
+---+     +---+  |
| b |     | c |  |
+---+     +---+  |
     *    *      |
      *  *       |
       **        |
     +---+       |
     | d |       |
     +---+       |`},
		{"long edges", []string{"a", "b", "c", "d", "e"}, [][2]int{{0, 1}, {1, 2}, {2, 3}, {0, 3}, {3, 4}, {0, 4}}, `
          +---+         |
          | a |         |
         *+---+**       |
       **   *    **     |
     **     *      *    |
    *       *       **  |
+---+       *         * |
| b |       *         * |
+---+       *         * |
  *         *         * |
  *         *         * |
  *         *         * |
+---+       *         * |
| c |      *          * |
+---+     *           * |
     *    *           * |
      *  *            * |
       **             * |
     +---+            * |
     | d |          **  |
     +---+         *    |
          *      **     |
           *   **       |
            * *         |
          +---+         |
          | e |         |
          +---+         |`},
		{"needed late", []string{"d", "a", "b", "c"}, [][2]int{{1, 2}, {2, 3}, {0, 3}}, `
+---+            |
| a |            |
+---+            |
  *              |
  *              |
  *              |
+---+     +---+  |
| b |     | d |  |
+---+     +---+  |
     *    *      |
      *  *       |
       **        |
     +---+       |
     | c |       |
     +---+       |`},
		{"itself", []string{"a"}, [][2]int{{0, 0}}, `
+---+  |
| a |  |
+---+  |`},
	} {
		want := strings.ReplaceAll(strings.TrimPrefix(tc.want, "\n"), "|\n", "\n")
		want = strings.TrimSuffix(want, "|")
		if got := Boxes(tc.nodes, tc.edges); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, got, want)
		}
	}
}

// Whatever the graph, all boxes are whole and none covers another.
func TestBoxesAreWhole(t *testing.T) {
	t.Parallel()
	for seed := range int64(300) {
		r := rand.New(rand.NewSource(seed))
		n := 1 + r.Intn(25)
		var nodes []string
		var edges [][2]int
		for i := range n {
			nodes = append(nodes, fmt.Sprintf("%s%d", strings.Repeat("n", 1+r.Intn(12)), i))
			for j := range i {
				if r.Intn(6) == 0 || j == i-1 && r.Intn(2) == 0 {
					edges = append(edges, [2]int{j, i})
				}
			}
		}
		drawn := Boxes(nodes, edges)
		for _, name := range nodes {
			if strings.Count(drawn, "| "+name+" |") != 1 || !strings.Contains(drawn, "+"+strings.Repeat("-", len(name)+2)+"+") {
				t.Fatalf("seed %d: box of %s in\n%s", seed, name, drawn)
			}
		}
		if got := strings.Count(drawn, "+"); got != 4*n {
			t.Fatalf("seed %d: %d corners of %d boxes in\n%s", seed, got, n, drawn)
		}
	}
}

func BenchmarkBoxes(b *testing.B) {
	var nodes []string
	var edges [][2]int
	for i := range 500 {
		nodes = append(nodes, fmt.Sprintf("stage%d", i))
		if i > 0 {
			edges = append(edges, [2]int{i / 3, i})
		}
	}
	for b.Loop() {
		Boxes(nodes, edges)
	}
}
