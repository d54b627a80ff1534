// Package mnist reads the MNIST set of handwritten digits: 60,000 images to
// train with and 10,000 to test with, 28 x 28 pixels each.
//
// Source: LeCun, Cortes, Burges, The MNIST database of handwritten digits.
package mnist

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	Size    = 28          // pixels along a side
	Pixels  = Size * Size // of an image
	Classes = 10
)

// Source is where the four files can be had.
const Source = "https://ossci-datasets.s3.amazonaws.com/mnist/"

// Files are their names. Each may also stand there inflated, without .gz.
var Files = []string{
	"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
	"t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz",
}

// A Set is images and the digits that they show.
type Set struct {
	Raw    []uint8 // Pixels of each image, row by row, 255 for ink
	Labels []uint8 // below Classes
}

// Read reads the training and the test set from the four files in a folder.
func Read(dir string) (train, test Set, err error) {
	if train, err = read(dir, Files[0], Files[1]); err != nil {
		return train, test, err
	}
	test, err = read(dir, Files[2], Files[3])
	return train, test, err
}

func read(dir, images, labels string) (s Set, err error) {
	if s.Raw, err = readIDX(dir, images, Size, Size); err != nil {
		return s, err
	}
	if s.Labels, err = readIDX(dir, labels); err != nil {
		return s, err
	}
	if len(s.Raw) != len(s.Labels)*Pixels {
		return s, fmt.Errorf("%s: %s has %d images, %s %d labels", dir, images, len(s.Raw)/Pixels, labels, len(s.Labels))
	}
	for i, l := range s.Labels {
		if l >= Classes {
			return s, fmt.Errorf("%s: label %d is %d, expected a digit", filepath.Join(dir, labels), i, l)
		}
	}
	return s, nil
}

// maxElements bounds how many examples a file may have.
const maxElements = 1 << 20

// readIDX reads the elements of a file in IDX form, bytes, whose extents after
// the number of examples are given.
func readIDX(dir, name string, extents ...uint32) ([]uint8, error) {
	path := filepath.Join(dir, name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if inflated, e := os.Open(strings.TrimSuffix(path, ".gz")); e == nil {
			f, err = inflated, nil
		}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	elements, err := parseIDX(bufio.NewReader(f), extents)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return elements, nil
}

// parseIDX reads a file in IDX form, deflated or not.
func parseIDX(r *bufio.Reader, extents []uint32) ([]uint8, error) {
	var in io.Reader = r
	if magic, _ := r.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		in = z
	}
	header := make([]uint32, 2+len(extents))
	if err := binary.Read(in, binary.BigEndian, header); err != nil {
		return nil, fmt.Errorf("header of an IDX file: %w", err)
	}
	const unsignedBytes = 8 << 8
	if want := uint32(unsignedBytes + 1 + len(extents)); header[0] != want {
		return nil, fmt.Errorf("begins with %#08x, expected %#08x of an IDX file of bytes in %d dimensions", header[0], want, 1+len(extents))
	}
	if header[1] > maxElements {
		return nil, fmt.Errorf("has %d examples, expected at most %d", header[1], maxElements)
	}
	n := int64(header[1])
	for i, e := range extents {
		if header[2+i] != e {
			return nil, fmt.Errorf("has examples of %d, expected %d", header[2:], extents)
		}
		n *= int64(e)
	}
	elements, err := io.ReadAll(io.LimitReader(in, n+1)) // grows with what is there
	if err != nil {
		return nil, err
	}
	if int64(len(elements)) != n {
		return nil, fmt.Errorf("has %d bytes or more, its header promises %d", len(elements), n)
	}
	return elements, nil
}

// Len returns the number of images.
func (s Set) Len() int { return len(s.Labels) }

// First returns the first n images, or all where there are fewer.
func (s Set) First(n int) Set {
	n = min(n, s.Len())
	return Set{s.Raw[:n*Pixels], s.Labels[:n]}
}

// Example writes the pixels of image i to x, normalised, and returns the digit.
func (s Set) Example(x []float32, i int) (digit int) {
	for j, p := range s.Raw[i*Pixels : (i+1)*Pixels] {
		x[j] = normalised[p]
	}
	return int(s.Labels[i])
}

// Images returns the pixels of all images, normalised: (p/255 - 0.1307) / 0.3081.
func (s Set) Images() [][]float32 {
	images := make([][]float32, s.Len())
	for i := range images {
		images[i] = make([]float32, Pixels)
		s.Example(images[i], i)
	}
	return images
}

// normalised has the input for each value of a pixel, with a mean of about 0
// and a variance of about 1 over the set, as networks for it expect.
var normalised = func() (t [256]float32) {
	for p := range t {
		t[p] = (float32(p)/255 - 0.1307) / 0.3081
	}
	return t
}()
