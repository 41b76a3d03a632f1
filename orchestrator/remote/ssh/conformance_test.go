package ssh_test

import (
	"testing"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/lab"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/remotetest"
	"github.com/ainur-faas/ainur/orchestrator/remote/sshtest"
)

// A host of a lab has the sshd of this machine; the server of tests has none.
func TestConformance(t *testing.T) {
	t.Run("sshd", func(t *testing.T) {
		l := up(t, lab.Options{Hosts: 1})
		conforms(t, spec.Host{Name: "n1", Address: l.Hosts[0].Address.String(), SSH: block(l)})
	})
	t.Run("in process", func(t *testing.T) { conforms(t, hostOf(sshtest.Start(t, sshtest.Faults{}))) })
}

func conforms(t *testing.T, h spec.Host) {
	d := dialer(t)
	remotetest.Run(t, func(t *testing.T) remote.Conn {
		c, err := d.Dial(t.Context(), h, spec.Become{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	})
}
