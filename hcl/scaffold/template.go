package scaffold

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	hcllib "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/ainur-faas/ainur/hcl"
)

//go:embed templates
var templates embed.FS

// order of the templates in lists.
var order = []string{"quickstart", "simulate", "sweep", "cluster", "paper"}

// Template is an experiment to begin with. The first line of its text is
// "# NAME.ainur.hcl: ABOUT", and the second "#   ainur VERB NAME.ainur.hcl".
type Template struct {
	Name  string
	About string
	first string // the verb
	src   []byte
}

// Templates lists the templates.
func Templates() (all []Template) {
	for _, name := range order {
		src, err := fs.ReadFile(templates, "templates/"+name+hcl.Extension)
		if err != nil {
			panic("scaffold: " + err.Error()) // it is in the binary
		}
		head := strings.SplitN(string(src), "\n", 3)
		_, about, _ := strings.Cut(head[0], ": ")
		all = append(all, Template{Name: name, About: about, first: strings.Fields(head[1])[2], src: src})
	}
	return all
}

// ErrNoHosts is for a template that takes no hosts.
var ErrNoHosts = errors.New("the template quickstart is for this machine alone: choose another one for hosts")

// Find is the template of a name.
func Find(name string) (Template, error) {
	all := Templates()
	i := slices.IndexFunc(all, func(t Template) bool { return t.Name == name })
	if i < 0 {
		return Template{}, fmt.Errorf("there is no template %q; there are %s", name, strings.Join(order, ", "))
	}
	return all[i], nil
}

// New is the experiment of the template, on the hosts of an inventory: they are
// given the roles that it needs. Without one it is on the hosts that it has.
func (t Template) New(inv *Inventory) (Experiment, error) {
	e := Experiment{File: t.Name + hcl.Extension, First: t.first, Text: t.src}
	if inv == nil {
		return e, nil
	}
	f, diags := hclwrite.ParseConfig(t.src, e.File, hcllib.InitialPos)
	if diags.HasErrors() {
		panic("scaffold: " + diags.Error()) // a test parses it
	}
	cluster := f.Body().FirstMatchingBlock("cluster", []string{"lab"})
	if cluster == nil {
		return e, ErrNoHosts
	}
	inv.assign()
	empty(cluster.Body())
	inv.write(cluster.Body())
	if b := f.Body().FirstMatchingBlock("balancer", []string{"lb"}); b != nil {
		b.Body().SetAttributeRaw("on", reference("cluster", "lab", "host", inv.ids()[inv.with("balancer")[0]]))
	}
	e.Text, e.Notes = hcl.Format(f.Bytes()), inv.Notes
	return e, nil
}

// empty takes everything out of the body of a block. Clear alone forgets no
// attribute: setting it again changes what is not there any more.
func empty(body *hclwrite.Body) {
	for name := range body.Attributes() {
		body.RemoveAttribute(name)
	}
	for _, b := range body.Blocks() {
		body.RemoveBlock(b)
	}
	body.Clear()
	body.AppendNewline()
}
