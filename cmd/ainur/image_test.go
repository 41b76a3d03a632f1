package main

import (
	"bytes"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/ainur-faas/ainur/agent/image/oci"
)

// What an image says of itself does nothing to a terminal, and looks like no other image.
func TestImageListIsPlain(t *testing.T) {
	t.Setenv("AINUR_CACHE", t.TempDir())
	hostile, err := oci.New(v1.Config{Entrypoint: []string{"\x1b]0;owned\a\x9b2J", "\nsha256:0 \r\u202e"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := images().Add(hostile); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"image", "list"}, &stdout, &stderr); code != 0 {
		t.Fatalf("%d: %s", code, &stderr)
	}
	if s := stdout.String(); strings.ContainsAny(s, "\x1b\a\r\u009b\u202e") || strings.Count(s, "\n") != 2 {
		t.Errorf("%q", s)
	}
}
