package docker_test

import (
	"testing"

	"github.com/ainur-faas/ainur/agent/image/ocitest"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/docker"
	"github.com/ainur-faas/ainur/agent/sandbox/docker/dockertest"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// A stem cell that has become a function is a sandbox like any other.
func TestConformanceOfCells(t *testing.T) {
	socket := dockertest.Start(t)
	t.Setenv("AINUR_SECRET_OF_THE_AGENT", "x")
	store, digest := ocitest.Python(t)
	sandboxtest.RunOn(t, digest, func(t *testing.T) sandbox.Isolation {
		return sandboxtest.Ahead{Isolation: openWith(t, docker.Options{Socket: socket, Store: store, Container: spec.Container{StemCells: 1}})}
	})
}
