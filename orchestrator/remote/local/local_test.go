package local_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/local"
	"github.com/ainur-faas/ainur/orchestrator/remote/remotetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	testenv.Require(t, testenv.Root)
	remotetest.Run(t, func(t *testing.T) remote.Conn {
		c, err := local.Dial(spec.Host{Name: "here", Connection: "local", SSH: spec.SSH{CommandTimeout: time.Minute}}, spec.Become{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	})
}
