package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"time"
)

// Probe times P-256 verification over the whole run; a spread above 15 % makes the run's rows noisy. The zero value is
// ready.
type Probe struct{ samples []float64 }

// Sample adds one measurement of about 20 ms.
func (p *Probe) Sample() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte("dojang"))
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return err
	}
	const n = 256
	start := CPUTime()
	for range n {
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig) {
			return errors.New("bench: probe signature does not verify")
		}
	}
	p.samples = append(p.samples, float64(CPUTime()-start)/n)
	return nil
}

// Spread is how far the highest sample lies above the lowest, as a share of the lowest.
func (p *Probe) Spread() float64 {
	if len(p.samples) < 2 {
		return 0
	}
	lowest := Quantile(p.samples, 0)
	return (Quantile(p.samples, 1) - lowest) / lowest
}

// Noisy reports a spread above 15 %.
func (p *Probe) Noisy() bool { return p.Spread() > 0.15 }

// Verify is the probe's median: one P-256 verification on this machine.
func (p *Probe) Verify() time.Duration { return time.Duration(Median(p.samples)) }
