package diag

import (
	"bytes"
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// Fix applies the certain repairs of diags to files. It returns the new
// contents by name, of those that change, and how many mistakes they mend.
// Repairs that overlap an earlier one are left out.
func Fix(files map[string]*hcl.File, diags hcl.Diagnostics) (contents map[string][]byte, mended int) {
	edits := map[string][]Edit{}
	for _, d := range Sort(diags) {
		fix := problemOf(d).Fix
		free := len(fix) > 0
		for _, e := range fix {
			free = free && files[e.At.Filename] != nil && e.At.End.Byte <= len(files[e.At.Filename].Bytes) &&
				!slices.ContainsFunc(edits[e.At.Filename], func(have Edit) bool { return have.At.Overlaps(e.At) })
		}
		if !free {
			continue
		}
		mended++
		for _, e := range fix {
			edits[e.At.Filename] = append(edits[e.At.Filename], e)
		}
	}
	contents = map[string][]byte{}
	for name, list := range edits {
		slices.SortFunc(list, func(a, b Edit) int { return a.At.Start.Byte - b.At.Start.Byte })
		var out bytes.Buffer
		src, at := files[name].Bytes, 0
		for _, e := range list {
			out.Write(src[at:e.At.Start.Byte])
			out.WriteString(e.Text)
			at = e.At.End.Byte
		}
		out.Write(src[at:])
		contents[name] = out.Bytes()
	}
	return contents, mended
}
