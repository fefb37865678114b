package peer

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"math"

	"pileus/cmd/pileus/flv"
	"pileus/rtmfp/amf"
)

// Pattern generates a test stream that players can show without any decoder of
// note: colour bars, a white square that moves once around in a second, and a
// beep as it starts. The same bytes come each time. Pictures are in Screen
// Video (FLV codec 3), sound is PCM; about 0.4 Mbit/s.
type Pattern struct {
	tick    uint32 // number of the frame
	next    func() flv.Tag
	picture [patternHeight][patternWidth][3]byte // BGR
	blocks  [patternRows][patternColumns][]byte  // as last sent
	pack    *zlib.Writer
	packed  bytes.Buffer
}

const (
	patternWidth, patternHeight = 320, 240
	blockWidth, blockHeight     = 64, 48
	patternColumns              = patternWidth / blockWidth
	patternRows                 = patternHeight / blockHeight

	frameTime      = 40 // milliseconds
	framesPerCycle = 25

	sampleRate = 22050
	frameSound = sampleRate * frameTime / 1000 // samples
)

// NewPattern starts a pattern with its metadata.
func NewPattern() *Pattern {
	p := &Pattern{}
	p.pack, _ = zlib.NewWriterLevel(&p.packed, zlib.BestSpeed) // a level that exists
	p.next = p.metadata
	return p
}

// Next returns the next tag; there is always one. Its Data is valid until the
// next call.
func (p *Pattern) Next() (flv.Tag, error) { return p.next(), nil }

func (p *Pattern) metadata() flv.Tag {
	p.next = p.video
	return flv.Tag{Type: flv.Script, Data: amf.Append(nil, amf.String("onMetaData"), amf.ECMAArray{
		{Name: "width", Value: amf.Number(patternWidth)},
		{Name: "height", Value: amf.Number(patternHeight)},
		{Name: "framerate", Value: amf.Number(1000 / frameTime)},
		{Name: "videocodecid", Value: amf.Number(3)},
		{Name: "audiocodecid", Value: amf.Number(3)},
		{Name: "audiosamplerate", Value: amf.Number(sampleRate)},
		{Name: "audiosamplesize", Value: amf.Number(16)},
		{Name: "stereo", Value: amf.Boolean(false)},
		{Name: "title", Value: amf.String("pileus test pattern")},
	})}
}

// video draws a frame and encodes the blocks that changed, all of them in the
// first frame of each cycle.
func (p *Pattern) video() flv.Tag {
	p.next = p.audio
	p.draw()
	key := p.tick%framesPerCycle == 0
	const screenVideo = 3
	frame := byte(2<<4 | screenVideo)
	if key {
		frame = 1<<4 | screenVideo
	}
	data := []byte{frame}
	data = binary.BigEndian.AppendUint16(data, (blockWidth/16-1)<<12|patternWidth)
	data = binary.BigEndian.AppendUint16(data, (blockHeight/16-1)<<12|patternHeight)
	for row := range p.blocks { // from the bottom
		for column := range p.blocks[row] {
			now := p.block(row, column)
			if !key && bytes.Equal(now, p.blocks[row][column]) {
				data = append(data, 0, 0)
				continue
			}
			p.blocks[row][column] = now
			packed := p.deflate(now)
			data = binary.BigEndian.AppendUint16(data, uint16(len(packed)))
			data = append(data, packed...)
		}
	}
	return flv.Tag{Type: flv.Video, Timestamp: p.tick * frameTime, Data: data}
}

func (p *Pattern) audio() flv.Tag {
	p.next = p.video
	const pcm22kHz16bitMono = 3<<4 | 2<<2 | 1<<1
	data := make([]byte, 0, 1+2*frameSound)
	data = append(data, pcm22kHz16bitMono)
	beep := p.tick%framesPerCycle < 3
	for i := range frameSound {
		sample := 0.0
		if beep {
			sample = 4096 * math.Sin(2*math.Pi*1000*float64(i)/sampleRate) // 1 kHz: whole periods in a frame
		}
		data = binary.LittleEndian.AppendUint16(data, uint16(int16(sample)))
	}
	t := flv.Tag{Type: flv.Audio, Timestamp: p.tick * frameTime, Data: data}
	p.tick++
	return t
}

// bars are the colours of a test picture, blue first in each.
var bars = [...][3]byte{
	{191, 191, 191}, {0, 191, 191}, {191, 191, 0}, {0, 191, 0}, {191, 0, 191}, {0, 0, 191}, {191, 0, 0}, {16, 16, 16},
}

func (p *Pattern) draw() {
	for y := range patternHeight {
		for x := range patternWidth {
			p.picture[y][x] = bars[x*len(bars)/patternWidth]
		}
	}
	const size, radius = 32, 80
	angle := 2 * math.Pi * float64(p.tick%framesPerCycle) / framesPerCycle
	left := patternWidth/2 + int(math.Round(radius*math.Sin(angle))) - size/2
	top := patternHeight/2 - int(math.Round(radius*math.Cos(angle))) - size/2
	for y := top; y < top+size; y++ {
		for x := left; x < left+size; x++ {
			p.picture[y][x] = [3]byte{255, 255, 255}
		}
	}
}

// block cuts out a block, its lowest line first.
func (p *Pattern) block(row, column int) []byte {
	b := make([]byte, 0, blockWidth*blockHeight*3)
	for i := range blockHeight {
		y := patternHeight - 1 - (row*blockHeight + i)
		for _, pixel := range p.picture[y][column*blockWidth : (column+1)*blockWidth] {
			b = append(b, pixel[:]...)
		}
	}
	return b
}

func (p *Pattern) deflate(b []byte) []byte {
	p.packed.Reset()
	p.pack.Reset(&p.packed)
	_, _ = p.pack.Write(b) // to memory
	_ = p.pack.Close()
	return p.packed.Bytes()
}
