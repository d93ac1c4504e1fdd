package keys

import "testing"

// RFC 7518, Appendix C. The library's own texts are opened by TestEncryptDecrypt.
func TestAgreedKey(t *testing.T) {
	z := []byte{
		158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156,
		251, 49, 110, 163, 218, 128, 106, 72, 246, 218, 167, 121, 140, 254, 144, 196,
	}
	got := EncodeBase64URL(agreed(z, JWEHeader{Enc: A128GCM, APU: []byte("Alice"), APV: []byte("Bob")}))
	if got != "VqqN6vgjbSBcIijNcacQGg" {
		t.Errorf("derived %s", got)
	}
}
