package scaffold

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// section is a header: [group], [group:children] or [group:vars].
var section = regexp.MustCompile(`^\[([^:\[\]]+)(?::(\w+))?\]\s*(?:#.*)?$`)

// parseINI reads an inventory in INI: hosts with variables below the name of
// their group, [group:children] and [group:vars].
func parseINI(src string) (*ansible, error) {
	a := newAnsible()
	g, kind := a.group("ungrouped"), ""
	nested := map[string]int{} // children that were named, and where
	var names []string
	number := 0
	for line := range strings.Lines(src) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		fail := func(err error) error { return fmt.Errorf("line %d: %w", number, err) }
		if head := section.FindStringSubmatch(line); head != nil {
			g, kind = a.group(strings.TrimSpace(head[1])), head[2]
			if kind != "" && kind != "children" && kind != "vars" {
				return nil, fail(fmt.Errorf("a section ends with :children or :vars, got :%s", kind))
			}
			if kind == "" {
				names = append(names, g.name)
			}
			continue
		}
		var err error
		switch kind {
		case "":
			err = a.hostLine(g, line)
		case "children":
			child := strings.Fields(line)[0]
			if _, seen := nested[child]; !seen {
				nested[child] = number
			}
			a.nest(g, child)
		case "vars":
			key, value, ok := strings.Cut(line, "=")
			if key = strings.TrimSpace(key); !ok || key == "" {
				err = fmt.Errorf("want name = value, got %q", line)
				break
			}
			g.vars[key] = unquote(strings.TrimSpace(value))
		}
		if err != nil {
			return nil, fail(err)
		}
	}
	return a, a.undefined(nested, names)
}

// undefined finds a child that is no group of its own.
func (a *ansible) undefined(nested map[string]int, defined []string) error {
	for _, name := range a.order {
		g := a.groups[name]
		if line, named := nested[name]; named && len(g.hosts)+len(g.children)+len(g.vars) == 0 && !slices.Contains(defined, name) {
			return fmt.Errorf("line %d: there is no group %q: add [%s]", line, name, name)
		}
	}
	return nil
}

// hostLine reads web[01:16]:2222 key=value "other=a value" # comment.
func (a *ansible) hostLine(g *group, line string) error {
	words, err := shellWords(line)
	if err != nil || len(words) == 0 {
		return err
	}
	vars := map[string]string{}
	for _, w := range words[1:] {
		key, value, ok := strings.Cut(w, "=")
		if !ok || key == "" {
			return fmt.Errorf("want key=value after the host, got %q", w)
		}
		vars[key] = value
	}
	return a.pattern(g, words[0], vars)
}

// pattern adds the hosts of a pattern to a group.
func (a *ansible) pattern(g *group, pattern string, vars map[string]string) error {
	pattern, port := splitPort(pattern)
	if _, given := vars["ansible_port"]; port != "" && !given {
		vars["ansible_port"] = port
	}
	all, err := ranges(pattern, maxHosts-len(a.hosts))
	if err != nil {
		return err
	}
	for _, name := range all {
		if err := a.host(g, name, vars); err != nil {
			return err
		}
	}
	return nil
}

// splitPort takes the port off host:port and [::1]:port.
func splitPort(s string) (host, port string) {
	if strings.HasPrefix(s, "[") {
		inside, after, ok := strings.Cut(s[1:], "]")
		if _, err := netip.ParseAddr(inside); ok && err == nil {
			return inside, strings.TrimPrefix(after, ":")
		}
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.Contains(s[i:], "]") || strings.Contains(withoutBrackets(s[:i]), ":") {
		return s, ""
	}
	if _, err := strconv.ParseUint(s[i+1:], 10, 16); err != nil {
		return s, ""
	}
	return s[:i], s[i+1:]
}

var bracketed = regexp.MustCompile(`\[[^\]]*\]`)

func withoutBrackets(s string) string { return bracketed.ReplaceAllString(s, "") }

// ranges expands every [from:to] or [from:to:step] of a pattern, of numbers or
// of letters, left to right.
func ranges(pattern string, room int) ([]string, error) {
	before, rest, ok := strings.Cut(pattern, "[")
	if !ok {
		return []string{pattern}, nil
	}
	inside, after, ok := strings.Cut(rest, "]")
	if !ok {
		return nil, fmt.Errorf("%q does not close its bracket", pattern)
	}
	tails, err := ranges(after, room)
	if err != nil {
		return nil, err
	}
	middles, err := rangeValues(inside, room/len(tails))
	if err != nil {
		return nil, err
	}
	var all []string
	for _, m := range middles {
		for _, t := range tails {
			all = append(all, before+m+t)
		}
	}
	return all, nil
}

// rangeValues is the values of 01:16, 1:9:2 or a:f, at most room.
func rangeValues(text string, room int) (all []string, err error) {
	wrong := fmt.Errorf("[%s] is no range such as [01:16] or [a:f]", text)
	parts := strings.Split(text, ":")
	if len(parts) != 2 && len(parts) != 3 {
		return nil, wrong
	}
	step := uint64(1)
	if len(parts) == 3 {
		if step, err = strconv.ParseUint(parts[2], 10, 31); err != nil || step == 0 {
			return nil, wrong
		}
	}
	from, to := parts[0], parts[1]
	if from == "" {
		from = "0"
	}
	low, high, format := uint64(0), uint64(0), func(n uint64) string { return string(rune(n)) }
	if letter(from) && letter(to) {
		low, high = uint64(from[0]), uint64(to[0])
	} else {
		var err1, err2 error
		low, err1 = strconv.ParseUint(from, 10, 31)
		high, err2 = strconv.ParseUint(to, 10, 31)
		if err1 != nil || err2 != nil || len(from) > 1 && from[0] == '0' && len(from) != len(to) {
			return nil, wrong
		}
		width := 0
		if from[0] == '0' {
			width = len(from)
		}
		format = func(n uint64) string { return fmt.Sprintf("%0*d", width, n) }
	}
	if high < low {
		return nil, wrong
	}
	if (high-low)/step >= uint64(max(room, 0)) {
		return nil, fmt.Errorf("more than %d hosts", maxHosts)
	}
	for n := low; n <= high; n += step {
		all = append(all, format(n))
	}
	return all, nil
}

func letter(s string) bool {
	return len(s) == 1 && (s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z')
}

// unquote takes the quotes off a value that is in quotes.
func unquote(s string) string {
	if len(s) > 1 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// shellWords splits a line as a POSIX shell does; # begins a comment.
func shellWords(line string) (words []string, err error) {
	var word strings.Builder
	begun := false
	quote := byte(0)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == '\'':
			word.WriteByte(c)
		case c == '\\' && i+1 < len(line) && (quote == 0 || line[i+1] == '"' || line[i+1] == '\\'):
			i++
			word.WriteByte(line[i])
			begun = true
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, begun = c, true
		case c == '#':
			i = len(line)
		case c == ' ' || c == '\t':
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}
