package lab

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"
	"pgregory.net/rapid"
)

func TestChooseLayers(t *testing.T) {
	got := choose([]*mountinfo.Info{
		{Mountpoint: "/proc", FSType: "proc", Source: "proc"},
		{Mountpoint: "/", FSType: "ext4", Source: "/dev/vda"},
		{Mountpoint: "/usr", FSType: "ext4", Source: "/dev/vdb"},
		{Mountpoint: "/usr", FSType: "ext4", Source: "/dev/vdc"},
		{Mountpoint: "/etc", FSType: "virtiofs", Source: "etc"},
		{Mountpoint: "/etc/passwd", FSType: "ext4", Source: "/dev/vda"},
		{Mountpoint: "/home", FSType: "ext4", Source: "/dev/vdd"},
		{Mountpoint: "/var/lib/docker", FSType: "ext4", Source: "/dev/vde"},
		{Mountpoint: "/bin", FSType: "tmpfs", Source: "tmpfs"},
		{Mountpoint: "/nowhere", FSType: "ext4", Source: "/dev/vdf"},
	})
	if diff := cmp.Diff([]string{"/", "/etc", "/usr"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSubnets(t *testing.T) {
	for name, tt := range map[string]struct {
		subnet         string
		capacity       int
		first, gateway string
	}{
		"usual":      {"10.77.0.0/24", 253, "10.77.0.1", "10.77.0.254"},
		"wide":       {"10.77.0.0/16", 65533, "10.77.0.1", "10.77.255.254"},
		"small":      {"192.168.7.8/29", 5, "192.168.7.9", "192.168.7.14"},
		"not masked": {"10.77.3.9/24", 253, "10.77.3.1", "10.77.3.254"},
	} {
		t.Run(name, func(t *testing.T) {
			p := netip.MustParsePrefix(tt.subnet)
			if got := capacity(p); got != tt.capacity {
				t.Errorf("capacity is %d, want %d", got, tt.capacity)
			}
			if first, last := nth(p, 1).String(), gateway(p).String(); first != tt.first || last != tt.gateway {
				t.Errorf("the first host is %s and the gateway %s, want %s and %s", first, last, tt.first, tt.gateway)
			}
		})
	}
}

// What is chosen overlaps nothing that is taken.
func TestFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		taken := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) netip.Prefix {
			a := [4]byte{10, byte(rapid.IntRange(76, 78).Draw(t, "b")), rapid.Byte().Draw(t, "c"), rapid.Byte().Draw(t, "d")}
			return netip.PrefixFrom(netip.AddrFrom4(a), rapid.IntRange(17, 32).Draw(t, "bits")).Masked()
		}), 0, 40).Draw(t, "taken")
		p, err := free(taken)
		if err != nil {
			return
		}
		if overlaps(p, taken) || !chosenFrom.Contains(p.Addr()) || p.Bits() != chosenBits {
			t.Errorf("chose %v", p)
		}
	})
	if p, err := free([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}); err == nil {
		t.Errorf("with nothing free, chose %v", p)
	}
}
