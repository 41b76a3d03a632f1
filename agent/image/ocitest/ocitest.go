// Package ocitest gives tests real images where there is no registry.
package ocitest

import (
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/testenv"
)

// Python puts a base image with python3 and these Debian packages into a store
// that all tests of this user share, and returns that with the image's digest. The
// test is skipped where it cannot be built.
func Python(t testing.TB, packages ...string) (store *oci.Store, digest string) {
	t.Helper()
	testenv.Require(t, testenv.Root, testenv.Debian)
	store = oci.Open(filepath.Join("/var/tmp", "ainur-test-images"))
	packages = append([]string{"python3-minimal", "libpython3-stdlib"}, packages...)
	var err error
	if digest, err = store.Pull(t.Context(), "deb:bookworm?include="+strings.Join(packages, ",")); err != nil {
		t.Fatal(err)
	}
	return store, digest
}

// Derive puts an image into the store that is a base with the files of a folder of
// this host below dir, and another configuration.
func Derive(t testing.TB, store *oci.Store, base, dir, folder string, edit func(*v1.Config)) (digest string) {
	t.Helper()
	image, err := store.Image(base)
	if err != nil {
		t.Fatal(err)
	}
	layer, err := oci.Folder(folder, dir)
	if err != nil {
		t.Fatal(err)
	}
	if image, err = oci.Derive(image, edit, layer); err != nil {
		t.Fatal(err)
	}
	if digest, err = store.Add(image); err != nil {
		t.Fatal(err)
	}
	return digest
}
