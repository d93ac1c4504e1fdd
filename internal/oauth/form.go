package oauth

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// FormLimits bound a form before it is decoded. Zero fields take the default.
type FormLimits struct {
	Body   int // bytes of the encoded form, default 64 KiB
	Fields int // default 64
	Value  int // bytes of one decoded value, default: Body
}

const (
	defaultFormBody   = 64 << 10
	defaultFormFields = 64
	maxFieldName      = 128
)

// A Form is a decoded url-encoded body or query: each name once. Unknown names are carried and ignored by readers.
type Form struct{ values map[string]string }

// Get returns the value of name, "" when absent. An empty value counts as absent (RFC 6749 3.2).
func (f Form) Get(name string) string { return f.values[name] }

// Has reports whether name came with a value.
func (f Form) Has(name string) bool { return f.values[name] != "" }

// Len is the number of distinct names.
func (f Form) Len() int { return len(f.values) }

// ParseForm reads a POST body. Refused with invalid_request: another media type (415), too large (413), too many fields,
// a name twice, bad escapes, invalid UTF-8. Nothing of the query is read.
func ParseForm(r *http.Request, limits FormLimits) (Form, error) {
	if err := checkFormType(r.Header); err != nil {
		return Form{}, err
	}
	limit := int64(limits.body())
	if r.ContentLength > limit {
		return Form{}, errFormTooLarge()
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return Form{}, errFormTooLarge()
		}
		return Form{}, NewError(InvalidRequest, "body could not be read").WithParent(err)
	}
	return DecodeForm(string(raw), limits)
}

// DecodeForm decodes an url-encoded string, a body or a raw query.
func DecodeForm(raw string, limits FormLimits) (Form, error) {
	if len(raw) > limits.body() {
		return Form{}, errFormTooLarge()
	}
	if raw == "" {
		return Form{}, nil
	}
	// A semicolon is refused as net/url does: proxies disagree about it.
	if strings.Count(raw, "&")+1 > limits.fields() || strings.Contains(raw, ";") {
		return Form{}, NewError(InvalidRequest, "form has too many fields or a bad separator")
	}
	f := Form{values: make(map[string]string)}
	for pair := range strings.SplitSeq(raw, "&") {
		if err := f.add(pair, limits.value()); err != nil {
			return Form{}, err
		}
	}
	return f, nil
}

func (f Form) add(pair string, maxValue int) error {
	if pair == "" {
		return nil
	}
	k, v, _ := strings.Cut(pair, "=")
	name, errName := url.QueryUnescape(k)
	value, errValue := url.QueryUnescape(v)
	switch {
	case errName != nil || errValue != nil || !utf8.ValidString(name) || !utf8.ValidString(value):
		return NewError(InvalidRequest, "form is not url-encoded UTF-8")
	case name == "" || len(name) > maxFieldName || len(value) > maxValue:
		return NewError(InvalidRequest, "form field is empty-named or too long")
	}
	if _, twice := f.values[name]; twice {
		return NewError(InvalidRequest, "parameter appears more than once")
	}
	f.values[name] = value
	return nil
}

func checkFormType(h http.Header) error {
	types := h.Values("Content-Type")
	if len(types) == 1 {
		media, params, err := mime.ParseMediaType(types[0])
		charset := params["charset"]
		if err == nil && media == "application/x-www-form-urlencoded" && (charset == "" || strings.EqualFold(charset, "utf-8")) {
			return nil
		}
	}
	return NewError(InvalidRequest, "content type must be application/x-www-form-urlencoded").
		WithStatus(http.StatusUnsupportedMediaType)
}

func errFormTooLarge() error {
	return NewError(InvalidRequest, "form is too large").WithStatus(http.StatusRequestEntityTooLarge)
}

func (l FormLimits) body() int {
	if l.Body > 0 {
		return l.Body
	}
	return defaultFormBody
}

func (l FormLimits) fields() int {
	if l.Fields > 0 {
		return l.Fields
	}
	return defaultFormFields
}

func (l FormLimits) value() int {
	if l.Value > 0 {
		return l.Value
	}
	return l.body()
}
