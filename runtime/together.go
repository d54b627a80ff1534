package runtime

import (
	"iter"

	"github.com/nnz-dev/nnz/internal/parallel"
)

// A parted is a stepOp that may have a chunk for each part of its matrices, which
// reads and writes that part and no other. Such steps that follow each other
// are one task: no thread waits for another until a step reads all parts, as
// attention does.
type parted interface {
	// parts returns how many parts there are, 0 where chunks are something else.
	parts() int
}

// byParts is what makes a stepOp parted: how many parts it has, as parts returns.
type byParts int

func (n byParts) parts() int { return int(n) }

// mostTogether is up to how many multiply-adds a step has that goes together
// with others: between tasks a run looks whether it is to end.
const mostTogether = 1 << 31

// tasks goes through the turns of a plan: those that are one task at a time.
func (p *Plan) tasks() iter.Seq[[]turn] {
	return func(yield func([]turn) bool) {
		for lo, hi := 0, 0; lo < len(p.order); lo = hi {
			parts := p.steps[p.order[lo].step].Parts
			for hi = lo + 1; parts > 0 && hi < len(p.order) && p.steps[p.order[hi].step].Parts == parts; {
				hi++
			}
			if !yield(p.order[lo:hi]) {
				return
			}
		}
	}
}

// keepTogether has all memory that turns of one task touch be in use from the
// first of them to the last: while one thread is at the first, another may be at
// the last.
func (p *Plan) keepTogether(buffers []*buffer) {
	for turns := range p.tasks() {
		if len(turns) > 1 {
			occupy(buffers, turns[0].step, turns[len(turns)-1].step)
		}
	}
}

// A task is a turn, or some that have a chunk for each of as many parts.
type task struct {
	turns []boundTurn
	parts int
}

func (t *task) run(p *parallel.Pool) {
	if len(t.turns) == 1 {
		t.turns[0].run(p)
	} else {
		p.Run(t, t.parts)
	}
}

// Chunk runs the turns on a part.
func (t *task) Chunk(i int) {
	for _, turn := range t.turns {
		turn.runner.(parallel.Task).Chunk(i)
	}
}
