package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
)

// sealed is a compact JWE in its parts (RFC 7516 7.1).
type sealed struct {
	header []byte // as sent: it is what the tag covers
	iv     []byte
	text   []byte // ciphertext ‖ tag
}

// splitJWE insists on five parts, no encrypted key (direct agreement), 96-bit IV, 128-bit tag, one spelling each.
func splitJWE(text []byte) (s sealed, ok bool) {
	if bytes.Count(text, []byte{'.'}) != 4 {
		return s, false
	}
	parts := bytes.SplitN(text, []byte{'.'}, 5)
	if len(parts[1]) != 0 {
		return s, false
	}
	var err error
	if s.iv, err = AppendBase64URL(nil, parts[2]); err != nil || len(s.iv) != 12 {
		return s, false
	}
	if s.text, err = AppendBase64URL(make([]byte, 0, len(parts[3])+16), parts[3]); err != nil {
		return s, false
	}
	before := len(s.text)
	if s.text, err = AppendBase64URL(s.text, parts[4]); err != nil || len(s.text)-before != 16 {
		return s, false
	}
	s.header = parts[0]
	return s, true
}

// open agrees on the key (ECDH-ES, RFC 7518 4.6) and opens the text in place. The header was read strictly before: jwx
// would parse it, its key and its point once more for every answer, as much work as the agreement itself.
func (s sealed) open(key *EncryptionKey, h jweHeader) ([]byte, error) {
	private, err := key.key.ECDH()
	if err != nil {
		return nil, err
	}
	z, err := private.ECDH(h.epk)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(agreed(z, h.JWEHeader))
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return gcm.Open(s.text[:0], s.iv, s.text, s.header)
}

// agreed derives the content key: one round of the Concat KDF (RFC 7518 4.6.2) is enough for 256 bits.
func agreed(z []byte, h JWEHeader) []byte {
	size := 16
	if h.Enc == A256GCM {
		size = 32
	}
	b := append(make([]byte, 0, 256), 0, 0, 0, 1)
	b = append(b, z...)
	for _, info := range [][]byte{[]byte(h.Enc), h.APU, h.APV} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(info))), info...)
	}
	sum := sha256.Sum256(binary.BigEndian.AppendUint32(b, uint32(8*size)))
	return sum[:size]
}
