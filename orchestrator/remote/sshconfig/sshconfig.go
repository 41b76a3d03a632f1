// Package sshconfig reads the configuration of OpenSSH's client, as ssh_config(5) has it.
package sshconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Query is the host that a configuration is asked for.
type Query struct {
	Host      string // as the user names it
	User      string // as the user says, "" does not
	LocalUser string
	Home      string // of the local user
}

// Values are the settings of a host, by keyword in small letters. Most have one value;
// that of a list is several.
type Values map[string][]string

// One is the value of a keyword, "" where it has none.
func (v Values) One(keyword string) string {
	if len(v[keyword]) == 0 {
		return ""
	}
	return v[keyword][0]
}

// deepest is how many files may include one another.
const deepest = 16

// Read reads the user's file, then the system's: the first value wins. Files that are
// not there say nothing. What cannot be understood is left out, and told in warnings.
// "Match exec" would execute something, and never matches here.
func Read(user, system string, q Query) (Values, []string, error) {
	r := &reader{query: q, host: q.Host, values: Values{}}
	if q.User != "" {
		r.values["user"] = []string{q.User}
	}
	for range 2 {
		if err := r.file(user, filepath.Join(q.Home, ".ssh"), true, 0); err != nil {
			return nil, nil, err
		}
		if err := r.file(system, filepath.Dir(system), true, 0); err != nil {
			r.warn("%s is left out: %v", system, err)
		}
		if !r.again {
			break
		}
		r.final, r.host = true, r.hostname()
		r.values["hostname"] = []string{r.host}
	}
	if len(r.values["hostname"]) > 0 {
		r.values["hostname"] = []string{r.hostname()}
	}
	return r.values, r.warnings, nil
}

type reader struct {
	query    Query
	host     string // that Host lines are about
	again    bool   // something is for a second time only
	final    bool   // this is that
	values   Values
	warnings []string
}

func (r *reader) warn(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.warnings, text) {
		r.warnings = append(r.warnings, text)
	}
}

// hostname is the host to connect to, as far as that is known.
func (r *reader) hostname() string {
	if name := r.values.One("hostname"); name != "" {
		return strings.NewReplacer("%%", "%", "%h", r.host).Replace(name)
	}
	return r.host
}

// file reads one, whose includes are relative to a folder. Active: its lines are of
// this host until one says otherwise.
func (r *reader) file(path, folder string, active bool, depth int) error {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || path == "" {
		return nil
	}
	if err != nil {
		return err
	}
	outer := active
	n := 0
	for line := range bytes.Lines(content) {
		n++
		keyword, rest := split(strings.TrimSpace(string(line)))
		if keyword == "" {
			continue
		}
		args, err := words(rest)
		if err == nil && len(args) == 0 {
			err = errors.New("it has no value")
		}
		if err == nil {
			switch keyword {
			case "host":
				active = outer && oneOf(args, r.host)
			case "match":
				active, err = r.match(args)
				active = active && outer
			case "include":
				err = r.include(args, folder, active, depth)
			default:
				if active {
					r.set(keyword, args, rest)
				}
			}
		}
		if err != nil {
			r.warn("%s:%d is left out: %s: %v", path, n, keyword, err)
			active = active && keyword != "host" && keyword != "match" // what follows is of nobody
		}
	}
	return nil
}

// set keeps the values of a line, unless there are some.
func (r *reader) set(keyword string, args []string, rest string) {
	switch keyword {
	case "identityfile", "certificatefile":
		if !slices.Contains(r.values[keyword], args[0]) {
			r.values[keyword] = append(r.values[keyword], args[0])
		}
		return
	case "proxycommand": // a command of a shell, as it is written
		args = []string{rest}
	case "userknownhostsfile", "globalknownhostsfile":
	default:
		args = args[:1]
	}
	other := map[string]string{"proxycommand": "proxyjump", "proxyjump": "proxycommand"}[keyword]
	if r.values[keyword] == nil && (other == "" || r.values[other] == nil) {
		r.values[keyword] = args
	}
}

// include reads the files that patterns name.
func (r *reader) include(patterns []string, folder string, active bool, depth int) error {
	if depth >= deepest {
		return errors.New("files include one another too deeply")
	}
	for _, pattern := range patterns {
		if rest, ok := strings.CutPrefix(pattern, "~/"); ok {
			pattern = filepath.Join(r.query.Home, rest)
		}
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(folder, pattern)
		}
		files, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := r.file(file, folder, active, depth+1); err != nil {
				r.warn("%s is left out: %v", file, err)
			}
		}
	}
	return nil
}

// match reports whether the criteria of a Match line all hold.
func (r *reader) match(args []string) (bool, error) {
	holds := true
	for len(args) > 0 {
		criterion, value, given := strings.Cut(args[0], "=")
		args = args[1:]
		criterion, negated := strings.CutPrefix(strings.ToLower(criterion), "!")
		var one bool
		switch criterion {
		case "all":
			one = true
		case "canonical", "final":
			r.again = r.again || criterion == "final"
			one = r.final
		default:
			if !given {
				if len(args) == 0 {
					return false, fmt.Errorf("%s has no value", criterion)
				}
				value, args = args[0], args[1:]
			}
			var err error
			if one, err = r.criterion(criterion, value); err != nil {
				return false, err
			}
		}
		holds = holds && one != negated
	}
	return holds, nil
}

func (r *reader) criterion(name, value string) (bool, error) {
	patterns := strings.Split(value, ",")
	switch name {
	case "host":
		return oneOf(strings.Split(strings.ToLower(value), ","), r.hostname()), nil
	case "originalhost":
		return oneOf(strings.Split(strings.ToLower(value), ","), r.query.Host), nil
	case "user":
		user := r.values.One("user")
		if user == "" {
			user = r.query.LocalUser
		}
		return oneOf(patterns, user), nil
	case "localuser":
		return oneOf(patterns, r.query.LocalUser), nil
	case "tagged":
		return oneOf(patterns, r.values.One("tag")), nil
	}
	return false, fmt.Errorf("what %q says is not looked into", name)
}
