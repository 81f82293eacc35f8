package plot

import "math"

// thin chooses n points of a line that show its shape: of each of as many
// equal stretches the one that makes the largest triangle with the point chosen
// before and the middle of the next stretch. The first and the last stay.
// The indices are in order.
func thin(x, y []float64, n int) []int {
	if len(x) <= n || n < 3 {
		all := make([]int, len(x))
		for i := range all {
			all[i] = i
		}
		return all
	}
	out := make([]int, 0, n)
	out = append(out, 0)
	every := float64(len(x)-2) / float64(n-2)
	at := 0
	for k := range n - 2 {
		from, to := int(float64(k)*every)+1, int(float64(k+1)*every)+1
		next := min(int(float64(k+2)*every)+1, len(x))
		var mx, my float64
		for i := to; i < next; i++ {
			mx, my = mx+x[i], my+y[i]
		}
		count := float64(max(1, next-to))
		mx, my = mx/count, my/count
		best, most := from, -1.0
		for i := from; i < to; i++ {
			area := math.Abs((x[at]-mx)*(y[i]-y[at]) - (x[at]-x[i])*(my-y[at]))
			if area > most {
				best, most = i, area
			}
		}
		out = append(out, best)
		at = best
	}
	return append(out, len(x)-1)
}

// spread chooses n points of a cloud, evenly by their number.
func spread(count, n int) []int {
	if count <= n {
		n = count
	}
	out := make([]int, n)
	for i := range out {
		out[i] = int(float64(i) * float64(count) / float64(n))
	}
	return out
}
