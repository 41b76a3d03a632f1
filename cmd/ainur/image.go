package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/agent/image/bytecode"
	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/printable"
	"github.com/ainur-faas/ainur/orchestrator/report"
)

func (c *cli) imageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Build container images without Docker, and look after those of this host",
		Args:  args(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.imageBuildCommand(), c.imagePullCommand(), c.imageListCommand(), c.imageRemoveCommand())
	return cmd
}

// references explains what an image may be named by.
const references = `A reference of an image is one of

  oci-dir:PATH[@sha256:HEX]   a folder with an OCI image layout
  oci-tar:PATH                an archive of one, or one that docker save makes
  rootfs:PATH                 a root filesystem, as a folder or a tar
  deb:SUITE?include=A,B       packages of Debian, as mmdebstrap unpacks them
  scratch                     an empty image
  sha256:HEX                  an image of this host
  NAME[:TAG][@sha256:HEX]     an image of a registry`

func (c *cli) imageBuildCommand() *cobra.Command {
	var o oci.BuildOptions
	var to string
	cmd := &cobra.Command{
		Use:   "build SOURCE",
		Short: "Build an image of a function's code on a base",
		Long: `Builds an image of a function from the folder of its code, or the file of an
executable, and keeps it on this host. The same code, base and packages have the
same digest, wherever it is built. With root and a base, the image has the bytecode
of the function in Python.

` + references,
		Example: `  ainur image build ./hello --runtime python3 --base 'deb:bookworm?include=python3-minimal,libpython3-stdlib'
  ainur image build ./hello-go --runtime go --to oci-dir:./hello-image`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Function.Source = args[0]
			o.Note = func(text string) { fmt.Fprintln(c.stderr, "note:", printable.Text(text)) }
			return c.buildImage(cmd.Context(), o, to)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Function.Runtime, "runtime", "python3", "python3, go or exec")
	flags.StringVar(&o.Base, "base", "", "reference of the image below the code; default: scratch")
	flags.StringVar(&o.Requirements, "requirements", "", "file of Python packages for pip to install")
	flags.StringVar(&to, "to", "", "write the image to oci-dir:PATH or oci-tar:PATH, too")
	return cmd
}

func (c *cli) buildImage(ctx context.Context, o oci.BuildOptions, to string) error {
	store := images()
	o.Compile = bytecode.Compiler(store)
	digest, err := store.Build(ctx, o)
	if err != nil {
		return err
	}
	if to != "" {
		if err := store.Export(digest, to); err != nil {
			return err
		}
	}
	return c.showImages(store, []string{digest})
}

func (c *cli) imagePullCommand() *cobra.Command {
	var platform string
	cmd := &cobra.Command{
		Use:   "pull REFERENCE",
		Short: "Put an image on this host",
		Long:  references,
		Example: `  ainur image pull oci-dir:./base
  ainur image pull debian:bookworm-slim --platform linux/arm64`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			store := images()
			of, err := v1.ParsePlatform(platform)
			if err != nil || of.OS == "" || of.Architecture == "" {
				return fmt.Errorf("--platform %q is no OS/ARCHITECTURE such as linux/arm64", platform)
			}
			digest, err := store.PullFor(cmd.Context(), args[0], *of)
			if err != nil {
				return err
			}
			return c.showImages(store, []string{digest})
		},
	}
	cmd.Flags().StringVar(&platform, "platform", oci.Here.String(), "of an image for other machines, which experiments name by its digest")
	return cmd
}

func (c *cli) imageListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the images of this host",
		Args:    args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			store := images()
			digests, err := store.List()
			if err != nil {
				return err
			}
			return c.showImages(store, digests)
		},
	}
}

func (c *cli) imageRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "remove DIGEST...",
		Aliases: []string{"rm"},
		Short:   "Remove images from this host, with the layers that no other image has",
		Args:    args(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			store := images()
			var errs []error
			for _, digest := range args {
				err := store.Remove(digest)
				switch {
				case errors.Is(err, os.ErrNotExist):
					err = fmt.Errorf("no image %s is on this host: ainur image list shows them", digest)
				case errors.Is(err, oci.ErrInUse):
					c.tell(digest, "removed; its layers go with the next image that is removed while no worker of this host has images")
					err = nil
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		},
	}
}

// imageInfo is an image as it is shown.
type imageInfo struct {
	Digest   string     `json:"digest"`
	Platform string     `json:"platform"` // such as linux/amd64
	Layers   []string   `json:"layers"`   // digests, the lowest first
	Size     spec.Bytes `json:"size"`     // of the layers as they are kept
	Command  []string   `json:"command"`
	Broken   string     `json:"broken,omitempty"` // why it cannot be used
}

func (c *cli) showImages(store *oci.Store, digests []string) error {
	infos := make([]imageInfo, len(digests))
	for n, digest := range digests {
		var err error
		if infos[n], err = describe(store, digest); err != nil {
			infos[n] = imageInfo{Digest: digest, Layers: []string{}, Broken: err.Error()}
		}
	}
	c.data = map[string]any{"images": infos}
	if c.output == "json" {
		return nil
	}
	t := report.Table{Columns: []report.Column{{Name: "digest"}, {Name: "platform"}, {Name: "layers", Number: true}, {Name: "size", Unit: "MiB", Number: true}, {Name: "command"}}}
	for _, i := range infos {
		command := dash(strings.Join(strings.Fields(strings.Join(i.Command, " ")), " ")) // in one line
		if i.Broken != "" {
			command = "broken, to be pulled again or removed: " + strings.ReplaceAll(i.Broken, "\n", "; ")
		}
		t.Rows = append(t.Rows, []string{i.Digest, dash(i.Platform), fmt.Sprint(len(i.Layers)), fmt.Sprintf("%.1f", float64(i.Size)/float64(spec.MiB)), command})
	}
	return t.Write(c.stdout)
}

// describe reads an image, all of which must be there.
func describe(store *oci.Store, digest string) (info imageInfo, err error) {
	info = imageInfo{Digest: digest, Layers: []string{}}
	if err := store.Check(digest); err != nil {
		return info, err
	}
	image, err := store.Image(digest)
	if err != nil {
		return info, err
	}
	m, err := image.Manifest()
	if err != nil {
		return info, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return info, err
	}
	info.Platform = v1.Platform{OS: config.OS, Architecture: config.Architecture}.String()
	info.Command = append(config.Config.Entrypoint, config.Config.Cmd...)
	for _, layer := range m.Layers {
		info.Layers, info.Size = append(info.Layers, layer.Digest.String()), info.Size+spec.Bytes(layer.Size)
	}
	return info, nil
}
