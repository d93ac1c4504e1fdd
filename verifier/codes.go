package verifier

// A Code is a result code of DOMAIN 4.5: what a company reads. The order of the table below is the order of checks.
type Code string

// The codes that this verifier can give.
const (
	RequestExpired      Code = "REQUEST_EXPIRED"
	NonceReplay         Code = "NONCE_REPLAY"
	OveraskRefused      Code = "OVERASK_REFUSED"
	LegalBasisRequired  Code = "LEGAL_BASIS_REQUIRED"
	TypeNotAccepted     Code = "TYPE_NOT_ACCEPTED"
	IssuerUntrusted     Code = "ISSUER_UNTRUSTED"
	SignatureInvalid    Code = "SIGNATURE_INVALID"
	DigestMismatch      Code = "DIGEST_MISMATCH"
	ClaimMixDetected    Code = "CLAIM_MIX_DETECTED"
	HolderBindingFailed Code = "HOLDER_BINDING_FAILED"
	NotYetValid         Code = "NOT_YET_VALID"
	Expired             Code = "EXPIRED"
	Revoked             Code = "REVOKED"
	Suspended           Code = "SUSPENDED"
	NeedsRenewal        Code = "NEEDS_RENEWAL"
	StatusStale         Code = "STATUS_STALE"
	PolicyFailed        Code = "POLICY_FAILED"
	Valid               Code = "VALID"
)

// A Decision is what follows from a code.
type Decision string

// The decisions; the empty one means: not judged yet.
const (
	Confirmed    Decision = "confirmed"
	NotConfirmed Decision = "not confirmed"
	OnHold       Decision = "on hold"
)

// A Text is one text in the two languages of the house.
type Text struct {
	Ko string `json:"ko" yaml:"ko"`
	En string `json:"en" yaml:"en"`
}

// codeRow is one line of DOMAIN 4.5.
type codeRow struct {
	order    int
	decision Decision
	text     Text
}

func (c Code) row() codeRow {
	switch c {
	case RequestExpired:
		return codeRow{1, NotConfirmed, Text{"요청 시간이 지났습니다.", "The request has timed out."}}
	case NonceReplay:
		return codeRow{2, NotConfirmed, Text{"이미 사용된 제출입니다.", "This submission was already used."}}
	case OveraskRefused:
		return codeRow{3, NotConfirmed, Text{"등록 범위를 넘는 요청이라 거부되었습니다.", "Refused: the request exceeds your registration."}}
	case LegalBasisRequired:
		return codeRow{4, NotConfirmed, Text{"근거 법령이 등록되어 있지 않습니다.", "No matching legal basis is registered."}}
	case TypeNotAccepted:
		return codeRow{5, NotConfirmed, Text{"이 용도로 받을 수 없는 증명서입니다.", "This certificate is not accepted for this purpose."}}
	case IssuerUntrusted:
		return codeRow{6, NotConfirmed, Text{"발급 권한이 확인되지 않은 기관입니다.", "The issuer was not accredited for this type."}}
	case SignatureInvalid:
		return codeRow{7, NotConfirmed, Text{"서명이 올바르지 않습니다.", "The signature is not valid."}}
	case DigestMismatch:
		return codeRow{8, NotConfirmed, Text{"내용이 발급 당시와 다릅니다.", "The content differs from what was issued."}}
	case ClaimMixDetected:
		return codeRow{9, NotConfirmed, Text{"서로 다른 증명서의 항목이 섞여 있습니다.", "Items from different certificates were mixed."}}
	case HolderBindingFailed:
		return codeRow{10, NotConfirmed, Text{"본인 소지가 확인되지 않았습니다.", "Possession by the holder was not proven."}}
	case NotYetValid:
		return codeRow{11, NotConfirmed, Text{"아직 유효하지 않습니다.", "Not valid yet."}}
	case Expired:
		return codeRow{12, NotConfirmed, Text{"유효기간이 지났습니다.", "Expired."}}
	case Revoked:
		return codeRow{13, NotConfirmed, Text{"폐기된 증명서입니다.", "Revoked."}}
	case Suspended:
		return codeRow{14, NotConfirmed, Text{"정지된 증명서입니다.", "Suspended."}}
	case NeedsRenewal:
		return codeRow{15, NotConfirmed, Text{"갱신이 필요한 증명서입니다.", "Renewal needed."}}
	case StatusStale:
		return codeRow{16, OnHold, Text{"최신 상태를 확인하지 못했습니다.", "The latest status could not be confirmed."}}
	case PolicyFailed:
		return codeRow{18, NotConfirmed, Text{"요건을 충족하지 않습니다", "Requirement not met"}}
	case Valid:
		return codeRow{27, Confirmed, Text{"확인되었습니다.", "Confirmed."}}
	}
	return codeRow{}
}

// Order is the code's number in DOMAIN 4.5; 0 for a code that does not exist here.
func (c Code) Order() int { return c.row().order }

// Decision is what follows from the code.
func (c Code) Decision() Decision { return c.row().decision }

// Text is what a company's screen shows. detail is the criterion of POLICY_FAILED, "" otherwise.
func (c Code) Text(detail string) Text {
	t := c.row().text
	if detail != "" && c == PolicyFailed {
		return Text{Ko: t.Ko + ": " + detail, En: t.En + ": " + detail}
	}
	return t
}

// A Reason is the technical ground below a code: the closed list of THREATS 3.0 (`V:`). It goes into the receipt, not
// to the wallet.
type Reason string

// The reasons. Those of the format rooms carry the same words.
const (
	ReasonNone               Reason = ""
	ReasonMalformed          Reason = "malformed"
	ReasonLimit              Reason = "limit_exceeded"
	ReasonReplayed           Reason = "replayed"
	ReasonUnknownTransaction Reason = "unknown_transaction"
	ReasonNonce              Reason = "nonce_mismatch"
	ReasonAudience           Reason = "audience_mismatch"
	ReasonBindingMissing     Reason = "holder_binding_missing"
	ReasonBindingInvalid     Reason = "holder_binding_invalid"
	ReasonSDHash             Reason = "sd_hash_mismatch"
	ReasonDisclosure         Reason = "disclosure_invalid"
	ReasonSignature          Reason = "signature_invalid"
	ReasonAlg                Reason = "alg_not_allowed"
	ReasonIssuer             Reason = "issuer_untrusted"
	ReasonTrust              Reason = "trust_unavailable"
	ReasonExpired            Reason = "expired"
	ReasonNotYetValid        Reason = "not_yet_valid"
	ReasonDigest             Reason = "digest_mismatch"
	ReasonRevoked            Reason = "revoked"
	ReasonSuspended          Reason = "suspended"
	ReasonStatusUnavailable  Reason = "status_unavailable"
	ReasonStatusInvalid      Reason = "status_invalid"
	ReasonQuery              Reason = "query_not_satisfied"
	ReasonTransactionData    Reason = "transaction_data_mismatch"

	// Ours, finer than the list: what DOMAIN 4.5 tells apart and the list does not.
	ReasonType          Reason = "type_not_accepted"
	ReasonClaimMix      Reason = "claim_mix"
	ReasonNeedsRenewal  Reason = "needs_renewal"
	ReasonRequestExpiry Reason = "request_expired"
	ReasonWalletError   Reason = "wallet_refused"
	ReasonOverask       Reason = "overask_refused"      // by the wallet
	ReasonLegalBasis    Reason = "legal_basis_required" // by the wallet
)

// code is the one mapping from grounds to codes (DESIGN 9). An unknown ground is never a pass.
func (r Reason) code() Code {
	switch r {
	case ReasonRequestExpiry:
		return RequestExpired
	case ReasonReplayed, ReasonUnknownTransaction:
		return NonceReplay
	case ReasonOverask:
		return OveraskRefused
	case ReasonLegalBasis:
		return LegalBasisRequired
	case ReasonType:
		return TypeNotAccepted
	case ReasonIssuer:
		return IssuerUntrusted
	case ReasonMalformed, ReasonLimit, ReasonAlg, ReasonDisclosure, ReasonSignature:
		return SignatureInvalid
	case ReasonDigest:
		return DigestMismatch
	case ReasonClaimMix:
		return ClaimMixDetected
	case ReasonNonce, ReasonAudience, ReasonBindingMissing, ReasonBindingInvalid, ReasonSDHash, ReasonTransactionData:
		return HolderBindingFailed
	case ReasonNotYetValid:
		return NotYetValid
	case ReasonExpired:
		return Expired
	case ReasonRevoked:
		return Revoked
	case ReasonSuspended:
		return Suspended
	case ReasonNeedsRenewal:
		return NeedsRenewal
	case ReasonTrust, ReasonStatusUnavailable, ReasonStatusInvalid:
		return StatusStale
	case ReasonQuery, ReasonWalletError:
		return PolicyFailed
	}
	return SignatureInvalid
}

// byWallet: the wallet refused, nothing was presented. That is an answer like another.
func (r Reason) byWallet() bool {
	return r == ReasonWalletError || r == ReasonOverask || r == ReasonLegalBasis
}

// A finding is one check that did not hold. It is an error inside this room only.
type finding struct {
	reason Reason
	detail string // criterion of POLICY_FAILED, meaning of NEEDS_RENEWAL; never a value
	cause  error  // for the log
}

func (f *finding) Error() string {
	if f.cause != nil {
		return "verifier: " + string(f.reason) + ": " + f.cause.Error()
	}
	return "verifier: " + string(f.reason)
}

func (f *finding) Unwrap() error { return f.cause }

func found(r Reason, cause error) *finding { return &finding{reason: r, cause: cause} }

// first is the finding with the lowest code; nil when there is none.
func first(fs ...*finding) *finding {
	var low *finding
	for _, f := range fs {
		if f != nil && (low == nil || f.reason.code().Order() < low.reason.code().Order()) {
			low = f
		}
	}
	return low
}
