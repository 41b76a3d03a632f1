package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/scaffold"
)

// sshConfigFile is what --from-ssh-config reads when no file is named.
const sshConfigFile = "~/.ssh/config"

// initFlags say what a new experiment is made of.
type initFlags struct {
	template                               string
	list, upgrade                          bool
	hosts                                  string
	sshConfig, ansible, cloudLab, iluvatar string
}

func (c *cli) initCommand() *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a new experiment from a template or from the files of other tools",
		Long: `Writes a new experiment into a folder, and what git is to ignore there. It
overwrites nothing. With hosts the template is cluster, else quickstart.

In a folder whose experiment has modules from git, it fetches these instead, into
.ainur/modules, and writes their hashes to .ainur.lock.hcl.`,
		Example: `  ainur init lab
  ainur init --hosts 'ctl,node[01-04]' lab
  ainur init --from-ssh-config --hosts 'gpu1,gpu2' lab
  ainur init --template sweep --from-ansible hosts.ini lab
  ainur init --from-iluvatar worker.json lab`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.list {
				return c.listTemplates()
			}
			for _, name := range []string{"hosts", "from-ssh-config", "from-ansible", "from-cloudlab", "from-iluvatar"} {
				if flag := cmd.Flag(name); flag.Changed && flag.Value.String() == "" {
					return exit(exitUsage, fmt.Errorf("--%s is empty", name))
				}
			}
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			if cmd.Flags().NFlag() == 0 || f.upgrade {
				if sources, diags := hcl.GitSources(dir); len(sources) > 0 || f.upgrade {
					c.diags = append(c.diags, diags...)
					return c.fetch(cmd.Context(), dir, f.upgrade)
				}
			}
			return c.init(f, dir, cmd.Flags().Changed("template"))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.template, "template", "quickstart", "what to begin with; --list shows them")
	flags.BoolVar(&f.list, "list", false, "list the templates")
	flags.BoolVar(&f.upgrade, "upgrade", false, "fetch the modules again, and write the lock file anew")
	flags.StringVar(&f.hosts, "hosts", "", "hosts such as ctl,node[01-04]; with --from-ssh-config, which of those")
	flags.StringVar(&f.sshConfig, "from-ssh-config", "", "take the hosts of an OpenSSH configuration; =FILE for another than "+sshConfigFile)
	flags.Lookup("from-ssh-config").NoOptDefVal = sshConfigFile
	flags.StringVar(&f.ansible, "from-ansible", "", "take the hosts of an Ansible inventory, INI or YAML")
	flags.StringVar(&f.cloudLab, "from-cloudlab", "", "take the nodes of a CloudLab manifest.xml")
	flags.StringVar(&f.iluvatar, "from-iluvatar", "", "take a worker.json of Ilúvatar, or a folder with one and with traces")
	return cmd
}

func (c *cli) listTemplates() error {
	all := scaffold.Templates()
	if c.output == "json" {
		type template struct {
			Name  string `json:"name"`
			About string `json:"about"`
		}
		var list []template
		for _, t := range all {
			list = append(list, template{t.Name, t.About})
		}
		c.data = list
		return nil
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	for _, t := range all {
		fmt.Fprintf(w, "%s\t%s\n", t.Name, t.About)
	}
	return w.Flush()
}

func (c *cli) init(f initFlags, dir string, chosen bool) error {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return exit(exitUsage, fmt.Errorf("%s is a file, and an experiment is written into a folder; the file of --from-ssh-config comes after =", dir))
	}
	e, err := f.make(dir, chosen)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, e.File)
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("%s is there already, and stays as it is: name another folder", file)
	}
	if others, _ := filepath.Glob(filepath.Join(dir, "*"+hcl.Extension)); len(others) > 0 {
		e.Notes = append(e.Notes, fmt.Sprintf("%s has other experiments: name the file, or the files of the folder are read as one.", dir))
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if err := create(file, e.Text); err != nil {
		return err
	}
	wrote := []string{file}
	ignore := filepath.Join(dir, ".gitignore")
	added, err := ignoreResults(ignore)
	if err != nil {
		return err
	}
	if added {
		wrote = append(wrote, ignore)
	}
	next := "ainur " + e.First + " " + quoted(file)
	if c.output == "json" {
		c.data = struct {
			Wrote []string `json:"wrote"`
			Notes []string `json:"notes"`
			Next  string   `json:"next"`
		}{wrote, append([]string{}, e.Notes...), next}
		return nil
	}
	for _, n := range e.Notes {
		fmt.Fprintf(c.stderr, "warning: %s\n", n)
	}
	for _, w := range wrote {
		fmt.Fprintf(c.stdout, "wrote %s\n", w)
	}
	if !c.quiet {
		fmt.Fprintf(c.stdout, "next: %s\n", next)
	}
	return nil
}

// make makes the experiment. Chosen says that a template was asked for.
func (f initFlags) make(dir string, chosen bool) (scaffold.Experiment, error) {
	usage := func(text string) (scaffold.Experiment, error) {
		return scaffold.Experiment{}, exit(exitUsage, errors.New(text))
	}
	sources := 0
	for _, from := range []string{f.sshConfig, f.ansible, f.cloudLab, f.iluvatar} {
		if from != "" {
			sources++
		}
	}
	if f.hosts != "" && f.sshConfig == "" {
		sources++
	}
	switch {
	case sources > 1:
		return usage("hosts come from one place: choose one of --hosts and --from-...")
	case f.iluvatar != "" && chosen:
		return usage("--from-iluvatar makes a whole experiment: leave out --template")
	case f.iluvatar != "":
		return scaffold.Iluvatar(f.iluvatar, dir)
	case sources > 0 && !chosen:
		f.template = "cluster"
	}
	t, err := scaffold.Find(f.template)
	if err != nil {
		return usage(err.Error())
	}
	inv, err := f.inventory()
	if err != nil {
		return scaffold.Experiment{}, err
	}
	e, err := t.New(inv)
	if errors.Is(err, scaffold.ErrNoHosts) {
		return usage(err.Error())
	}
	return e, err
}

// inventory reads the hosts; nil when none are named.
func (f initFlags) inventory() (*scaffold.Inventory, error) {
	switch {
	case f.ansible != "":
		return scaffold.ReadAnsible(f.ansible)
	case f.cloudLab != "":
		name := ""
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
		return scaffold.ReadCloudLab(f.cloudLab, name)
	}
	var hosts *scaffold.Inventory
	if f.hosts != "" {
		var err error
		if hosts, err = scaffold.Hosts(f.hosts); err != nil {
			return nil, exit(exitUsage, err)
		}
	}
	if f.sshConfig == "" {
		return hosts, nil
	}
	var chosen []string
	if hosts != nil {
		chosen = hosts.Names()
	}
	return scaffold.ReadSSHConfig(f.sshConfig, chosen)
}

// create writes a file that is not there yet.
func create(path string, text []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.Write(text)
	return err
}

// ignoreResults adds what is missing of results/ and .ainur/ to a .gitignore, and
// reports whether something was.
func ignoreResults(path string) (added bool, err error) {
	src, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	var have []string
	for line := range strings.Lines(string(src)) {
		have = append(have, strings.Trim(strings.TrimSpace(line), "/"))
	}
	missing := ""
	for _, folder := range []string{"results", ".ainur"} {
		if !slices.Contains(have, folder) {
			missing += folder + "/\n"
		}
	}
	if missing == "" {
		return false, nil
	}
	if len(src) > 0 && src[len(src)-1] != '\n' {
		missing = "\n" + missing
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteString(missing)
	return true, err
}

// plainWord is an argument that a shell takes as it is.
const plainWord = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./"

// quoted is s as an argument for a shell.
func quoted(s string) string {
	if strings.Trim(s, plainWord) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
