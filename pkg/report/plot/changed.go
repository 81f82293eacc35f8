package plot

import (
	"bytes"
	"slices"
)

// Changed reports whether the plot's data differ between two revisions, or are
// there at one only.
func (p *Plot) Changed(a, b string) bool {
	if p.IsImage {
		return !slices.EqualFunc(p.imagesOf(a), p.imagesOf(b), func(x, y Image) bool {
			return x.File == y.File && bytes.Equal(x.Content, y.Content)
		})
	}
	return !bytes.Equal(p.pointsOf(a), p.pointsOf(b))
}

func (p *Plot) imagesOf(rev string) []Image {
	var list []Image
	for _, img := range p.Images {
		if img.Rev == rev {
			list = append(list, img)
		}
	}
	return list
}

// pointsOf is the text of a revision's points without the revision's name.
func (p *Plot) pointsOf(rev string) []byte {
	var d Data
	for _, run := range p.Data {
		c := run.column(revField)
		if c == nil || run.N == 0 {
			continue
		}
		if v, ok := c.At(0); !ok || v != rev {
			continue
		}
		run = run.clone()
		run.drop(revField)
		d = append(d, run)
	}
	return AppendJSON(nil, d)
}
