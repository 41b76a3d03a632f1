package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ainur-faas/ainur/hcl"
)

// fetch brings the git modules of the experiment in a folder, and those in
// them, and writes their hashes to the lock file. A module whose hash is not
// the locked one is refused, unless the lock is to be written anew.
func (c *cli) fetch(ctx context.Context, dir string, anew bool) error {
	old, err := hcl.ReadLock(dir)
	if err != nil && !anew {
		return exit(exitSpec, err)
	}
	lock := hcl.Lock{}
	folders := []string{dir}
	for i := 0; i < len(folders); i++ {
		sources, diags := hcl.GitSources(folders[i])
		c.diags = append(c.diags, diags...)
		if diags.HasErrors() {
			return errSpec
		}
		for _, s := range sources {
			if lock[s.Path()] != "" {
				continue
			}
			target := filepath.Join(dir, hcl.ModuleFolder, s.Path())
			if err := clone(ctx, s, target, anew); err != nil {
				return fmt.Errorf("fetch %s: %w", s.URL, err)
			}
			sum, err := hcl.HashModule(target)
			if err != nil {
				return err
			}
			if want := old[s.Path()]; want != "" && want != sum && !anew {
				return exit(exitSpec, fmt.Errorf("%s at %s is not what %s says: look at what changed, then run ainur init --upgrade", s.URL, s.Commit, hcl.LockFile))
			}
			lock[s.Path()] = sum
			folders = append(folders, filepath.Join(target, s.Folder))
			if !c.quiet && c.output == "table" {
				fmt.Fprintf(c.stdout, "fetched %s at %s\n", s.URL, s.Commit)
			}
		}
	}
	c.data = lock
	return os.WriteFile(filepath.Join(dir, hcl.LockFile), lock.Format(), 0o644)
}

// clone puts a commit of a repository into target, without its history. What
// is there stays, unless it is to be fetched anew.
func clone(ctx context.Context, s hcl.GitSource, target string, anew bool) (err error) {
	if _, err := os.Stat(target); err == nil && !anew {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o777); err != nil {
		return err
	}
	beside, err := os.MkdirTemp(filepath.Dir(target), ".fetch-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(beside)) }()
	if err := git(ctx, beside, "init", "--quiet"); err != nil {
		return err
	}
	if err := git(ctx, beside, "fetch", "--quiet", "--depth=1", "--", s.URL, s.Commit); err != nil {
		// a server that gives no commit by its name gives everything
		if err := git(ctx, beside, "fetch", "--quiet", "--", s.URL, "+refs/*:refs/ainur/*"); err != nil {
			return err
		}
	}
	if err := git(ctx, beside, "checkout", "--quiet", s.Commit); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(beside, ".git")); err != nil {
		return err
	}
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	return os.Rename(beside, target)
}

// git runs git in a folder, without questions, hooks, links or settings of the user's.
func git(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "core.symlinks=false", "-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_DIR=.git", "GIT_WORK_TREE=.")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return nil
}
