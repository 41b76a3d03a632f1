package diag

import "github.com/hashicorp/hcl/v2"

// Object is a diagnostic in `-o json`.
type Object struct {
	ID          string    `json:"id"`
	Severity    string    `json:"severity"` // "error" or "warning"
	Summary     string    `json:"summary"`
	Label       string    `json:"label,omitempty"`
	Place       *Place    `json:"place,omitempty"`
	Suggestions []string  `json:"suggestions,omitempty"`
	Related     []Remarks `json:"related,omitempty"`
	Notes       []Note    `json:"notes,omitempty"`
}

// Remarks is what is said about another place.
type Remarks struct {
	Place
	Label string `json:"label"`
}

// Place is a stretch of a file. Lines and columns count from 1, bytes from 0.
type Place struct {
	File  string   `json:"file"`
	Start Position `json:"start"`
	End   Position `json:"end"`
}

// Position is one end of a Place.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

// JSON is diags as objects, sorted by place; never nil, so that it marshals as a list.
func JSON(diags hcl.Diagnostics) []Object {
	objects := []Object{}
	for _, d := range Sort(diags) {
		p := problemOf(d)
		o := Object{ID: p.ID, Severity: "error", Summary: p.Summary, Label: p.Label, Suggestions: p.Suggest, Notes: p.Notes}
		if p.Warning {
			o.Severity = "warning"
		}
		if p.At != nil {
			at := placeOf(*p.At)
			o.Place = &at
		}
		for _, r := range p.Related {
			o.Related = append(o.Related, Remarks{placeOf(r.At), r.Label})
		}
		for _, l := range p.Lines {
			o.Related = append(o.Related, Remarks{placeOf(l.At), l.Remark})
		}
		objects = append(objects, o)
	}
	return objects
}

func placeOf(r hcl.Range) Place {
	position := func(p hcl.Pos) Position { return Position{p.Line, p.Column, p.Byte} }
	return Place{r.Filename, position(r.Start), position(r.End)}
}
