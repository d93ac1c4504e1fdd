package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/node"
)

// Media types of the HTTP binding (W3C DID Resolution).
const (
	typeResolution = "application/did-resolution"
	typeDocument   = "application/did"
	typeLDDocument = "application/did+ld+json"
	typeJSONDoc    = "application/did+json"
	typeLDJSON     = "application/ld+json" // with profile https://w3id.org/did-resolution, in older clients
)

// A resolution is the whole answer (DID Resolution, section "DID Resolution Result").
type resolution struct {
	Context  string             `json:"@context"`
	Document jsontext.Value     `json:"didDocument"` // null with an error
	Metadata resolutionMetadata `json:"didResolutionMetadata"`
	About    jsontext.Value     `json:"didDocumentMetadata"`

	deactivated bool
}

type resolutionMetadata struct {
	ContentType string           `json:"contentType,omitempty"`
	Error       *resolutionError `json:"error,omitempty"`
}

// A resolutionError is an object with a type, as RFC 9457 says; status is the answer's.
type resolutionError struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	status int
}

func didError(status int, code, title string) *resolutionError {
	return &resolutionError{Type: "https://www.w3.org/ns/did#" + code, Title: title, status: status}
}

var (
	errInvalidDID     = didError(http.StatusBadRequest, "INVALID_DID", "The DID is malformed.")
	errInvalidOptions = didError(http.StatusBadRequest, "INVALID_OPTIONS", "An option is unknown, malformed or doubled.")
	errNotFound       = didError(http.StatusNotFound, "NOT_FOUND", "There is no such DID, version or service.")
	errRepresentation = didError(http.StatusNotAcceptable, "REPRESENTATION_NOT_SUPPORTED", "No offered representation is acceptable.")
	errMethod         = didError(http.StatusNotImplemented, "METHOD_NOT_SUPPORTED", "Only did:dojang of this network is resolved here.")
	errInternal       = didError(http.StatusInternalServerError, "INTERNAL_ERROR", "The resolver could not answer.")
)

// options of one resolution.
type resolveOptions struct {
	version     node.Version
	service     string
	relativeRef string
}

// resolve answers GET /1.0/identifiers/{did}.
func (s *Server) resolve(w http.ResponseWriter, r *http.Request) {
	mediaType, ok := acceptDocument(r.Header.Values("Accept"))
	if !ok {
		s.writeResolution(w, typeResolution, resolution{}, errRepresentation)
		return
	}
	did, fault := s.checkDID(r.PathValue("did"))
	if fault != nil {
		s.writeResolution(w, mediaType, resolution{}, fault)
		return
	}
	opts, fault := parseOptions(r.URL.RawQuery)
	if fault != nil {
		s.writeResolution(w, mediaType, resolution{}, fault)
		return
	}
	doc, err := s.cfg.Node.Document(did, opts.version)
	if errors.Is(err, registry.ErrNotFound) {
		s.writeResolution(w, mediaType, resolution{}, errNotFound)
		return
	}
	if err != nil {
		s.cfg.Logger.ErrorContext(r.Context(), "resolve", "err", err)
		s.writeResolution(w, mediaType, resolution{}, errInternal)
		return
	}
	if opts.service != "" {
		s.redirectToService(w, mediaType, doc, opts)
		return
	}
	s.writeResolution(w, mediaType, resolution{Document: doc.JSON, About: doc.Metadata, deactivated: doc.Deactivated}, nil)
}

// webDocument answers GET /did/{id}/did.json of the status host: the did:web alias, for readers that know no other method.
// There is no proof in it; who knows did:dojang resolves that, and never falls back to this (H30).
func (s *Server) webDocument(w http.ResponseWriter, r *http.Request) {
	did, err := registry.ParseDID("did:dojang:" + s.cfg.Node.Network() + ":" + r.PathValue("id"))
	if err != nil {
		s.fail(w, r, registry.ErrNotFound)
		return
	}
	doc, err := s.cfg.Node.WebDocument(did, s.host)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if doc.Deactivated {
		httpd.WriteProblem(w, httpd.NewProblem(http.StatusGone, "deactivated", "the DID is deactivated"))
		return
	}
	w.Header().Set("Content-Type", typeLDDocument)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(doc.JSON)
}

func (s *Server) checkDID(id string) (registry.DID, *resolutionError) {
	if method, rest, ok := strings.Cut(strings.TrimPrefix(id, "did:"), ":"); len(id) > 256 || !strings.HasPrefix(id, "did:") ||
		!ok || method == "" || rest == "" || strings.ToLower(method) != method {
		return "", errInvalidDID
	} else if method != "dojang" {
		return "", errMethod
	}
	did, err := registry.ParseDID(id)
	if err != nil {
		return "", errInvalidDID
	}
	if did.Network() != s.cfg.Node.Network() {
		return "", errMethod
	}
	return did, nil
}

func parseOptions(rawQuery string) (resolveOptions, *resolutionError) {
	var o resolveOptions
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return o, errInvalidOptions
	}
	for name, values := range query {
		if len(values) != 1 || values[0] == "" {
			return o, errInvalidOptions
		}
		switch v := values[0]; name {
		case "versionId":
			o.version.ID = v
		case "versionTime":
			if o.version.Time, err = time.Parse(time.RFC3339, v); err != nil || !strings.HasSuffix(v, "Z") {
				return o, errInvalidOptions
			}
		case "service":
			o.service = v
		case "relativeRef":
			o.relativeRef = v
		default:
			return o, errInvalidOptions
		}
	}
	if o.version.ID != "" && !o.version.Time.IsZero() || o.relativeRef != "" && o.service == "" {
		return o, errInvalidOptions
	}
	return o, nil
}

// redirectToService sends the reader to the endpoint of a service (DID URL dereferencing).
func (s *Server) redirectToService(w http.ResponseWriter, mediaType string, doc node.Document, o resolveOptions) {
	var parsed struct {
		Service []struct {
			ID       string         `json:"id"`
			Endpoint jsontext.Value `json:"serviceEndpoint"`
		} `json:"service"`
	}
	if err := json.Unmarshal(doc.JSON, &parsed); err != nil {
		s.writeResolution(w, mediaType, resolution{}, errInternal)
		return
	}
	for _, service := range parsed.Service {
		var endpoint string
		if !strings.HasSuffix(service.ID, "#"+o.service) || json.Unmarshal(service.Endpoint, &endpoint) != nil {
			continue
		}
		target, ok := join(endpoint, o.relativeRef)
		if !ok {
			s.writeResolution(w, mediaType, resolution{}, errInvalidOptions)
			return
		}
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	s.writeResolution(w, mediaType, resolution{}, errNotFound)
}

// join resolves a relative reference against an endpoint (RFC 3986 section 5) and refuses to leave the endpoint's origin.
func join(endpoint, ref string) (string, bool) {
	base, err := url.Parse(endpoint)
	if err != nil || base.Scheme != "https" && base.Scheme != "http" {
		return "", false
	}
	relative, err := url.Parse(ref)
	if err != nil || relative.IsAbs() || relative.Host != "" || relative.User != nil {
		return "", false
	}
	return base.ResolveReference(relative).String(), true
}

func (s *Server) writeResolution(w http.ResponseWriter, mediaType string, res resolution, fault *resolutionError) {
	status := http.StatusOK
	switch {
	case fault != nil:
		status, mediaType = fault.status, typeResolution // an error has no document representation
		res.Metadata.Error = fault
		res.Document, res.About = jsontext.Value("null"), jsontext.Value("{}")
	case res.deactivated:
		status = http.StatusGone
		mediaType = typeResolution
	}
	body := []byte(res.Document)
	if mediaType == typeResolution || mediaType == typeLDJSON {
		res.Context = "https://w3id.org/did-resolution/v1"
		if fault == nil {
			res.Metadata.ContentType = typeDocument
		}
		var err error
		if body, err = json.Marshal(res); err != nil {
			status, body = http.StatusInternalServerError, nil
		}
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Vary", "Accept")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// acceptDocument picks the representation; no Accept means the whole resolution result.
func acceptDocument(accept []string) (string, bool) {
	if len(accept) == 0 {
		return typeResolution, true
	}
	best, bestQ := "", 0.0
	for _, offered := range []string{typeResolution, typeDocument, typeLDDocument, typeJSONDoc, typeLDJSON, "application/json"} {
		if q := httpd.Quality(accept, offered); q > bestQ {
			best, bestQ = offered, q
		}
	}
	if best == "application/json" {
		best = typeResolution
	}
	return best, best != ""
}
