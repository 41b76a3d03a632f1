package live

import (
	"fmt"
	"maps"
	"os"
	"strconv"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// findGPUs returns an error that names a device of the worker that this host does not have.
func findGPUs(w spec.Worker) error {
	for i := range w.GPU.Count {
		device := "/dev/nvidia" + strconv.Itoa(i)
		if _, err := os.Stat(device); err != nil && !w.GPU.Simulated {
			return fmt.Errorf("worker %s has %d GPUs, this host has no %s: lower count, or say simulated = true for devices that are names alone", w.Name, w.GPU.Count, device)
		}
	}
	return nil
}

// onDevice is f with the name of the device that a sandbox of it is on, GPUs from 1 and CPU 0, in its environment; f as it is
// on a worker without GPUs.
func onDevice(f spec.Function, g spec.GPU, device int) spec.Function {
	if g.Count == 0 {
		return f
	}
	env := maps.Clone(f.Env)
	if env == nil {
		env = map[string]string{}
	}
	env["AINUR_DEVICE"] = deviceName(device)
	if !g.Simulated {
		env["CUDA_VISIBLE_DEVICES"] = ""
		if device > 0 {
			env["CUDA_VISIBLE_DEVICES"] = strconv.Itoa(device - 1)
		}
	}
	f.Env = env
	return f
}

// deviceName is what calls that ran there are recorded with.
func deviceName(device int) string {
	if device == 0 {
		return "cpu"
	}
	return "gpu" + strconv.Itoa(device-1)
}
