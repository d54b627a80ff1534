package isa

import (
	"slices"
	"strings"
	"testing"
)

func TestParseInvertsString(t *testing.T) {
	for i := Generic; i <= NEON; i++ {
		if got, err := Parse(i.String()); err != nil || got != i {
			t.Errorf("Parse(%q) = %v, %v", i, got, err)
		}
	}
	for _, s := range []string{"", "AVX2", "sse", "isa(9)"} {
		if _, err := Parse(s); err == nil {
			t.Errorf("Parse(%q) succeeded", s)
		}
	}
}

func TestSupportedAscends(t *testing.T) {
	s := Supported()
	if s[0] != Generic || !slices.IsSorted(s) || Detect() != s[len(s)-1] {
		t.Errorf("Supported() = %v, Detect() = %v", s, Detect())
	}
}

func TestFromEnv(t *testing.T) {
	t.Setenv(Env, "")
	if got, err := FromEnv(); err != nil || got != Detect() {
		t.Errorf("unset: %v, %v", got, err)
	}
	for i := Generic; i <= NEON; i++ {
		t.Setenv(Env, i.String())
		got, err := FromEnv()
		switch have := slices.Contains(Supported(), i); {
		case have && (err != nil || got != i):
			t.Errorf("%v: %v, %v", i, got, err)
		case !have && (err == nil || !strings.Contains(err.Error(), "generic")):
			t.Errorf("%v cannot run here: got %v, %v", i, got, err)
		}
	}
	t.Setenv(Env, "mmx")
	if _, err := FromEnv(); err == nil {
		t.Error("unknown name accepted")
	}
}

func TestDescribe(t *testing.T) {
	c := Describe()
	if c.Name == "" || c.Cores < 1 || c.L1d < 4<<10 || c.L2 < c.L1d {
		t.Errorf("%+v", c)
	}
	t.Logf("%+v, detected %v", c, Detect())
}
