package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/scaffold"
)

func (c *cli) migrateCommand() *cobra.Command {
	var check, write bool
	cmd := &cobra.Command{
		Use:   "migrate [PATH]",
		Short: "Upgrade experiment files to the newest version of the language",
		Long: fmt.Sprintf(`Upgrades the files of an experiment that are in an older version of the
language, and prints what it would change. The newest version is %d.`, scaffold.Language),
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			if check && write {
				return exit(exitUsage, fmt.Errorf("--check changes nothing and --write does: choose one"))
			}
			path := "."
			if len(args) > 0 {
				path = args[0]
			}
			return c.migrate(path, check, write)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing; exit with 3 if something is to upgrade")
	cmd.Flags().BoolVar(&write, "write", false, "rewrite the files, instead of printing the difference")
	return cmd
}

// migrated is what becomes of a file.
type migrated struct {
	File    string   `json:"file"`
	Changes []string `json:"changes"`
}

func (c *cli) migrate(path string, check, write bool) error {
	files, err := experimentFiles(path)
	if err != nil {
		return exit(exitSpec, err)
	}
	var changed []migrated
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		text, changes, err := scaffold.Migrate(src, file)
		if err != nil {
			return exit(exitSpec, err)
		}
		if bytes.Equal(src, text) {
			continue
		}
		changed = append(changed, migrated{file, changes})
		switch {
		case c.output == "json":
		case check || write:
			fmt.Fprintln(c.stdout, file)
		default:
			fmt.Fprintf(c.stdout, "%s", diff.Diff(file, src, file+", upgraded", text))
		}
		if write {
			if err := os.WriteFile(file, text, 0o666); err != nil { // its own mode stays
				return err
			}
		}
	}
	c.data = struct {
		Language int        `json:"language"`
		Changed  []migrated `json:"changed"`
	}{scaffold.Language, append([]migrated{}, changed...)}
	if len(changed) == 0 && c.output != "json" {
		fmt.Fprintf(c.stdout, "nothing to upgrade: %s in version %d of the language\n", counted(len(files), "file"), scaffold.Language)
	}
	if check && len(changed) > 0 {
		return exit(exitSpec, fmt.Errorf("%s to upgrade; run ainur migrate --write", counted(len(changed), "file")))
	}
	return nil
}

// experimentFiles are the file at path, or those of the folder.
func experimentFiles(path string) (files []string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s does not exist", path)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	for _, extension := range []string{hcl.Extension, ".ainur.json"} {
		more, err := filepath.Glob(filepath.Join(path, "*"+extension))
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no %s file", path, hcl.Extension)
	}
	slices.Sort(files)
	return files, nil
}
