package result

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// semanticSHA256 is the hash of what exp executes: not of its prose, its files,
// or the places where its code and traces lie, which have hashes of their own.
func semanticSHA256(exp *spec.Experiment) (string, error) {
	data, err := json.Marshal(exp)
	if err != nil {
		return "", fmt.Errorf("encode experiment %s: %w", exp.Name, err)
	}
	var e spec.Experiment // a deep copy
	if err := json.Unmarshal(data, &e); err != nil {
		return "", fmt.Errorf("encode experiment %s: %w", exp.Name, err)
	}
	e.Title, e.Description, e.Sources, e.Variables, e.Skipped = "", "", nil, nil, nil
	for _, p := range e.Points {
		for i := range p.Functions {
			if f := &p.Functions[i]; f.SourceSHA256 != "" {
				f.Source = ""
			}
		}
		for t := range traces(p) {
			t.Path, t.Metadata = "", ""
		}
	}
	if data, err = json.Marshal(e); err != nil {
		return "", fmt.Errorf("encode experiment %s: %w", exp.Name, err)
	}
	return sum(data), nil
}

// textSHA256 is the hash of the files, by name and content.
func textSHA256(sources []spec.Source) string {
	var text []byte
	for _, s := range sources {
		text = fmt.Appendf(text, "%s  %s\n", sum(s.Bytes), s.Path)
	}
	return sum(text)
}

func sum(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}

// traces yields each trace that the point's phases replay.
func traces(p spec.Point) func(yield func(*spec.Trace) bool) {
	return func(yield func(*spec.Trace) bool) {
		for _, l := range p.Loads {
			for _, ph := range l.Phases {
				if ph.Arrival.Trace != nil && !yield(ph.Arrival.Trace) {
					return
				}
			}
		}
	}
}
