package oauth

import (
	"strings"
	"testing"
)

func TestPKCE(t *testing.T) {
	const verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636 B
	if Challenge(verifier) != challenge {
		t.Fatal("challenge")
	}
	tests := []struct {
		name     string
		verifier string
		want     Code
	}{
		{"right", verifier, ""},
		{"wrong", verifier[:42] + "l", InvalidGrant},
		{"42 characters", verifier[:42], InvalidGrant},
		{"129 characters", strings.Repeat("a", 129), InvalidGrant},
		{"absent", "", InvalidGrant},
		{"plain", challenge, InvalidGrant},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := CheckVerifier(challenge, tt.verifier); CodeOf(err) != tt.want {
				t.Fatalf("got %v", err)
			}
		})
	}
	for _, c := range [][2]string{{challenge, "plain"}, {challenge, ""}, {"", "S256"}, {challenge + "A", "S256"}, {strings.Repeat("!", 43), "S256"}} {
		if err := CheckChallenge(c[0], c[1]); CodeOf(err) != InvalidRequest {
			t.Fatalf("%v: got %v", c, err)
		}
	}
	if err := CheckChallenge(challenge, "S256"); err != nil {
		t.Fatal(err)
	}
}
