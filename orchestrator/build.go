package orchestrator

import (
	"cmp"
	"context"
	"fmt"

	"github.com/ainur-faas/ainur/agent/image"
	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// Build builds the code of every function that has a source, once for each, and
// puts images into the store: a function is pinned to the digest from then on. The
// code is by CodeKey.
func Build(ctx context.Context, exp *spec.Experiment, store *oci.Store) (map[string][]byte, error) {
	code, digests := map[string][]byte{}, map[string]string{}
	for i := range exp.Points {
		for j := range exp.Points[i].Functions {
			f := &exp.Points[i].Functions[j]
			if ref := cmp.Or(f.Image, f.Base); ref != "" {
				key := ref + " " + f.Requirements
				if digests[key] == "" {
					digest, err := store.Pull(ctx, ref)
					if err == nil && f.Requirements != "" {
						digest, err = store.WithPackages(ctx, digest, f.Requirements)
					}
					if err != nil {
						return nil, fmt.Errorf("function %s: %w", f.Name, err)
					}
					digests[key] = digest
				}
				f.Digest = digests[key]
			}
			if f.Source == "" {
				continue
			}
			key := CodeKey(*f)
			if code[key] == nil {
				staged, _, err := image.Stage(ctx, *f)
				if err != nil {
					return nil, fmt.Errorf("function %s: %w", f.Name, err)
				}
				code[key] = staged
			}
		}
	}
	return code, nil
}

// CodeKey is the same for functions with the same code.
func CodeKey(f spec.Function) string { return f.Runtime + " " + f.Source }
