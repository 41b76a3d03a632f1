package route_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/balancer/policy"
	"github.com/ainur-faas/ainur/balancer/route"
)

const lease = 3 * time.Second

func TestLease(t *testing.T) {
	c := route.New(policy.RoundRobin{}, lease, 1)
	if _, ok := c.Pick(0, "f"); ok {
		t.Error("picked one of none")
	}
	a, joined := c.Join(0, "a", "host:1", "i1", 1000)
	if !joined {
		t.Error("the first join is none")
	}
	if _, joined := c.Join(2*time.Second, "a", "host:1", "i1", 1000); joined {
		t.Error("a renewal is a join")
	}
	if at, ok := c.Deadline(); !ok || at != 5*time.Second {
		t.Errorf("deadline %v, %v, want 5s", at, ok)
	}
	if got, ok := c.Pick(4*time.Second, "f"); !ok || got.ID != a.ID {
		t.Errorf("picked %+v, %v", got, ok)
	}
	if got, ok := c.Pick(5*time.Second, "f"); ok {
		t.Errorf("picked %+v whose lease is over", got)
	}
	if gone := c.Expire(5 * time.Second); len(gone) != 1 || gone[0].InFlight != 1 {
		t.Errorf("gone: %+v", gone)
	}
	c.Done(a.ID) // of one that is gone
	if b, joined := c.Join(6*time.Second, "a", "host:1", "i1", 1000); !joined || b.ID == a.ID || b.InFlight != 0 {
		t.Errorf("rejoined as %+v, %v", b, joined)
	}
}

func TestRestartIsANewMember(t *testing.T) {
	c := route.New(policy.RoundRobin{}, lease, 1)
	old, _ := c.Join(0, "a", "host:1", "i1", 1000)
	c.Pick(0, "f")
	now, joined := c.Join(time.Second, "a", "host:2", "i2", 1000)
	if !joined || now.ID == old.ID || now.InFlight != 0 || now.Address != "host:2" || len(c.Members()) != 1 {
		t.Errorf("after a restart: %+v, %+v", now, c.Members())
	}
	c.Leave("a", "i1") // late, of the old incarnation
	if len(c.Members()) != 1 {
		t.Error("the new incarnation left with the old")
	}
	c.Leave("a", "i2")
	if len(c.Members()) != 0 {
		t.Error("did not leave")
	}
}

func TestSuspectsAreNotChosen(t *testing.T) {
	c := route.New(policy.LeastInFlight{}, lease, 1)
	a, _ := c.Join(0, "a", "", "i", 1000)
	b, _ := c.Join(0, "b", "", "i", 1000)
	c.Suspect(a.ID)
	for range 3 {
		if got, _ := c.Pick(0, "f"); got.ID != b.ID {
			t.Errorf("picked %s, which is suspect", got.Worker)
		}
	}
	c.Suspect(b.ID)
	if got, ok := c.Pick(0, "f"); ok {
		t.Errorf("picked %s, and all are suspect", got.Worker)
	}
	if c.Renew(1, "a", "another") {
		t.Error("renewed another incarnation")
	}
	if !c.Renew(1, "a", "i") {
		t.Error("a member cannot renew its lease")
	}
	if got, _ := c.Pick(1, "f"); got.ID != a.ID {
		t.Error("a renewed member is still suspect")
	}
}

// Whatever happens, a pick has a live lease and is not suspect; and picked =
// done + in flight at members that are there + lost with members that went.
func TestConservation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chosen, err := policy.Builtin().Build(rapid.SampledFrom(policy.Builtin().Names()).Draw(t, "policy"), func(any) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		c := route.New(chosen, lease, rapid.Uint64().Draw(t, "seed"))
		var now time.Duration
		inFlight := map[uint64]int{} // picked and not done, by member
		suspect := map[uint64]bool{} // since its last renewal
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			now += time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "pass"))
			worker := fmt.Sprint("w", rapid.IntRange(0, 3).Draw(t, "worker"))
			incarnation := fmt.Sprint("i", rapid.IntRange(0, 1).Draw(t, "incarnation"))
			switch rapid.IntRange(0, 7).Draw(t, "event") {
			case 0, 1:
				m, _ := c.Join(now, worker, "", incarnation, 1000)
				delete(suspect, m.ID)
			case 2:
				c.Leave(worker, incarnation)
			case 3:
				for _, m := range c.Expire(now) {
					if m.Expires > now {
						t.Fatalf("at %v it expired %+v", now, m)
					}
				}
			case 4:
				if m, ok := c.Pick(now, rapid.SampledFrom([]string{"f", "g"}).Draw(t, "function")); ok {
					inFlight[m.ID]++
					if m.Expires <= now || suspect[m.ID] {
						t.Fatalf("at %v it picked %+v", now, m)
					}
				}
			case 5:
				for _, m := range c.Members() {
					if inFlight[m.ID] > 0 {
						c.Done(m.ID)
						inFlight[m.ID]--
						break
					}
				}
			case 6:
				for _, m := range c.Members() {
					if m.Worker == worker {
						c.Suspect(m.ID)
						suspect[m.ID] = true
					}
				}
			case 7:
				c.Drop(worker)
			}
			checkMembers(t, c, inFlight)
		}
	})
}

func checkMembers(t *rapid.T, c *route.Core, inFlight map[uint64]int) {
	seen := map[string]bool{}
	first, some := c.Deadline()
	for i, m := range c.Members() {
		if m.InFlight != inFlight[m.ID] {
			t.Fatalf("%+v, want %d in flight", m, inFlight[m.ID])
		}
		if seen[m.Worker] {
			t.Fatalf("%s is a member twice", m.Worker)
		}
		if m.Expires < first || !some {
			t.Fatalf("%+v expires before the deadline %v, %v", m, first, some)
		}
		if i > 0 && m.ID <= c.Members()[i-1].ID {
			t.Fatalf("not in order of ID: %+v", c.Members())
		}
		seen[m.Worker] = true
	}
}

// A core shows the policy who the members are, what they have and what is asked for.
func TestWhatAPolicySees(t *testing.T) {
	var seen shown
	c := route.New(&seen, lease, 7)
	c.Join(0, "a", "", "i", 1000)
	b, _ := c.Join(0, "b", "", "i", 2500)
	c.Pick(0, "f")
	c.Suspect(b.ID - 1)
	c.Pick(time.Second, "g")
	want := shown{
		seed: 7, requests: []policy.Request{{Function: "f"}, {Now: time.Second, Function: "g"}},
		members: []policy.Member{{ID: 1, Worker: "a", MilliCPU: 1000}, {ID: 2, Worker: "b", MilliCPU: 2500}, {ID: 2, Worker: "b", MilliCPU: 2500}},
	}
	if diff := cmp.Diff(want, seen, cmp.AllowUnexported(shown{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// shown is a policy that keeps what it is shown.
type shown struct {
	seed     uint64
	requests []policy.Request
	members  []policy.Member
}

func (s *shown) New(seed uint64) policy.Picker {
	s.seed = seed
	return s
}

func (s *shown) Pick(r policy.Request, members []policy.Member) int {
	s.requests, s.members = append(s.requests, r), append(s.members, members...)
	return 0
}

func TestPickAllocatesNothing(t *testing.T) {
	c := route.New(policy.LeastInFlight{}, lease, 1)
	for i := range 16 {
		c.Join(0, fmt.Sprint("w", i), "", "i", 1000)
	}
	c.Pick(0, "f")
	if n := testing.AllocsPerRun(100, func() {
		m, _ := c.Pick(0, "f")
		c.Done(m.ID)
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}
