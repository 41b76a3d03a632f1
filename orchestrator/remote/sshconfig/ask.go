package sshconfig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// Ask has ssh itself say the settings of a host. File replaces those of user and
// system, "" does not; port 0 is not given.
func Ask(ctx context.Context, program, file string, q Query, port int) (Values, error) {
	args := []string{"-G"}
	if file != "" {
		args = append(args, "-F", file)
	}
	if q.User != "" {
		args = append(args, "-l", q.User)
	}
	if port != 0 {
		args = append(args, "-p", strconv.Itoa(port))
	}
	if strings.HasPrefix(q.Host, "-") {
		return nil, fmt.Errorf("%q is no address", q.Host)
	}
	var complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, program, append(args, "--", q.Host)...)
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask ssh for its configuration: %w: %s", err, bytes.TrimSpace(complaints.Bytes())), context.Cause(ctx))
	}
	values := Values{}
	for line := range strings.Lines(string(out)) {
		keyword, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch keyword {
		case "userknownhostsfile", "globalknownhostsfile":
			values[keyword] = strings.Fields(value)
		default:
			values[keyword] = append(values[keyword], value)
		}
	}
	return values, nil
}
