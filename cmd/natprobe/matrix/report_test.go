package matrix_test

import (
	"bytes"
	"strings"
	"testing"

	"pileus/cmd/natprobe/matrix"
)

func TestTable(t *testing.T) {
	met := func(path matrix.Path, ms float64) matrix.Try {
		return matrix.Try{Connected: true, Path: path, Millis: ms, Classes: [2]string{"public", "home"}}
	}
	not := matrix.Try{Reason: "no CONNECTED in 3s"}
	r := matrix.Report{Cells: []matrix.Cell{
		{Initiator: "N0", Target: "N4", Tries: []matrix.Try{met(matrix.Direct, 105), met(matrix.Direct, 99), met(matrix.Direct, 200)}},
		{Initiator: "N0", Target: "N5", Tries: []matrix.Try{met(matrix.Relay, 180), not}},
		{Initiator: "N4", Target: "N5", Tries: []matrix.Try{not}},
		{Initiator: "N9/a", Target: "N9/b", Tries: []matrix.Try{met(matrix.Local, 43)}},
	}}
	var out bytes.Buffer
	r.WriteTable(&out)
	for _, want := range []string{
		"             N4       N5   <- target\n",
		"N0          105 180r 1/2\n",
		"N4                     -\n",
		"N9/a     to N9/b     43l\n",
		"2 of 4 ordered pairs connected in every try, 3 in any; 5 of 7 tries: 3 direct, 1 local, 1 relay\n",
		"median 105 ms, nine of ten 200 ms, slowest 200 ms\n",
		"   2 x  no CONNECTED in 3s\n",
		"N0     4 x public\n",
		"N4     3 x home\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
