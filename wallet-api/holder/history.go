package holder

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/sqldb"
)

// What became of a submission, as far as this side knows.
const (
	outcomePrepared = "prepared" // copies are marked; whether anything arrived is not known
	outcomeSent     = "sent"     // the verifier took it
	outcomeRefused  = "refused"  // the verifier has it and answered with an error
	outcomeDeclined = "declined" // the person said no
)

// A Submission is one line of the person's own history. It holds which items were shown, never their values.
type Submission struct {
	ID          string
	At          time.Time
	Verifier    string // DID
	Name        string // as registered at that time
	Purpose     string // code
	PurposeText string
	Items       []Item
	Outcome     string // prepared, sent, refused, declined
}

// submission is a Submission before its outcome.
type submission struct {
	ID          string    `json:"-"`
	At          time.Time `json:"-"`
	Verifier    string    `json:"verifier"`
	Name        string    `json:"name"`
	Purpose     string    `json:"purpose"`
	PurposeText string    `json:"purpose_text"`
	Items       []Item    `json:"items"`
}

func (h *Holder) line(c *Consent) (submission, error) {
	id, err := h.newID()
	return submission{
		ID: id, At: h.cfg.Now(), Verifier: c.Verifier, Name: c.Name, Purpose: c.Purpose, PurposeText: c.PurposeText, Items: c.Items,
	}, err
}

func (h *Holder) sealLine(s submission) ([]byte, error) {
	plain, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return h.seal.seal(place("line", s.ID, 0), plain)
}

// declined writes the line of a refusal by the person: nothing was shown.
func (h *Holder) declined(ctx context.Context, s submission) error {
	sealed, err := h.sealLine(s)
	if err != nil {
		return err
	}
	return h.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`INSERT INTO submission (id, at, line, outcome) VALUES (?, ?, ?, ?)`, s.ID, s.At, sealed, outcomeDeclined)
		return err
	})
}

func (h *Holder) outcome(ctx context.Context, id, outcome string) error {
	return h.db.Write(context.WithoutCancel(ctx), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`UPDATE submission SET outcome = ? WHERE id = ?`, outcome, id)
		return err
	})
}

// Submissions is where the person submitted what, newest first.
func (h *Holder) Submissions(ctx context.Context) ([]Submission, error) {
	var list []Submission
	var lines [][]byte
	err := h.db.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(`SELECT id, at, line, outcome FROM submission ORDER BY at DESC, id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var s Submission
			var line []byte
			if err := rows.Scan(&s.ID, &s.At, &line, &s.Outcome); err != nil {
				return err
			}
			list, lines = append(list, s), append(lines, line)
		}
		return rows.Close()
	})
	if err != nil {
		return nil, err
	}
	for i, line := range lines {
		plain, err := h.seal.open(place("line", list[i].ID, 0), line)
		if err != nil {
			return nil, err
		}
		var s submission
		if err := json.Unmarshal(plain, &s); err != nil {
			return nil, err
		}
		list[i].Verifier, list[i].Name, list[i].Purpose, list[i].PurposeText, list[i].Items = s.Verifier, s.Name, s.Purpose, s.PurposeText, s.Items
	}
	return list, nil
}
