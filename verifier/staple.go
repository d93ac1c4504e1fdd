package verifier

import "crypto/sha256"

// maxStaple bounds Evidence before it is looked at (DESIGN 4: at most 32 KiB in all).
const maxStaple = 32 << 10

// openStaple checks stapled Evidence. What does not hold is left aside, not held against the holder: our own knowledge
// judges then, and where that is missing the judgement is on hold.
func (j *judging) openStaple(data []byte) {
	if len(data) == 0 || j.v.cfg.Staples == nil {
		return
	}
	if len(data) > maxStaple {
		j.warnings = append(j.warnings, "evidence_invalid")
		return
	}
	staple, err := j.v.cfg.Staples(data, j.expect.Now)
	if err != nil {
		j.warnings = append(j.warnings, "evidence_invalid")
		return
	}
	j.facts.staple = staple
	j.basis.Evidence = sha256.Sum256(data)
}
