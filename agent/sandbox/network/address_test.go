package network

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func TestLayout(t *testing.T) {
	for name, tt := range map[string]struct {
		subnet          string
		place           int
		bridge          int
		address         string
		gateway         string
		capacity, ports int
	}{
		"first":               {"10.64.0.0/16", 0, 0, "10.64.0.2/22", "10.64.0.1/22", 64 * 1021, 1021},
		"last of a bridge":    {"10.64.0.0/16", 1020, 0, "10.64.3.254/22", "10.64.0.1/22", 64 * 1021, 1021},
		"first of the second": {"10.64.0.0/16", 1021, 1, "10.64.4.2/22", "10.64.4.1/22", 64 * 1021, 1021},
		"last":                {"10.64.0.0/16", 64*1021 - 1, 63, "10.64.255.254/22", "10.64.252.1/22", 64 * 1021, 1021},
		"small":               {"10.9.8.0/24", 5, 0, "10.9.8.7/24", "10.9.8.1/24", 253, 253},
		"smallest":            {"10.9.8.252/30", 0, 0, "10.9.8.254/30", "10.9.8.253/30", 1, 1},
		"not masked":          {"10.9.8.7/24", 0, 0, "10.9.8.2/24", "10.9.8.1/24", 253, 253},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := newLayout(netip.MustParsePrefix(tt.subnet))
			if err != nil {
				t.Fatal(err)
			}
			bridge, address := l.place(tt.place)
			if bridge != tt.bridge || address.String() != tt.address || l.gateway(bridge).String() != tt.gateway {
				t.Errorf("place %d is %v by %v on bridge %d, want %s by %s on %d", tt.place, address, l.gateway(bridge), bridge, tt.address, tt.gateway, tt.bridge)
			}
			if l.capacity() != tt.capacity || l.perBridge() != tt.ports {
				t.Errorf("%d places, %d per bridge, want %d, %d", l.capacity(), l.perBridge(), tt.capacity, tt.ports)
			}
		})
	}
}

// No two places have an address in common, none is a bridge's, and each is in
// the network of its bridge and in the subnet.
func TestLayoutIsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(widest, narrowest).Draw(t, "bits")
		b := [4]byte{10, rapid.Byte().Draw(t, "b"), rapid.Byte().Draw(t, "c"), rapid.Byte().Draw(t, "d")}
		l, err := newLayout(netip.PrefixFrom(netip.AddrFrom4(b), bits))
		if err != nil {
			t.Fatal(err)
		}
		i := rapid.IntRange(0, l.capacity()-1).Draw(t, "i")
		j := rapid.IntRange(0, l.capacity()-1).Draw(t, "j")
		bi, ai := l.place(i)
		bj, aj := l.place(j)
		if i != j && ai == aj {
			t.Errorf("places %d and %d are both %v", i, j, ai)
		}
		if ai.Addr() == l.gateway(bj).Addr() {
			t.Errorf("place %d and bridge %d are both %v", i, bj, ai)
		}
		if (bi == bj) != ai.Masked().Contains(aj.Addr()) {
			t.Errorf("%v on bridge %d and %v on bridge %d", ai, bi, aj, bj)
		}
		if !l.subnet.Contains(ai.Addr()) || !ai.Masked().Contains(l.gateway(bi).Addr()) || ai.Addr() == ai.Masked().Addr() {
			t.Errorf("%v by %v in %v", ai, l.gateway(bi), l.subnet)
		}
	})
}

func TestChoose(t *testing.T) {
	for name, tt := range map[string]struct {
		taken []string
		want  string
	}{
		"nothing taken":   {nil, "10.64.0.0/16"},
		"elsewhere":       {[]string{"192.168.0.0/16", "127.0.0.0/8"}, "10.64.0.0/16"},
		"a part":          {[]string{"10.64.9.0/24", "10.65.0.1/32"}, "10.66.0.0/16"},
		"many at once":    {[]string{"10.64.0.0/13"}, "10.72.0.0/16"},
		"all but the end": {[]string{"10.64.0.0/11", "10.96.0.0/12", "10.112.0.0/13", "10.120.0.0/14", "10.124.0.0/15", "10.126.0.0/16"}, "10.127.0.0/16"},
		"all":             {[]string{"10.0.0.0/8"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var taken []netip.Prefix
			for _, p := range tt.taken {
				taken = append(taken, netip.MustParsePrefix(p))
			}
			got, err := choose(taken)
			if tt.want == "" {
				if err == nil {
					t.Errorf("got %v, want an error", got)
				}
				return
			}
			if err != nil || got.String() != tt.want {
				t.Errorf("got %v, error %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestLabels(t *testing.T) {
	part := rapid.StringMatching(`[^/\x00]{1,20}`)
	rapid.Check(t, func(t *rapid.T) {
		o := owner{part.Draw(t, "run"), part.Draw(t, "name")}
		if got, ok := parseLabel(o.label()); !ok || got != o {
			t.Errorf("parseLabel(%q) = %+v, %t", o.label(), got, ok)
		}
		for _, name := range []string{o.bridge(rapid.IntRange(0, 63).Draw(t, "bridge")), o.port(rapid.IntRange(0, 1<<16-1).Draw(t, "port"))} {
			if got, ok := linkOwner(name); !ok || got != o.links() {
				t.Errorf("linkOwner(%q) = %q, %t, want %q", name, got, ok, o.links())
			}
			if len(name) > 15 {
				t.Errorf("%q has %d bytes, Linux takes 15", name, len(name))
			}
		}
	})
	for _, foreign := range []string{"", "eth0", "ainur", "ainurabcdef", "veth0", "ainu/r/n"} {
		if _, ok := parseLabel(foreign); ok {
			t.Errorf("%q is taken for a label of ours", foreign)
		}
		if _, ok := linkOwner(foreign); ok {
			t.Errorf("%q is taken for a link of ours", foreign)
		}
	}
}

func TestParseSockets(t *testing.T) {
	const header = "protocol  size sockets  memory press maxhdr\n"
	const quiet = "sockets: used 3\nTCP: inuse 0 orphan 2 tw 0 alloc 9 mem 1\n"
	for name, tt := range map[string]struct {
		protocols, sockstat string
		want                string // "" is none
		wantErr             string
	}{
		"none":      {header + "TCP 2304 0 0 no 192\nNETLINK 1096 0 -1 NI 0\n", quiet, "", ""},
		"unknown":   {header + "VSOCK 1 -1 -1 NI 0\n", quiet, "", ""},
		"some":      {header + "TCP 2304 2 0 no 192\nUDP 1 0 0\nUNIX 9 1 0\n", quiet, "sockets: 2 TCP, 1 UNIX", ""},
		"waiting":   {header, strings.Replace(quiet, "tw 0", "tw 12", 1), "sockets: 12 waiting", ""},
		"no header": {"TCP 2304 0 0 no 192\n", quiet, "", `unexpected "TCP 2304`},
		"short":     {header + "TCP 2304\n", quiet, "", `unexpected "TCP 2304`},
		"no tw":     {header, "sockets: used 3\n", "", `unexpected "sockets`},
		"empty":     {"", "", "", `unexpected ""`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseSockets(tt.protocols, tt.sockstat)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Errorf("got error %v, want %s", err, tt.wantErr)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %q, error %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"rights":      {unix.EPERM, "CAP_NET_ADMIN"},
		"no module":   {unix.EOPNOTSUPP, "modprobe -a bridge veth"},
		"rights, too": {os.ErrPermission, `network = "none"`},
		"other":       {unix.EEXIST, "make the bridge b: file exists"},
	} {
		t.Run(name, func(t *testing.T) {
			got := explain("make the bridge b", tt.err)
			if !errors.Is(got, tt.err) || !strings.Contains(got.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", got, tt.want)
			}
		})
	}
	if err := explain("nothing", nil); err != nil {
		t.Errorf("of no error, got %v", err)
	}
}

func TestStateChanges(t *testing.T) {
	got := changes(state{"a", "b", "d"}, state{"b", "c", "d", "e"})
	if diff := cmp.Diff([]string{"gone: a", "new: c", "new: e"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := changes(state{"a"}, state{"a"}); len(got) > 0 {
		t.Errorf("of the same, got %q", got)
	}
}
