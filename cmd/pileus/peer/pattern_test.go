package peer

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"pileus/cmd/pileus/flv"
)

func patternFile(t *testing.T, tags int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, p := flv.NewWriter(&b), NewPattern()
	for range tags {
		tag, err := p.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(tag); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestPatternRepeats(t *testing.T) {
	if !bytes.Equal(patternFile(t, 101), patternFile(t, 101)) {
		t.Error("two runs differ")
	}
	r := flv.NewReader(bytes.NewReader(patternFile(t, 101)), 0)
	var size int
	counts := map[uint8]int{}
	var last uint32
	for {
		tag, err := r.Next()
		if err != nil {
			break
		}
		if tag.Timestamp < last {
			t.Errorf("time goes back from %d to %d", last, tag.Timestamp)
		}
		last = tag.Timestamp
		counts[tag.Type]++
		size += len(tag.Data)
	}
	if counts[flv.Script] != 1 || counts[flv.Video] != 50 || counts[flv.Audio] != 50 || last != 49*frameTime {
		t.Errorf("%v until %d ms", counts, last)
	}
	if rate := size * 8 / 2; rate < 300e3 || rate > 1e6 {
		t.Errorf("%d bit/s", rate)
	}
}

// The pattern is media, not just tags.
func TestPatternPlays(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("there is no ffmpeg: NOT TESTED whether the pattern can be played (apt-get install ffmpeg)")
	}
	decode := func(args ...string) []byte {
		t.Helper()
		c := exec.CommandContext(t.Context(), ffmpeg, append([]string{"-loglevel", "error", "-i", "-"}, args...)...)
		c.Stdin = bytes.NewReader(patternFile(t, 101))
		var complaints bytes.Buffer
		c.Stderr = &complaints
		out, err := c.Output()
		if err != nil || strings.TrimSpace(complaints.String()) != "" {
			t.Fatalf("ffmpeg: %v\n%s", err, &complaints)
		}
		return out
	}
	const frame = patternWidth * patternHeight * 3
	pictures := decode("-f", "rawvideo", "-pix_fmt", "bgr24", "-")
	if len(pictures) != 50*frame {
		t.Fatalf("%d bytes of pictures, want %d", len(pictures), 50*frame)
	}
	// Drawn again and compared, in a frame that was sent whole and in one that
	// was sent as changes.
	p := NewPattern()
	for _, n := range []int{0, 25, 37} {
		p.tick = uint32(n)
		p.draw()
		var want []byte
		for _, line := range p.picture {
			for _, pixel := range line {
				want = append(want, pixel[:]...)
			}
		}
		if !bytes.Equal(pictures[n*frame:(n+1)*frame], want) {
			t.Errorf("frame %d is not what was drawn", n)
		}
	}
	if sound := decode("-f", "s16le", "-"); len(sound) != 50*frameSound*2 {
		t.Errorf("%d bytes of sound, want %d", len(sound), 50*frameSound*2)
	}
}
