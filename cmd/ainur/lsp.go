package main

import (
	"os"
	"time"

	hcllib "github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/lsp"
)

// typing is how long after a change a file is checked.
const typing = 150 * time.Millisecond

func (c *cli) lspCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "lsp",
		Short: "Serve an editor over standard input and output: the Language Server Protocol",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return lsp.Serve(cmd.Context(), cmd.InOrStdin(), c.stdout, lsp.Options{
				Delay: typing,
				Load: func(path string, overlay map[string][]byte) (*hcl.Module, hcllib.Diagnostics) {
					return hcl.Load(path, hcl.Options{Version: version, Environ: os.Environ(), Overlay: overlay, Policies: policies()})
				},
			})
		},
	}
}
