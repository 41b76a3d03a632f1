package placement

// Residents are the functions in the set of a Cache.
func Residents(p Placer) (in []int) {
	for i, t := range p.(*cache).functions {
		if t.in {
			in = append(in, i+1)
		}
	}
	return in
}
