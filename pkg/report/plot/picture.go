package plot

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	_ "image/gif"  // decoders of pictures
	_ "image/jpeg" //
	_ "image/png"  //
	"strings"
)

// PictureProtocol is how a terminal shows pictures.
type PictureProtocol uint8

// The protocols: half blocks are characters with two colours each, which
// need nothing but colours.
const (
	NoPictures PictureProtocol = iota
	HalfBlocks
	Kitty
	ITerm
)

// Limits of previews.
const (
	// pictureCells is how wide a preview is, in columns.
	pictureCells = 40
	// maxPixels is the largest picture that is decoded: 100 megapixels would
	// be 400 MB.
	maxPixels = 50 << 20
	// maxInline is the largest picture that is handed to a terminal, bytes.
	maxInline = 8 << 20
)

// textImages shows previews, one below the other.
func (p *Plot) textImages(out *pen, o TextOptions) {
	if len(p.Images) == 0 {
		out.dim("  no data\n")
	}
	for _, img := range p.Images {
		out.b.WriteString(clean(img.Rev) + "\n")
		if err := img.preview(out, o); err != nil {
			out.dim("  " + clean(err.Error()) + "\n")
		}
	}
}

func (i Image) preview(out *pen, o TextOptions) error {
	if suffix(i.File) == ".svg" {
		return fmt.Errorf("%s: a drawing, which a terminal cannot show", i.File)
	}
	conf, kind, err := image.DecodeConfig(bytes.NewReader(i.Content))
	if err != nil {
		return fmt.Errorf("%s: no picture that can be read: %v", i.File, err)
	}
	size := fmt.Sprintf("%s, %d x %d", kind, conf.Width, conf.Height)
	if conf.Width <= 0 || conf.Height <= 0 || conf.Width > maxPixels/conf.Height {
		return fmt.Errorf("%s: too large to show", size)
	}
	cols := max(4, min(pictureCells, o.Width-2, conf.Width))
	switch {
	case o.Pictures == ITerm && len(i.Content) <= maxInline:
		fmt.Fprintf(&out.b, "\x1b]1337;File=inline=1;width=%d;preserveAspectRatio=1:%s\a\n", cols, base64.StdEncoding.EncodeToString(i.Content))
		return nil
	case o.Pictures == Kitty && kind == "png" && len(i.Content) <= maxInline:
		kitty(&out.b, i.Content, cols)
		return nil
	case o.Pictures == NoPictures:
		out.dim("  " + size + "\n")
		return nil
	}
	pic, _, err := image.Decode(bytes.NewReader(i.Content))
	if err != nil {
		return fmt.Errorf("%s: %v", i.File, err)
	}
	halfBlocks(&out.b, pic, cols)
	return nil
}

// kitty hands a PNG to the terminal in the pieces that its protocol wants.
func kitty(b *strings.Builder, png []byte, cols int) {
	text := base64.StdEncoding.EncodeToString(png)
	const piece = 4096
	for first := true; first || text != ""; first = false {
		part := text[:min(piece, len(text))]
		text = text[len(part):]
		head := ""
		if first {
			head = fmt.Sprintf("a=T,f=100,c=%d,", cols)
		}
		more := 0
		if text != "" {
			more = 1
		}
		fmt.Fprintf(b, "\x1b_G%sm=%d;%s\x1b\\", head, more, part)
	}
	b.WriteString("\n")
}

// halfBlocks draws a picture with two pixels a character, each the mean of
// those it stands for. What can be seen through is left to the background.
func halfBlocks(b *strings.Builder, pic image.Image, cols int) {
	r := pic.Bounds()
	rows := max(2, cols*r.Dy()/max(1, r.Dx()))
	rows = min(rows+rows%2, 2*cols)
	at := func(x, y int) (c [3]uint32, seen bool) {
		x0, x1 := r.Min.X+x*r.Dx()/cols, r.Min.X+(x+1)*r.Dx()/cols
		y0, y1 := r.Min.Y+y*r.Dy()/rows, r.Min.Y+(y+1)*r.Dy()/rows
		x1, y1 = max(x1, x0+1), max(y1, y0+1)
		// At most some samples a pixel: a preview need not be exact.
		dx, dy := max(1, (x1-x0)/8), max(1, (y1-y0)/8)
		var n, alpha uint32
		for py := y0; py < y1 && py < r.Max.Y; py += dy {
			for px := x0; px < x1 && px < r.Max.X; px += dx {
				cr, cg, cb, ca := pic.At(px, py).RGBA()
				c[0], c[1], c[2] = c[0]+cr>>8, c[1]+cg>>8, c[2]+cb>>8
				alpha += ca >> 8
				n++
			}
		}
		if n == 0 || alpha/n < 64 {
			return c, false
		}
		return [3]uint32{c[0] / n, c[1] / n, c[2] / n}, true
	}
	for y := 0; y < rows; y += 2 {
		b.WriteString(" ")
		for x := range cols {
			top, seenTop := at(x, y)
			low, seenLow := at(x, y+1)
			switch {
			case seenTop && seenLow:
				fmt.Fprintf(b, "\x1b[38;2;%d;%d;%dm\x1b[48;2;%d;%d;%dm▀\x1b[0m", top[0], top[1], top[2], low[0], low[1], low[2])
			case seenTop:
				fmt.Fprintf(b, "\x1b[38;2;%d;%d;%dm▀\x1b[0m", top[0], top[1], top[2])
			case seenLow:
				fmt.Fprintf(b, "\x1b[38;2;%d;%d;%dm▄\x1b[0m", low[0], low[1], low[2])
			default:
				b.WriteString(" ")
			}
		}
		b.WriteString("\n")
	}
}
