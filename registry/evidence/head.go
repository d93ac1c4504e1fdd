package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/registry"
)

// HeadFormat is the first member of a published head's file.
const HeadFormat = "dojang-head/1"

// A Head is a header as it is published: in a gazette, in a newspaper, under a time stamp, on a public chain. Whoever finds
// one later proves everything before it, without any key of ours.
type Head struct {
	Network string
	ChainID string
	Height  uint64
	Hash    [32]byte
	Time    time.Time
}

// HeadOf is the head of a verified Evidence.
func HeadOf(f *Facts, chainID string) Head {
	return Head{Network: f.network, ChainID: chainID, Height: f.head.Height, Hash: f.hash, Time: f.head.KnownAt}
}

type headJSON struct {
	Format  string `json:"format"`
	Network string `json:"network"`
	ChainID string `json:"chain_id"`
	Height  uint64 `json:"height"`
	Hash    string `json:"hash"`
	Time    string `json:"time"`
}

// Marshal is the machine file. Error: registry.ErrMalformed.
func (h Head) Marshal() ([]byte, error) {
	if !h.plausible() {
		return nil, fmt.Errorf("published head: %w", registry.ErrMalformed)
	}
	b, err := json.Marshal(headJSON{Format: HeadFormat, Network: h.Network, ChainID: h.ChainID, Height: h.Height,
		Hash: hex.EncodeToString(h.Hash[:]), Time: h.Time.UTC().Format(time.RFC3339Nano)}, jsontext.WithIndent("  "))
	return append(b, '\n'), err
}

func (h Head) plausible() bool {
	_, err := registry.ParseDID("did:dojang:" + h.Network + ":1")
	return err == nil && registry.ValidFragment(h.ChainID) && h.Height > 0 && h.Hash != ([32]byte{}) && !h.Time.IsZero()
}

// ParseHead reads the machine file strictly. Errors: registry.ErrMalformed, registry.ErrLimit.
func ParseHead(file []byte) (Head, error) {
	if len(file) > 4096 {
		return Head{}, registry.ErrLimit
	}
	malformed := fmt.Errorf("published head: %w", registry.ErrMalformed)
	var j headJSON
	if err := json.Unmarshal(file, &j, json.RejectUnknownMembers(true)); err != nil {
		return Head{}, malformed
	}
	h := Head{Network: j.Network, ChainID: j.ChainID, Height: j.Height}
	raw, err := hex.DecodeString(j.Hash)
	if err != nil || len(raw) != len(h.Hash) || j.Format != HeadFormat || !parseTime(j.Time, &h.Time) {
		return Head{}, malformed
	}
	h.Hash = [32]byte(raw)
	if !h.plausible() {
		return Head{}, malformed
	}
	return h, nil
}

// Digest is what a time stamp authority stamps (RFC 3161): SHA-256 of the CBOR array
// [ "dojang-head/1", network, chain id, height, hash, [seconds, nanos] ].
func (h Head) Digest() [32]byte {
	b := putText(putArray(nil, 6), HeadFormat)
	b = putUint(putText(putText(b, h.Network), h.ChainID), h.Height)
	return sha256.Sum256(putTime(putBytes(b, h.Hash[:]), h.Time))
}

// Trust trusts this one header and nothing that is signed.
func (h Head) Trust() Trust {
	return Trust{Network: h.Network, ChainID: h.ChainID, Height: h.Height, Hash: h.Hash, Time: h.Time}
}

// Notice is the text for people, "ko" or "en"; what is to be compared stands on lines of its own.
func (h Head) Notice(language string) (string, error) {
	text, ok := headNotices[language]
	if !ok {
		return "", registry.ErrNotFound
	}
	t, err := template.New(language).Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	digest := h.Digest()
	var out bytes.Buffer
	err = t.Execute(&out, map[string]any{
		"Network": h.Network, "ChainID": h.ChainID, "Height": h.Height, "Hash": groups(h.Hash), "Digest": groups(digest),
		"Time": h.Time.UTC().Format("2006-01-02 15:04:05 UTC"), "Seoul": h.Time.In(time.FixedZone("KST", 9*3600)).Format("2006년 1월 2일 15시 04분 05초"),
	})
	return out.String(), err
}

// groups of four characters, to be read aloud and compared on paper.
func groups(h [32]byte) string {
	s := hex.EncodeToString(h[:])
	var out strings.Builder
	for i := 0; i < len(s); i += 4 {
		switch {
		case i == 0:
		case i%32 == 0:
			out.WriteByte('\n')
		default:
			out.WriteByte(' ')
		}
		out.WriteString(s[i : i+4])
	}
	return out.String()
}

var headNotices = map[string]string{
	"ko": `도장 원장 공고

  네트워크      {{.Network}} ({{.ChainID}})
  블록 높이     {{.Height}}
  시각          {{.Seoul}} (한국 표준시)

블록 해시
{{.Hash}}

시점확인(RFC 3161) 대상 해시
{{.Digest}}

이 공고를 보관한 사람은 누구나, 이 시각 이전에 원장에 기록된 모든 사실을
기관의 서버나 열쇠 없이 확인할 수 있습니다. 확인 방법: dojang verify
`,
	"en": `Dojang ledger: published head

  network       {{.Network}} ({{.ChainID}})
  block height  {{.Height}}
  time          {{.Time}}

block hash
{{.Hash}}

hash for the time stamp (RFC 3161)
{{.Digest}}

Whoever keeps this notice can check every fact that was recorded before this
time, without any server or key of the agencies. How: dojang verify
`,
}
