// Package rfc3161 speaks the Time-Stamp Protocol (RFC 3161, RFC 5816) as far as a published head needs it: a request over one
// SHA-256 digest, and the check of the token that comes back, offline and in years.
//
// Request.Marshal makes what is sent, Token takes the token out of the answer, Check verifies one. No network, no clock.
// Trusted are the roots that the caller gives; the answer is anybody's. Only DER is read, and of CMS (RFC 5652) only what a
// token may be: one signer, signed attributes, SHA-256 or longer.
package rfc3161

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Media types of the protocol over HTTP (RFC 3161 section 3.4).
const (
	TypeQuery = "application/timestamp-query"
	TypeReply = "application/timestamp-reply"
)

// MaxReply is the largest answer that is read.
const MaxReply = 64 << 10

// Why an answer or a token is not taken.
var (
	ErrMalformed   = errors.New("rfc3161: malformed answer")
	ErrRejected    = errors.New("rfc3161: the authority refused to stamp")
	ErrImprint     = errors.New("rfc3161: the stamp is of something else")
	ErrNonce       = errors.New("rfc3161: the stamp answers another request")
	ErrSignature   = errors.New("rfc3161: the signature does not hold")
	ErrCertificate = errors.New("rfc3161: the certificate does not hold, or is not for time stamps")
	ErrTime        = errors.New("rfc3161: the time of the stamp cannot be")
)

// A Request asks for a stamp on a SHA-256 digest, with the certificates in the answer.
type Request struct {
	Digest [32]byte
	Nonce  *big.Int // positive, at least 64 random bits: the answer is to this request
}

// TimeStampReq ::= SEQUENCE { version INTEGER { v1(1) }, messageImprint MessageImprint, reqPolicy OPTIONAL,
//	nonce INTEGER OPTIONAL, certReq BOOLEAN DEFAULT FALSE, extensions [0] OPTIONAL }

// Marshal is the DER of the request.
func (q Request) Marshal() ([]byte, error) {
	if q.Nonce == nil || q.Nonce.Sign() <= 0 || q.Nonce.BitLen() < 32 {
		return nil, errors.New("rfc3161: a request needs a random nonce")
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidSHA256)
				b.AddASN1NULL()
			})
			b.AddASN1OctetString(q.Digest[:])
		})
		b.AddASN1BigInt(q.Nonce)
		b.AddASN1Boolean(true)
	})
	return b.Bytes()
}

// TimeStampResp ::= SEQUENCE { status PKIStatusInfo, timeStampToken ContentInfo OPTIONAL }
// PKIStatusInfo ::= SEQUENCE { status INTEGER, statusString SEQUENCE OF UTF8String OPTIONAL, failInfo BIT STRING OPTIONAL }

// Token takes the token out of an answer. Errors: ErrMalformed, ErrRejected.
func Token(reply []byte) ([]byte, error) {
	if len(reply) > MaxReply {
		return nil, ErrMalformed
	}
	var response, status cryptobyte.String
	var code int
	in := cryptobyte.String(reply)
	if !in.ReadASN1(&response, asn1.SEQUENCE) || !in.Empty() || !response.ReadASN1(&status, asn1.SEQUENCE) || !status.ReadASN1Integer(&code) {
		return nil, ErrMalformed
	}
	if code != 0 && code != 1 { // granted, grantedWithMods
		return nil, fmt.Errorf("%w: status %d", ErrRejected, code)
	}
	var token cryptobyte.String
	if !response.ReadASN1Element(&token, asn1.SEQUENCE) || !response.Empty() {
		return nil, ErrMalformed
	}
	return token, nil
}

// A tstInfo is what the authority signs (RFC 3161 section 2.4.2).
type tstInfo struct {
	digest   []byte
	serial   *big.Int
	time     time.Time
	accuracy time.Duration
	nonce    *big.Int // nil: none
}

// TSTInfo ::= SEQUENCE { version INTEGER { v1(1) }, policy OBJECT IDENTIFIER, messageImprint MessageImprint, serialNumber INTEGER,
//	genTime GeneralizedTime, accuracy Accuracy OPTIONAL, ordering BOOLEAN DEFAULT FALSE, nonce INTEGER OPTIONAL,
//	tsa [0] GeneralName OPTIONAL, extensions [1] IMPLICIT Extensions OPTIONAL }

func parseInfo(der []byte) (*tstInfo, error) {
	var info, imprint, alg, when cryptobyte.String
	var version int
	out := &tstInfo{serial: new(big.Int)}
	in := cryptobyte.String(der)
	if !in.ReadASN1(&info, asn1.SEQUENCE) || !in.Empty() || !info.ReadASN1Integer(&version) || version != 1 ||
		!info.SkipASN1(asn1.OBJECT_IDENTIFIER) || !info.ReadASN1(&imprint, asn1.SEQUENCE) || !imprint.ReadASN1(&alg, asn1.SEQUENCE) ||
		!imprint.ReadASN1Bytes(&out.digest, asn1.OCTET_STRING) || !imprint.Empty() || !info.ReadASN1Integer(out.serial) ||
		!info.ReadASN1(&when, asn1.GeneralizedTime) {
		return nil, ErrMalformed
	}
	if digest, err := parseAlgorithm(alg); err != nil || !digest.Equal(oidSHA256) {
		return nil, ErrImprint
	}
	var ok bool
	if out.time, ok = parseTime(string(when)); !ok {
		return nil, ErrMalformed
	}
	if out.accuracy, ok = readAccuracy(&info); !ok {
		return nil, ErrMalformed
	}
	if info.PeekASN1Tag(asn1.BOOLEAN) && !info.SkipASN1(asn1.BOOLEAN) {
		return nil, ErrMalformed
	}
	if info.PeekASN1Tag(asn1.INTEGER) {
		out.nonce = new(big.Int)
		if !info.ReadASN1Integer(out.nonce) {
			return nil, ErrMalformed
		}
	}
	for _, n := range []uint8{0, 1} {
		if tag := asn1.Tag(n).ContextSpecific().Constructed(); info.PeekASN1Tag(tag) && !info.SkipASN1(tag) {
			return nil, ErrMalformed
		}
	}
	if !info.Empty() {
		return nil, ErrMalformed
	}
	return out, nil
}

// parseTime reads a GeneralizedTime of the profile: UTC, seconds, and a fraction without trailing zeros.
func parseTime(s string) (time.Time, bool) {
	if len(s) < 15 || s[len(s)-1] != 'Z' || len(s) > 15 && (s[14] != '.' || len(s) < 17 || s[len(s)-2] == '0' || len(s) > 25) {
		return time.Time{}, false
	}
	t, err := time.Parse("20060102150405Z", s[:14]+"Z")
	if err != nil {
		return time.Time{}, false
	}
	if len(s) > 15 {
		if strings.Trim(s[15:len(s)-1], "0123456789") != "" { // a duration may have other units
			return time.Time{}, false
		}
		fraction, err := time.ParseDuration("0." + s[15:len(s)-1] + "s")
		if err != nil {
			return time.Time{}, false
		}
		t = t.Add(fraction)
	}
	return t, true
}

// Accuracy ::= SEQUENCE { seconds INTEGER OPTIONAL, millis [0] INTEGER (1..999) OPTIONAL, micros [1] INTEGER (1..999) OPTIONAL }
func readAccuracy(info *cryptobyte.String) (time.Duration, bool) {
	var accuracy cryptobyte.String
	var present bool
	if !info.ReadOptionalASN1(&accuracy, &present, asn1.SEQUENCE) || !present {
		return 0, !info.PeekASN1Tag(asn1.SEQUENCE)
	}
	var seconds int64
	if accuracy.PeekASN1Tag(asn1.INTEGER) && (!accuracy.ReadASN1Integer(&seconds) || seconds < 0 || seconds > 1<<20) {
		return 0, false
	}
	total := time.Duration(seconds) * time.Second
	for n, unit := range []time.Duration{time.Millisecond, time.Microsecond} {
		tag := asn1.Tag(n).ContextSpecific()
		if !accuracy.PeekASN1Tag(tag) {
			continue
		}
		var v int64
		if !accuracy.ReadASN1Int64WithTag(&v, tag) || v < 1 || v > 999 {
			return 0, false
		}
		total += time.Duration(v) * unit
	}
	return total, accuracy.Empty()
}
