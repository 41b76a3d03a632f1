package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	hcllib "github.com/hashicorp/hcl/v2"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/hcl"
)

// formatting is one call of fmt.
type formatting struct {
	check, diff, recursive bool
	stdinName              string
}

// formatted is a file that is not in style, or, as text, what stdin became.
type formatted struct {
	File string `json:"file"`
	Diff string `json:"diff,omitempty"`
	Text string `json:"text,omitempty"`
}

func (c *cli) fmtCommand() *cobra.Command {
	var f formatting
	cmd := &cobra.Command{
		Use:   "fmt [PATH]... | fmt -",
		Short: "Rewrite experiment files in the canonical style",
		Long: `Rewrite experiment files in the canonical style, and print the names of those
that were not in it. A folder stands for the *.ainur.hcl and *.ainurvars.hcl files
in it, and - for the text on stdin, which goes to stdout. A file that does not
parse is left as it is.`,
		Example: `  ainur fmt --recursive
  ainur fmt --check --diff lab.ainur.hcl
  ainur fmt --stdin-name lab.ainur.hcl - < lab.ainur.hcl`,
		RunE: func(cmd *cobra.Command, args []string) error {
			stdin := slices.Contains(args, "-")
			switch {
			case stdin && len(args) > 1:
				return exit(exitUsage, errors.New("- stands for stdin, and goes with no other path"))
			case !stdin && cmd.Flags().Changed("stdin-name"):
				return exit(exitUsage, errors.New("--stdin-name names the text that - reads; give - as the path"))
			case stdin:
				return c.formatStdin(cmd.InOrStdin(), f)
			case len(args) == 0:
				args = []string{"."}
			}
			return c.format(args, f)
		},
	}
	cmd.Flags().BoolVar(&f.check, "check", false, "change nothing; exit with 3 if a file is not in style")
	cmd.Flags().BoolVar(&f.diff, "diff", false, "change nothing; print what would change")
	cmd.Flags().BoolVar(&f.recursive, "recursive", false, "also format the folders in a folder, but for hidden ones and the results")
	cmd.Flags().StringVar(&f.stdinName, "stdin-name", "<stdin>", "name of the text on stdin, for messages")
	return cmd
}

// format rewrites the files that paths stand for.
func (c *cli) format(paths []string, f formatting) error {
	files, err := c.formatFiles(paths, f.recursive)
	if err != nil {
		return err
	}
	changed := []formatted{}
	var failed error
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		text, ok := c.style(file, src)
		if !ok || bytes.Equal(src, text) {
			continue
		}
		changed = append(changed, c.changed(file, src, text, f))
		if !f.check && !f.diff {
			failed = errors.Join(failed, replace(file, text))
		}
	}
	c.data = changed
	return c.verdict(f, len(changed), failed)
}

// formatStdin writes what is on stdin in style to stdout.
func (c *cli) formatStdin(stdin io.Reader, f formatting) error {
	src, err := io.ReadAll(stdin)
	if err != nil {
		return err
	}
	text, ok := c.style(f.stdinName, src)
	switch {
	case !ok:
		return errSpec
	case (f.check || f.diff) && bytes.Equal(src, text):
		c.data = []formatted{}
		return nil
	case f.check || f.diff:
		c.data = []formatted{c.changed(f.stdinName, src, text, f)}
		return c.verdict(f, 1, nil)
	case c.output == "json":
		c.data = []formatted{{File: f.stdinName, Text: string(text)}}
		return nil
	}
	_, err = c.stdout.Write(text)
	return err
}

// style is a text in style; what is wrong with one that does not parse is kept
// for the end.
func (c *cli) style(name string, src []byte) ([]byte, bool) {
	text, diags := hcl.FormatFile(name, src)
	if !diags.HasErrors() {
		return text, true
	}
	if c.files == nil {
		c.files = map[string]*hcllib.File{}
	}
	c.files[name] = &hcllib.File{Bytes: src}
	c.diags = append(c.diags, diags...)
	return nil, false
}

// changed tells of a file that is not in style.
func (c *cli) changed(name string, before, after []byte, f formatting) formatted {
	entry := formatted{File: name}
	if f.diff {
		entry.Diff = string(diff.Diff(name+".orig", before, name, after))
	}
	switch {
	case c.output == "json":
	case f.diff:
		fmt.Fprint(c.stdout, entry.Diff)
	default:
		fmt.Fprintln(c.stdout, name)
	}
	return entry
}

// verdict is how a call of fmt ends, after some files were not in style.
func (c *cli) verdict(f formatting, changed int, failed error) error {
	switch {
	case c.diags.HasErrors() && failed == nil:
		return errSpec
	case c.diags.HasErrors():
		return exit(exitSpec, failed)
	case failed != nil:
		return failed
	case f.check && changed > 0:
		return exit(exitSpec, fmt.Errorf("%s not in style; run ainur fmt", counted(changed, "file")))
	}
	return nil
}

// formatFiles lists the files that paths stand for, each once.
func (c *cli) formatFiles(paths []string, recursive bool) (files []string, err error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%s does not exist", path)
		case err != nil:
			return nil, err
		case info.IsDir():
			inside, err := c.formatFolder(path, recursive)
			if err != nil {
				return nil, err
			}
			files = append(files, inside...)
		case strings.HasSuffix(path, ".json"):
			return nil, exit(exitUsage, fmt.Errorf("%s is JSON, which fmt leaves to the tools for JSON; name *%s files", path, hcl.Extension))
		default:
			files = append(files, filepath.Clean(path))
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// formatFolder lists the files of a folder that fmt formats, and with recursive
// those of the folders in it.
func (c *cli) formatFolder(folder string, recursive bool) (files []string, err error) {
	results, _ := filepath.Abs(c.results)
	root := folder + string(filepath.Separator) // so that a link to a folder is one
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case path == root:
		case entry.IsDir():
			whole, _ := filepath.Abs(path)
			if !recursive || strings.HasPrefix(name, ".") || whole == results { // what is recorded stays as it was
				return fs.SkipDir
			}
		case strings.HasPrefix(name, "."):
		case strings.HasSuffix(name, hcl.Extension), strings.HasSuffix(name, ".ainurvars.hcl"):
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

// replace gives a file, or the one that a link leads to, another content: all
// of it or, when that fails, none.
func replace(path string, content []byte) (err error) {
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	old, err := os.OpenFile(path, os.O_WRONLY, 0) // a file that may not be written stays
	if err != nil {
		return err
	}
	info, err := old.Stat()
	if err = errors.Join(err, old.Close()); err != nil {
		return err
	}
	beside, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		_ = beside.Chown(int(stat.Uid), int(stat.Gid)) // only root may give a file to its owner
	}
	_, err = beside.Write(content)
	err = errors.Join(err, beside.Chmod(info.Mode().Perm()), beside.Sync(), beside.Close())
	if err == nil {
		err = os.Rename(beside.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(beside.Name()))
	}
	return nil
}
