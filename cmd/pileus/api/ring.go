package api

// ring keeps the latest max values.
type ring[T any] struct {
	max    int
	values []T
	oldest int
}

func (r *ring[T]) add(v T) {
	if len(r.values) < r.max {
		r.values = append(r.values, v)
		return
	}
	r.values[r.oldest] = v
	r.oldest = (r.oldest + 1) % r.max
}

// next is the value that the next one will replace; nil: none.
func (r *ring[T]) next() *T {
	if len(r.values) < r.max {
		return nil
	}
	return &r.values[r.oldest]
}

// newestFirst yields the values, backwards in time.
func (r *ring[T]) newestFirst(yield func(*T) bool) {
	for i := len(r.values) - 1; i >= 0; i-- {
		if !yield(&r.values[(r.oldest+i)%len(r.values)]) {
			return
		}
	}
}
