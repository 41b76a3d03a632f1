package live_test

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ainur-faas/ainur/agent/live"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/fake"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// Code finds the device that it runs on in its environment, and the reply has it.
func TestDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := live.New(live.Options{
			Worker: spec.Worker{
				Name: "w", MilliCPU: 1000, Memory: 256 * spec.MiB, Queue: spec.Named{Name: "fcfs"}, KeepAlive: spec.Named{Name: "lru"},
				GPU: spec.GPU{Count: 2, Slots: 1, Tokens: 1, Simulated: true}, GPUQueue: spec.Named{Name: "fcfs"}, Placement: spec.Named{Name: "always_gpu"},
			},
			RunID: "run", Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
			Isolation: fake.New(fake.Script{Invoke: func(ctx context.Context, c sandbox.Config, _ []byte) (sandbox.Reply, error) {
				if err := fake.Sleep(ctx, 20*ms); err != nil {
					return sandbox.Reply{}, err
				}
				return sandbox.Reply{Result: []byte(strconv.Quote(c.Function.Env["AINUR_DEVICE"] + c.Function.Env["CUDA_VISIBLE_DEVICES"])), ExecEnd: 20 * ms}, nil
			}}),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		for name, compute := range map[string]string{"cpu": "", "gpu": "gpu", "both": "both"} {
			f := builtin(name)
			f.Compute = compute
			if err := a.Register(f, nil); err != nil {
				t.Fatal(err)
			}
		}
		replies := make(chan live.Reply)
		for _, name := range []string{"gpu", "both", "cpu"} {
			go func() { replies <- a.Invoke(t.Context(), live.Request{Function: name}) }()
			synctest.Wait()
		}
		seen := map[string]bool{}
		for range 3 {
			r := <-replies
			if seen[r.Device] = true; r.Outcome != live.OK || string(r.Result) != strconv.Quote(r.Device) {
				t.Errorf("%v %s: on %q, the code says %s", r.Outcome, r.Error, r.Device, r.Result)
			}
		}
		if len(seen) != 3 || !seen["cpu"] || !seen["gpu0"] || !seen["gpu1"] {
			t.Errorf("ran on %v", seen)
		}
	})
}

func TestDevicesThatAreNotThere(t *testing.T) {
	_, err := live.New(live.Options{
		Worker: spec.Worker{Name: "w", MilliCPU: 1000, Memory: spec.GiB, Queue: spec.Named{Name: "fcfs"}, KeepAlive: spec.Named{Name: "lru"}, GPU: spec.GPU{Count: 64, Slots: 1, Tokens: 1}},
		RunID:  "run", Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Isolation: fake.New(fake.Script{}),
	})
	if err == nil || !strings.Contains(err.Error(), "worker w has 64 GPUs, this host has no /dev/nvidia") || !strings.Contains(err.Error(), "simulated = true") {
		t.Errorf("%v", err)
	}
}
