package deploy

import (
	"context"

	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/setup"
)

// Unlock takes the lock of the deployment from whoever has it on a host, who is not
// told. Who comes next finds it free.
func (s *Site) Unlock(ctx context.Context) []Outcome {
	return s.work(true, func(h *Host) (setup.Report, error) {
		if h.Facts.Holder == "" {
			return setup.Report{}, nil
		}
		err := h.conn.Run(ctx, remote.Command{Args: []string{"rm", "-f", "--", h.Facts.LockFile}, Root: true})
		return setup.Report{Changes: []setup.Change{{Kind: setup.Remove, What: "lock of " + h.Facts.Holder, Why: "unlock"}}}, s.trouble(h, "unlock", err)
	})
}
