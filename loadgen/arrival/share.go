package arrival

// Share is the arrivals that one of several generators makes: those whose number in
// the schedules that it takes part in, one after another, leaves Index when divided
// by Of. The shares of all together are each arrival once.
type Share struct {
	Index, Of int
	next      int // number of the next arrival of all
}

// Take is the share of the next schedule. The one before has to have ended.
func (s *Share) Take(from Schedule) Schedule { return &taken{from, s} }

type taken struct {
	Schedule
	share *Share
}

func (t *taken) Next() (Arrival, bool) {
	for {
		a, ok := t.Schedule.Next()
		if !ok {
			return a, false
		}
		mine := t.share.next%t.share.Of == t.share.Index
		t.share.next++
		if mine {
			return a, true
		}
	}
}
