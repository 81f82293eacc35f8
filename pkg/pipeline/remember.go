package pipeline

import (
	"encoding/binary"
	"math"
	"path"

	"github.com/cairndata/cairn/pkg/object"
	"github.com/cairndata/cairn/pkg/yamlfmt"
)

// PointerForm is the number of the form of [AppendPointer], to be kept beside
// it. It goes up with every change of the form, and with every change of what
// [ParseDvcFile] makes of a file.
const PointerForm = 1

// AppendPointer appends the stage of a pointer file to b in a form that
// [ReadPointer] reads a hundred times as fast as YAML. It is for memories that
// can be lost, not for files that others read. ok is false if the stage holds
// a value that the form cannot have.
func AppendPointer(b []byte, s *Stage) (out []byte, ok bool) {
	if !s.IsPointer() || s.Cmd != nil || s.Params != nil || s.HasLock || s.Generated || s.LockedCmd != nil || s.Line != 1 {
		return b, false
	}
	w := pointerWriter{b: b, from: len(b), ok: true}
	w.flags(s.Frozen, s.AlwaysChanged, s.Desc != "", s.MD5 != "", s.Meta != nil, s.WDir != path.Dir(s.File))
	if s.WDir != path.Dir(s.File) {
		w.text(s.WDir)
	}
	if s.Desc != "" {
		w.text(s.Desc)
	}
	if s.MD5 != "" {
		w.text(s.MD5)
	}
	if s.Meta != nil {
		w.value(s.Meta, 0)
	}
	w.number(uint64(len(s.Deps)))
	for _, d := range s.Deps {
		w.dep(d)
	}
	w.number(uint64(len(s.Outs)))
	for _, o := range s.Outs {
		w.out(o)
	}
	return w.b, w.ok
}

type pointerWriter struct {
	b    []byte
	from int
	ok   bool
}

func (w *pointerWriter) flags(list ...bool) {
	var n uint64
	for i, f := range list {
		if f {
			n |= 1 << i
		}
	}
	w.number(n)
}

func (w *pointerWriter) number(n uint64) { w.b = binary.AppendUvarint(w.b, n) }

func (w *pointerWriter) text(s string) {
	w.number(uint64(len(s)))
	w.b = append(w.b, s...)
}

// The types of values.
const (
	nilValue = iota
	falseValue
	trueValue
	intValue
	floatValue
	textValue
	listValue
	mapValue
)

const (
	// deepestValue bounds nesting, and largestForm what one pointer file may
	// take: a value that is an alias in the file is written out each time.
	deepestValue = 64
	largestForm  = 1 << 20
)

func (w *pointerWriter) value(v any, depth int) {
	if depth > deepestValue || len(w.b)-w.from > largestForm {
		w.ok = false
	}
	if !w.ok {
		return
	}
	switch x := v.(type) {
	case nil:
		w.number(nilValue)
	case bool:
		if x {
			w.number(trueValue)
		} else {
			w.number(falseValue)
		}
	case int64:
		w.number(intValue)
		w.b = binary.AppendVarint(w.b, x)
	case float64:
		w.number(floatValue)
		w.b = binary.LittleEndian.AppendUint64(w.b, math.Float64bits(x))
	case string:
		w.number(textValue)
		w.text(x)
	case []any:
		w.number(listValue)
		w.number(uint64(len(x)))
		w.flags(x == nil)
		for _, e := range x {
			w.value(e, depth+1)
		}
	case *yamlfmt.Map:
		w.number(mapValue)
		w.number(uint64(x.Len()))
		w.flags(x == nil)
		for k, e := range x.AllKeys() {
			if _, isText := k.(string); !isText {
				w.ok = false
				return
			}
			w.text(k.(string))
			w.value(e, depth+1)
		}
	default: // dates and large numbers
		w.ok = false
	}
}

func (w *pointerWriter) entry(e *Entry) {
	rare := e.ETag != "" || e.Checksum != "" || e.VersionID != "" || e.Cloud != nil || e.FSConfig != nil || e.Files != nil
	d := e.Digest
	w.flags(e.IsExec, e.Legacy, d.IsDir(), rare, e.Files != nil)
	w.text(e.Path)
	w.number(uint64(d.Algorithm()))
	w.b = d.AppendSum(w.b)
	w.b = binary.AppendVarint(w.b, e.Size)
	w.b = binary.AppendVarint(w.b, int64(e.NFiles))
	if !rare {
		return
	}
	w.text(e.ETag)
	w.text(e.Checksum)
	w.text(e.VersionID)
	w.value(e.Cloud, 0)
	w.value(e.FSConfig, 0)
	if e.Files == nil {
		return
	}
	w.number(uint64(len(e.Files)))
	for i := range e.Files {
		w.text(e.Files[i].RelPath)
		w.entry(&e.Files[i].Entry)
	}
}

func (w *pointerWriter) dep(d *Dep) {
	w.entry(&d.Entry)
	w.flags(d.Repo != nil)
	w.value(d.DB, 0)
	w.value(d.Dataset, 0)
	if r := d.Repo; r != nil {
		w.text(r.URL)
		w.text(r.Rev)
		w.text(r.RevLock)
		w.value(r.Config, 0)
		w.value(r.Remote, 0)
	}
}

func (w *pointerWriter) out(o *Out) {
	w.entry(&o.Entry)
	rare := o.Metric != nil || o.Plot != nil || o.Desc != "" || o.Type != "" || o.Labels != nil || o.Meta != nil || o.Remote != ""
	w.flags(o.Cache, o.Persist, o.Push, rare, o.Labels != nil)
	if !rare {
		return
	}
	w.text(o.Remote)
	w.value(o.Metric, 0)
	w.value(o.Plot, 0)
	w.text(o.Desc)
	w.text(o.Type)
	w.value(o.Meta, 0)
	if o.Labels != nil {
		w.number(uint64(len(o.Labels)))
		for _, l := range o.Labels {
			w.text(l)
		}
	}
}

// ReadPointer makes the stage of a pointer file from what AppendPointer wrote
// of it. ok is false if the form is not whole.
func ReadPointer(file, form string) (s *Stage, ok bool) {
	r := pointerReader{NewFields(form)}
	dir := path.Dir(file)
	f := r.Number()
	s = &Stage{File: file, WDir: dir, Line: 1, Frozen: f&1 != 0, AlwaysChanged: f&2 != 0}
	if f&32 != 0 {
		s.WDir = r.Text()
	}
	if f&4 != 0 {
		s.Desc = r.Text()
	}
	if f&8 != 0 {
		s.MD5 = r.Text()
	}
	if f&16 != 0 {
		s.Meta = r.value(0)
	}
	if n := r.count(); n > 0 {
		s.Deps = make([]*Dep, 0, n)
		for range n {
			s.Deps = append(s.Deps, r.dep(s))
		}
	}
	if n := r.count(); n > 0 {
		s.Outs = make([]*Out, 0, n)
		for range n {
			s.Outs = append(s.Outs, r.out(s))
		}
	}
	return s, !r.bad && r.s == ""
}

// Fields takes fields off a text that a memory holds, such as a form; once
// something is missing it is bad. Texts share its memory.
type Fields struct {
	s   string
	bad bool
}

// NewFields begins at the start of s.
func NewFields(s string) Fields { return Fields{s: s} }

// Bad reports whether something was missing.
func (r *Fields) Bad() bool { return r.bad }

// Left is how many bytes there are yet.
func (r *Fields) Left() int { return len(r.s) }

func (r *Fields) take(n uint64) string {
	if r.bad || n > uint64(len(r.s)) {
		r.bad, r.s = true, ""
		return ""
	}
	out := r.s[:n]
	r.s = r.s[n:]
	return out
}

// Number takes a uvarint.
func (r *Fields) Number() uint64 {
	var n uint64
	for i := 0; i < len(r.s) && i < binary.MaxVarintLen64; i++ {
		c := r.s[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break // more than 64 bits
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.s = r.s[i+1:]
			return n
		}
	}
	r.bad, r.s = true, ""
	return 0
}

// Uint64 takes eight bytes, little endian.
func (r *Fields) Uint64() uint64 {
	p := r.take(8)
	if r.bad {
		return 0
	}
	return binary.LittleEndian.Uint64([]byte(p))
}

// Text takes a length and as many bytes.
func (r *Fields) Text() string { return r.take(r.Number()) }

// pointerReader reads a form.
type pointerReader struct{ Fields }

func (r *pointerReader) signed() int64 {
	n := r.Number()
	v := int64(n >> 1)
	if n&1 != 0 {
		v = ^v
	}
	return v
}

// count is a number of things that take a byte each at least.
func (r *pointerReader) count() int {
	n := r.Number()
	if n > uint64(len(r.s)) {
		r.bad, r.s = true, ""
		return 0
	}
	return int(n)
}

func (r *pointerReader) value(depth int) any {
	if depth > deepestValue {
		r.bad, r.s = true, ""
	}
	switch t := r.Number(); t {
	case nilValue:
	case falseValue, trueValue:
		return t == trueValue
	case intValue:
		return r.signed()
	case floatValue:
		if b := r.take(8); len(b) == 8 {
			return math.Float64frombits(binary.LittleEndian.Uint64([]byte(b)))
		}
	case textValue:
		return r.Text()
	case listValue:
		n := r.count()
		if r.Number() != 0 {
			return []any(nil)
		}
		list := make([]any, 0, n)
		for range n {
			list = append(list, r.value(depth+1))
		}
		return list
	case mapValue:
		n := r.count()
		if r.Number() != 0 {
			return (*yamlfmt.Map)(nil)
		}
		m := &yamlfmt.Map{}
		for range n {
			k := r.Text()
			m.Set(k, r.value(depth+1))
		}
		return m
	default:
		r.bad, r.s = true, ""
	}
	return nil
}

func (r *pointerReader) entry(e *Entry) {
	f := r.Number()
	e.IsExec, e.Legacy = f&1 != 0, f&2 != 0
	e.Path = r.Text()
	alg := object.Algorithm(r.Number())
	size := alg.Size()
	if sum := r.take(uint64(size)); len(sum) == size && size > 0 {
		e.Digest = object.NewDigest(alg, []byte(sum), f&4 != 0)
	}
	e.Size, e.NFiles = r.signed(), int(r.signed())
	if f&8 == 0 {
		return
	}
	e.ETag, e.Checksum, e.VersionID = r.Text(), r.Text(), r.Text()
	e.Cloud, e.FSConfig = r.value(0), r.value(0)
	if f&16 == 0 {
		return
	}
	n := r.count()
	e.Files = make([]FileEntry, 0, min(n, 1<<12))
	for range n {
		if r.bad {
			return
		}
		fe := FileEntry{RelPath: r.Text()}
		r.entry(&fe.Entry)
		e.Files = append(e.Files, fe)
	}
}

func (r *pointerReader) dep(s *Stage) *Dep {
	d := &Dep{Stage: s}
	r.entry(&d.Entry)
	f := r.Number()
	d.DB, d.Dataset = r.value(0), r.value(0)
	if f&1 != 0 {
		d.Repo = &RepoSource{URL: r.Text(), Rev: r.Text(), RevLock: r.Text(), Config: r.value(0), Remote: r.value(0)}
	}
	return d
}

func (r *pointerReader) out(s *Stage) *Out {
	o := &Out{Stage: s}
	r.entry(&o.Entry)
	f := r.Number()
	o.Cache, o.Persist, o.Push = f&1 != 0, f&2 != 0, f&4 != 0
	if f&8 == 0 {
		return o
	}
	o.Remote, o.Metric, o.Plot = r.Text(), r.value(0), r.value(0)
	o.Desc, o.Type, o.Meta = r.Text(), r.Text(), r.value(0)
	if f&16 != 0 {
		n := r.count()
		o.Labels = make([]string, 0, n)
		for range n {
			o.Labels = append(o.Labels, r.Text())
		}
	}
	return o
}
