package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/hcl/schema"
)

func (c *cli) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of experiments in JSON (*.ainur.json)",
		Args:  args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if c.output == "json" {
				c.data = schema.JSONSchema()
				return nil
			}
			enc := json.NewEncoder(c.stdout)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "  ")
			return enc.Encode(schema.JSONSchema())
		},
	}
}
