package diag

import (
	"cmp"
	"slices"
	"strings"
)

// synonyms maps words of other tools to ours.
var synonyms = map[string][]string{
	"qps": {"rate"}, "rps": {"rate"}, "threads": {"clients"}, "users": {"clients"}, "vus": {"clients"},
	"mem": {"memory"}, "ram": {"memory"}, "nodes": {"hosts", "host"}, "node": {"host"}, "iterations": {"repeat"},
	"repeats": {"repeat"}, "runs": {"repeat"}, "cpu": {"cpus", "cores"}, "message": {"error"}, "condition": {"that"},
	"time": {"duration"}, "length": {"duration"}, "path": {"source"}, "scheduler": {"queue"}, "keep_alive": {"keepalive"},
	"fifo": {"fcfs"}, "rr": {"round_robin"}, "python": {"python3"}, "golang": {"go"}, "payload": {"args"},
	"failed": {"errors"}, "p999": {"p99"}, "response_time": {"latency"}, "avg": {"mean"}, "average": {"mean"},
	"local": {"locals"}, "test": {"assert"}, "workload": {"load"}, "param": {"variable"}, "parameter": {"variable"},
}

// Suggest returns up to three of the known words that the word may stand for, best first.
func Suggest(word string, known []string) []string {
	type candidate struct {
		word     string
		distance int
	}
	lower := strings.ToLower(word)
	limit := max(2, len(word)/3)
	var found []candidate
	for _, k := range known {
		d := distance(lower, strings.ToLower(k))
		switch {
		case slices.Contains(synonyms[lower], k):
			d = 0
		case len(lower) >= 3 && strings.HasPrefix(strings.ToLower(k), lower):
			d = min(d, 1)
		}
		if d <= limit && d < max(len(word), len(k)) {
			found = append(found, candidate{k, d})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.word, b.word))
	})
	var words []string
	for _, c := range found[:min(3, len(found))] {
		if c.distance <= found[0].distance+1 { // much worse than the best is noise
			words = append(words, c.word)
		}
	}
	return words
}

// distance is the optimal string alignment distance: insertions, deletions,
// substitutions, and swaps of neighbours (Damerau 1964, doi:10.1145/363958.363994),
// no substring edited twice.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	before, last, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range row {
		last[j] = j
	}
	for i := 1; i <= len(s); i++ {
		row[0] = i
		for j := 1; j <= len(t); j++ {
			substitute := last[j-1]
			if s[i-1] != t[j-1] {
				substitute++
			}
			row[j] = min(last[j]+1, row[j-1]+1, substitute)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(t)]
}
