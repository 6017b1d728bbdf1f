package catalog

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Values are the options that were given with a name.
type Values map[string]string

// values cuts "key=value&key=value" and checks the keys.
func (e Entry) values(options string) (Values, error) {
	v := make(Values)
	if options == "" {
		return v, nil
	}
	for part := range strings.SplitSeq(options, "&") {
		key, value, ok := strings.Cut(part, "=")
		switch {
		case !ok || key == "" || value == "":
			return nil, fmt.Errorf("%s: %q is not an option such as key=value", e.Name, part)
		case !e.has(key):
			return nil, fmt.Errorf("%s: there is no option %q, %s", e.Name, key, e.optionNames())
		}
		if _, twice := v[key]; twice {
			return nil, fmt.Errorf("%s: option %q is given twice", e.Name, key)
		}
		v[key] = value
	}
	return v, nil
}

func (e Entry) has(option string) bool {
	for _, o := range e.Options {
		if o.Name == option {
			return true
		}
	}
	return false
}

// optionNames says which options there are.
func (e Entry) optionNames() string {
	if len(e.Options) == 0 {
		return "it takes none"
	}
	var names []string
	for _, o := range e.Options {
		names = append(names, o.Name)
	}
	return "there is " + strings.Join(names, ", ")
}

// Int returns a whole number from low to high, or def if it is not given.
func (v Values) Int(key string, def, low, high int) (int, error) {
	text, ok := v[key]
	if !ok {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return def, fmt.Errorf("%s=%s is not a whole number from %d to %d", key, text, low, high)
	}
	return n, nil
}

// Float returns a number from low to high, or def if it is not given.
func (v Values) Float(key string, def, low, high float64) (float64, error) {
	text, ok := v[key]
	if !ok {
		return def, nil
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !(x >= low && x <= high) { // NaN is neither
		return def, fmt.Errorf("%s=%s is not a number from %v to %v", key, text, low, high)
	}
	return x, nil
}

// Bool returns what on or off says, or def if it is not given.
func (v Values) Bool(key string, def bool) (bool, error) {
	switch text, ok := v[key]; {
	case !ok:
		return def, nil
	case text == "on":
		return true, nil
	case text == "off":
		return false, nil
	default:
		return def, fmt.Errorf("%s=%s is neither on nor off", key, text)
	}
}

// Duration returns a time from low to high, or def if it is not given.
func (v Values) Duration(key string, def, low, high time.Duration) (time.Duration, error) {
	text, ok := v[key]
	if !ok {
		return def, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < low || d > high {
		return def, fmt.Errorf("%s=%s is not a time from %v to %v", key, text, low, high)
	}
	return d, nil
}

// Word returns one of a few words, or the first if it is not given.
func (v Values) Word(key string, words ...string) (string, error) {
	text, ok := v[key]
	if !ok {
		return words[0], nil
	}
	for _, w := range words {
		if w == text {
			return text, nil
		}
	}
	return words[0], fmt.Errorf("%s=%s is none of %s", key, text, strings.Join(words, ", "))
}
