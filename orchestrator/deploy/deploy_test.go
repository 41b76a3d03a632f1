package deploy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/facts"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/setup"
)

// TestTuning is a tune block on hosts that have more or less to tune.
func TestTuning(t *testing.T) {
	on, off := true, false
	all := spec.Tune{
		Governor: "performance", Turbo: &off, SMT: "off", THP: "never", NUMABalancing: &off, Swap: &off, IRQBalance: &off, ASLR: &off, IsolCPUs: "1-3",
	}
	const cpu0 = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
	for name, tt := range map[string]struct {
		tune        spec.Tune
		files       map[string]string
		cmdline     string
		want, notes []string
	}{
		"everything, of Intel": {
			tune: all, cmdline: "quiet isolcpus=1-3",
			files: map[string]string{
				cpu0: "powersave", noTurbo: "0", smt: "on", hugePages: "[always] never", numaBalancing: "1", aslr: "2", setup.IRQBalance: "active",
			},
			want: []string{"governor=performance", "turbo=1", "smt=off", "thp=never", "numa balancing=0", "aslr=0", "irqbalance=inactive", "swap=none"},
		},
		"turbo of others": {tune: spec.Tune{Turbo: &off}, files: map[string]string{boost: "1"}, want: []string{"turbo=0"}},
		"a virtual machine": {
			tune: spec.Tune{Governor: "performance", SMT: "off", Turbo: &on, Swap: &on, IsolCPUs: "1"}, files: map[string]string{smt: "notsupported"},
			notes: []string{
				"tune.governor = performance cannot be had: this host has no such setting", "tune.turbo = 1 cannot be had: this host has no such setting",
				"tune.swap = true cannot be had: this host has no swap", "tune.isolcpus: the kernel was not started with isolcpus=1",
			},
		},
		"nothing": {},
	} {
		t.Run(name, func(t *testing.T) {
			settings, notes := tuning(tt.tune, &facts.Host{Files: tt.files, Facts: spec.Facts{Cmdline: tt.cmdline}})
			var got []string
			for _, s := range settings {
				got = append(got, s.Name+"="+s.Value)
				if !s.Tune {
					t.Errorf("%s is not for the time of a run", s.Name)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.notes, notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSettings makes room for calls where there is too little.
func TestSettings(t *testing.T) {
	exp := func(calls int) *spec.Experiment {
		return &spec.Experiment{Points: []spec.Point{{
			Balancer: &spec.Balancer{Host: "b"}, Workers: []spec.Worker{{Host: "w"}}, Loads: []spec.Load{{MaxInFlight: calls, From: []string{"l"}}},
		}}}
	}
	h := &facts.Host{Files: map[string]string{somaxconn: "4096\n", portRange: "32768\t60999\n"}}
	for host, tt := range map[string]struct {
		exp  *spec.Experiment
		want string
	}{
		"b": {exp(10_000), "sysctl net.core.somaxconn=65535"},
		"l": {exp(50_000), "sysctl net.core.somaxconn=65535, sysctl net.ipv4.ip_local_port_range=1024 65535"},
		"w": {exp(50_000), ""}, "x": {nil, ""},
	} {
		var got []string
		for _, s := range settings(tt.exp, spec.Host{Name: host}, h) {
			got = append(got, s.Name+"="+s.Value)
		}
		if got := strings.Join(got, ", "); got != tt.want {
			t.Errorf("%s gets %q, want %q", host, got, tt.want)
		}
	}
	if got := settings(exp(100), spec.Host{Name: "b"}, h); got != nil {
		t.Errorf("100 calls get %v", got)
	}
}

func TestStale(t *testing.T) {
	plan := func(change func(*Plan)) *Plan {
		p := &Plan{Cluster: "c", Hosts: []HostPlan{{Host: "a", SHA256: "1", Changes: []setup.Change{{What: "x"}}}}}
		change(p)
		return p
	}
	now := plan(func(*Plan) {})
	for want, change := range map[string]func(*Plan){
		"":                         func(*Plan) {},
		"it is of other hosts":     func(p *Plan) { p.Hosts[0].Host = "b" },
		"it is of another ainur":   func(p *Plan) { p.Hosts[0].SHA256 = "2" },
		"host a has changed since": func(p *Plan) { p.Hosts[0].Changes = nil },
	} {
		if got := now.Stale(plan(change)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestBehind: a host whose clock says that certificates are still to come is not set up.
func TestBehind(t *testing.T) {
	s := &Site{}
	_, err := s.plan(&Host{Facts: &facts.Host{Offset: -2 * time.Hour}}, nil, nil, time.Now())
	if err == nil || !strings.Contains(err.Error(), "2h0m0s behind") {
		t.Errorf("got %v", err)
	}
}

// mute is a host whose commands say something and then neither go on nor end.
type mute struct {
	remote.Conn
	over <-chan struct{}
}

func (m mute) Run(_ context.Context, c remote.Command) error {
	_, _ = c.Stdout.Write([]byte("x")) // it is read
	<-m.over
	return nil
}

// TestRelayed: whoever gives up is not kept by a host that does not.
func TestRelayed(t *testing.T) {
	over := make(chan struct{})
	defer close(over)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := relayed(ctx, mute{over: over}, setup.Layout{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestNoexec(t *testing.T) {
	const mounts = `21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
22 21 0:20 / /opt rw,nosuid,noexec - tmpfs tmpfs rw
23 22 0:21 / /opt/ainur rw - tmpfs tmpfs rw
24 21 0:22 / /srv rw - tmpfs tmpfs rw
25 21 0:23 / /srv rw,noexec - tmpfs tmpfs rw
`
	for path, want := range map[string]bool{"/usr/x": false, "/opt/x": true, "/opt/ainur/x": false, "/optional/x": false, "/srv/x": true} {
		if got := noexec(mounts, path); got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
}

// TestRecap says the same once.
func TestRecap(t *testing.T) {
	var b strings.Builder
	changed := Outcome{Host: "w4"}
	changed.Changes = []setup.Change{{}, {}}
	if err := Recap(&b, []Outcome{
		{Host: "ctl"}, {Host: "w1"}, {Host: "w2"}, {Host: "w3"}, changed, {Host: "w5", Err: errors.New("host w5: up: no\x1b[2J\nmore")}, {Host: "w6", Skipped: true},
	}); err != nil {
		t.Fatal(err)
	}
	want := `  host       result
  ctl w1-w3  ok, nothing to change
  w4         ok, 2 changes
  w5         failed: host w5: up: no�[2J
  w6         not begun: another host failed
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
