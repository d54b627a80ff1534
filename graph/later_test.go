package graph

import (
	"errors"
	"slices"
	"testing"
)

func TestLater(t *testing.T) {
	made := 0
	v := []float32{1, 0, 3, 4, 5, 6}
	w := Later([]int{2, 3}, "key", func() *Tensor { made++; return FromFloats([]int{2, 3}, v) })
	flat, err := w.Reshaped([]int{6})
	if err != nil {
		t.Fatal(err)
	}
	double := func(t *Tensor) (*Tensor, error) {
		out := slices.Clone(t.Floats())
		for i := range out {
			out[i] *= 2
		}
		return FromFloats(t.Shape, out), nil
	}
	twice, err := flat.Derived([]int{6}, "doubled", double)
	if err != nil {
		t.Fatal(err)
	}
	if made != 0 || w.Compact() != w || w.Key() != "key" || !w.Deferred() || !twice.Deferred() || w.Len() != 6 {
		t.Errorf("made %d times before anybody asked, key %q", made, w.Key())
	}
	if got := twice.Floats(); !slices.Equal(got, []float32{2, 0, 6, 8, 10, 12}) || made != 1 {
		t.Errorf("made %d times: %v", made, got)
	}
	if got := w.Floats(); !slices.Equal(got, v) || made != 1 || w.Sparse() != nil || w.Bytes() != 24 {
		t.Errorf("made %d times: %v", made, got)
	}
	if got := twice.Keyed("another").Floats(); len(got) != 6 {
		t.Errorf("under another key it has %d elements", len(got))
	}
	keys := []string{w.Key(), flat.Key(), twice.Key()}
	if _, err := w.Reshaped([]int{5}); err == nil {
		t.Error("no error for another size")
	}
	// Without a key all is done at once, and its error told.
	plain := FromFloats([]int{2, 3}, v)
	if got, err := plain.Derived([]int{2, 3}, "doubled", double); err != nil || got.Deferred() {
		t.Errorf("deferred %t, error %v", got.Deferred(), err)
	}
	failure := errors.New("no")
	if _, err := plain.Derived([]int{2, 3}, "no", func(*Tensor) (*Tensor, error) { return nil, failure }); err != failure {
		t.Errorf("error %v", err)
	}
	// Keys tell elements and shapes apart, and are the same for the same.
	other := slices.Clone(v)
	other[5] = 7
	keys = append(keys, plain.Key(), FromFloats([]int{3, 2}, v).Key(), FromFloats([]int{2, 3}, other).Key(), KeyOf("a", "bc"), KeyOf("ab", "c"))
	for i, k := range keys {
		if slices.Index(keys, k) != i {
			t.Errorf("key %d stands there twice", i)
		}
	}
	if FromFloats([]int{2, 3}, slices.Clone(v)).Key() != plain.Key() || plain.Keyed(plain.Key()).Key() != plain.Key() {
		t.Error("equal elements have other keys")
	}
}
