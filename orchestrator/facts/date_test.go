package facts

import (
	"testing"
	"time"
)

func TestDate(t *testing.T) {
	for text, want := range map[string]time.Time{
		"1795464455123456789": time.Unix(1795464455, 123456789), "1795464455%N": time.Unix(1795464455, 5e8),
	} {
		if got, _, err := date(text); err != nil || !got.Equal(want) {
			t.Errorf("%s is %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "%N", "soon"} {
		if got, _, err := date(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
