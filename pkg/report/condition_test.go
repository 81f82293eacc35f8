package report

import (
	"errors"
	"fmt"
	"math"
	"testing"
)

var checked = map[string]any{
	"acc": 0.85, "acc.diff": -0.05, "acc.old": 0.9, "n": int64(3), "loss.val": 0.25, "eval/b.json:acc": 0.5, "loss-x": 1.0,
	"top 1": 0.9, "ok": true, "bad": false, "model": "resnet", "nan": math.NaN(), "ünï": 1.0, "é:": 2.0, "./m.json:a": 1.0,
}

func findChecked(name string) (any, bool, error) {
	if name == "twice" {
		return nil, false, errors.New("'twice' is in several files")
	}
	v, ok := checked[name]
	return v, ok, nil
}

func TestCondition(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want State
	}{
		{"acc >= 0.8", Met},
		{"acc>=0.85", Met},
		{"acc > .85", Failed},
		{"0.8 <= acc", Met},
		{"acc.diff > -0.01", Failed},
		{"acc.diff>-0.1", Met},
		{"acc >= acc.old", Failed},
		{"acc >= acc.old or abs(acc.diff) < 0.06", Met},
		{"acc >= acc.old and abs(acc.diff) < 0.06", Failed},
		{"not acc >= acc.old", Met},
		{"not (acc > 1 or n == 4)", Met},
		{"not not ok", Met},
		{"ok", Met},
		{"bad", Failed},
		{"bad == false and ok != false", Met},
		{"n == 3", Met},
		{"n != 3.0", Failed},
		{"n * 2 + 1 == 7", Met},
		{"n - 1 - 1 == 1", Met},
		{"8 / n / 2 < 1.34", Met},
		{"-n < 0 and +n > 0 and --n == 3", Met},
		{"2 * (n + 1) == 8", Met},
		{"(acc > 0.8) and ((n) == 3)", Met},
		{"min(acc, n, 1) == 0.85 and max(acc, n) == 3", Met},
		{"eval/b.json:acc < 0.6", Met},
		{"./m.json:a == 1", Met},
		{"loss-x == 1 and loss.val < 1e0 and loss.val > 2.5e-2", Met},
		{"`top 1` > 0.8", Met},
		{"ünï == 1 and é: == 2", Met},
		{`model == "resnet"`, Met},
		{"model != 'resnet'", Failed},
		{"model < 'z'", Met},
		{"acc >= 0.8 and n == 3 or bad", Met},
		{"bad and bad or ok", Met},
		{"ok or bad and bad", Met},
		// What is no number meets nothing, whichever way it is put.
		{"nan > 0", Failed},
		{"nan <= 0", Failed},
		{"not nan > 0", Failed},
		{"nan != 0", Failed},
		{"nan > 0 or ok", Met},
		{"max(nan, 1) > 0", Failed},
		{"0 / 0 == 1", Failed},
		{"1 / 0 > 1000", Met},
		// What is missing matters only if something hangs on it.
		{"gone > 0", Missing},
		{"not gone > 0", Missing},
		{"gone + 1 > 0", Missing},
		{"abs(gone) > 0", Missing},
		{"gone", Missing},
		{"gone > 0 or ok", Met},
		{"ok or gone > 0", Met},
		{"gone > 0 and bad", Failed},
		{"gone > 0 and ok", Missing},
	} {
		c, err := ParseCondition(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if got, err := c.Check(findChecked); got != tt.want || err != nil {
			t.Errorf("%s: %s, %v, want %s", tt.text, got, err, tt.want)
		}
	}
}

func TestConditionMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text   string
		column int
		msg    string
	}{
		{"", 1, "it is empty"},
		{"  ", 1, "it is empty"},
		{"acc >", 6, "it ends where a value is expected"},
		{"acc >> 1", 6, "expected a value, not '>'"},
		{"acc = 1", 5, "unexpected '=': equality is '=='"},
		{"a > 1 && b > 1", 7, "unexpected '&': write 'and', 'or', 'not'"},
		{"acc > 1 b", 9, "unexpected 'b'"},
		{"acc 1", 5, "unexpected '1'"},
		{"(acc > 1", 9, "expected ')'"},
		{"acc > 1)", 8, "unexpected ')'"},
		{"0.8", 1, "this is a number and claims nothing: compare it with something"},
		{"acc + 1", 1, "this is a number and claims nothing: compare it with something"},
		{"'x'", 1, "this is a text and claims nothing: compare it with something"},
		{"acc > 'x' + 1", 7, "this is a text, not a number"},
		{"1 < acc < 2", 9, "a comparison has two sides: join two with 'and'"},
		{"1 == 'x'", 3, "a number cannot be compared with a text"},
		{"acc > true", 5, "truth values are only equal or not"},
		{"(acc > 1) + 1 > 0", 2, "this is a truth value, not a number"},
		{"not 1", 5, "this is a number and claims nothing: compare it with something"},
		{"acc > and", 7, "expected a value, not 'and'"},
		{"acc > 1e", 7, "'1e' is not a number"},
		{"acc > 1_000", 7, "'1_000' is not a number"},
		{"1st > 0", 1, "a name that begins with a digit goes between backquotes"},
		{"'x == 1", 1, "the quote is not closed"},
		{"`` > 1", 1, "the name is empty"},
		{"abs(1, 2) > 1", 1, "abs takes 1 to 1 numbers, not 2"},
		{"min(1 > 1", 7, "expected ')'"},
		{"é > #", 5, "unexpected '#'"},
		{"acc > 1\xff", 1, "it is not valid UTF-8"},
	} {
		_, err := ParseCondition(tt.text)
		var ce *ConditionError
		if !errors.As(err, &ce) || ce.Column != tt.column || ce.Msg != tt.msg {
			t.Errorf("%q: %v, want column %d: %s", tt.text, err, tt.column, tt.msg)
		}
	}
	for _, tt := range []struct{ text, msg string }{
		{"model > 1", "condition 'model > 1', column 1: 'model' is a text, not a number"},
		{"acc", "condition 'acc', column 1: 'acc' is a number, not a truth value"},
		{"ok and twice > 1", "condition 'ok and twice > 1', column 8: 'twice' is in several files"},
		{"1 + model > 1", "condition '1 + model > 1', column 5: 'model' is a text, not a number"},
		{"ok < bad", "condition 'ok < bad', column 1: 'ok' is a truth value, not a number"},
	} {
		c, err := ParseCondition(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if _, err := c.Check(findChecked); fmt.Sprint(err) != tt.msg {
			t.Errorf("%s: %v, want %s", tt.text, err, tt.msg)
		}
	}
}

func FuzzCondition(f *testing.F) {
	for _, s := range []string{"acc >= 0.8", "not (a.diff > -1e-3 and `x y` == 'z')", "min(a,b)/2 - -1 != n", "((((", "not not not"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCondition(text)
		if err != nil {
			if ce := new(ConditionError); !errors.As(err, &ce) || ce.Column < 1 {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		// Without any values nothing is met that names one alone.
		state, err := c.Check(func(string) (any, bool, error) { return nil, false, nil })
		if len(c.Names()) == 0 && state == Missing {
			t.Errorf("%q: names nothing and misses something", text)
		}
		if err != nil && len(c.Names()) == 0 {
			t.Errorf("%q: the parser let through what has no meaning: %v", text, err)
		}
	})
}
