package statuslist

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/dojang-id/dojang/internal/keys"
)

func decodeTagged(data []byte, v any) error {
	var tag cbor.RawTag
	if err := cbor.Unmarshal(data, &tag); err != nil {
		return err
	}
	return cbor.Unmarshal(tag.Content, v)
}

func TestParseReference(t *testing.T) {
	const uri = `"uri":"https://status.dojang.example/2VxKq/3"`
	tests := []struct {
		name, json string
		want       error
		idx        uint64
	}{
		{"plain", `{"status_list":{"idx":5,` + uri + `}}`, nil, 5},
		{"zero", `{"status_list":{"idx":0,` + uri + `}}`, nil, 0},
		{"highest", `{"status_list":{"idx":134217727,` + uri + `}}`, nil, MaxLength - 1},
		{"another mechanism beside", `{"other":{},"status_list":{"idx":5,` + uri + `,"x":1}}`, nil, 5},
		{"C02 -1", `{"status_list":{"idx":-1,` + uri + `}}`, ErrIndex, 0},
		{"C02 -0", `{"status_list":{"idx":-0,` + uri + `}}`, ErrIndex, 0},
		{"C02 2^31", `{"status_list":{"idx":2147483648,` + uri + `}}`, ErrIndex, 0},
		{"C02 2^63", `{"status_list":{"idx":9223372036854775808,` + uri + `}}`, ErrIndex, 0},
		{"C02 2^64+5", `{"status_list":{"idx":18446744073709551621,` + uri + `}}`, ErrIndex, 0},
		{"C02 text", `{"status_list":{"idx":"5",` + uri + `}}`, ErrIndex, 0},
		{"C02 5.0", `{"status_list":{"idx":5.0,` + uri + `}}`, ErrIndex, 0},
		{"C02 5e0", `{"status_list":{"idx":5e0,` + uri + `}}`, ErrIndex, 0},
		{"C02 null", `{"status_list":{"idx":null,` + uri + `}}`, ErrIndex, 0},
		{"C02 absent", `{"status_list":{` + uri + `}}`, ErrIndex, 0},
		{"C02 array", `{"status_list":{"idx":[5],` + uri + `}}`, ErrIndex, 0},
		{"leading zero", `{"status_list":{"idx":05,` + uri + `}}`, ErrMalformed, 0},
		{"duplicate", `{"status_list":{"idx":5,"idx":6,` + uri + `}}`, ErrMalformed, 0},
		{"no list", `{"identifier_list":{}}`, ErrMalformed, 0},
		{"no uri", `{"status_list":{"idx":5}}`, ErrMalformed, 0},
		{"uri a number", `{"status_list":{"idx":5,"uri":5}}`, ErrMalformed, 0},
		{"null", `null`, ErrMalformed, 0},
		{"nothing", ``, ErrMalformed, 0},
		{"trailing", `{"status_list":{"idx":5,` + uri + `}}x`, ErrMalformed, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseReference([]byte(tt.json))
			if !errors.Is(err, tt.want) || got.Index != tt.idx {
				t.Fatalf("ParseReference = %+v, %v, want %v", got, err, tt.want)
			}
			if tt.want != nil {
				if got != (Reference{}) {
					t.Errorf("an error and %+v", got)
				}
				return
			}
			out, err := got.JSON()
			if err != nil {
				t.Fatal(err)
			}
			if again, err := ParseReference(out); err != nil || again != got {
				t.Errorf("written and read: %+v, %v", again, err)
			}
		})
	}
}

func TestParseReferenceCBOR(t *testing.T) {
	const uri = "0x68747470733a2f2f6578616d706c652e636f6d2f7374617475736c697374732f31"
	// {"status_list": {"idx": …, "uri": "https://example.com/statuslists/1"}}, idx left open.
	build := func(idx string) string {
		return "a16b7374617475735f6c697374a263696478" + idx + "63757269" + "7821" + uri[2:]
	}
	tests := []struct {
		name, hex string
		want      error
		idx       uint64
	}{
		{"plain", build("05"), nil, 5},
		{"C02 -1 in CBOR", build("20"), ErrIndex, 0},
		{"C02 2^31 in CBOR", build("1a80000000"), ErrIndex, 0},
		{"C02 2^63 in CBOR", build("1b8000000000000000"), ErrIndex, 0},
		{"C02 text in CBOR", build("6135"), ErrIndex, 0},
		{"C02 5.0 in CBOR", build("f94500"), ErrIndex, 0},
		{"C02 big number in CBOR", build("c24105"), ErrMalformed, 0},
		{"C02 null in CBOR", build("f6"), ErrIndex, 0},
		{"empty map", "a0", ErrMalformed, 0},
		{"array", "80", ErrMalformed, 0},
		{"nothing", "", ErrMalformed, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data, err := hex.DecodeString(tt.hex)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseReferenceCBOR(data)
			if !errors.Is(err, tt.want) || got.Index != tt.idx {
				t.Fatalf("ParseReferenceCBOR = %+v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestIndexOutsideOfToken(t *testing.T) {
	token := &Token{Values: random(t, 2, 64, 4)}
	for name, idx := range map[string]uint64{"C02 the size of the list": 64, "C02 beyond the list": 1 << 31, "C02 2^63 after parsing": 1 << 63} {
		t.Run(name, func(t *testing.T) {
			if s, err := token.Status(idx); !errors.Is(err, ErrIndex) || s != 0 {
				t.Errorf("Status = %v, %v", s, err)
			}
		})
	}
	if _, err := token.Status(63); err != nil {
		t.Errorf("the last entry: %v", err)
	}
}

// x5chain of RFC 9360: one certificate is a byte string, more are an array.
func TestCWTChain(t *testing.T) {
	signer := newKey(t)
	for n := range 4 {
		var chain [][]byte
		for i := range n {
			chain = append(chain, []byte{0x30, byte(i)})
		}
		token, err := SignCWT(signer, keys.Header{X5C: chain}, claimsFor(t, random(t, 1, 64, 4)))
		if err != nil {
			t.Fatal(err)
		}
		u, err := ParseCWT(token, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(chain, u.Header().X5C); diff != "" {
			t.Errorf("%d certificates: %s", n, diff)
		}
	}
}
