package result

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Git is the state of the repository that holds the experiment.
type Git struct {
	Commit  string   `json:"commit,omitempty"`
	Dirty   []string `json:"dirty"`             // lines of git status --porcelain for the folder, untracked files too
	Problem string   `json:"problem,omitempty"` // why the rest is unknown
	Diff    []byte   `json:"-"`                 // against Commit; stored as spec/git.diff
}

// ReadGit reads the state of dir. Experiments need no repository: what cannot
// be read is a Problem and no error.
func ReadGit(ctx context.Context, dir string) *Git {
	g := &Git{Dirty: []string{}}
	if err := g.read(ctx, dir); err != nil {
		g.Problem = err.Error()
	}
	return g
}

func (g *Git) read(ctx context.Context, dir string) error {
	commit, err := git(ctx, dir, "rev-parse", "--verify", "HEAD")
	if err != nil {
		return err
	}
	status, err := git(ctx, dir, "status", "--porcelain", "--", ".")
	if err != nil {
		return err
	}
	diff, err := git(ctx, dir, "diff", "--no-ext-diff", "--no-color", "--binary", "HEAD", "--", ".")
	if err != nil {
		return err
	}
	g.Commit, g.Diff = strings.TrimSpace(string(commit)), diff
	for line := range strings.Lines(string(status)) {
		g.Dirty = append(g.Dirty, strings.TrimRight(line, "\n"))
	}
	return nil
}

// git runs a command that takes no lock and starts no monitor.
func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"--no-optional-locks", "-c", "core.fsmonitor=false", "-C", dir}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		reason, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
		return nil, fmt.Errorf("git %s: %w: %s", args[0], err, reason)
	}
	return out, nil
}
