package statuslist

// A Reference is what a credential's status claim names (section 6).
type Reference struct {
	URI   string
	Index uint64
}

// ParseReference reads the JSON of a `status` claim: {"status_list": {"idx": 5, "uri": "https://…"}}.
// idx is a plain non-negative integer below MaxLength: "5", 5.0, -1 and 2^63 are ErrIndex. A status claim without
// status_list is ErrMalformed.
func ParseReference(status []byte) (Reference, error) { return Reference{}, errTODO }

// ParseReferenceCBOR is the same for the `status` of an MSO or CWT.
func ParseReferenceCBOR(status []byte) (Reference, error) { return Reference{}, errTODO }

// JSON is the `status` claim of a credential.
func (r Reference) JSON() []byte { return nil }
