package main

import (
	"errors"
	"fmt"

	"github.com/dojang-id/dojang/schemas"
	"github.com/dojang-id/dojang/wallet-api/holder"
)

// A refusalText says to a person what an error of the wallet means (DOMAIN 4.4).
type refusalText struct {
	err  error
	text schemas.Text
}

// refusalTexts in order: the first that fits.
var refusalTexts = []refusalText{
	{holder.ErrUnregistered, schemas.Text{Ko: "등록되지 않은 기관입니다. 제출할 수 없습니다.", En: "This organisation is not registered. You cannot submit."}},
	{holder.ErrOverask, schemas.Text{Ko: "이 기관이 등록한 범위를 넘는 요청입니다. 보내지 않았습니다.", En: "This asks for more than the organisation registered. Nothing was sent."}},
	{holder.ErrLegalBasis, schemas.Text{Ko: "근거 법령이 등록되어 있지 않습니다. 보내지 않았습니다.", En: "No matching legal basis is registered. Nothing was sent."}},
	{holder.ErrRegistry, schemas.Text{Ko: "상대방이 누구인지 지금 확인할 수 없습니다. 아무것도 보내거나 보관하지 않았습니다.", En: "Who the other side is cannot be proven now. Nothing was sent or stored."}},
	{holder.ErrNothingFits, schemas.Text{Ko: "요청에 맞는 증명서가 없습니다.", En: "No certificate in this wallet answers the request."}},
	{holder.ErrNoCopies, schemas.Text{Ko: "남은 사본이 없습니다. 다시 발급받아 주세요.", En: "No unused copy is left. Receive the certificate again."}},
	{holder.ErrTxCode, schemas.Text{Ko: "발급 확인 번호가 없거나 다릅니다 (--tx-code).", En: "The transaction code is missing or wrong (--tx-code)."}},
	{holder.ErrUntrusted, schemas.Text{Ko: "받은 증명서를 믿을 수 없습니다. 보관하지 않았습니다.", En: "What was received does not hold. Nothing was stored."}},
	{holder.ErrGone, schemas.Text{Ko: "이미 쓰였거나 기간이 지난 링크입니다.", En: "This link was used before, was withdrawn, or its time is over."}},
	{holder.ErrRefused, schemas.Text{Ko: "상대방이 거절했습니다.", En: "The other side refused."}},
	{holder.ErrUnreachable, schemas.Text{Ko: "상대방에 연결할 수 없습니다.", En: "The other side cannot be reached."}},
	{holder.ErrOffer, schemas.Text{Ko: "사용할 수 없는 발급 링크입니다.", En: "This offer cannot be used."}},
	{holder.ErrRequest, schemas.Text{Ko: "믿을 수 없는 요청입니다. 보내지 않았습니다.", En: "This request cannot be trusted. Nothing was sent."}},
}

// refusedBy is a failed check in words, with the technical reason behind.
func refusedBy(err error, lang string) error {
	for _, r := range refusalTexts {
		if errors.Is(err, r.err) {
			return fmt.Errorf("%s (%w: %w)", r.text.In(lang), errCheck, err)
		}
	}
	return fmt.Errorf("%w: %w", errCheck, err)
}
