package setup

import (
	_ "embed"
	"encoding/json"
	"strings"

	"github.com/ainur-faas/ainur/orchestrator/facts"
	"github.com/ainur-faas/ainur/orchestrator/remote"
)

//go:embed prepare.sh
var prepare string

// Prepare makes the folder of the state with a first manifest in it, before anything
// else of ours is on the host. One that is there stays.
func Prepare(m *Manifest) remote.Command {
	text, err := json.Marshal(m)
	if err != nil {
		panic("setup: " + err.Error()) // it is plain text
	}
	return remote.Command{Root: true, Args: []string{"sh", "-s", "--", m.StateDir, m.Deployment, string(text)}, Stdin: strings.NewReader(prepare)}
}

// CutOff are the folders of a state that was on its way in or out when that was cut off.
func (l Layout) CutOff(h *facts.Host) (all []string) {
	for _, folder := range chain(l.Home()) {
		if beside := l.temporaryBeside(folder); h.Has(beside) {
			all = append(all, beside)
		}
	}
	return all
}
