package verifier

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// The names of a transaction (id, request_uri, nonce, state) are base64url of a time and 128 bits that nobody guesses. What is
// made in one moment then lies together in every index, and the callers that join a commit share its pages.
const (
	stampLen = 6 // milliseconds since 1970, big endian
	nameLen  = stampLen + 16
)

// names draws n of them.
func names(n int, random io.Reader, now time.Time) ([]string, error) {
	bits := make([]byte, 16*n)
	if _, err := io.ReadFull(random, bits); err != nil {
		return nil, fmt.Errorf("draw names: %w", err)
	}
	var name [nameLen + 2]byte // the stamp is written as eight bytes
	out := make([]string, n)
	for i := range out {
		binary.BigEndian.PutUint64(name[:], uint64(now.UnixMilli())<<16)
		copy(name[stampLen:], bits[16*i:16*i+16])
		out[i] = base64.RawURLEncoding.EncodeToString(name[:nameLen])
	}
	return out, nil
}

// nameKey is what is stored of a name: its time and 208 bits of its SHA-256. What is not a name of ours, or was made before
// names had a time, has its whole SHA-256.
func nameKey(name string) [32]byte {
	sum := sha256.Sum256([]byte(name))
	if len(name) != base64.RawURLEncoding.EncodedLen(nameLen) {
		return sum
	}
	var key [32]byte
	copy(key[stampLen:], sum[:])
	var head [stampLen]byte
	if _, err := base64.RawURLEncoding.Decode(head[:], []byte(name[:8])); err != nil {
		return sum
	}
	copy(key[:], head[:])
	return key
}
