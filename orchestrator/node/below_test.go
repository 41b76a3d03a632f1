package node

import "testing"

// What a host lists becomes a path here: nothing may lead out of where it is put.
func TestBelow(t *testing.T) {
	for _, tt := range []struct {
		file File
		path string
		want bool
	}{
		{File{Path: "results/calls.parquet"}, "results", true},
		{File{Path: "a.log"}, "a.log", true},
		{File{Path: "a.log"}, "", true},
		{File{Path: "results/../../.ssh/authorized_keys"}, "results", false},
		{File{Path: "../x"}, "", false},
		{File{Path: "/etc/passwd"}, "", false},
		{File{Path: "results/./x"}, "results", false},
		{File{Path: "other/x"}, "results", false},
		{File{Path: "results-2/x"}, "results", false},
		{File{Path: "results/x", Size: -1}, "results", false},
		{File{}, "", false},
	} {
		if got := tt.file.below(tt.path); got != tt.want {
			t.Errorf("%+v below %q: %v", tt.file, tt.path, got)
		}
	}
}
