package plot

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"
)

func TestText(t *testing.T) {
	t.Parallel()
	for name, p := range samples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := p.Text(&b, TextOptions{Width: 64, Height: 10}); err != nil {
				t.Fatal(err)
			}
			for line := range strings.SplitSeq(b.String(), "\n") {
				if n := runewidth.StringWidth(line); n > 64 {
					t.Errorf("%d columns: %q", n, line)
				}
			}
			if strings.Contains(b.String(), "\x1b") {
				t.Error("colours, though there are none")
			}
			golden(t, name+".txt", b.Bytes())
			b.Reset()
			if err := p.Text(&b, TextOptions{Width: 64, Height: 10, Colour: true}); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".ansi", b.Bytes())
		})
	}
}

// TestTextNarrow: no width is too small to draw in.
func TestTextNarrow(t *testing.T) {
	t.Parallel()
	for _, p := range samples(t) {
		for w := 1; w < 30; w++ {
			if err := p.Text(&bytes.Buffer{}, TextOptions{Width: w, Height: 3, Colour: true, Pictures: HalfBlocks}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestTextHostile: a name cannot move the cursor, nor a picture's.
func TestTextHostile(t *testing.T) {
	t.Parallel()
	p := mustBuild(t, rev(t, "v\x1b[2J", "\"a\\e[2J.csv\": {title: \"t\\e]0;x\\a\", x_label: \"\\u202e\"}", map[string]string{"a\x1b[2J.csv": "n\x1b[2J\n1\n2\n"}))[0]
	var b bytes.Buffer
	if err := p.Text(&b, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\a\u202e") {
		t.Errorf("%q", b.String())
	}
}

func onePNG(t *testing.T) []byte {
	t.Helper()
	pic := image.NewNRGBA(image.Rect(0, 0, 8, 8))
	for y := range 8 {
		for x := range 8 {
			c := color.NRGBA{R: uint8(32 * x), G: uint8(32 * y), A: 255}
			if x == 7 {
				c.A = 0
			}
			pic.SetNRGBA(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, pic); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPictures(t *testing.T) {
	t.Parallel()
	content := onePNG(t)
	draw := func(file string, content []byte, proto PictureProtocol) string {
		p := &Plot{IsImage: true, ID: file, Images: []Image{{Rev: "workspace", File: file, Content: content}}}
		var b bytes.Buffer
		if err := p.Text(&b, TextOptions{Width: 60, Colour: proto != NoPictures, Pictures: proto}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	golden(t, "picture.ansi", []byte(draw("a.png", content, HalfBlocks)))
	text := base64.StdEncoding.EncodeToString(content)
	if got := draw("a.png", content, Kitty); !strings.Contains(got, "\x1b_Ga=T,f=100,c=8,m=0;"+text+"\x1b\\") {
		t.Errorf("kitty: %q", got)
	}
	if got := draw("a.png", content, ITerm); !strings.Contains(got, "\x1b]1337;File=inline=1;width=8;preserveAspectRatio=1:"+text+"\a") {
		t.Errorf("iTerm: %q", got)
	}
	for _, c := range []struct{ file, content, want string }{
		{"a.png", string(content), "png, 8 x 8"},
		{"a.svg", "<svg/>", "which a terminal cannot show"},
		{"a.jpg", "nothing", "no picture that can be read"},
		{"a.gif", "GIF89a\xff\xff\xff\xff\x00\x00\x00", "too large to show"},
	} {
		if got := draw(c.file, []byte(c.content), NoPictures); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.file, got, c.want)
		}
	}
}
