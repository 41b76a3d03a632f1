package main

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// limit is the hosts that a pattern chooses, in their order; "" is all. It is names,
// globs, @role and ~regexp, joined by ":" to both, ":&" to what is in both and ":!" to
// the first without the second. One that fits no host is an error.
func limit(hosts []spec.Host, pattern string) ([]spec.Host, error) {
	if pattern == "" {
		return hosts, nil
	}
	chosen := map[string]bool{}
	for i, term := range strings.Split(pattern, ":") {
		how, term := sign(term)
		fits, err := fit(hosts, term)
		if err != nil {
			return nil, err
		}
		for _, h := range hosts {
			switch in := fits[h.Name]; {
			case how == '!' && i == 0: // all but these
				chosen[h.Name] = !in
			case how == '!':
				chosen[h.Name] = chosen[h.Name] && !in
			case how == '&':
				chosen[h.Name] = chosen[h.Name] && in
			default:
				chosen[h.Name] = chosen[h.Name] || in
			}
		}
	}
	left := slices.DeleteFunc(slices.Clone(hosts), func(h spec.Host) bool { return !chosen[h.Name] })
	if len(left) == 0 {
		return nil, fmt.Errorf("%q leaves no host", pattern)
	}
	return left, nil
}

// sign is what is before a term.
func sign(term string) (byte, string) {
	if term != "" && (term[0] == '!' || term[0] == '&') {
		return term[0], term[1:]
	}
	return 0, term
}

// fit is the hosts that a term without a sign chooses.
func fit(hosts []spec.Host, term string) (map[string]bool, error) {
	matches, known := func(h spec.Host) bool { return h.Name == term }, []string{}
	switch {
	case strings.HasPrefix(term, "@"):
		matches = func(h spec.Host) bool { return slices.Contains(h.Roles, term[1:]) }
	case strings.HasPrefix(term, "~"):
		re, err := regexp.Compile(term[1:])
		if err != nil {
			return nil, fmt.Errorf("%q: %w", term, err)
		}
		matches = func(h spec.Host) bool { return re.MatchString(h.Name) }
	case strings.ContainsAny(term, "*?["):
		if _, err := path.Match(term, ""); err != nil {
			return nil, fmt.Errorf("%q: %w", term, err)
		}
		matches = func(h spec.Host) bool {
			ok, err := path.Match(term, h.Name)
			return ok && err == nil
		}
	}
	fits := map[string]bool{}
	for _, h := range hosts {
		if matches(h) {
			fits[h.Name] = true
		}
		known = append(known, h.Name)
		for _, r := range h.Roles {
			known = append(known, "@"+r)
		}
	}
	if len(fits) > 0 {
		return fits, nil
	}
	slices.Sort(known)
	return nil, noHost(term, slices.Compact(known))
}

func noHost(term string, known []string) error {
	if close := diag.Suggest(term, known); len(close) > 0 {
		return fmt.Errorf("%q fits no host; did you mean %s?", term, strings.Join(close, " or "))
	}
	return fmt.Errorf("%q fits no host; there are %s", term, strings.Join(known, ", "))
}
