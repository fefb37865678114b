package flash

import (
	"strconv"
	"testing"
)

func BenchmarkGenerateKey(b *testing.B) {
	for _, g := range allGroups {
		b.Run(g.String(), func(b *testing.B) {
			g.params().fixedBase()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := GenerateKey(g, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSecret(b *testing.B) {
	for _, g := range allGroups {
		b.Run(g.String(), func(b *testing.B) {
			near, err := GenerateKey(g, nil)
			if err != nil {
				b.Fatal(err)
			}
			far, err := GenerateKey(g, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := near.Secret(far.Public()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWindow is what groupParams.window was chosen by.
func BenchmarkWindow(b *testing.B) {
	for w := 4; w <= maxWindow; w++ {
		b.Run(strconv.Itoa(w), func(b *testing.B) {
			var f fixedBase
			f.build(group2.mod(), 256, w)
			e := make([]byte, 32)
			for i := range e {
				e[i] = byte(i * 77)
			}
			for b.Loop() {
				f.pow(e)
			}
		})
	}
}
