package graph

// turned says for each arc whether it is drawn against its direction, so that
// all others point forwards: the arcs that close a loop in a depth-first walk
// which starts at the nodes nothing points to.
func turned(nodes int, arcs []arc) []bool {
	out := make([][]int, nodes)
	entered := make([]bool, nodes)
	for i, a := range arcs {
		if a.from != a.to {
			out[a.from] = append(out[a.from], i)
			entered[a.to] = true
		}
	}
	const (
		fresh = iota
		open
		done
	)
	state := make([]int, nodes)
	back := make([]bool, len(arcs))
	var walk func(v int)
	walk = func(v int) {
		state[v] = open
		for _, i := range out[v] {
			switch to := arcs[i].to; state[to] {
			case fresh:
				walk(to)
			case open:
				back[i] = true
			}
		}
		state[v] = done
	}
	for _, first := range []bool{true, false} {
		for v := range nodes {
			if state[v] == fresh && entered[v] != first {
				walk(v)
			}
		}
	}
	return back
}

// layers gives each node a rank so that every arc, turned where back says so,
// goes to a higher one: the longest path from a node nothing points to, then
// nodes with more arcs on one side move towards that side as far as they can.
// Arcs from a node to itself do not count.
func layers(nodes int, arcs []arc, back []bool) []int {
	before, after := make([][]int, nodes), make([][]int, nodes)
	for i, a := range arcs {
		if a.from == a.to {
			continue
		}
		if back[i] {
			a.from, a.to = a.to, a.from
		}
		after[a.from] = append(after[a.from], a.to)
		before[a.to] = append(before[a.to], a.from)
	}
	rank := make([]int, nodes)
	waiting := make([]int, nodes)
	var sorted []int
	for v := range nodes {
		waiting[v] = len(before[v])
		if waiting[v] == 0 {
			sorted = append(sorted, v)
		}
	}
	for i := 0; i < len(sorted); i++ {
		v := sorted[i]
		for _, to := range after[v] {
			rank[to] = max(rank[to], rank[v]+1)
			waiting[to]--
			if waiting[to] == 0 {
				sorted = append(sorted, to)
			}
		}
	}
	for range 4 {
		moved := false
		for i := range sorted {
			v := sorted[len(sorted)-1-i]
			to := rank[v]
			switch n := len(after[v]) - len(before[v]); {
			case n > 0:
				to = rank[after[v][0]] - 1
				for _, w := range after[v] {
					to = min(to, rank[w]-1)
				}
			case n < 0:
				to = 0
				for _, w := range before[v] {
					to = max(to, rank[w]+1)
				}
			}
			moved = moved || to != rank[v]
			rank[v] = to
		}
		if !moved {
			break
		}
	}
	return rank
}
