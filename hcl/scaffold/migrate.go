package scaffold

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	hcllib "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl"
)

// Language is the newest version of the language.
const Language = 1

// rule is one change from a version of the language to the next.
type rule struct {
	since int    // version that wants it
	about string // "block x is called y"
	apply func(*hclwrite.Body) bool
}

// rules are the changes since version 1, the first: there are none yet.
var rules []rule

// NewerError is for a file in a version of the language that is not known here.
type NewerError struct {
	File    string
	Version int64
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("%s is in version %d of the language, and this ainur knows %d: use a newer ainur", e.File, e.Version, Language)
}

// Migrate upgrades the text of a file to the newest version of the language,
// and says what it changed. A file that is up to date is returned as it is.
func Migrate(src []byte, file string) ([]byte, []string, error) { return migrate(src, file, rules) }

func migrate(src []byte, file string, rules []rule) ([]byte, []string, error) {
	version, err := version(src, file)
	if err != nil {
		return nil, nil, err
	}
	if version > Language {
		return nil, nil, &NewerError{file, version}
	}
	wanted := slices.DeleteFunc(slices.Clone(rules), func(r rule) bool { return int64(r.since) <= version })
	if len(wanted) == 0 || strings.HasSuffix(file, ".json") {
		return src, nil, nil
	}
	f, diags := hclwrite.ParseConfig(src, file, hcllib.InitialPos)
	if diags.HasErrors() {
		return nil, nil, diags
	}
	var changes []string
	for _, r := range wanted {
		if r.apply(f.Body()) {
			changes = append(changes, r.about)
		}
	}
	if len(changes) == 0 {
		return src, nil, nil
	}
	return hcl.Format(f.Bytes()), changes, nil
}

// version is the one that a file says it is in, 1 when it does not.
func version(src []byte, file string) (int64, error) {
	parse := hclparse.NewParser().ParseHCL
	if strings.HasSuffix(file, ".json") {
		parse = hclparse.NewParser().ParseJSON
	}
	f, diags := parse(src, file)
	if diags.HasErrors() {
		return 0, diags
	}
	content, _, diags := f.Body.PartialContent(&hcllib.BodySchema{Blocks: []hcllib.BlockHeaderSchema{{Type: "ainur"}}})
	if diags.HasErrors() {
		return 0, diags
	}
	for _, b := range content.Blocks {
		inner, _, diags := b.Body.PartialContent(&hcllib.BodySchema{Attributes: []hcllib.AttributeSchema{{Name: "language"}}})
		if diags.HasErrors() {
			return 0, diags
		}
		attr := inner.Attributes["language"]
		if attr == nil {
			continue
		}
		v, diags := attr.Expr.Value(nil)
		if diags.HasErrors() {
			return 0, diags
		}
		var n int64
		accuracy := big.Below
		if v.Type() == cty.Number && !v.IsNull() {
			n, accuracy = v.AsBigFloat().Int64()
		}
		if accuracy != big.Exact || n < 1 {
			return 0, fmt.Errorf("%s: language is a version such as %d", attr.Range, Language)
		}
		return n, nil
	}
	return 1, nil
}
