package result

import (
	"bytes"
	_ "embed"
	"strings"
	"text/template"
	"time"

	"github.com/ainur-faas/ainur/orchestrator/plan"
)

//go:embed readme.md.tmpl
var readmeText string

var readme = template.Must(template.New("README.md").Parse(readmeText))

// writeReadme writes the README.md of the run as it stands.
func (r *Run) writeReadme() error {
	names, err := sourceNames(r.Experiment.Sources)
	if err != nil {
		return err
	}
	valid, reasons := r.Verdict()
	var b bytes.Buffer
	if err := readme.Execute(&b, map[string]any{
		"M": r.Manifest, "Exp": r.Experiment, "Sources": names, "Steps": len(r.Steps),
		"Command": strings.Join(r.Manifest.Command, " "), "Expected": plan.Estimate(r.Experiment).Duration.Round(time.Second),
		"Took": r.Manifest.Ended.Sub(r.Manifest.Started).Round(time.Millisecond), "Finished": r.Manifest.Validity != nil,
		"Valid": valid, "Reasons": reasons, "Tally": r.Tally(), "Repeats": r.finished(),
	}); err != nil {
		return err
	}
	return writeFile(r.path("README.md"), b.Bytes())
}
