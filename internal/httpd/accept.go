package httpd

import (
	"mime"
	"strconv"
	"strings"
)

// Negotiate picks the media type that Accept headers want most; without one, the first that is offered (many readers send
// none), and the earlier one where two are wanted alike. ok is false when none is acceptable.
func Negotiate(accept []string, offered ...string) (mediaType string, ok bool) {
	if len(accept) == 0 {
		return offered[0], true
	}
	best := 0.0
	for _, o := range offered {
		if q := Quality(accept, o); q > best {
			mediaType, best = o, q
		}
	}
	return mediaType, mediaType != ""
}

// Quality is what an Accept header gives a media type (RFC 9110 12.5.1): the most specific range decides.
func Quality(accept []string, mediaType string) float64 {
	major, _, _ := strings.Cut(mediaType, "/")
	best, rank := 0.0, 0
	for _, line := range accept {
		for part := range strings.SplitSeq(line, ",") {
			name, params, err := mime.ParseMediaType(part)
			if err != nil {
				continue
			}
			specific := 0
			switch name {
			case mediaType:
				specific = 3
			case major + "/*":
				specific = 2
			case "*/*":
				specific = 1
			}
			q := 1.0
			if v, has := params["q"]; has {
				if q, err = strconv.ParseFloat(v, 64); err != nil || !(q >= 0 && q <= 1) {
					q = 0
				}
			}
			if specific > rank {
				rank, best = specific, q
			}
		}
	}
	return best
}
