package amf

// Limits on what one call of a parser takes from the far end. A message of
// 64 KiB can name a structure of any depth, and by references one of any size;
// these bound both.
const (
	// MaxDepth is the deepest nesting of arrays and objects. Flash
	// applications nest a handful of levels.
	MaxDepth = 32

	// MaxValues is the number of values, members and items in all, each
	// reference counting for what it refers to. A value costs about 50 bytes
	// of memory beside its text.
	MaxValues = 16384

	// MaxBytes is the size of the values if they were written without
	// references, in bytes.
	MaxBytes = 1 << 20
)
