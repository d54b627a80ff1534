package graph

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"sync"
)

// later is the elements of a tensor that are made when they are first asked
// for, and a key that stands for them until then.
type later struct {
	key  string
	make func() *Tensor
	once sync.Once
	made *Tensor
}

// Later returns a tensor of float32 whose elements make returns, of the same
// shape, when somebody first asks for them. Key says which elements those are:
// equal keys, equal elements. So a weight that is found packed under its key is
// never unfolded, nor read.
func Later(shape []int, key string, make func() *Tensor) *Tensor {
	return &Tensor{DType: Float32, Shape: shape, later: &later{key: key, make: make}}
}

// Keyed returns the tensor with a key that stands for its elements, as [Later]
// has.
func (t *Tensor) Keyed(key string) *Tensor {
	return Later(t.Shape, key, func() *Tensor { return t })
}

// Derived returns what derive makes of t, of the given shape: at once, or where
// the elements of t are to come, when somebody asks for them. How says what
// derive does, so that it takes part in the key.
func (t *Tensor) Derived(shape []int, how string, derive func(t *Tensor) (*Tensor, error)) (*Tensor, error) {
	if t.later == nil {
		return derive(t)
	}
	return Later(shape, KeyOf(t.later.key, how), func() *Tensor {
		d, err := derive(t.now())
		if err != nil { // as what is derived is checked before, it cannot fail
			panic("graph: " + err.Error())
		}
		return d
	}), nil
}

// now returns the tensor with its elements.
func (t *Tensor) now() *Tensor {
	l := t.later
	if l == nil {
		return t
	}
	l.once.Do(func() { l.made, l.make = l.make().now(), nil })
	return l.made
}

// Deferred reports whether the elements are made when they are asked for.
func (t *Tensor) Deferred() bool { return t.later != nil }

// Key returns a key for the elements of a real tensor: its own where it has one,
// else one made of shape and elements.
func (t *Tensor) Key() string {
	if t.later != nil {
		return t.later.key
	}
	h := sha256.New()
	b := make([]byte, 0, 1<<12)
	for _, d := range t.Shape {
		b = binary.LittleEndian.AppendUint64(b, uint64(d))
	}
	for _, v := range t.Floats() {
		if b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v)); len(b) > cap(b)-4 {
			h.Write(b)
			b = b[:0]
		}
	}
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil)[:keyBytes])
}

// keyBytes is how much of a hash is kept: nobody comes upon two elements of one
// key by chance.
const keyBytes = 16

// KeyOf returns one key for several parts.
func KeyOf(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(p))))
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil)[:keyBytes])
}
