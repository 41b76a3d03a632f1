package scaffold

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// setting is one value of a configuration, by its path with dots.
type setting struct {
	key   string
	value any // nil, bool, json.Number, string or []any
}

// flatten reads a JSON object into settings, in order.
func flatten(src []byte) (all []setting, err error) {
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.Join(errors.New("it is no JSON object"), err)
	}
	if err := flattenObject(d, "", 0, &all); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text follows the JSON object")
	}
	return all, nil
}

// maxObjectDepth bounds objects in one another; Ilúvatar has five.
const maxObjectDepth = 32

func flattenObject(d *json.Decoder, prefix string, depth int, all *[]setting) error {
	if depth > maxObjectDepth {
		return fmt.Errorf("more than %d objects in one another", maxObjectDepth)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		path := prefix + key.(string) // of an object
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		inner := json.NewDecoder(bytes.NewReader(raw))
		inner.UseNumber()
		if raw[0] == '{' {
			if _, err := inner.Token(); err != nil {
				return err
			}
			if err := flattenObject(inner, path+".", depth+1, all); err != nil {
				return err
			}
			continue
		}
		var value any
		if err := inner.Decode(&value); err != nil {
			return err
		}
		*all = append(*all, setting{path, value})
	}
	_, err := d.Token() // the closing brace
	return err
}

// settings are those of a configuration that nothing was made of yet, and what
// is wrong in those that were asked for.
type settings struct {
	left []setting
	err  error
}

func newSettings(all []setting) *settings { return &settings{left: all} }

// take removes a setting and returns its value, nil when there is none.
func (s *settings) take(key string) any {
	var value any
	s.left = slices.DeleteFunc(slices.Clone(s.left), func(have setting) bool {
		if have.key != key {
			return false
		}
		value = have.value // of two the last, as JSON readers do
		return true
	})
	return value
}

func (s *settings) fail(key string, value any, want string) {
	if s.err == nil {
		s.err = fmt.Errorf("%s is %s, want %s", key, show(value), want)
	}
}

// text is a setting that is text, "" when it is not given.
func (s *settings) text(key string) string {
	switch v := s.take(key).(type) {
	case nil:
	case string:
		return v
	default:
		s.fail(key, v, "text")
	}
	return ""
}

// number is a setting that is a whole number from 0; ok is false when it is not given.
func (s *settings) number(key string) (n int64, ok bool) {
	v := s.take(key)
	if v == nil {
		return 0, false
	}
	number, is := v.(json.Number)
	n, err := number.Int64()
	if !is || err != nil || n < 0 || n > math.MaxInt32 {
		s.fail(key, v, "a whole number from 0")
		return 0, false
	}
	return n, true
}

// flag is a setting that is true or false, false when it is not given.
func (s *settings) flag(key string) bool {
	v := s.take(key)
	on, is := v.(bool)
	if v != nil && !is {
		s.fail(key, v, "true or false")
	}
	return on
}

// show is a value as JSON.
func show(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic("iluvatar: " + err.Error()) // it was JSON
	}
	return string(text)
}
