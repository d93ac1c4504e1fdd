package verifier

import "testing"

func FuzzNonceOf(f *testing.F) {
	f.Add("a.b.c~d~e.eyJub25jZSI6Im4ifQ.g")
	f.Add("~")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if nonce, ok := nonceOf(text); ok == (nonce == "") {
			t.Errorf("%q %v", nonce, ok)
		}
	})
}

func TestNonceOf(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"bound", "a.b.c~d~e.eyJub25jZSI6Im4ifQ.g", "n"},
		{"bare", "a.b.c~d~", ""},
		{"nonce twice", "~e.eyJub25jZSI6Im4iLCJub25jZSI6Im0ifQ.g", ""},
		{"nonce is a number", "~e.eyJub25jZSI6MX0.g", ""},
		{"two parts", "~e.eyJub25jZSI6Im4ifQ", ""},
	} {
		if got, _ := nonceOf(row.text); got != row.want {
			t.Errorf("%s: %q", row.name, got)
		}
	}
}
